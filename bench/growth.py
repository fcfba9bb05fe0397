"""What the interceptor costs when it has seen many calls, and when many clients are there."""

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from bench import tools, usage, ways
from bench.workloads import BUSY, CROWD, LONE, Workload

# Seconds after the last connection, until memory is asked for again.
AFTERWARDS = 5.0


class Resident(NamedTuple):
    """Memory of `mitm-demo proxy` in MiB, around connections.

    Attributes:
        before: any of them.
        peak: the most while they were there.
        after: some time after the last had ended.
        through: how many calls succeeded.
    """

    before: float
    peak: float
    after: float
    through: int


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


def resident(files: ways.Files, connections: int) -> Resident:
    """Memory of `mitm-demo proxy` around connections that are made at once.

    Args:
        files: where to work.
        connections: how many, with a call on each.
    """
    workload = replace(CROWD, connections=connections, calls=connections)
    options = ("--quiet",) if ways.has_option("--quiet") else ()
    with (
        tools.server(workload, *files.chain("server"), files.served) as server,
        ways.into(files.console, server, files, options) as proxy,
    ):
        tools.load(proxy.port, replace(LONE, calls=10), files.directory)
        before = usage.resident_mib(proxy.pid)
        highest, over = [before], threading.Event()

        def watch() -> None:
            while not over.wait(0.05):
                highest.append(usage.resident_mib(proxy.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            through = tools.burst(proxy.port, workload, files.directory)
        finally:
            over.set()
            watcher.join()
        time.sleep(AFTERWARDS)
        return Resident(before, max(highest), usage.resident_mib(proxy.pid), through)


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
            ways.settle(proxy.pid)
            return usage.cpu_seconds(proxy.pid) - before

        # What comes once, imports and the like, is in neither.
        spent(few)
        first = spent(few)
        return 1e6 * (spent(many) - first) / calls
