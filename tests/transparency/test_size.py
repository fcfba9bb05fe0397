"""Much of everything: messages of 100 MB, ten thousand of them, and readers that are in no hurry.

The memory is that of an interceptor in a process of its own; see apart.py.
"""

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from mitm.wire.frames import LARGEST_MAX_FRAME_SIZE
from tests.proxy.stage import LIMIT, STALLED, Props
from tests.transparency.play import (
    Methods,
    Options,
    Played,
    client_streaming,
    duplex,
    path,
    played,
    server_streaming,
    unary,
)

Context = grpc.ServicerContext

UNLIMITED: Options = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)

# The C core widens its windows up to 64 MiB by how fast it is sent to; not here.
NARROW: Options = (*UNLIMITED, ("grpc.http2.bdp_probe", 0))

# What the interceptor may grow by, whatever passes. The C core lets its peer send frames of up to
# 16 MiB once it has seen how fast they come; one is held until it is complete, and copied to be
# read.
GROWTH = 4 * LARGEST_MAX_FRAME_SIZE


class Apart:
    """An interceptor in another process.

    Attributes:
        told: at its end, what it told.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.told: dict[str, Any] = {}

    def peak(self) -> int:
        """The most memory that it has had so far, in bytes."""
        return int(self._say("\n"))

    def start(self, props: Props, folder: Path, upstream: str) -> str:
        """Let it present the forged chain to whoever dials the address that is returned."""
        files = {"chain": props.forged.pem, "key": props.forged.key_pem}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        order = {name: str(folder / name) for name in files} | {"upstream": upstream}
        return self._say(json.dumps(order) + "\n").strip()

    def _say(self, line: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def end(self) -> None:
        out, _ = self._process.communicate(timeout=2 * LIMIT)
        self.told = json.loads(out)
        assert self._process.returncode == 0
        assert self.told["failed"] == []

    def messages(self, direction: str) -> list[tuple[int, bool, int]]:
        """Size of messages, whether they were cut short, and how many of them it has read."""
        return [(s, cut, n) for way, s, cut, n in self.told["messages"] if way == direction]


Start = Callable[[Methods, Options], contextlib.AbstractContextManager[tuple[Played, Apart | None]]]


@pytest.fixture(params=["straight", "intercepted"])
def start(request: pytest.FixtureRequest, props: Props, tmp_path: Path) -> Start:
    """Starts a server, and an interceptor in a process of its own before it."""

    @contextlib.contextmanager
    def starting(methods: Methods, options: Options) -> Iterator[tuple[Played, Apart | None]]:
        if request.param == "straight":
            with played("straight", props, methods, options=options) as p:
                yield p, None
            return
        with an_interceptor() as interceptor:
            # The way that `played` knows of is straight; where it leads is said here.
            with played("straight", props, methods, options=options) as p:
                p.target = interceptor.start(props, tmp_path, p.target)
                p.roots = props.attacker_ca.read_bytes()
                yield p, interceptor
            interceptor.end()

    return starting


@contextlib.contextmanager
def an_interceptor() -> Iterator[Apart]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.transparency.apart"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Apart(process)
        finally:
            process.kill()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def echo(request: bytes, context: Context) -> bytes:
    return request


def test_a_message_of_100_mb_passes_and_is_not_kept(start: Start) -> None:
    # Random, so that no byte can be lost or moved unnoticed.
    block = os.urandom(1_000_000)
    large = b"".join(bytes([number]) + block[1:] for number in range(100))
    methods: Methods = {
        "Echo": unary(echo),
        "Upload": unary(lambda request, context: sha256(request)),
        "Download": unary(lambda request, context: large),
    }
    with start(methods, UNLIMITED) as (p, interceptor):
        channel = p.channel(UNLIMITED)
        assert channel.unary_unary(path("Echo"))(b"warm", timeout=LIMIT) == b"warm"
        before = interceptor.peak() if interceptor else 0
        assert channel.unary_unary(path("Upload"))(large, timeout=LIMIT) == sha256(large)
        assert channel.unary_unary(path("Download"))(b"", timeout=LIMIT) == large
        if interceptor:
            assert interceptor.peak() - before < GROWTH
    if interceptor:
        assert interceptor.messages("client") == [
            (4, False, 1),
            (len(large), True, 1),
            (0, False, 1),
        ]
        assert interceptor.messages("server") == [
            (4, False, 1),
            (32, False, 1),
            (len(large), True, 1),
        ]


def test_ten_thousand_messages_on_one_stream_each_way(start: Start) -> None:
    count = 10_000
    received: list[bytes] = []

    def answer(requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        for number, request in enumerate(requests):
            received.append(request)
            yield b"%05d" % (count - number)

    with start({"FullDuplexCall": duplex(answer)}, ()) as (p, interceptor):
        call = p.channel().stream_stream(path("FullDuplexCall"))
        requests = (b"%06d" % number for number in range(count))
        responses = list(call(requests, timeout=LIMIT))
    assert received == [b"%06d" % number for number in range(count)]
    assert responses == [b"%05d" % (count - number) for number in range(count)]
    if interceptor:
        assert interceptor.messages("client") == [(6, False, count)]
        assert interceptor.messages("server") == [(5, False, count)]


# Readers that are in no hurry

PART = bytes(100_000)
PARTS = 1_000


class Progress:
    """How far a writer has come, and whether it still gets any further."""

    def __init__(self) -> None:
        self.written = 0
        self._changed = threading.Condition()

    def parts(self) -> Iterator[bytes]:
        for _ in range(PARTS):
            yield PART
            with self._changed:
                self.written += 1
                self._changed.notify_all()

    def wait_for_its_end(self) -> None:
        """Wait until no more is written, as nobody reads it."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.written > 0, LIMIT)
            while self._changed.wait(STALLED):
                pass


def test_a_client_that_does_not_read_stops_the_server(start: Start) -> None:
    progress = Progress()
    methods: Methods = {"Download": server_streaming(lambda request, context: progress.parts())}
    with start(methods, NARROW) as (p, interceptor):
        responses = p.channel(NARROW).unary_stream(path("Download"))(b"", timeout=LIMIT)
        assert next(responses) == PART
        before = interceptor.peak() if interceptor else 0
        progress.wait_for_its_end()
        assert progress.written < PARTS / 20
        assert sum(len(response) for response in responses) == (PARTS - 1) * len(PART)
        if interceptor:
            assert interceptor.peak() - before < GROWTH
    if interceptor:
        assert interceptor.messages("server") == [(len(PART), False, PARTS)]


def test_a_server_that_does_not_read_stops_the_client(start: Start) -> None:
    progress = Progress()
    read_on: queue.SimpleQueue[None] = queue.SimpleQueue()

    def upload(requests: Iterator[bytes], context: Context) -> bytes:
        first = len(next(requests))
        read_on.get(timeout=LIMIT)
        return b"%d" % (first + sum(len(request) for request in requests))

    with start({"Upload": client_streaming(upload)}, NARROW) as (p, interceptor):
        call = p.channel(NARROW).stream_unary(path("Upload"))
        future = call.future(progress.parts(), timeout=LIMIT)
        progress.wait_for_its_end()
        before = interceptor.peak() if interceptor else 0
        assert progress.written < PARTS / 20
        read_on.put(None)
        assert future.result() == b"%d" % (PARTS * len(PART))
        if interceptor:
            assert interceptor.peak() - before < GROWTH
    if interceptor:
        assert interceptor.messages("client") == [(len(PART), False, PARTS)]
