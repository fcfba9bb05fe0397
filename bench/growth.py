"""What the interceptor costs when it has seen many calls, and when many clients are there."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from bench import tools, usage, ways
from bench.workloads import BUSY, LONE, Workload


def memory(files: ways.Files, calls: Sequence[int]) -> list[float]:
    """The most memory that an interceptor had resident after so many calls, in MiB.

    Args:
        files: where to work.
        calls: numbers that grow.
    """
    peaks = []
    with (
        tools.server(BUSY, *files.chain("server"), files.served) as server,
        ways.interceptor_process(server, files) as (_, proxy),
    ):
        made = 0
        for number in calls:
            tools.load(proxy.port, replace(BUSY, calls=number - made), files.directory)
            made = number
            peaks.append(usage.peak_mib(proxy.pid))
            print(f"memory after {made:,} calls: {peaks[-1]:.1f} MiB", file=sys.stderr)
    return peaks


def cpu_ms(files: ways.Files, connections: int, calls: int) -> float:
    """CPU milliseconds of an interceptor for 1,000 calls, one at a time on each connection.

    Connections cost more than calls do. They are in both of two loads, and so not in the
    difference.

    Args:
        files: where to work.
        connections: how many.
        calls: by how many the second load is larger than the first.
    """
    few = replace(LONE, connections=connections, calls=connections)
    many = replace(few, calls=few.calls + calls)
    with (
        tools.server(few, *files.chain("server"), files.served) as server,
        ways.interceptor_process(server, files) as (_, proxy),
    ):

        def spent(workload: Workload) -> float:
            before = usage.cpu_seconds(proxy.pid)
            tools.load(proxy.port, workload, files.directory)
            return usage.cpu_seconds(proxy.pid) - before

        first = spent(few)
        return 1e6 * (spent(many) - first) / calls
