"""What is fuzzed, and what must hold whatever the bytes are.

A target is a function of bytes. It returns if all is well, and raises if a promise is broken: those
are the promises of the docstrings, not only that nothing is raised.
"""

import contextlib
import io
import json
import random
import ssl
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import msgspec
from jsonschema import Draft202012Validator
from rich.console import Console

from mitm import events
from mitm.address import is_ip
from mitm.audit.attack import load_attack
from mitm.audit.offer import load_offer_rule
from mitm.capture import EventPrinter, JsonLines, read_events
from mitm.cli.replay import replay
from mitm.content import ATTACKS, CERTS, OFFERS, SCENARIOS, markdown_files
from mitm.errors import UserError
from mitm.events import EVERYTHING, LEAST, Direction, Event, Wanted
from mitm.evidence import ClientRun, SingleVerdicts, observe
from mitm.lab.scenario import load_scenario
from mitm.messages import Schema
from mitm.pki import load_recipe, name_in, names_in
from mitm.proxy.watcher import SAMPLE_SIZE, Watcher
from mitm.tls import alerts, client_certificate, client_hello
from mitm.tls.vectors import MalformedError
from mitm.wire import Http1Parser, Http2Parser
from tests.capture.samples import SAMPLES
from tests.capture.test_schema import SCHEMA
from tests.messages.everything import METHODS, OLD_THING, THING
from tests.messages.everything import schema as schema_of_everything
from tests.messages.guessed import encoded
from tests.tls.certificates import self_signed
from tests.tls.test_client_hello import _REAL as HELLO
from tests.wire.conversation import USERS
from tests.wire.test_fuzz import _MOST_HELD as MOST_HELD
from tests.wire.test_fuzz import _START as START
from tests.wire.test_fuzz import frame
from tests.wire.test_http1 import _CALL as WEB_CALL
from tests.wire.test_sessions import _RECORDED as RECORDED

Part = tuple[Direction, bytes]

# What is told to whoever wants nothing.

_RUN = ClientRun("ended")

# One execution of so many has its JSON held against the schema as well, which costs a hundred times
# what all else does.
_SCHEMA_SHARE = 256

# Characters of a printed line: a text, cut and spelled out, and what stands before it.
_LINE = 2_100

_VALIDATOR = Draft202012Validator(SCHEMA)


class Target(NamedTuple):
    """One of them.

    Attributes:
        run: takes the bytes.
        seeds: what to begin with.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


# A ClientHello, and alerts in the clear


def hello(data: bytes) -> None:
    """It is read alike however it is cut; alerts, too."""
    whole, pieces = _hello(data, []), _hello(data, _cuts(data))
    assert whole == pieces, f"{whole} at once, {pieces} in pieces"
    if isinstance(whole, client_hello.Hello):
        assert whole.server_name is None or whole.server_name.isascii()
        name = whole.askable_name
        assert name is None or (name.isprintable() and not is_ip(name))
        msgspec.json.encode(whole)
    at_once = alerts.AlertReader().feed(data)
    reader = alerts.AlertReader()
    assert at_once == [alert for piece in _cut(data, _cuts(data)) for alert in reader.feed(piece)]
    if data:
        alerts.tls_record(data)


def _hello(data: bytes, where: list[int]) -> client_hello.Hello | str | None:
    reader, received = client_hello.HelloReader(), bytearray()
    try:
        for piece in _cut(data, where):
            received += piece
            if found := reader.read(received):
                return found
    except MalformedError as error:
        return str(error)
    return None


def _hellos() -> Iterator[bytes]:
    yield HELLO
    yield HELLO[:5] + HELLO[5:9]
    yield bytes.fromhex("15030100020228") + bytes.fromhex("1503030002010014030300010115")
    record = HELLO[5:]
    yield b"".join(
        b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
        for piece in (record[:1], record[1:100], record[100:])
    )


# What a client presents that is asked for a certificate


def certificate(data: bytes) -> None:
    """A Certificate message is read whole or not at all; and its leaf, as far as that can be."""
    for tls_1_3 in (False, True):
        try:
            found = client_certificate.read_certificate(data, tls_1_3=tls_1_3)
        except MalformedError:
            continue
        assert all(found)
        if not tls_1_3:
            listed = b"".join(len(each).to_bytes(3, "big") + each for each in found)
            body = len(listed).to_bytes(3, "big") + listed
            assert data[1:] == len(body).to_bytes(3, "big") + body
        for each in found[:1]:
            _presented(each)
    _presented(data)


def _presented(leaf: bytes) -> None:
    told = events.ClientCertificate(
        time=0,
        subject=name_in(leaf, "subject"),
        issuer=name_in(leaf, "issuer"),
        names=names_in(leaf),
    )
    msgspec.json.encode(told)


def _certificates() -> Iterator[bytes]:
    leaf = ssl.PEM_cert_to_DER_cert(self_signed()[0].decode())
    yield leaf
    size = len(leaf).to_bytes(3, "big")
    for before, behind in ((b"", b""), (b"\0", b"\0\0")):
        listed = size + leaf + behind
        for each in (b"", listed, 2 * listed):
            body = before + len(each).to_bytes(3, "big") + each
            yield b"\x0b" + len(body).to_bytes(3, "big") + body


# Application bytes, with all that looks at their events


def http2(data: bytes) -> None:
    """Frames, some of them in order and some not."""
    start = [] if data[:1] == b"\0" else START
    parts = list(_parts(data[1:])) if data[:1] < b"\x80" else list(_in_frames(data[1:]))
    _watch(data, "h2", [*start, *parts])


def http1(data: bytes) -> None:
    """Whatever comes without ALPN: HTTP/1.1, an upgrade, HTTP/2's preface."""
    _watch(data, None, list(_parts(data)))


