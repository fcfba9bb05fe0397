"""What a client has sent on one connection, as far as it was read, and how it has ended.

    nothing ──▶ opening ──▶ data
       │           │          │
       ▼           ▼          ▼
      left        left      over the line

*Data* is all that is its user's: a request or a part of one, HTTP/1.1, other bytes, whatever comes
in plaintext. The *opening* is what an HTTP/2 endpoint says by itself, preface and SETTINGS. gRPC's
C core checks the host name once more for each call, and more strictly than for the connection: it
leaves behind its opening.

Two things keep the opening from hiding data. It is made of frames that are known, and hold what
endpoints put there; and their lengths account for every byte that came.
"""

import re
from collections.abc import Callable
from typing import Any

from mitm import events
from mitm.events import Event
from mitm.evidence.records import ClientRun, Ending, Identity, Kind, Offer, Reached
from mitm.wire.http2 import PREFACE

_FRAME_HEADER = 9  # RFC 9113 section 4.1

# Bytes of different frames, beyond which it is no opening: grpcio, grpc-go, grpc-js and nghttp2
# send fewer than 200 before their first request.
MAX_OPENING = 1024

# SETTINGS that have no name in an RFC, and are nobody's data: those of gRPC's C core
# (GRPC_CHTTP2_SETTINGS_GRPC_ALLOW_TRUE_BINARY_METADATA and the two after it).
_GRPC_SETTINGS = {"0xFE03", "0xFE04", "0xFE05"}

# GOAWAY without debug data (RFC 9113 section 6.8).
_BARE_GOAWAY = 8

# Eight characters in a row of which tokens are made (RFC 9110 section 11.2, token68). The eight
# random bytes of a PING are such by chance once in 36,000 times.
_TEXT = re.compile(rb"[A-Za-z0-9\-._~+/=]{8}")

# What OpenSSL says of a client that offers nothing which this could be served with: the version of
# TLS, or a cipher. An attacker could not serve it either, so that it is the client's refusal.
_NOT_OFFERED = {"no shared cipher", "unsupported protocol", "version too low"}

# The same of signatures. That is the client's refusal only if it offers none by the leaf's key. Go
# and the JDK also name the signatures that they take *in* certificates, and OpenSSL then declines
# to show a leaf that is signed in another way. An attacker need not: RFC 8446 section 4.4.2.2.
_NO_SIGNATURE = {"no shared signature algorithms", "no suitable signature algorithm"}

# Seconds within which a client that has completed its handshake may still be looking at what it was
# shown: gRPC's C core checks the name after it.
LOOKING_SECONDS = 1.0


class _Opening:
    """What the client has said on an HTTP/2 connection before its first request."""

    def __init__(self) -> None:
        self.size = len(PREFACE)
        self._said: set[tuple[object, ...]] = set()
        self._said_size = 0
        self._values = bytearray()  # of the fields that could hold anything
        self._odd = False

    def add(self, frame: events.Frame) -> None:
        """Take the next frame."""
        self.size += _FRAME_HEADER + frame.length
        # A PING that is sent again and again says nothing new.
        said = (frame.type, frame.flags, frame.stream, frame.detail)
        if said in self._said or self._said_size > MAX_OPENING:
            return
        self._said.add(said)
        self._said_size += _FRAME_HEADER + frame.length
        self._odd |= any(flag.startswith("0x") for flag in frame.flags)
        match frame.type:
            case "SETTINGS":
                names = re.findall(r"([^\s,=]+)=", frame.detail)
                self._odd |= any(n.startswith("0x") and n not in _GRPC_SETTINGS for n in names)
                self._values += _numbers(re.sub(r"[^\s,=]+=", "", frame.detail))
            case "WINDOW_UPDATE":
                self._values += _numbers(frame.detail)
            case "PRIORITY":
                self._values += _numbers(f"{frame.stream}, {frame.detail}")
            case "PING":
                self._values += _bytes(frame.detail)
            case "GOAWAY":
                self._odd |= frame.length > _BARE_GOAWAY or frame.detail.startswith("0x")
                self._values += _numbers(frame.detail)
            case _:
                self._odd = True

    @property
    def holds_data(self) -> bool:
        """Whether that is more than what endpoints say by themselves."""
        return self._odd or self._said_size > MAX_OPENING or bool(_TEXT.search(self._values))


