"""An interceptor in a process of its own, so that its memory can be told from its peers'.

It is run by `test_size.py`, and told what to do by a line of JSON. It prints where it listens;
then, each time it reads a line, its peak of memory; and at the end how many messages of which size
it has read, in which direction.
"""

import asyncio
import json
import re
import sys
from collections import Counter
from pathlib import Path

from mitm import events, pki
from mitm.address import parse
from mitm.events import Event
from mitm.proxy import Interceptor
from tests.proxy.stage import LIMIT, LOCALHOST, LOOPS, presenting


def peak() -> int:
    """The most memory that this process has had so far, in bytes."""
    # Not getrusage: its maximum is also that of the process which has started this one.
    status = Path("/proc/self/status").read_text()
    kilobytes = re.search(r"VmHWM:\s*([0-9]+) kB", status)
    assert kilobytes
    return 1024 * int(kilobytes[1])


async def serve(chain: pki.Chain, upstream: str) -> None:
    messages: Counter[tuple[str, int, bool]] = Counter()
    failed: list[str] = []

    def look(event: Event) -> None:
        if isinstance(event, events.Message):
            messages[event.direction, event.size, event.truncated] += 1
        if isinstance(event, events.ParseFailed):
            failed.append(event.reason)

    def ask() -> str:
        return sys.stdin.readline()

    async with Interceptor(
        listen=LOCALHOST, upstream=parse(upstream), choose=presenting(chain), on_event=look
    ) as interceptor:
        print(interceptor.address, flush=True)
        while await asyncio.to_thread(ask):
            print(peak(), flush=True)
        await interceptor.drain(LIMIT)
    told = [[*key, count] for key, count in messages.items()]
    print(json.dumps({"peak": peak(), "failed": failed, "messages": told}), flush=True)


if __name__ == "__main__":
    order = json.loads(sys.stdin.readline())
    chain = pki.chain_from_files(Path(order["chain"]), Path(order["key"]))
    with asyncio.Runner(loop_factory=LOOPS.get("uvloop", LOOPS["asyncio"])) as runner:
        runner.run(serve(chain, order["upstream"]))