def _watch(data: bytes, alpn: str | None, parts: list[Part]) -> None:
    seen = _seen(alpn, parts)
    chance = random.Random(data)  # noqa: S311 (the same for the same bytes)
    cut = [(way, p) for way, wire in parts for p in _cut(wire, _cuts(wire, chance))]
    again = _seen(alpn, cut)
    assert _told(seen) == _told(again), "it is not the same when it is cut elsewhere"
    _least(again, _seen(alpn, cut, LEAST))
    assert observe(again, _RUN).act == observe(seen, _RUN).act
    _see(seen, validate=chance.randrange(_SCHEMA_SHARE) == 0)


def _least(everything: list[Event], least: list[Event]) -> None:
    """Who wants nothing is told what the line rests on, and comes to the same."""
    if any(_gives_up_on_server(event) for event in everything):
        # Nobody reads header blocks of a server for who wants no answers: it is read on.
        return
    assert _for_everybody(least) == _for_everybody(everything), "less is told than to everybody"
    rest = iter(everything)
    assert all(any(_same(event, other) for other in rest) for event in least), "more is told"
    assert observe(least, _RUN).act == observe(everything, _RUN).act
    assert _verdict(least) == _verdict(everything)


def _verdict(seen: list[Event]) -> str:
    """What is said of this connection at its end."""
    verdicts = SingleVerdicts(lambda _: False)
    end = events.Closed(time=0, connection=1, by="client", how="eof", phase="established")
    told = [str(verdict) for event in [*seen, end] if (verdict := verdicts(event))]
    assert len(told) == 1, told
    return told[0]


def _gives_up_on_server(event: Event) -> bool:
    return (
        isinstance(event, events.ParseFailed) and event.direction == "server" and not event.stream
    )


def _seen(alpn: str | None, parts: list[Part], wanted: Wanted = EVERYTHING) -> list[Event]:
    seen: list[Event] = []
    watcher = Watcher(
        1, encrypted=True, alpn=alpn, schema=USERS, on_event=seen.append, wanted=wanted
    )
    for direction, wire in parts:
        watcher.feed(direction, wire)
        parser: Http1Parser | Http2Parser | None = watcher._parser
        if parser:
            assert parser.buffered <= MOST_HELD
            assert not (parser.failed and parser.buffered)
    sides: tuple[Direction, Direction] = ("server", "client")
    for side in sides:
        for _ in watcher.look(side, None):
            pass
    for number, event in enumerate(seen):
        if isinstance(event, events.ParseFailed):
            assert not event.reason.startswith("unforeseen"), event.reason
            assert event.stream or number == len(seen) - 1 or _are_first_bytes(seen[number + 1 :])
    return seen


def _are_first_bytes(rest: list[Event]) -> bool:
    """The only thing that is told after the parser has given up."""
    return all(isinstance(event, events.ApplicationData) for event in rest)


def _told(seen: list[Event]) -> list[Event]:
    """What must not depend on where the bytes are cut, nor on when they come."""
    return [
        _at_no_time(event)
        for event in seen
        if not isinstance(event, events.PartialFrame | events.ApplicationData)
    ]


def _for_everybody(seen: list[Event]) -> list[Event]:
    """What is told whoever looks: the line rests on it."""
    return [
        _at_no_time(event)
        for event in seen
        if isinstance(event, events.PartialFrame | events.ApplicationData)
        or (isinstance(event, events.Headers) and event.kind == "request")
        or (isinstance(event, events.ParseFailed) and not event.stream)
    ]


def _same(one: Event, other: Event) -> bool:
    return type(one) is type(other) and _at_no_time(one) == _at_no_time(other)


def _at_no_time(event: Event) -> Event:
    return msgspec.structs.replace(event, time=0.0)


