"""The interceptor without any output: every event is made, and counted.

    python -m bench.interceptor UPSTREAM_PORT CERT KEY

It prints the port that it listens on. When its standard input ends it prints what it has seen, as
one JSON object: the benchmark checks that no call went by unread.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

from mitm import content, pki
from mitm.address import Address
from mitm.cli.loop import in_loop
from mitm.descriptors import load_descriptor_set
from mitm.events import Event, Frame, Headers, Message, UpstreamConnected
from mitm.messages import Schema
from mitm.proxy import Interceptor

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


async def intercept(interceptor: Interceptor) -> None:
    """Intercept until standard input ends."""
    async with interceptor:
        print(interceptor.address.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await interceptor.drain(5)


def main() -> None:
    """Intercept, and say what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream", type=int)
    parser.add_argument("cert", type=Path)
    parser.add_argument("key", type=Path)
    options = parser.parse_args()
    presented = pki.Presentation(pki.chain_from_files(options.cert, options.key))
    schema = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
    seen: Counter[str] = Counter()

    def on_event(event: Event) -> None:
        seen[seen_as(event)] += 1

    interceptor = Interceptor(
        listen=Address(LOOPBACK, 0),
        upstream=Address(LOOPBACK, options.upstream),
        choose=lambda _: presented,
        schema=schema,
        on_event=on_event,
    )
    in_loop(intercept(interceptor))
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
