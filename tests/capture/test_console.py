"""Events for a person: what happened, and nothing that a peer could make of the terminal."""

import io
import re
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mitm import events
from mitm.capture import EventLines, EventPrinter
from mitm.capture.console import STYLES
from mitm.capture.wording import describe, one_line
from mitm.events import Event
from mitm.masking import plain
from tests.capture.samples import SAMPLES

_AT = 1_700_000_000.0

# Clears the screen, sets the title, moves the cursor, turns text round; and rich's own markup.
_HOSTILE = "\x1b[2J\x1b]0;pwned\x07\r\n\x00\x9b31m\u202eevil\u2028[bold red]markup[/] :smile:"


def _lines(*seen: Event, frames: bool = True, colour: bool = False) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=500, force_terminal=colour, color_system=None)
    printer = EventPrinter(console, frames=frames)
    for event in seen:
        printer(event)
    return out.getvalue().split("\n")[:-1]


def _line(event: Event) -> str:
    (line,) = _lines(event)
    return line


def _headers(*headers: tuple[str, str], kind: str = "request", method: str = "/a.B/C") -> Event:
    return events.Headers(
        time=_AT,
        connection=1,
        direction="client" if kind == "request" else "server",
        stream=1,
        kind=kind,  # type: ignore[arg-type]
        method=method,
        headers=headers,
    )


def _message(value: dict[str, object] | None, raw: bytes | None = None, **more: object) -> Event:
    return events.Message(
        time=_AT,
        connection=1,
        direction="client",
        stream=1,
        method="/a.B/C",
        type="users.v1.User",
        size=3,
        value=value,
        raw=raw,
        **more,  # type: ignore[arg-type]
    )


def test_a_line_says_when_which_connection_which_stream_and_who() -> None:
    first = events.Connected(time=_AT, connection=12, client="127.0.0.1:4000")
    later = events.Frame(
        time=_AT + 1.5,
        connection=12,
        direction="server",
        stream=7,
        type="RST_STREAM",
        flags=(),
        length=4,
        detail="CANCEL",
    )
    connected, reset = _lines(first, later)
    assert connected.split() == ["0.000", "#12", "client", "connects", "from", "127.0.0.1:4000"]
    assert reset.split() == ["1.500", "#12", "7", "server", "→", "client", "RST_STREAM", "CANCEL"]