class _Log(JsonLines):
    """What would be written to a file."""

    def __init__(self) -> None:
        super().__init__(Path("/dev/null"))
        self.written = bytearray()

    def append(self, data: bytes | bytearray, records: int = 1) -> bool:
        self.written += data
        return True


@cache
def _log() -> _Log:
    return _Log()


def _see(seen: list[Event], *, validate: bool) -> None:
    """Each line of the console obeys nobody; each line of JSON is the event that it was."""
    screen = io.StringIO()
    printer = EventPrinter(Console(file=screen, width=100, color_system=None), frames=True)
    log = _log()
    log.written.clear()
    for event in seen:
        printer(event)
        log(event)
        if isinstance(event, events.ApplicationData):
            assert len(event.sample) <= SAMPLE_SIZE
    for line in screen.getvalue().split("\n"):
        assert line.isprintable(), f"a line that is obeyed: {line!r}"
        assert len(line) <= _LINE, f"a line of {len(line)} characters"
    lines = bytes(log.written).splitlines(keepends=True)
    assert len(lines) == len(seen)
    for event, json_line, back in zip(seen, lines, read_events(lines, "them"), strict=True):
        assert type(back) is type(event)
        if validate:
            _VALIDATOR.validate(json.loads(json_line))


def _in_parts(parts: list[Part]) -> bytes:
    """The form that the fuzzer changes: direction and length, and so many bytes."""
    wire = b""
    for direction, piece in parts:
        for at in range(0, len(piece), 0x7FFF):
            some = piece[at : at + 0x7FFF]
            head = len(some) | (0x8000 if direction == "server" else 0)
            wire += head.to_bytes(2, "big") + some
    return wire


def _parts(data: bytes) -> Iterator[Part]:
    while len(data) > 2:
        head = int.from_bytes(data[:2], "big")
        length = head & 0x7FFF
        yield "server" if head & 0x8000 else "client", data[2 : 2 + length]
        data = data[2 + length :]


# Of which header blocks are made that can be decoded: by chance there would be none.
_FIELDS = [
    *((":method", "POST"), (":scheme", "https"), (":path", "/users.v1.UserService/GetUser")),
    *((":path", "/a.B/C"), (":authority", "localhost"), (":status", "200"), (":status", "100")),
    *(("content-type", "application/grpc"), ("content-type", "application/grpc-web+proto")),
    *(("content-type", "application/connect+json"), ("content-type", "application/proto")),
    *(("grpc-encoding", "gzip"), ("grpc-encoding", "deflate"), ("content-encoding", "gzip")),
    *(("grpc-status", "0"), ("grpc-status", "5"), ("grpc-message", "no%20such%0auser")),
    *(("grpc-status-details-bin", "CAUSBG5vbmU"), ("grpc-timeout", "1S"), ("te", "trailers")),
    *(("authorization", "Bearer 0123456789abcdef0123"), ("x-\x1b[2J", "\x9b31m\r\n"), ("", "")),
    *(("cookie", "a=b"), ("trace-bin", "AAEC"), ("connection", "close"), ("content-length", "3")),
]


def _in_frames(data: bytes) -> Iterator[Part]:
    """Bytes as frames whose lengths are right, and header blocks that can be decoded."""
    while len(data) > 4:
        way, kind, flags, stream, length = data[:5]
        payload, data = data[5 : 5 + length], data[5 + length :]
        if kind & 0x80:  # a header block
            payload = b"".join(_field(*_FIELDS[each % len(_FIELDS)]) for each in payload)
        elif kind & 0x40:  # a message
            size = len(payload) if kind & 0x20 else length
            payload = bytes([kind >> 4 & 1]) + size.to_bytes(4, "big") + payload
        yield (
            "server" if way & 1 else "client",
            frame(kind & 0xF, flags, stream, payload),
        )


def _field(name: str, value: str) -> bytes:
    """Literal, never indexed (RFC 7541 section 6.2.3)."""
    wire = b"\x10"
    for text in (name.encode("latin-1"), value.encode("latin-1")):
        wire += bytes([len(text)]) + text
    return wire


def _sessions() -> Iterator[bytes]:
    yield b"\0" + _in_parts(RECORDED)
    yield b"\1" + _in_parts(RECORDED[len(START) :])
    request = bytes([0, 1, 2, 4, 7])
    call = bytes([0, 0x81, 4, 1, len(request)]) + request
    call += bytes([0, 0x60, 1, 1, 2]) + b"\x08\x01"
    answer = bytes([1, 0x81, 4, 1, 2, 5, 7, 1, 0x60, 0, 1, 2]) + b"\x08\x01"
    yield b"\x80" + call + answer + bytes([1, 0x81, 5, 1, 2, 14, 16])
    yield b"\x80" + call + bytes([1, 3, 0, 1, 4, 0, 0, 0, 8, 0, 7, 0, 0, 8]) + bytes(8)


