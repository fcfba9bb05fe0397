"""Events as lines for a person, live: time, connection, stream, who to whom, and what."""

from rich.console import Console
from rich.segment import Segment, Segments
from rich.text import Text

from mitm import events
from mitm.events import Direction, Event
from mitm.masking import as_text, masked, plain, shortened, without_secrets
from mitm.messages.status import binary_metadata, percent_decoded, status_name, timeout_in_words

# Characters of a value; bytes of what is not decoded.
_VALUE_LIMIT = 400
_RAW_LIMIT = 32

# Characters of a line, and fields of one header block that are shown. A few bytes can stand for
# thousands of fields (RFC 7541 section 4), and a console costs more than what it is told of.
_LINE_LIMIT = 2000
_FIELDS = 50

# Whose word a message's content is, where it is not the service's own descriptors.
_SOURCES = {
    "guess": "guessed",
    "proto": "by .proto",
    "descriptor-set": "by descriptor set",
    "reflection": "by reflection",
    "json": "JSON",
}

# Frames that Headers and Message events tell of, in full and with their meaning.
_CARRIERS = {"HEADERS", "CONTINUATION", "PUSH_PROMISE", "DATA"}
_INTERRUPTED = {
    "reset": "resets the connection",
    "closed": "closes the connection without a handshake",
    "refused": "answers in plaintext that there is no TLS",
    "goaway": "tells the client to take another connection (GOAWAY)",
    "cut": "cuts the connection in the middle of an answer",
}
_WAYS: dict[Direction, str] = {"client": "client → server", "server": "server → client"}
# Pseudo-headers and what every gRPC call repeats; what is left is worth a line of its own.
_ROUTINE = {
    ":method", ":path", ":scheme", ":authority", ":status", "content-type", "te",
    "grpc-accept-encoding", "accept-encoding", "grpc-status", "grpc-message",
}  # fmt: skip


class EventPrinter:
    """Prints events as they happen.

    Args:
        console: where to.
        frames: whether control frames (SETTINGS, PING, …) are printed too.
    """

    def __init__(self, console: Console, *, frames: bool) -> None:
        self._console = console
        self._frames = frames
        self._start: float | None = None

    def __call__(self, event: Event) -> None:
        """Print one event, if it is one to print."""
        match event:
            case events.LegStarted():
                self._start = event.time
                self._print_heading(event)
                return
            case events.LegEnded():
                self._console.print(Text(_line(f"  → {event.verdict}: {event.reason}")))
                return
        if self._start is None:
            self._start = event.time
        elapsed = event.time - self._start
        stream = getattr(event, "stream", 0)
        where = f"#{event.connection:<3} {stream or '':>4}  "
        # In one piece, and past the layout engine: a line costs a fifteenth of what it does as
        # Text, and the relay waits for it.
        segments: list[Segment] = []
        for who, text, style in self._describe(event):
            segments += (
                Segment(f"{elapsed:8.3f}  ", self._console.get_style("dim")),
                Segment(where),
                Segment(f"{who:<16} ", self._console.get_style("bold")),
                # Here, for all of them: in a recording, anything can be anybody's.
                Segment(_line(text), self._console.get_style(style)),
                Segment("\n"),
            )
        if segments:
            self._console.print(Segments(segments), soft_wrap=True, end="")

    def _print_heading(self, event: events.LegStarted) -> None:
        self._console.print()
        if event.leg == "genuine":
            heading = f"Control: client ──▶ server, at {event.target}"
        else:
            heading = f"Attack: client ──▶ attacker ──▶ server, client dials {event.target}"
        self._console.print(Text(_line(heading), style="bold underline"))
        if event.leg == "genuine":
            why = "  the same client, undisturbed: without this, an abort would prove nothing"
            self._console.print(Text(why, style="dim"))

    def _describe(self, event: Event) -> list[tuple[str, str, str]]:
        """Lines for an event: who, what, and how to set it off."""
        match event:
            case events.Connected():
                return [("client", f"connects from {event.client}", "")]
            case events.Destination():
                return [("client", f"wants to reach {event.address}", "")]
            case events.Tunnelled():
                what = f"{event.name} is not under test: passed on unread"
                return [("attacker", f"{what}, to {event.address}", "dim")]
            case events.ClientHello():
                name = _cut(event.server_name or "no name", _VALUE_LIMIT)
                alpn = ", ".join(event.alpn) or "none"
                versions = ", ".join(event.versions)
                what = f"ClientHello: for {name}, ALPN {alpn}, {versions}, "
                return [("client", what + f"{len(event.cipher_suites)} cipher suites", "")]
            case events.Plaintext():
                what = f"speaks {event.protocol} without TLS: no certificate is needed"
                return [("client", what, "red")]
            case events.UpstreamConnected(stand_in=True):
                return [("attacker", "dials no server: it answers by itself", "yellow")]
            case events.UpstreamConnected():
                alpn = event.alpn or "none"
                how = f"{event.version}, ALPN {alpn}" if event.version else "no TLS"
                return [("attacker", f"dials the server at {event.address} ({how})", "")]
            case events.UpstreamFailed():
                return [("attacker", f"cannot reach {event.address}: {event.reason}", "red")]
            case events.CertificatePresented(subjects=()):
                what = f"presents {event.certificate}: no certificate, an answer in plaintext"
                return [("attacker", what, "yellow")]
            case events.CertificatePresented():
                what = f"presents {event.certificate}: {event.subjects[0]}"
                return [("attacker", f"{what}, issued by {event.issuer}", "yellow")]
            case events.HandshakeCompleted():
                how = "resumes a session" if event.resumed else "completes the handshake"
                what = f"{how}: {event.version}, {event.cipher}"
                return [("client", what, "yellow")]
            case events.Interrupted():
                return [("attacker", _INTERRUPTED[event.how], "yellow")]
            case events.Alert():
                return [(event.by, f"TLS alert: {event.name} ({event.number})", "green")]
            case events.ApplicationData() if event.direction == "client":
                how = "over the presented certificate" if event.encrypted else "in plaintext"
                return [("client", f"sends application data {how}: decrypted", "bold red")]
            case events.Headers():
                return self._describe_headers(event)
            case events.Message():
                return [(_WAYS[event.direction], _describe_message(event), "bold")]
            case events.Frame() if self._frames and event.type not in _CARRIERS:
                flags = f" {'|'.join(event.flags)}" if event.flags else ""
                what = f"{event.type}{flags} {event.detail}".rstrip()
                return [(_WAYS[event.direction], what, "dim")]
            case events.Rewritten():
                return _describe_change(event)
            case events.NotRewritten():
                what = "the connection" if not event.stream else "this"
                why = event.reason
                return [("attacker", f"leaves {what} as it is: {why}", "yellow")]
            case events.ParseFailed():
                rest = "messages no longer" if event.stream else "no longer"
                what = f"{rest} parsed, still relayed: {event.reason}"
                return [(_WAYS[event.direction], what, "yellow")]
            case events.Closed():
                return [(event.by, describe_close(event), "")]
        return []

    def _describe_headers(self, event: events.Headers) -> list[tuple[str, str, str]]:
        way = _WAYS[event.direction]
        headers = dict(event.headers)
        if event.kind == "request":
            what = f"calls {without_secrets(event.method, ())}"
        elif "grpc-status" in headers:
            what = f"{event.kind}: {_describe_status(headers)}"
        else:
            what = f"{event.kind} {headers.get(':status', '')}".rstrip()
        lines = [(way, what, "cyan")]
        fields = [field for field in event.headers if field[0] not in _ROUTINE]
        for name, value in fields[:_FIELDS]:
            shown = masked(name, value)
            style = "red" if shown != value else "dim"
            if shown == value:
                shown = _in_words(name, value, event.details)
            lines.append((way, f"  {_cut(f'{name}: {shown}', _VALUE_LIMIT)}", style))
        if left_out := len(fields[_FIELDS:]):
            lines.append((way, f"  … and {left_out} more", "dim"))
        if event.truncated:
            lines.append((way, "  … and more than is kept", "dim"))
        return lines