@pytest.mark.parametrize(
    "event",
    [
        events.ClientHello(
            time=_AT,
            connection=1,
            server_name=_HOSTILE,
            alpn=(_HOSTILE,),
            versions=(),
            cipher_suites=(),
        ),
        events.UpstreamConnected(
            time=_AT, connection=1, address="a:1", local="b:2", version="TLSv1.3", alpn=_HOSTILE
        ),
        events.UpstreamFailed(time=_AT, connection=1, address="a:1", reason=_HOSTILE),
        events.CertificatePresented(
            time=_AT,
            connection=1,
            certificate="own",
            subjects=(_HOSTILE,),
            issuer=_HOSTILE,
            sha256="",
        ),
        _headers(method=_HOSTILE),
        _headers((":status", _HOSTILE), kind="response"),
        _headers(("grpc-status", _HOSTILE), ("grpc-message", _HOSTILE), kind="trailers"),
        _message({_HOSTILE: _HOSTILE}),
        events.Frame(
            time=_AT,
            connection=1,
            direction="client",
            stream=0,
            type="GOAWAY",
            flags=(),
            length=8,
            detail=_HOSTILE,
        ),
        events.ParseFailed(time=_AT, connection=1, direction="client", reason=_HOSTILE),
        events.Closed(
            time=_AT, connection=1, by="client", how="error", phase="established", reason=_HOSTILE
        ),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_a_peer_sends_is_never_obeyed(event: Event) -> None:
    line = _line(event)
    assert line.isprintable()
    assert "evil" in line
    assert "[bold red]markup[/] :smile:" in line


def test_names_and_values_of_headers_are_never_obeyed() -> None:
    lines = _lines(_headers((_HOSTILE, _HOSTILE)))
    assert len(lines) == 2
    for line in lines:
        assert line.isprintable()


@pytest.mark.parametrize("text", ["Jörg, 名前 and 😀", "a b", r"C:\path", ""])
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_control_characters_are_spelled_out() -> None:
    assert plain("a\x1b[0m\nb\u202e") == r"a\x1b[0m\nb\u202e"


def test_credentials_are_masked_and_harmless_metadata_is_not() -> None:
    value = "a-very-long-secret-token"
    lines = "\n".join(
        _lines(
            _headers(("authorization", f"Bearer {value}"), ("x-request-id", "a-very-long-request"))
        )
    )
    assert value not in lines
    assert "authorization: Bearer a-ve…" in lines
    assert "x-request-id: a-very-long-request" in lines


def test_what_every_call_repeats_takes_no_lines() -> None:
    assert len(_lines(_headers((":method", "POST"), ("te", "trailers")))) == 1


def test_a_call_is_told_by_method_message_and_status() -> None:
    assert "calls /a.B/C" in _line(_headers())
    assert "response 200" in _line(_headers((":status", "200"), kind="response"))
    trailers = _headers(("grpc-status", "5"), ("grpc-message", "no such user"), kind="trailers")
    assert "trailers: grpc-status 5 NOT_FOUND: no such user" in _line(trailers)
    assert 'User {"name": "Jörg"}' in _line(_message({"name": "Jörg"}))


def test_a_message_that_was_not_decoded_is_shown_raw() -> None:
    line = _line(_message(None, b"\x08\x01\xff", compressed=True))
    assert "User of 3 bytes raw 0801ff (compressed)" in line


def test_it_is_said_whose_word_a_message_is() -> None:
    value: dict[str, object] = {"1": 5}
    guessed = _line(_message(value, decoded_by="guess"))
    assert guessed.endswith('message {"1": 5} (guessed: no users.v1.User)')
    assert _line(_message(value, decoded_by="descriptors")).endswith('User {"1": 5}')
    for source, words in (
        ("proto", "by .proto"),
        ("descriptor-set", "by descriptor set"),
        ("reflection", "by reflection"),
    ):
        assert _line(_message(value, decoded_by=source)).endswith(f'User {{"1": 5}} ({words})')


def test_it_is_said_how_a_message_was_compressed() -> None:
    line = _line(_message({}, compressed=True, encoding="gzip", decoded_by="reflection"))
    assert line.endswith("User {} (by reflection, compressed with gzip)")
    line = _line(_message(None, b"\xff", compressed=True, encoding="snappy"))
    assert line.endswith("User of 3 bytes raw ff (compressed with snappy)")
    assert _line(_message(None, b"\xff", truncated=True)).endswith("raw ff (cut)")


def test_a_status_is_told_by_name_and_its_message_decoded() -> None:
    def told(status: str, said: str) -> str:
        trailers = _headers(("grpc-status", status), ("grpc-message", said), kind="trailers")
        return _line(trailers).partition("trailers: ")[2]

    assert told("0", "") == "grpc-status 0 OK"
    assert told("7", "J%C3%B6rg may not%21") == "grpc-status 7 PERMISSION_DENIED: Jörg may not!"
    assert told("99", "%zz 100%") == "grpc-status 99: %zz 100%"
    assert told("2", "%ff%1b[2J") == r"grpc-status 2 UNKNOWN: \xff\x1b[2J"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("grpc-timeout", "4960m", "4.96 s"),
        ("x-trace-bin", "AAEC", "000102"),
        ("x-trace-bin", "AAECAw", "00010203"),
        ("x-trace-bin", "AAECAw==, /w", "00010203, ff"),
        ("x-trace-bin", "not base64", "not base64"),
        ("grpc-status-details-bin", "CAU", "0805"),
    ],
)
def test_metadata_is_told_in_words(name: str, value: str, shown: str) -> None:
    _, line = _lines(_headers((name, value)))
    assert line.endswith(f"{name}: {shown}")


def test_a_credential_in_bytes_is_masked_all_the_same() -> None:
    _, line = _lines(_headers(("x-token-bin", "AAECAwQFBgcICQoLDA0ODw==")))
    assert "000102" not in line
    assert "masked" in line