def _http1_sessions() -> Iterator[bytes]:
    yield _in_parts(WEB_CALL)
    yield _in_parts(RECORDED)
    ask = (
        b"POST /a.B/C HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    yield _in_parts([("client", ask), ("server", switch), *RECORDED])
    yield _in_parts([("client", b"GET /metrics HTTP/1.0\r\n\r\n"), ("server", b"\x00\x01\x02")])


# Messages


def guess(data: bytes) -> None:
    """A message of no known type: JSON, from which it can be made again if it says so."""
    told = Schema().decode("", "client", data)
    _told_of(told, data)
    if told.value is not None and told.raw is None:
        assert encoded(told.value) == data


def typed(data: bytes) -> None:
    """A message that is said to be of a type with fields of every kind."""
    for name in (THING, OLD_THING):
        _told_of(schema_of_everything().decode(METHODS[name], "client", data), data)
    status = USERS.decode_status(data)
    json.dumps(status, allow_nan=False)


def _told_of(told: Any, data: bytes) -> None:
    json.dumps(told.value, allow_nan=False)
    assert told.raw in (None, data)
    assert (told.value is None) == (told.source is None)
    assert told.value is not None or told.raw == data


def _messages() -> Iterator[bytes]:
    yield b"\x08\x01\x12\x07Nicolas\x1a\x13nicolas@example.com"
    yield encoded({"1": [1, {"group": {"2": "a"}}], "17": {"4": 5}, "9": {"fixed32": 7}})
    yield b"\x0a\xc0\x02" + b"a" * 320
    for name in ("thing", "at", "struct", "any"):
        field = schema_of_everything().message_types()[0].fields_by_name[name]
        yield encoded({str(field.number): {"1": {"1": "a/b.C", "2": {"3": "x"}}, "2": 5}})


# Files


class _File(io.BytesIO):
    name = "events.jsonl"


def recording(data: bytes) -> None:
    """A file of events, shown by `mitm-demo replay`: events, or one line that says why not."""
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen), contextlib.suppress(UserError):
        assert replay.callback
        replay.callback(_File(data), verbose=len(data) % 2 == 0)
    for line in screen.getvalue().split("\n"):
        assert line.isprintable(), f"a line that is obeyed: {line!r}"


def _recordings() -> Iterator[bytes]:
    lines = [msgspec.json.encode(event) + b"\n" for event in SAMPLES]
    yield from lines
    yield b"".join(lines[3:])
    yield b"".join(lines[:3] + lines[3:8] + lines[1:3])


@cache
def _folder() -> Path:
    # In memory where there is such a place: each execution writes a file.
    shared = Path("/dev/shm")  # noqa: S108
    return Path(mkdtemp(prefix="mitm-demo-fuzz-", dir=shared if shared.is_dir() else None))


_LOADERS: dict[Path, Callable[[str], object]] = {
    CERTS: load_recipe,
    ATTACKS: load_attack,
    OFFERS: load_offer_rule,
    SCENARIOS: load_scenario,
}


def recipe(data: bytes) -> None:
    """A file of certs/ or scenarios/ of somebody's own: it is taken, or told what is wrong."""
    load = list(_LOADERS.values())[data[0] % len(_LOADERS)] if data else load_recipe
    path = _folder() / "own.md"
    path.write_bytes(data[1:])
    try:
        load(str(path))
    except UserError as error:
        # What it quotes of the file is made a line where it is shown (tests/test_hostile.py).
        if not str(error).startswith(str(path)):
            raise AssertionError(f"not about the file: {str(error)!r}") from error


def _recipes() -> Iterator[bytes]:
    for number, folder in enumerate(_LOADERS):
        for path in markdown_files(folder).values():
            front, _, _ = path.read_bytes().partition(b"\n## ")
            yield bytes([number]) + front


# Where to cut


def _cuts(data: bytes, chance: random.Random | None = None) -> list[int]:
    chance = chance or random.Random(data)  # noqa: S311
    return sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(6)))


def _cut(data: bytes, where: list[int]) -> Iterator[bytes]:
    start = 0
    for place in where:
        if place > start:
            yield data[start:place]
            start = place
    if data[start:] or not start:
        yield data[start:]


TARGETS = {
    "hello": Target(hello, _hellos),
    "certificate": Target(certificate, _certificates),
    "http2": Target(http2, _sessions),
    "http1": Target(http1, _http1_sessions),
    "guess": Target(guess, _messages),
    "typed": Target(typed, _messages),
    "replay": Target(recording, _recordings),
    "recipe": Target(recipe, _recipes),
}
