"""The process that is measured: an interceptor as `mitm-demo proxy` runs it, without the console.

    python -m bench.interceptor UPSTREAM_PORT CERT KEY [--events FILE] [--pcap FILE]
                                [--rewrite RULE]

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
from mitm.capture import JsonLines, Recorder
from mitm.cli.loop import in_loop
from mitm.descriptors import load_descriptor_set
from mitm.events import Event, Frame, Headers, Message, UpstreamConnected
from mitm.messages import Schema
from mitm.messages.rules import Rules
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
    """Intercept, and close the files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream", type=int)
    parser.add_argument("cert", type=Path)
    parser.add_argument("key", type=Path)
    parser.add_argument("--events", type=Path)
    parser.add_argument("--pcap", type=Path)
    parser.add_argument("--rewrite", action="append", default=[])
    options = parser.parse_args()
    log = JsonLines(options.events) if options.events else None
    tap = Recorder(options.pcap, None) if options.pcap else None
    presented = pki.Presentation(pki.chain_from_files(options.cert, options.key))
    schema = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
    seen: Counter[str] = Counter()

    def on_event(event: Event) -> None:
        seen[seen_as(event)] += 1
        if log:
            log(event)

    interceptor = Interceptor(
        listen=Address(LOOPBACK, 0),
        upstream=Address(LOOPBACK, options.upstream),
        choose=lambda _: presented,
        schema=schema,
        on_event=on_event,
        tap=tap,
        rules=Rules(options.rewrite, schema),
    )
    in_loop(intercept(interceptor))
    losses = []
    if log:
        log.close()
        losses.append(log.loss)
    if tap:
        tap.close()
        losses += tap.losses
    print(json.dumps(seen | {"lost": " ".join(losses)}))


if __name__ == "__main__":
    main()