def test_the_details_of_an_error_are_opened() -> None:
    trailers = events.Headers(
        time=_AT,
        connection=1,
        direction="server",
        stream=1,
        kind="trailers",
        method="/a.B/C",
        headers=(("grpc-status", "5"), ("grpc-status-details-bin", "CAU")),
        details={"code": 5, "message": "none", "details": []},
    )
    _, line = _lines(trailers)
    assert line.endswith('grpc-status-details-bin: {"code": 5, "message": "none", "details": []}')


def test_a_long_message_is_cut() -> None:
    assert len(_line(_message({"name": 10_000 * "x"}))) < 600
    assert len(_line(_message(None, 10_000 * b"x"))) < 200
    for line in _lines(_headers(("x-long", 10_000 * "x"))):
        assert len(line) < 600


def test_control_frames_are_printed_if_they_are_asked_for() -> None:
    ping = events.Frame(
        time=_AT, connection=1, direction="client", stream=0, type="PING", flags=("ACK",), length=8
    )
    assert "PING ACK" in _line(ping)
    assert _lines(ping, frames=False) == []


def test_frames_that_carry_a_message_are_told_by_the_message() -> None:
    data = events.Frame(
        time=_AT, connection=1, direction="client", stream=1, type="DATA", flags=(), length=8
    )
    assert _lines(data) == []


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_every_kind_of_event_can_be_printed(event: Event) -> None:
    for line in _lines(event):
        assert line.isprintable()


def test_an_answer_in_plaintext_is_shown_for_what_it_is() -> None:
    """It comes in the place of a certificate, and has no subject."""
    presented = events.CertificatePresented(
        time=_AT, connection=1, certificate="plaintext-http2", subjects=(), issuer="", sha256=""
    )
    assert _line(presented).endswith(
        "presents plaintext-http2: no certificate, an answer in plaintext"
    )


def test_what_is_told_of_an_event_is_written_in_one_piece() -> None:
    """However many lines it has: each piece costs about as much as a hundred lines in one."""

    class Counting(io.StringIO):
        pieces = 0

        def write(self, text: str) -> int:
            self.pieces += 1
            return super().write(text)

    out = Counting()
    printer = EventPrinter(Console(file=out, width=100), frames=False)
    printer(_headers(*((f"x-{number}", "v") for number in range(40))))
    assert out.getvalue().count("\n") == 41
    assert out.pieces == 1


def test_headers_that_are_not_whole_are_said_to_be_cut() -> None:
    cut = msgspec.structs.replace(_headers(("x", "y")), truncated=True)
    assert _lines(cut)[-1].endswith("… and more than is kept")
    assert not _lines(_headers(("x", "y")))[-1].endswith("kept")


@pytest.mark.parametrize(
    "how",
    [
        {"force_terminal": False},
        {"force_terminal": True, "color_system": "truecolor"},
        {"force_terminal": True, "color_system": "standard"},
        {"force_terminal": True, "color_system": "256", "no_color": True},
        {"force_terminal": True, "color_system": None},
    ],
    ids=["pipe", "truecolor", "standard", "NO_COLOR", "dumb"],
)
def test_lines_are_set_off_as_rich_does_it(how: dict[str, Any]) -> None:
    """To the byte: its layout engine is passed by, and nobody is to notice."""
    seen = [each for each in SAMPLES if each.connection]
    by_hand, by_rich = io.StringIO(), io.StringIO()
    console = Console(file=by_rich, width=999, highlight=False, **how)
    printer = EventPrinter(Console(file=by_hand, width=999, highlight=False, **how), frames=True)
    for event in seen:
        printer(event)
        stream = getattr(event, "stream", 0) or ""
        for who, what, mood in describe(event):
            line = Text.assemble(
                f"{event.time - seen[0].time:8.3f}  ", f"#{event.connection:<3} {stream:>4}  ",
                (f"{who:<16} ", "bold"), (one_line(what), STYLES[mood]),
            )  # fmt: skip
            console.print(line, soft_wrap=True)
    assert by_hand.getvalue() == by_rich.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_what_is_too_long_for_a_terminal_hangs_under_its_text(width: int) -> None:
    out = io.StringIO()
    printer = EventPrinter(Console(file=out, width=width, force_terminal=True), frames=False)
    value = "one two three four five six seven eight nine ten eleven twelve 十三 十四 十五 十六"
    printer(_headers((":path", "/a.B/C"), ("x-count", value)))
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in out.getvalue().splitlines()]
    assert all(cell_len(line) <= width for line in lines)
    first, *others = lines[1:]
    assert others
    start = first.index("x-count")
    assert all(line[:start].isspace() and not line[start].isspace() for line in others)
    # Nothing is lost, and no word is taken apart.
    assert " ".join(" ".join(line[start:].split()) for line in lines[1:]) == f"x-count: {value}"