def _describe_message(event: events.Message) -> str:
    guessed = event.decoded_by == "guess"
    name = (not guessed and event.type.rpartition(".")[2]) or "message"
    if event.value is not None:
        shown = as_text(event.value)
        text = f"{name} {_cut(shown, _VALUE_LIMIT)}"
    else:
        text = f"{name} of {event.size} bytes"
    if event.raw is not None:
        text += f" raw {_cut(event.raw.hex(), 2 * _RAW_LIMIT)}"
    remarks = [_SOURCES[event.decoded_by]] if event.decoded_by in _SOURCES else []
    if guessed and event.type:
        remarks = [f"guessed: no {event.type}"]
    if event.compressed:
        how = event.encoding
        remarks.append("compressed" + (f" with {_cut(how, _RAW_LIMIT)}" if how else ""))
    if event.truncated:
        remarks.append("cut")
    return text + (f" ({', '.join(remarks)})" if remarks else "")


def _describe_status(headers: dict[str, str]) -> str:
    status, said = headers["grpc-status"], percent_decoded(headers.get("grpc-message", ""))
    name = status_name(status)
    words = status if name == status else f"{status} {name}"
    return f"grpc-status {words}" + (f": {without_secrets(said, ())}" if said else "")


def _in_words(name: str, value: str, details: dict[str, object] | None) -> str:
    """A header's value as a person reads it."""
    if name == "grpc-timeout":
        return timeout_in_words(value)
    if name == "grpc-status-details-bin" and details is not None:
        return as_text(details)
    if name.endswith("-bin") and (decoded := binary_metadata(value)) is not None:
        return ", ".join(each.hex() or "(nothing)" for each in decoded)
    return value


def _describe_change(event: events.Rewritten) -> list[tuple[str, str, str]]:
    """Both versions, one below the other."""
    name = event.type.rpartition(".")[2] or event.part
    to = "server" if event.direction == "client" else "client"
    lines = [("attacker", f"changes the {name} on its way to the {to}", "bold magenta")]
    for when, fields in (("from", event.before), ("to", event.after)):
        if event.part != "message":
            fields = {n: masked(n, str(value)) for n, value in fields.items()}
        shown = as_text(fields) if fields else "nothing"
        lines.append(("attacker", f"  {when:<4} {_cut(shown, _VALUE_LIMIT)}", "magenta"))
    return lines


def _line(text: str) -> str:
    """A text as one line of a terminal; cut before, too, since what is spelled out is longer."""
    return shortened(plain(shortened(text, _LINE_LIMIT)), _LINE_LIMIT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def describe_close(event: events.Closed) -> str:
    """How a connection ended, in words."""
    how = {
        "alert": "ends with that alert",
        "close-notify": "closes (close_notify)",
        "eof": "closes without an alert",
        "reset": "resets the connection",
        "time-limit": "gives up waiting",
        "not-tls": "turns the client away",
        "error": "gives up",
    }[event.how]
    when = {
        "hello": "before any certificate",
        "handshake": "during the handshake",
        "tunnelled": "unread",
        "established": f"after {event.client_bytes} application bytes from the client",
    }[event.phase]
    return f"{how}, {when}" + (f": {event.reason}" if event.reason else "")
