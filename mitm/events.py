"""The typed events: everything that is seen is one of these, and every output is made of them.

On disk an event is one JSON object, told apart by its `event` field; bytes are base64.
"""

from typing import Literal, NamedTuple

import msgspec

Direction = Literal["client", "server"]
"""Who sent it: `client` means from the client towards the server."""

Leg = Literal["genuine", "intercepted"]
"""One playing of the client: straight to the server, or through the interceptor."""

Party = Literal["client", "attacker", "server"]

Source = Literal["descriptors", "proto", "descriptor-set", "reflection", "json", "guess"]
"""Whose word it is what a message says."""


# What they hold is trees, of which there are no circles to be collected: gc=False.
class Event(
    msgspec.Struct, frozen=True, tag_field="event", omit_defaults=True, kw_only=True, gc=False
):
    """What all events have in common.

    Attributes:
        time: seconds since the epoch.
        connection: number of the client's connection, from 1; 0 where there is none.
    """

    time: float
    connection: int = 0


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the cast of a scenario.

    Attributes:
        name: by which paths speak of it.
        program: what plays it: `client`, `server`, `interceptor`, `ingress`, `ca` and so on.
        told: what there is to say of it, in a line.
    """

    name: str
    program: str
    told: str = ""


class ScriptedLeg(msgspec.Struct, frozen=True, omit_defaults=True):
    """A leg of a scenario, as its script has it.

    Attributes:
        path: members of the cast, from a client to a server or an attacker.
        leg: whether an attacker stands in it.
        policy: how the client is told to decide whom to trust.
        expected: the verdict that it should come to.
        renewed: the server that gets its next certificate before this leg; "" for none.
    """

    path: tuple[str, ...]
    leg: Leg
    policy: str
    expected: str
    renewed: str = ""


class ScenarioStarted(Event, frozen=True, tag="scenario-started"):
    """A scenario is about to be played: its cast and its script.

    Attributes:
        scenario: its name.
        title: what it is about.
        client: the client program's name.
        client_title: what it is written in, and with what.
        cast: who takes part.
        legs: what is played, in this order.
        point: the lesson in one sentence.
        fix: what to change, in one line; "" if that is not said.
        how_to_fix: the same at length, as Markdown.
        next: the scenario that comes after this one in the order of the lessons; "" for none.
    """

    scenario: str
    title: str
    client: str
    client_title: str
    cast: tuple[Member, ...]
    legs: tuple[ScriptedLeg, ...]
    point: str
    fix: str = ""
    how_to_fix: str = ""
    next: str = ""


class Issued(Event, frozen=True, tag="issued"):
    """A public CA has looked for the answer to its challenge, found it, and issued a certificate.

    Attributes:
        authority: the CA, by its name in the cast.
        member: who has the certificate, by its name in the cast.
        name: DNS name that is in it.
        address: whom the DNS pointed to under that name.
        sha256: fingerprint of the leaf, in hexadecimal.
    """

    authority: str
    member: str
    name: str
    address: str
    sha256: str


class Renewed(Event, frozen=True, tag="renewed"):
    """A server has its next certificate, and has gone on running.

    Attributes:
        server: which, by its name in the cast.
        sha256: fingerprint of the new leaf, in hexadecimal.
        calls_kept: how many calls were open meanwhile and have gone on.
        calls_lost: how many were open and have failed.
    """

    server: str
    sha256: str
    calls_kept: int = 0
    calls_lost: int = 0


class LegStarted(Event, frozen=True, tag="leg-started"):
    """A leg of a scenario begins; what follows belongs to it, until it has ended or was left out.

    Attributes:
        scenario: its name.
        number: its place among the legs of the scenario, from 0.
        leg: `genuine` without an attacker, `intercepted` through one.
        path: members of the cast that it leads over.
        target: what the client is told to dial.
    """

    scenario: str
    number: int
    leg: Leg
    path: tuple[str, ...]
    target: str


class LegEnded(Event, frozen=True, tag="leg-ended"):
    """A leg is over and judged.

    Attributes:
        scenario: its name.
        number: its place among the legs of the scenario, from 0.
        leg: which of the two kinds.
        verdict: `connected` or `failed`; `exposed`, `compromised`, `aborted`, `unreached` or
            `inconclusive`.
        reason: why, in a sentence.
        client: what came of the client program: its `exit_code`, the `answer` that it printed, and
            the `problem` that there was with it, if any.
        server_calls: what the server has recorded of each call: `method`, `peer` and `status`.
    """

    scenario: str
    number: int
    leg: Leg
    verdict: str
    reason: str = ""
    client: dict[str, object] = {}
    server_calls: tuple[dict[str, str], ...] = ()


class LegLeftOut(Event, frozen=True, tag="leg-left-out"):
    """A leg is not played, as the client cannot do what it takes.

    Attributes:
        scenario: its name.
        number: its place among the legs of the scenario, from 0.
        reason: why, in a sentence.
    """

    scenario: str
    number: int
    reason: str


class Connected(Event, frozen=True, tag="connected"):
    """A client has connected to the interceptor.

    Attributes:
        client: its address.
    """

    client: str


class Destination(Event, frozen=True, tag="destination"):
    """Where a client wants to go, when it was not the interceptor that it dialled.

    Attributes:
        address: what it asks an HTTP proxy for, or was going to before it was redirected.
    """

    address: str


class Tunnelled(Event, frozen=True, tag="tunnelled"):
    """The host is not under test: its connection is passed on untouched and unread.

    Attributes:
        address: what was dialled.
        name: the host: what the ClientHello says, or else the destination.
    """

    address: str
    name: str


class ClientHello(Event, frozen=True, tag="client-hello"):
    """The first TLS message of a client (RFC 8446 section 4.1.2), read before it is answered.

    Attributes:
        server_name: the name that it asks for (SNI), null if it names none.
        alpn: the protocols that it offers, the preferred one first.
        versions: the TLS versions that it offers.
        cipher_suites: those that it offers, by OpenSSL's names; `0x1a2b` where there is none.
        signature_algorithms: those by which a server may prove that it holds its key, by the names
            of RFC 8446 section 4.2.3; `0x1a2b` where there is none.
    """

    server_name: str | None
    alpn: tuple[str, ...]
    versions: tuple[str, ...]
    cipher_suites: tuple[str, ...]
    signature_algorithms: tuple[str, ...] = ()


class Plaintext(Event, frozen=True, tag="plaintext"):
    """The client speaks no TLS.

    Attributes:
        protocol: what it speaks: HTTP/2 with prior knowledge (RFC 9113 section 3.3), or HTTP/1.1.
    """

    protocol: Literal["HTTP/2", "HTTP/1.1"] = "HTTP/2"


class UpstreamConnected(Event, frozen=True, tag="upstream-connected"):
    """The interceptor has reached the server in the client's place.

    Attributes:
        address: of the server.
        local: the interceptor's own address on this socket, as the server sees it.
        version: TLS version, None without TLS.
        alpn: the protocol that the server chose.
        stand_in: it is not the server, but the attacker's own, which answers in its place.
    """

    address: str
    local: str
    version: str | None = None
    alpn: str | None = None
    stand_in: bool = False


class UpstreamFailed(Event, frozen=True, tag="upstream-failed"):
    """The interceptor could not reach the server; the client is turned away.

    Attributes:
        address: of the server.
        reason: why not.
    """

    address: str
    reason: str


class CertificatePresented(Event, frozen=True, tag="certificate-presented"):
    """The chain that the client is shown, leaf first.

    Attributes:
        certificate: the recipe's name, or the file's.
        subjects: subject of each certificate sent, in RFC 4514 form.
        issuer: issuer of the leaf.
        sha256: fingerprint of the leaf, in hexadecimal.
        key: the kind of its key: `ecdsa`, `rsa` or `ed25519`.
        names: DNS names, IP addresses and URIs in the leaf's subjectAltName, the first hundred.
        not_before: the beginning of the leaf's validity period (RFC 3339); "" if it cannot be read.
        not_after: its end.
    """

    certificate: str
    subjects: tuple[str, ...]
    issuer: str
    sha256: str
    key: str = ""
    names: tuple[str, ...] = ()
    not_before: str = ""
    not_after: str = ""


class ServerCertificate(Event, frozen=True, tag="server-certificate"):
    """The genuine chain, leaf first: what a client is shown in a leg without an attacker.

    It is told when such a leg has begun, if there is TLS in it: what an attacker presents is held
    against it.

    Attributes:
        member: who shows it, by its name in the cast.
        certificate: the recipe's name.
        subjects: subject of each certificate sent, in RFC 4514 form.
        issuer: issuer of the leaf.
        sha256: fingerprint of the leaf, in hexadecimal.
        key: the kind of its key: `ecdsa`, `rsa` or `ed25519`.
        names: DNS names, IP addresses and URIs in the leaf's subjectAltName, the first hundred.
        not_before: the beginning of the leaf's validity period (RFC 3339); "" if it cannot be read.
        not_after: its end.
    """

    member: str
    certificate: str
    subjects: tuple[str, ...]
    issuer: str
    sha256: str
    key: str = ""
    names: tuple[str, ...] = ()
    not_before: str = ""
    not_after: str = ""


class ClientCertificate(Event, frozen=True, tag="client-certificate"):
    """How a client has answered that the interceptor asked it for a certificate.

    It has then taken the one that it was shown: a TLS client answers after that (RFC 8446 section
    4.4.2). Told of no session that is resumed, in which nobody is asked.

    Attributes:
        subject: of the leaf, in RFC 4514 form; None if the client has presented none.
        issuer: of the leaf; nobody has verified that it is.
        names: DNS names and URIs in its subjectAltName.
        sha256: fingerprint of the leaf, in hexadecimal.
        proved: whether the client has proved that it holds the private key (RFC 8446 section
            4.4.3).
    """

    subject: str | None = None
    issuer: str = ""
    names: tuple[str, ...] = ()
    sha256: str = ""
    proved: bool = False


class ClientCertificateRefused(Event, frozen=True, tag="client-certificate-refused"):
    """The server has asked for a client certificate, and has not taken what it was given.

    In TLS 1.3 this shows only after the handshake (RFC 8446 section 4.4.2.4): by an alert, or by an
    end before the server's first application byte.

    Attributes:
        address: of the server.
        how: the server has refused: by an alert, or without one by an end of the connection.
        presented: whether the interceptor had a certificate to give.
        alert: by its name, "" for none.
        number: of the alert, None for none.
    """

    address: str
    how: Literal["alert", "close-notify", "eof", "reset"]
    presented: bool
    alert: str = ""
    number: int | None = None

    @property
    def in_words(self) -> str:
        """The same as a sentence."""
        whom = "the attacker's client certificate"
        if not self.presented:
            whom = "the attacker, who has no client certificate"
        how = f"alert {self.alert} ({self.number})" if self.alert else "no alert"
        return f"the server refused {whom}: {how}"


class HandshakeCompleted(Event, frozen=True, tag="handshake-completed"):
    """The client has finished the TLS handshake. This alone is not a compromise.

    Attributes:
        version: of TLS.
        cipher: the cipher suite, by OpenSSL's name.
        alpn: the protocol agreed on, null for none.
        resumed: a session was resumed, in which no certificate is shown.
    """

    version: str
    cipher: str
    alpn: str | None
    resumed: bool = False


class Interrupted(Event, frozen=True, tag="interrupted"):
    """The interceptor interrupts a connection, as the attack that is played has it.

    Attributes:
        how: `reset`: the socket is reset. `closed`: it is closed at the ClientHello. `refused`: the
            ClientHello is answered in plaintext that there is no TLS. `goaway`: the client is told
            to take another connection. `cut`: the socket is reset in the middle of an answer.
    """

    how: Literal["reset", "closed", "refused", "goaway", "cut"]


class Alert(Event, frozen=True, tag="alert"):
    """A TLS alert (RFC 8446 section 6) that ends a connection.

    Attributes:
        by: who sent it.
        name: as in the RFC, `unknown_ca`.
        number: its code, 48.
    """

    by: Party
    name: str
    number: int


class ApplicationData(Event, frozen=True, tag="application-data"):
    """The first application bytes of a direction: the line between accepting and leaving.

    Attributes:
        direction: who sent them.
        encrypted: whether they came through TLS and were decrypted here.
        sample: the first bytes, 64 at the most.
    """

    direction: Direction
    encrypted: bool
    sample: bytes


class Frame(Event, frozen=True, tag="frame"):
    """One HTTP/2 frame (RFC 9113 section 4.1).

    Attributes:
        direction: who sent it.
        stream: its number, 0 for the connection itself.
        type: as in the RFC, `SETTINGS`; `0x2A` for an unknown one.
        flags: names of the flags set.
        length: of the payload, in bytes.
        detail: what a control frame says: an error code by name, settings, an increment.
    """

    direction: Direction
    stream: int
    type: str
    flags: tuple[str, ...]
    length: int
    detail: str = ""


class PartialFrame(Event, frozen=True, tag="partial-frame"):
    """The beginning of a client's HTTP/2 frame, before its first request: the rest is to come.

    It is told because a client may leave before it sends the rest: what there is of a request has
    been read. Once a client has made a request, nothing hangs on it any more.

    Attributes:
        type: as of a whole frame; "" if not even that has come.
        received: how many bytes of the frame.
    """

    type: str
    received: int


class Headers(Event, frozen=True, tag="headers"):
    """One decoded header block.

    Attributes:
        direction: who sent it.
        kind: `trailers-only` is a response that ends at once (gRPC over HTTP/2).
        stream: its number; over HTTP/1.1, which has none, the number of the request on its
            connection.
        method: the call's path, `/users.v1.UserService/GetUser`, also on what answers it.
        headers: name and value of each field in order, pseudo-headers among them; not masked.
        end_stream: whether the sender has nothing more to say on this stream.
        details: what `grpc-status-details-bin` says: a `google.rpc.Status` as JSON.
        truncated: fields are left out, as they were too many or too long.
    """

    direction: Direction
    stream: int
    kind: Literal["request", "informational", "response", "trailers", "trailers-only", "push"]
    method: str
    headers: tuple[tuple[str, str], ...]
    end_stream: bool = False
    details: dict[str, object] | None = None
    truncated: bool = False


class Message(Event, frozen=True, tag="message"):
    """One gRPC message, put together from as many DATA frames as it took.

    Attributes:
        direction: who sent it.
        stream: its number.
        method: the call's path, `/users.v1.UserService/GetUser`.
        type: full name by the descriptors, "" if they do not know the method.
        size: length of the message in bytes as it was sent, without its five bytes of prefix.
        compressed: the flag in the prefix.
        value: the message as JSON; None if it could not be read at all.
        raw: the bytes, where `value` does not account for all of them; cut at the limit.
        truncated: the message was too long to be kept, or decompressed, whole.
        decoded_by: whose word `value` is: of the descriptors at hand, .proto files, a descriptor
            set, the server's reflection service; its own, as it is JSON; or a guess, as there is
            nobody's or it does not fit. "" where there is no value.
        encoding: how a compressed message is compressed, as in `grpc-encoding`.
        decompressed_size: its length without the compression, which `value` and `raw` are without
            too; of a message that is cut, how much of it was decompressed. None if it is not
            compressed, or is left so.
    """

    direction: Direction
    stream: int
    method: str
    type: str
    size: int
    compressed: bool = False
    value: dict[str, object] | None = None
    raw: bytes | None = None
    truncated: bool = False
    decoded_by: Literal[""] | Source = ""
    encoding: str = ""
    decompressed_size: int | None = None


class Rewritten(Event, frozen=True, tag="rewritten"):
    """The interceptor has sent on something else than it received.

    `Message` and `Headers` events always tell what was received.

    Attributes:
        direction: who sent what was changed.
        stream: its number.
        method: the call's path.
        part: of the call.
        type: of a message, its full name.
        before: as it was received: a message as JSON; of headers, the fields that were changed.
        after: as it was sent on.
    """

    direction: Direction
    stream: int
    method: str
    part: Literal["message", "metadata", "status"]
    before: dict[str, object]
    after: dict[str, object]
    type: str = ""


class NotRewritten(Event, frozen=True, tag="not-rewritten"):
    """What was to be changed, but could not be; it is relayed as it came.

    Attributes:
        direction: who sent it; of a whole connection, the client.
        stream: its number, 0 for the whole connection.
        reason: why not.
    """

    direction: Direction
    stream: int
    reason: str


class ParseFailed(Event, frozen=True, tag="parse-failed"):
    """The bytes are not what they should be; the relay goes on, unparsed from here.

    Attributes:
        direction: who sent them.
        reason: what is wrong with them.
        stream: whose messages in this direction are read no further, while all else is; 0 for the
            whole connection, both ways.
    """

    direction: Direction
    reason: str
    stream: int = 0


class Closed(Event, frozen=True, tag="closed"):
    """The end of a connection.

    Attributes:
        by: who ended it first.
        how: `close-notify` is a clean end of TLS; `eof` a FIN without one; `reset` a RST.
        phase: how far the client's side had come; `tunnelled` if nothing was looked at.
        client_bytes: application bytes from the client.
        server_bytes: application bytes to the client.
        reason: what went wrong, where that is not said by `how`.
    """

    by: Party
    how: Literal["alert", "close-notify", "eof", "reset", "time-limit", "not-tls", "error"]
    phase: Literal["hello", "handshake", "established", "tunnelled"]
    client_bytes: int = 0
    server_bytes: int = 0
    reason: str = ""


AnyEvent = (
    ScenarioStarted
    | Issued
    | Renewed
    | LegStarted
    | LegEnded
    | LegLeftOut
    | Connected
    | Destination
    | Tunnelled
    | ClientHello
    | Plaintext
    | UpstreamConnected
    | UpstreamFailed
    | ClientCertificateRefused
    | CertificatePresented
    | ServerCertificate
    | ClientCertificate
    | HandshakeCompleted
    | Interrupted
    | Alert
    | ApplicationData
    | Frame
    | PartialFrame
    | Headers
    | Message
    | Rewritten
    | NotRewritten
    | ParseFailed
    | Closed
)


class Wanted(NamedTuple):
    """Which events somebody wants to be told of: what nobody wants is not made.

    Some are made for everybody. By them it is told what a client did: how connections come about
    and end, the first application bytes, requests, all frames of a client up to its first request,
    and what could not be parsed of all that. What is not wanted may not even be read, so that
    nothing is told of what is wrong with it.

    Attributes:
        frames_left_out: types of HTTP/2 frames that are not wanted, by name.
        messages: whether messages are, and with them what they say.
        answers: whether headers other than those of requests are. Trailers of gRPC-Web stand among
            its messages, and take both.
    """

    frames_left_out: frozenset[str] = frozenset()
    messages: bool = True
    answers: bool = True

    def __or__(self, other: "Wanted") -> "Wanted":
        """What either wants."""
        return Wanted(
            self.frames_left_out & other.frames_left_out,
            self.messages or other.messages,
            self.answers or other.answers,
        )


EVERYTHING = Wanted()

# RFC 9113 section 6, RFC 7838 (ALTSVC), RFC 8336 (ORIGIN), RFC 9218. Types without a name are rare,
# and always told.
FRAME_TYPES = frozenset(
    {
        "DATA",
        "HEADERS",
        "PRIORITY",
        "RST_STREAM",
        "SETTINGS",
        "PUSH_PROMISE",
        "PING",
        "GOAWAY",
        "WINDOW_UPDATE",
        "CONTINUATION",
        "ALTSVC",
        "ORIGIN",
        "PRIORITY_UPDATE",
    }
)

# What is made for everybody, and nothing else.
LEAST = Wanted(FRAME_TYPES, messages=False, answers=False)
