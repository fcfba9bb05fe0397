"""Keeps `mitm-demo proxy` busy, with friends and with foes, and looks whether it stays as it was.

    python -m bench.soak [--minutes 20] [--connections 1000] [--rate 120]

`mitm-demo proxy` runs as users start it, its console in a file. Clients of grpcio make calls of all
kinds over connections that come and go; some are cancelled, and some have a deadline that is too
short. Hostile peers come among them. Descriptors, threads and memory of the proxy are sampled, and
must be flat after five minutes (a quarter of the time, if there is less). Each call's end is held
against what the server has recorded of it.

The exit code is 0 if all is flat and right, 1 if not, 2 if it could not be run.
"""

import argparse
import asyncio
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench import tools, usage, ways
from bench.peers import CACHE
from bench.soak import calls
from bench.soak.hostile import Hostile
from bench.soak.series import Sample, judge, picture
from mitm import pki
from mitm.errors import UserError

# Processes that make calls: grpcio takes more than the proxy does, and there are two cores.
_CLIENTS = 2

# Seconds between samples, and between lines that show one.
_EVERY, _SHOWN_EVERY = 5.0, 30.0

# Seconds that clients may take longer than they were told to.
_LATE = 120.0

# Seconds after which all must be flat.
_SETTLED = 300.0

# Descriptors of a proxy for a connection, and some more.
_FILES = 3

# Lines of what has gone wrong.
_TOLD = 20


class Outcome(NamedTuple):
    """What came of it.

    Attributes:
        samples: what the proxy held.
        made: the calls as their clients have them.
        wrong: where they and the server disagree.
        came: how many hostile connections there were.
    """

    samples: list[Sample]
    made: list[calls.Call]
    wrong: list[str]
    came: int


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="bench.soak", description="Keep the proxy busy.")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=120, help="calls a second")
    parser.add_argument("--plot", type=Path, default=CACHE / "soak.svg", metavar="FILE")
    options = parser.parse_args()
    seconds = options.minutes * 60
    try:
        if not usage.available():
            raise UserError("what a process holds is read from /proc, which only Linux has")
        _allow_files(_FILES * options.connections + 1000)
        with tempfile.TemporaryDirectory(prefix="mitm-demo-soak-") as directory:
            outcome = run(Path(directory), seconds, options.connections, options.rate)
    except UserError as error:
        print(f"bench.soak: {error}", file=sys.stderr)
        return 2
    after = min(_SETTLED, seconds / 4)
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    options.plot.write_text(picture(outcome.samples, after))
    return 0 if report(outcome, after) else 1


def report(outcome: Outcome, after: float) -> bool:
    """Print what came of it; whether all is flat and right."""
    flatness = judge(outcome.samples, after)
    first, last = outcome.samples[0], outcome.samples[-1]
    cpu = (last.cpu - first.cpu) / max(last.seconds - first.seconds, 1)
    print(f"calls    {len(outcome.made):,}: {calls.summary(outcome.made)}")
    print(f"hostile  {outcome.came:,} connections")
    print(f"proxy    {cpu:.0%} of a core")
    for each in flatness:
        print(each)
    print(f"right    {len(outcome.made) - len(outcome.wrong):,}, wrong {len(outcome.wrong):,}")
    for line in outcome.wrong[:_TOLD]:
        print(f"  {line}")
    return all(each.flat for each in flatness) and not outcome.wrong and bool(outcome.made)


def run(directory: Path, seconds: float, connections: int, rate: float) -> Outcome:
    """Run server, proxy, clients and hostile peers.

    Args:
        directory: for what they read and write.
        seconds: how long.
        connections: at once, about.
        rate: calls a second.

    Raises:
        UserError: one of the programs failed, or the proxy had something to say.
    """
    files = ways.Files(directory)
    pki.write_lab(directory, pki.Authorities(["localhost", tools.LOOPBACK]), overwrite=True)
    cert, key = files.chain("attacker")
    served = directory / "served.jsonl"
    served.touch()
    made = [directory / f"made-{number}.jsonl" for number in range(_CLIENTS)]
    port = tools.free_port()
    command = [sys.executable, "-m", "bench.soak.server", str(port)]
    command += [*map(str, files.chain("server")), str(served)]
    options = ("--cert", str(cert), "--key", str(key))
    with ExitStack() as stack:
        stack.enter_context(tools.running(command, port))
        proxy = stack.enter_context(ways.into(files.console, port, files, options))
        clients = [
            stack.enter_context(
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", "bench.soak.client", str(proxy.port)),
                        *(str(directory / "attacker-ca.pem"), str(record)),
                        *(str(connections // _CLIENTS), str(seconds), str(rate / _CLIENTS)),
                        str(number),
                    ]
                )
            )
            for number, record in enumerate(made)
        ]
        try:
            samples, came = asyncio.run(_watch(proxy, clients, seconds))
        finally:
            for client in clients:
                client.kill()
        if any(client.returncode for client in clients):
            raise UserError(f"clients ended with {[client.returncode for client in clients]}")
    by_clients = [call for record in made if record.exists() for call in calls.read(record)]
    return Outcome(samples, by_clients, calls.differences(by_clients, calls.read(served)), came)


async def _watch(
    proxy: ways.Proxy, clients: "list[subprocess.Popen[bytes]]", seconds: float
) -> tuple[list[Sample], int]:
    """Sample the proxy until the clients have ended, with hostile peers coming meanwhile."""
    hostile = Hostile(proxy.port, 1)
    coming = asyncio.create_task(hostile.come())
    began = time.monotonic()
    samples: list[Sample] = []
    shown = -_SHOWN_EVERY
    every = min(_EVERY, seconds / 20)
    while any(client.poll() is None for client in clients):
        now = time.monotonic() - began
        if now > seconds + _LATE:
            raise UserError(f"clients do not end: their calls have hung for {_LATE:g} s")
        if now <= seconds:
            samples.append(
                Sample(
                    now,
                    usage.files(proxy.pid),
                    usage.threads(proxy.pid),
                    usage.resident_mib(proxy.pid),
                    usage.cpu_seconds(proxy.pid),
                )
            )
            if now - shown >= _SHOWN_EVERY:
                shown = now
                last = samples[-1]
                print(
                    f"{now:7.0f} s {last.files:6,} files {last.threads:3} threads "
                    f"{last.mib:7.1f} MiB {last.cpu:8.1f} s of CPU",
                    flush=True,
                )
        await asyncio.sleep(every)
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)
    await asyncio.sleep(0.1)  # until their sockets are closed
    return samples, hostile.came


def _allow_files(wanted: int) -> None:
    """Let this process and its children open so many files.

    Raises:
        UserError: they may not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise UserError(f"{wanted} files must be open at once, and {hard} may: ulimit -Hn")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
