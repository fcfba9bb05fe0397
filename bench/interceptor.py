"""The process that is measured: an interceptor as `mitm-demo proxy` runs it, without the console.

    python -m bench.interceptor UPSTREAM_PORT CERT KEY [EVENTS_FILE]

It prints the port that it listens on. When its standard input ends it prints what it has seen, as
one JSON object: the benchmark checks that no call went by unread.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

from mitm import content, pki
from mitm.address import Address
from mitm.capture import JsonLines
from mitm.cli.run import in_loop
from mitm.events import Event, Frame, Headers, Message, UpstreamConnected
from mitm.proxy import Interceptor
from mitm.wire import Schema

LOOPBACK = "127.0.0.1"

_MESSAGE_OF = {"client": "client message", "server": "server message"}


def seen_as(event: Event) -> str:
    """What an event counts as: the parts of a call apart from each other, the rest by name."""
    if isinstance(event, Frame):  # first, as half of all events are frames
        return "frame"
    if isinstance(event, Headers):
        return event.kind
    if isinstance(event, Message):
        return _MESSAGE_OF[event.direction] if event.value is not None else "message not decoded"
    if isinstance(event, UpstreamConnected):
        return f"server over {event.version} and {event.alpn}"
    return type(event).__name__


async def intercept(upstream: Address, chain: pki.Chain, log: JsonLines | None) -> None:
    """Intercept until standard input ends, then print what was seen."""
    seen: Counter[str] = Counter()

    def on_event(event: Event) -> None:
        seen[seen_as(event)] += 1
        if log:
            log(event)

    async with Interceptor(
        listen=Address(LOOPBACK, 0),
        upstream=upstream,
        choose=lambda _: chain,
        schema=Schema.load(content.PROTO / "users.binpb"),
        on_event=on_event,
    ) as interceptor:
        print(interceptor.address.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await interceptor.drain(5)
    print(json.dumps(seen | {"lost": log.lost if log else 0}))


if __name__ == "__main__":
    port, cert, key, *events = sys.argv[1:]
    in_loop(
        intercept(
            Address(LOOPBACK, int(port)),
            pki.chain_from_files(Path(cert), Path(key)),
            JsonLines(Path(events[0])) if events else None,
        )
    )