def test_a_line_of_a_pipe_stays_one_line_for_whoever_looks_for_it() -> None:
    out = io.StringIO()
    EventPrinter(Console(file=out, width=60), frames=False)(_headers(("x-count", "one " * 60)))
    assert len(out.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Bearer opens-nothing-0123abcd", "Bearer opens-nothing-0123abcd"),
        ("Bearer opens-nothing-0123abcd0", "Bearer open… (23 characters, masked)"),
        ("Bearer opens-nothing-swordfish", "Bearer open… (23 characters, masked)"),
        ("Bearer opens-everything-0123abcd", "Bearer open… (25 characters, masked)"),
    ],
)
def test_a_token_for_show_is_shown_and_any_other_is_masked(value: str, shown: str) -> None:
    assert _lines(_headers(("authorization", value)))[-1].endswith(f"authorization: {shown}")
    # Read it was, in any case.
    assert describe(_headers(("authorization", value)))[-1].mood == "harm"


def test_a_conversation_reads_as_it_always_has() -> None:
    conversation = [
        events.Connected(time=_AT, connection=1, client="127.0.0.1:40904"),
        events.Plaintext(time=_AT + 0.001, connection=1),
        events.ApplicationData(
            time=_AT + 0.01, connection=1, direction="client", encrypted=False, sample=b""
        ),
        events.Frame(
            time=_AT + 0.01, connection=1, direction="client", stream=0, type="SETTINGS",
            flags=(), length=6, detail="ENABLE_PUSH=0",
        ),
        _headers(
            (":path", "/a.B/C"),
            ("grpc-timeout", "10S"),
            ("authorization", "Bearer abcdefghijklmnopqrstuv"),
        ),
        _message({"id": "1"}),
        _headers((":status", "200"), kind="response"),
        _headers(("grpc-status", "0"), kind="trailers"),
        events.Closed(
            time=_AT + 12.5, connection=1, by="client", how="eof", phase="established",
            client_bytes=746,
        ),
    ]  # fmt: skip
    assert _lines(*conversation) == [
        "   0.000  #1         client           connects from 127.0.0.1:40904",
        "   0.001  #1         client           speaks HTTP/2 without TLS: no certificate is needed",
        "   0.010  #1         client           sends application data in plaintext: decrypted",
        "   0.010  #1         client → server  SETTINGS ENABLE_PUSH=0",
        "   0.000  #1      1  client → server  calls /a.B/C",
        "   0.000  #1      1  client → server    grpc-timeout: 10 s",
        "   0.000  #1      1  client → server    authorization: Bearer abcd… (22 characters,"
        " masked)",
        '   0.000  #1      1  client → server  User {"id": "1"}',
        "   0.000  #1      1  server → client  response 200",
        "   0.000  #1      1  server → client  trailers: grpc-status 0 OK",
        "  12.500  #1         client           closes without an alert, after 746 application bytes"
        " from the client",
    ]


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_lines_are_counted_as_they_are_made(event: Event) -> None:
    lines = EventLines(Console(file=io.StringIO()), frames=True)
    assert lines.count(event) == lines.of(event).count("\n")
    many = _headers(*((f"x-{number}", "v") for number in range(60)))
    assert lines.count(many) == lines.of(many).count("\n") == 52


def test_a_secret_in_a_long_header_is_masked_before_it_is_remembered_or_cut() -> None:
    for length in (30, 1100, 3000):
        value = f"{'x' * length} Bearer {'s3cret' * 4}"
        for _ in range(2):
            assert "s3cret" not in "".join(_lines(_headers(("x-note", value))))