def _numbers(detail: str) -> bytes:
    """The numbers in what a frame says, as they stood on the wire: 32 bits each."""
    return b"".join(
        (int(number[-10:]) % 2**32).to_bytes(4, "big") for number in re.findall(r"\d+", detail)
    )


def _bytes(detail: str) -> bytes:
    """The bytes in what a frame says; a recording may hold anything."""
    try:
        return bytes.fromhex(detail)
    except ValueError:
        return detail.encode("utf-8", "backslashreplace")


class SeenConnection:
    """One connection, as it is seen by its events.

    Args:
        number: of the connection.

    Attributes:
        presented: the client was shown something.
        accepted: it has completed the handshake.
        encrypted: what it sent came through TLS.
        requested: it has made a request, whole up to the end of its headers.
        unreached: why the server was not, "" if it was.
        closed: its end; None while it is open.
        turned_away: the interceptor has given its ClientHello no handshake.
        resumed: a session was resumed, so that no certificate was shown.
        client: the client's address.
        opened: when it came, in seconds since the epoch.
        refusal: how the server refused the attacker's client certificate, "" if it did not.
        identity: what the client has presented of its own, None for nothing.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.accepted = False
        self.encrypted = True
        self.requested = False
        self.unreached = ""
        self.closed: events.Closed | None = None
        self.turned_away = False
        self.resumed = False
        self.client = ""
        self.opened = 0.0
        self.refusal = ""
        self.identity: Identity | None = None
        self._hello: events.ClientHello | None = None
        self._shown: events.CertificatePresented | None = None
        self._accepted_at = 0.0
        self._sample: bytes | None = None
        self._opening = _Opening()
        self._framed = False  # a frame of HTTP/2 has come
        self._partial = False  # the last frame, or header block, has not come whole
        self._messages = False
        self._unread = False  # what the client sends is not HTTP/2
        self._blind = False  # what the server sends is not, so that nothing is parsed any more
        self._alerts: dict[events.Party, str] = {}

    def see(self, event: Event) -> None:
        """Take the next event of this connection."""
        if see := _SEE.get(type(event)):
            see(self, event)

    def _see_frame(self, event: events.Frame) -> None:
        if event.direction == "client" and not self.requested:
            self._framed = True
            # Of HEADERS, the request itself is told once its block is complete.
            self._partial = event.type in ("HEADERS", "CONTINUATION")
            self._opening.add(event)

    def _see_partial_frame(self, event: events.PartialFrame) -> None:
        self._partial = True

    def _see_headers(self, event: events.Headers) -> None:
        if event.kind == "request":
            self.requested = True

    def _see_message(self, event: events.Message) -> None:
        if event.direction == "client":
            self._messages = True

    def _see_data(self, event: events.ApplicationData) -> None:
        if event.direction == "client":
            self._sample, self.encrypted = event.sample, event.encrypted

    def _see_failure(self, event: events.ParseFailed) -> None:
        if event.direction == "client":
            if event.stream:
                # A stream is no part of an opening, whatever it is that cannot be read of it.
                self._framed = self._partial = True
            else:
                self._unread = True
        elif not event.stream:
            self._blind = True

    def _see_connected(self, event: events.Connected) -> None:
        self.client, self.opened = event.client, event.time

    def _see_hello(self, event: events.ClientHello) -> None:
        self._hello = event

    def _see_certificate(self, event: events.CertificatePresented) -> None:
        self._shown = event

    def _see_refusal(self, event: events.ClientCertificateRefused) -> None:
        self.refusal = event.in_words

    def _see_client_certificate(self, event: events.ClientCertificate) -> None:
        if event.subject is not None:
            self.identity = Identity(
                event.subject, event.issuer, event.names, event.sha256, event.proved
            )

    def _see_handshake(self, event: events.HandshakeCompleted) -> None:
        self.accepted, self._accepted_at = True, event.time
        self.resumed = event.resumed

    def _see_interruption(self, event: events.Interrupted) -> None:
        if event.how in ("closed", "refused", "reset") and not self.accepted:
            self.turned_away = True

    def _see_no_server(self, event: events.UpstreamFailed) -> None:
        self.unreached = event.reason

    def _see_alert(self, event: events.Alert) -> None:
        self._alerts[event.by] = f"{event.name} ({event.number})"

    def _see_end(self, event: events.Closed) -> None:
        self.closed = event

    @property
    def presented(self) -> bool:
        return self._shown is not None

    @property
    def shown(self) -> str:
        """The name of what the client was shown, "" for nothing."""
        return self._shown.certificate if self._shown else ""

    @property
    def reached(self) -> Reached:
        """How far what the client sent could be read."""
        if self._messages:
            return "messages"
        if self.requested:
            return "headers"
        if self._sample is None and not self._framed:
            return "nothing"
        if not self._is_http2():
            return "bytes"
        if self._partial or (self.closed and self.closed.client_bytes > self._opening.size):
            return "part"
        return "control" if self._opening.holds_data else "preface"

    def _is_http2(self) -> bool:
        if self._unread:
            return False
        sample = self._sample or b""
        if self._framed or sample.startswith(PREFACE):
            return True
        # It broke off within the preface, if that is known to be all that came.
        whole = self.closed is not None and self.closed.client_bytes == len(sample)
        return whole and PREFACE.startswith(sample)

    @property
    def over_the_line(self) -> bool:
        """Whether the client has sent data."""
        reached = self.reached
        return reached != "nothing" and not (reached == "preface" and self.encrypted)

    @property
    def offer(self) -> tuple[tuple[str, ...], ...]:
        """What the ClientHello offers, see `Kind`; () if there was none."""
        hello = self._hello
        return (hello.versions, hello.alpn, hello.cipher_suites) if hello else ()

    def lost_to(self, other: "SeenConnection") -> bool:
        """Whether this was given up because another way to the same host was faster."""
        return other.over_the_line and self.gave_way_to(other)

    def gave_way_to(self, other: "SeenConnection") -> bool:
        """Whether this may have been given up for another way to the same host.

        Of a host with two addresses a client tries one, and a moment later the other as well (RFC
        8305 section 5). What it then closes without a word, it has not rejected.
        """
        if self.over_the_line or self.offer != other.offer:
            return False
        if not self.closed or self.closed.by != "client" or "client" in self._alerts:
            return False
        both = (self.client, other.client)
        two_families = all(both) and both[0].startswith("[") != both[1].startswith("[")
        # Who tries the other address because it has refused this one closes this one first; under
        # load, that may be seen when the other one is under way.
        was_ahead = other.accepted and other._accepted_at < self.closed.time
        return two_families and was_ahead and not (other.closed and other.closed.time < self.opened)

    @property
    def kind(self) -> Kind:
        """Which kind of connection it is."""
        if self._framed or self.requested:
            return Kind(self.offer, "HTTP/2" if self._framed else "HTTP/1.1")
        return Kind(self.offer, "bytes" if self.accepted or self.over_the_line else "")

    @property
    def hello(self) -> Offer | None:
        """What its ClientHello offered, by name; None if there was none."""
        if (hello := self._hello) is None:
            return None
        return Offer(
            hello.server_name,
            hello.alpn,
            hello.versions,
            hello.cipher_suites,
            self.kind.protocol,
        )

    def end(self, until: float | None) -> events.Closed | None:
        """How it ended, if that was before a time in seconds since the epoch."""
        if self.closed and (until is None or self.closed.time <= until):
            return self.closed
        return None

    def is_looking(self, until: float | None) -> bool:
        """Whether the client may have been looking at what it was shown, at that time."""
        if self.over_the_line or not self.presented:
            return False
        return not self.accepted or (
            until is not None and until - self._accepted_at < LOOKING_SECONDS
        )

    def was_left(self, run: ClientRun | None) -> bool:
        """Whether the client has rejected what it was shown here.

        Args:
            run: of the client; None while that goes on.
        """
        if self.over_the_line or not self.presented:
            return False
        end = self.end(run.until if run else None)
        if end is None:
            # A function may leave its channel behind, open for as long as it likes.
            return run is not None and run.end == "returned" and self.accepted
        return end.by == "client" or self._offers_nothing(end)

    def was_declined(self, until: float | None) -> bool:
        """Whether the TLS library here would not present it, though an attacker's might."""
        end = self.end(until)
        if end is None or end.by != "attacker" or self._offers_nothing(end):
            return False
        return end.reason in _NO_SIGNATURE

    def ended_by_others(self, until: float | None) -> str:
        """Who else than the client has ended it before it decided, and why; "" if nobody has."""
        end = self.end(until)
        if end is None and self._blind:
            # Once it has ended, its length tells whether the client went on.
            return "what the server sent could not be read, nor what came after it"
        if end is None or end.by == "client" or self._offers_nothing(end):
            return ""
        if end.by == "server":
            return "the server ended the connection"
        # A client that was shown nothing yet, and kept silent, has had nothing to decide.
        if not self.presented and end.how in ("time-limit", "not-tls"):
            return ""
        return end.reason or "the interceptor ended the connection"

    def _offers_nothing(self, end: events.Closed) -> bool:
        """Whether the client offers nothing that what it was shown could be served with."""
        if end.by != "attacker" or not self._hello or not self._shown:
            return False
        if end.reason in _NOT_OFFERED:
            return True
        algorithms, key = self._hello.signature_algorithms, self._shown.key
        if end.reason not in _NO_SIGNATURE or not key or not algorithms:
            return False
        return not any(algorithm.partition("_")[0] == key for algorithm in algorithms)

    def departure(self) -> tuple[int, str]:
        """How the client left, and how much that says: the lower, the more."""
        when = "after the handshake" if self.accepted else "during the handshake"
        if self.reached == "preface":
            return 1, "it opened HTTP/2, but made no call"
        if self.closed is None:
            return 3, f"left open without a byte, {when}"
        by = self.closed.by
        if alert := self._alerts.get(by):
            return 0, f"alert {alert}, {when}"
        if by == "attacker":
            return 2, f"the client offers nothing that this could be served with, {when}"
        return 2 if self.accepted else 3, f"closed without an alert, {when}"

    def ending(self, until: float | None) -> Ending:
        """The same as evidence."""
        end = self.end(until)
        if end is None:
            phase = "established" if self.accepted else "handshake" if self.presented else "hello"
            by, how, alert = "", "open", ""
        else:
            by, how, phase, alert = end.by, end.how, end.phase, self._alerts.get(end.by, "")
        return Ending(
            self.number,
            self.accepted,
            by,
            how,
            phase,
            alert,
            self.reached,
            self.shown,
            self.resumed,
        )


# By type, as there are ten events a call, of which most say nothing new.
_SEE: dict[type[Event], Callable[[SeenConnection, Any], None]] = {
    events.Frame: SeenConnection._see_frame,
    events.PartialFrame: SeenConnection._see_partial_frame,
    events.Headers: SeenConnection._see_headers,
    events.Message: SeenConnection._see_message,
    events.ApplicationData: SeenConnection._see_data,
    events.ParseFailed: SeenConnection._see_failure,
    events.Connected: SeenConnection._see_connected,
    events.ClientHello: SeenConnection._see_hello,
    events.ClientCertificateRefused: SeenConnection._see_refusal,
    events.CertificatePresented: SeenConnection._see_certificate,
    events.ClientCertificate: SeenConnection._see_client_certificate,
    events.HandshakeCompleted: SeenConnection._see_handshake,
    events.Interrupted: SeenConnection._see_interruption,
    events.UpstreamFailed: SeenConnection._see_no_server,
    events.Alert: SeenConnection._see_alert,
    events.Closed: SeenConnection._see_end,
}
