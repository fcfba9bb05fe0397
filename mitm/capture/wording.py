"""What an event says, in lines for a person: who, what, and in which mood. Decided once.

That a mood is red on a console, or a coloured bar on a page, is for these to say.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from mitm import events
from mitm.events import Direction, Event
from mitm.masking import as_text, holds_secret, masked, plain, shortened, without_secrets
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


# Of what is told: `harm` is done, or a secret read; `caution`: it can lead to that, or proves
# nothing; `good`: somebody has defended themselves; `strong`: what the rest is about; `quiet`: for
# whoever looks closer.
Mood = Literal["", "quiet", "strong", "good", "caution", "harm"]


class Line(NamedTuple):
    """One line of what an event says.

    Attributes:
        who: says or does it.
        text: what. Foreign text in it is as it came: see `one_line`.
        mood: what it means for the one who is attacked; "" for nothing yet.
    """

    who: str
    text: str
    mood: Mood = ""


_MOODS: dict[str, Mood] = {
    "connected": "",
    "aborted": "good",
    "exposed": "harm",
    "compromised": "harm",
}


def mood_of(verdict: str) -> Mood:
    """What a verdict means, of a leg or of a single connection.

    Args:
        verdict: in small letters or capitals. One that is none of the line's proves nothing.
    """
    return _MOODS.get(verdict.lower(), "caution")


def describe(event: Event) -> list[Line]:
    """What an event says; nothing, if others tell of it.

    Args:
        event: of a connection.
    """
    tell = _TELL.get(type(event))
    return tell(event) if tell else []


def count_lines(event: Event) -> int:
    """How many lines `describe` would give, without making them."""
    if isinstance(event, events.Headers):
        fields = _count_fields(event)
        return 1 + min(fields, _FIELDS) + (fields > _FIELDS) + event.truncated
    if isinstance(event, events.ApplicationData):
        return int(event.direction == "client")
    if isinstance(event, events.Rewritten):
        return 3
    return int(type(event) in _TELL)


def issuance(event: events.Issued) -> str:
    """That a public CA has issued a certificate, in a sentence."""
    asked = f"{event.authority} looks for {event.name} at {event.address}, as its DNS says"
    return f"{asked}, finds the right answer, and issues a certificate to: {event.member}"


def renewal(event: events.Renewed) -> str:
    """That a server has its next certificate, in a sentence."""
    said = f"{event.server} has its next certificate, while it runs"
    if event.calls_lost:
        return f"{said}; a call that was open has broken"
    return f"{said}; a call that was open goes on" if event.calls_kept else said


def one_line(text: str) -> str:
    """A text as one line of a terminal; cut before, too, since what is spelled out is longer."""
    if len(text) > _LINE_LIMIT:
        text = shortened(text, _LINE_LIMIT)
    text = plain(text)
    return text if len(text) <= _LINE_LIMIT else shortened(text, _LINE_LIMIT)


def _connected(event: events.Connected) -> list[Line]:
    return [Line("client", f"connects from {event.client}")]


def _destination(event: events.Destination) -> list[Line]:
    return [Line("client", f"wants to reach {event.address}")]


def _tunnelled(event: events.Tunnelled) -> list[Line]:
    what = f"{event.name} is not under test: passed on unread"
    return [Line("attacker", f"{what}, to {event.address}", "quiet")]


def _client_hello(event: events.ClientHello) -> list[Line]:
    name = _cut(event.server_name or "no name", _VALUE_LIMIT)
    alpn = ", ".join(event.alpn) or "none"
    versions = ", ".join(event.versions)
    what = f"ClientHello: for {name}, ALPN {alpn}, {versions}, "
    return [Line("client", what + f"{len(event.cipher_suites)} cipher suites")]


def _plaintext(event: events.Plaintext) -> list[Line]:
    what = f"speaks {event.protocol} without TLS: no certificate is needed"
    return [Line("client", what, "harm")]


def _upstream_connected(event: events.UpstreamConnected) -> list[Line]:
    if event.stand_in:
        return [Line("attacker", "answers by itself, in the server's place", "caution")]
    alpn = event.alpn or "none"
    how = f"{event.version}, ALPN {alpn}" if event.version else "no TLS"
    return [Line("attacker", f"dials the server at {event.address} ({how})")]


def _upstream_failed(event: events.UpstreamFailed) -> list[Line]:
    return [Line("attacker", f"cannot reach {event.address}: {event.reason}", "harm")]


def _refused(event: events.ClientCertificateRefused) -> list[Line]:
    what = "has no client certificate" if not event.presented else "has a client certificate"
    how = f"alert {event.alert} ({event.number})" if event.alert else "without an alert"
    return [Line("server", f"refuses the attacker, who {what}: {how}", "good")]


def _client_certificate(event: events.ClientCertificate) -> list[Line]:
    if event.subject is None:
        return [Line("client", "is asked for a certificate, and presents none")]
    names = ", ".join(event.names)
    subject = event.subject or (f"no name but {names}" if names else "no name")
    text = f"presents a certificate of its own: {_cut(subject, _VALUE_LIMIT)}"
    if event.subject and names:
        text += f" ({_cut(names, _VALUE_LIMIT)})"
    text += f", issued by {_cut(event.issuer, _VALUE_LIMIT)}"
    if not event.proved:
        text += "; it has not proved that it holds the key"
    return [Line("client", text, "harm" if event.proved else "caution")]


def _certificate(event: events.CertificatePresented) -> list[Line]:
    what = f"presents {event.certificate}: "
    if not event.subjects:
        return [Line("attacker", what + "no certificate, an answer in plaintext", "caution")]
    return [Line("attacker", f"{what}{event.subjects[0]}, issued by {event.issuer}", "caution")]


def _handshake(event: events.HandshakeCompleted) -> list[Line]:
    how = "resumes a session" if event.resumed else "completes the handshake"
    return [Line("client", f"{how}: {event.version}, {event.cipher}", "caution")]


def _interrupted(event: events.Interrupted) -> list[Line]:
    return [Line("attacker", _INTERRUPTED[event.how], "caution")]


def _alert(event: events.Alert) -> list[Line]:
    return [Line(event.by, f"TLS alert: {event.name} ({event.number})", "good")]


def _application_data(event: events.ApplicationData) -> list[Line]:
    if event.direction == "server":
        return []
    how = "over the presented certificate" if event.encrypted else "in plaintext"
    return [Line("client", f"sends application data {how}: decrypted", "harm")]


def _frame(event: events.Frame) -> list[Line]:
    flags = f" {'|'.join(event.flags)}" if event.flags else ""
    what = f"{event.type}{flags} {event.detail}".rstrip()
    return [Line(_WAYS[event.direction], what, "quiet")]


def _headers(event: events.Headers) -> list[Line]:
    way = _WAYS[event.direction]
    headers = dict(event.headers)
    if event.kind == "request":
        what = f"calls {masked(':path', event.method)}"
    elif "grpc-status" in headers:
        what = f"{event.kind}: {_status(headers)}"
    else:
        what = f"{event.kind} {headers.get(':status', '')}".rstrip()
    lines = [Line(way, what, "strong")]
    shown = 0
    for name, value in event.headers:
        if name in _ROUTINE:
            continue
        if shown == _FIELDS:
            lines.append(Line(way, f"  … and {_count_fields(event) - _FIELDS} more", "quiet"))
            break
        shown += 1
        lines.append(Line(way, *_header(name, value, event.details)))
    if event.truncated:
        lines.append(Line(way, "  … and more than is kept", "quiet"))
    return lines


def _count_fields(event: events.Headers) -> int:
    """How many fields there are that are worth a line."""
    return sum(name not in _ROUTINE for name, _ in event.headers)


def _header(name: str, value: str, details: dict[str, object] | None) -> tuple[str, Mood]:
    """A header as it is shown, masked before it is cut; and its mood."""
    shown = masked(name, value)
    mood: Mood = "harm" if holds_secret(name, value) else "quiet"
    if shown == value:
        shown = _in_words(name, value, details)
    return f"  {_cut(f'{name}: {shown}', _VALUE_LIMIT)}", mood


def _message(event: events.Message) -> list[Line]:
    guessed = event.decoded_by == "guess"
    name = (not guessed and event.type.rpartition(".")[2]) or "message"
    if event.value is not None:
        text = f"{name} {_cut(as_text(event.value), _VALUE_LIMIT)}"
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
    if remarks:
        text += f" ({', '.join(remarks)})"
    return [Line(_WAYS[event.direction], text, "strong")]


def _status(headers: dict[str, str]) -> str:
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


def _rewritten(event: events.Rewritten) -> list[Line]:
    """Both versions, one below the other."""
    name = event.type.rpartition(".")[2] or event.part
    to = "server" if event.direction == "client" else "client"
    lines = [Line("attacker", f"changes the {name} on its way to the {to}", "harm")]
    for when, fields in (("from", event.before), ("to", event.after)):
        if event.part != "message":
            fields = {n: masked(n, str(value)) for n, value in fields.items()}
        shown = as_text(fields) if fields else "nothing"
        lines.append(Line("attacker", f"  {when:<4} {_cut(shown, _VALUE_LIMIT)}", "harm"))
    return lines


def _not_rewritten(event: events.NotRewritten) -> list[Line]:
    what = "the connection" if not event.stream else "this"
    return [Line("attacker", f"leaves {what} as it is: {event.reason}", "caution")]


def _parse_failed(event: events.ParseFailed) -> list[Line]:
    rest = "messages no longer" if event.stream else "no longer"
    what = f"{rest} parsed, still relayed: {event.reason}"
    return [Line(_WAYS[event.direction], what, "caution")]


def _closed(event: events.Closed) -> list[Line]:
    return [Line(event.by, _describe_close(event))]


def _describe_close(event: events.Closed) -> str:
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


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


_TELL: dict[type[Event], Callable[[Any], list[Line]]] = {
    events.Connected: _connected,
    events.Destination: _destination,
    events.Tunnelled: _tunnelled,
    events.ClientHello: _client_hello,
    events.Plaintext: _plaintext,
    events.UpstreamConnected: _upstream_connected,
    events.UpstreamFailed: _upstream_failed,
    events.ClientCertificateRefused: _refused,
    events.CertificatePresented: _certificate,
    events.ClientCertificate: _client_certificate,
    events.HandshakeCompleted: _handshake,
    events.Interrupted: _interrupted,
    events.Alert: _alert,
    events.ApplicationData: _application_data,
    events.Headers: _headers,
    events.Message: _message,
    events.Frame: _frame,
    events.Rewritten: _rewritten,
    events.NotRewritten: _not_rewritten,
    events.ParseFailed: _parse_failed,
    events.Closed: _closed,
}
