"""Writes the limits of docs/transparency.md: python -m docs.limits [FILE]    (make limits)"""

import sys
from pathlib import Path

from docs.marked import filled
from mitm.proxy import arrival, greeting, http2_endpoint
from mitm.wire import grpc, header_blocks, http2

PAGE = Path(__file__).with_name("transparency.md")


def read() -> str:
    """What is relayed but not read."""
    return f"""\
| beyond | the interceptor |
| --- | --- |
| a message of {_size(grpc.MAX_MESSAGE_SIZE)}, or {_size(grpc.MAX_HELD)} of unfinished messages on a connection | tells the size and keeps the first {_size(grpc.TRUNCATED_SIZE)}: `truncated` |
| a header list of {_size(header_blocks.MAX_HEADER_LIST)}; {http2.MAX_STREAMS:,} open streams; {grpc.MAX_IN_FRAME:,} messages in a frame | tells the headers that fit, `truncated`, says so in a `parse-failed` event with the `stream`, and reads no more messages of this stream in this direction |
| a header table of {_size(http2.MAX_HEADER_TABLE)}; {http2.MAX_UNACKNOWLEDGED} SETTINGS without an answer | says so in a `parse-failed` event, and reads no more of this connection |
| header lists that keep referring to the same entries: {_size(header_blocks.EXPANDED_FREELY)} and {header_blocks.EXPANSION} bytes for each byte received | tells them cut, as `truncated` |
"""  # noqa: E501


def times() -> str:
    """How long it waits."""
    return f"""\
| who | is given |
| --- | --- |
| a client, to say what it speaks | {arrival.HELLO_SECONDS:g} seconds |
| a server, to accept the connection | {arrival.DIAL_SECONDS:g} seconds |
| either, for its handshake | {greeting.HANDSHAKE_SECONDS:g} seconds |
| either, once calls pass | no limit |
"""


def rewritten() -> str:
    """What ends the connection where the interceptor is an HTTP/2 endpoint itself."""
    return f"""\
| beyond | the interceptor |
| --- | --- |
| a header list of {_size(header_blocks.MAX_HEADER_LIST)} | ends the connection |
| {http2_endpoint.MAX_STREAMS:,} streams at once | lets the client wait for one to end |
"""


def _size(number: int) -> str:
    """A number of bytes as people say it."""
    for unit, name in ((1024 * 1024, "MiB"), (1024, "KiB")):
        if number >= unit and number % unit == 0:
            return f"{number // unit} {name}"
    return f"{number:,} bytes"


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    parts = {"limits": f"\n{read()}", "times": f"\n{times()}", "rewritten": f"\n{rewritten()}"}
    path.write_text(filled(PAGE.read_text(), parts))


if __name__ == "__main__":
    main()
