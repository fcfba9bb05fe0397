"""TLS both ways: towards the server as the client spoke, or as it was said that the server does;
towards the client over a chosen chain.

States of a client, as `Closed.phase` names them:

    hello        its first words are known, the server is being greeted. Nothing was presented, so
                 that nothing is said of what the client would have made of it.
    handshake    the chain was presented, or an answer in plaintext given. The client moves on.
    established  the handshake is complete, or the client goes on in plaintext.

`greet_server` comes first and leaves the client in `hello`: the client is offered the protocol
that the server chose. `present` and `answer_in_plaintext` take it from `hello` to `handshake`, with
the one event `CertificatePresented`, and return in `established`; from any state the only other
way out is `EndError`. What is invariant: no byte is taken for application data in here.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from typing import Literal, NoReturn

from mitm import events, pki
from mitm.proxy.arrival import REFUSAL_SECONDS, Arrived
from mitm.proxy.contexts import preferred_alpn
from mitm.proxy.ending import Emit, EndError, end_of, unreachable
from mitm.proxy.interception import Interception
from mitm.proxy.peer import Peer
from mitm.proxy.stream import READ_SIZE
from mitm.tls import AlertReader, Hello, TlsLeg, tls_record
from mitm.tls.client_certificate import refused
from mitm.wire.http2 import PREFACE, PROTOCOLS

# Seconds. nginx gives a client 60 s for its TLS handshake, Envoy 15 s for transport sockets. On one
# machine a peer that needs longer than this has stopped.
HANDSHAKE_SECONDS = 10.0

# Names of a client's certificate that are told.
MAX_NAMES = 100

# What an HTTP/2 server says first (RFC 9113 section 3.4): a frame without settings.
EMPTY_SETTINGS = bytes.fromhex("000000040000000000")

# What an HTTP/1.1 server says to what is no request (RFC 9112 section 2.2). The connection stays
# open, so that a client may go on with it.
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"

_RECORD_HEADER = 5  # RFC 8446 section 5.1

# What an HTTP/1.1 server without TLS answers a ClientHello, as those of Go and nginx do.
NO_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: 17\r\n\r\nThere is no TLS.\n"
)


# Seconds that a server has to say its first word, where that tells whether it has taken a client
# certificate: SETTINGS, which it sends at once (RFC 9113 section 3.4). One that says nothing is
# taken to have accepted.
FIRST_WORD_SECONDS = 1.0

# The same where HTTP/2 was not agreed on, and the client is the one to speak first. A refusal comes
# within a round trip.
REFUSAL_COMES_SECONDS = 0.1


async def greet_server(arrived: Arrived, interception: Interception, emit: Emit) -> Arrived:
    """Speak to the server as the client spoke, TLS for the same name or none, or as was asked for.

    Returns:
        The same, and whether the server asks for a client certificate, and has refused.

    Raises:
        EndError: the server does not complete the handshake; or it has refused, and nothing is to
            go on without it.
    """
    server, address = arrived.server, arrived.address
    as_the_client = interception.upstream_tls is None
    if arrived.hello is not None if as_the_client else interception.upstream_tls:
        leg = interception.contexts.upstream_leg(
            arrived.hello or _in_plaintext(arrived), address.host
        )
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                completed = await server.handshake(leg)
        except TimeoutError:
            reason = f"no answer within {HANDSHAKE_SECONDS:g} s"
            raise unreachable(arrived.client, address, reason, emit) from None
        arrived = arrived._replace(asks=leg.asked)
        if completed and leg.asked:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds_of_doubt(leg.alpn)):
                    await server.speaks()
        if has_refused(server, completed=completed):
            tell_refusal(arrived, interception, emit)
            if interception.stand_in_address is None:
                reason = refused(server.alert, presented=interception.has_certificate)
                raise unreachable(arrived.client, address, reason, emit)
            return arrived._replace(asks=True, refused=True)
        if not completed:
            reason = f"the TLS handshake failed: {_why(server, as_the_client)}"
            raise unreachable(arrived.client, address, reason, emit)
    emit(
        events.UpstreamConnected,
        address=str(address),
        local=str(arrived.local),
        version=server.tls.version if server.tls else None,
        alpn=server.tls.alpn if server.tls else None,
        stand_in=interception.stand_in and address == interception.upstream,
    )
    return arrived


def seconds_of_doubt(alpn: str | None) -> float:
    """How long it is not known whether a server has taken a client certificate, or none.

    Args:
        alpn: the protocol agreed on.
    """
    return FIRST_WORD_SECONDS if alpn in PROTOCOLS else REFUSAL_COMES_SECONDS


def has_refused(server: Peer, *, completed: bool) -> bool:
    """Whether a server has ended because of a client certificate, or the want of one.

    Where it is not known whether it has asked, one alert tells. Without an alert, it may have ended
    because HTTP/2 was not agreed on, as grpcio does.

    Args:
        server: which has said nothing yet.
        completed: whether the handshake with it has.
    """
    if server.alert and server.alert.name == "certificate_required":
        return True
    if server.tls is None or not server.tls.asked:
        return False
    silent = not completed or server.tls.alpn in PROTOCOLS
    return server.end == "alert" or (silent and server.end in ("close-notify", "eof", "reset"))


# By which a server says that it does not take a certificate, or misses one: RFC 8446 section 6.2.
_OF_CERTIFICATES = {
    "access_denied",
    "bad_certificate",
    "certificate_expired",
    "certificate_required",
    "certificate_revoked",
    "certificate_unknown",
    "unknown_ca",
    "unsupported_certificate",
}


def has_refused_late(server: Peer) -> bool:
    """Whether a server has refused a client certificate once the connection stood.

    By then an alert may be about anything: OpenSSL sends one to a client that has hung up.
    """
    refuses = server.alert is not None and server.alert.name in _OF_CERTIFICATES
    return server.end == "alert" and refuses and has_refused(server, completed=True)


def tell_refusal(arrived: Arrived, interception: Interception, emit: Emit) -> None:
    """Tell that the server has refused the client certificate, or the want of one."""
    server = arrived.server
    emit(
        events.ClientCertificateRefused,
        address=str(arrived.address),
        how=server.end,
        presented=interception.has_certificate,
        alert=server.alert.name if server.alert else "",
        number=server.alert.number if server.alert else None,
    )


def _in_plaintext(arrived: Arrived) -> Hello:
    """What to ask of a server in TLS for a client that speaks none."""
    protocol = "h2" if arrived.client.unread.startswith(PREFACE) else "http/1.1"
    return Hello(server_name=None, alpn=(protocol,), versions=(), cipher_suites=())


def _why(server: Peer, as_the_client: bool) -> str:
    how = "add --upstream-plaintext" if as_the_client else "leave out --upstream-tls"
    if server.alert:
        return f"it sent the alert {server.alert.name} ({server.alert.number})"
    if server.first and not tls_record(server.first):
        return f"it answers in plaintext: {how}"
    if server.end == "error":
        return server.reason
    closed = "it closed the connection" + (" with a reset" if server.end == "reset" else "")
    return closed if server.first else f"{closed} without an answer; if it takes no TLS, {how}"


def refused_plaintext(arrived: Arrived, interception: Interception, end: EndError) -> str:
    """What to do about a server that seems to take no plaintext; "" if it seems to, or to be gone.

    Such a server refuses with an alert (RFC 8446 section 6.2), or closes without a word.
    """
    server = arrived.server
    stand_in = interception.stand_in or arrived.stand_in
    if server.tls or not arrived.under_test or stand_in:
        return ""
    if not (tls_record(server.first) if server.first else end.by == "server"):
        return ""
    as_the_client = interception.upstream_tls is None
    how = "add --upstream-tls" if as_the_client else "leave out --upstream-plaintext"
    if server.first:
        return f"the server answers in TLS: {how}"
    return f"the server has closed without an answer; if it takes no plaintext, {how}"


def protocol(arrived: Arrived) -> str | None:
    """The protocol that the client is offered: the one that the server chose."""
    if arrived.server.tls:
        return arrived.server.tls.alpn
    return preferred_alpn(arrived.hello) if arrived.hello else None


async def present(client: Peer, presented: pki.Presentation, tls: TlsLeg, emit: Emit) -> None:
    """Complete the handshake with the client, over the chain chosen for it.

    Raises:
        EndError: the client does not.
    """
    chain = presented.chain
    emit(
        events.CertificatePresented,
        certificate=chain.name,
        subjects=chain.subjects,
        issuer=chain.issuer,
        sha256=chain.sha256,
        key=presented.key_kind,
        **pki.leaf_in(chain.certificates[0])._asdict(),
    )
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            completed = await client.handshake(tls)
    except TimeoutError:
        reason = f"the handshake was not completed within {HANDSHAKE_SECONDS:g} s"
        raise EndError("attacker", "time-limit", reason) from None
    if tls.client_chain is not None:
        emit(events.ClientCertificate, **_described(tls.client_chain, proved=completed))
    if not completed:
        raise end_of("client", client, emit)
    emit(
        events.HandshakeCompleted,
        version=tls.version,
        cipher=tls.cipher,
        alpn=tls.alpn,
        resumed=tls.resumed,
    )


def _described(chain: Sequence[bytes], *, proved: bool) -> dict[str, object]:
    """What is told of a client's certificates, of which there may be none."""
    if not chain:
        return {}
    leaf = chain[0]
    return {
        "subject": pki.name_in(leaf, "subject"),
        "issuer": pki.name_in(leaf, "issuer"),
        "names": pki.names_in(leaf)[:MAX_NAMES],
        "sha256": hashlib.sha256(leaf).hexdigest(),
        "proved": proved,
    }


async def turn_away(
    client: Peer, how: Literal["reset", "closed", "refused"], emit: Emit
) -> NoReturn:
    """Give a ClientHello no handshake.

    What the client says in plaintext after a refusal is left unread.

    Raises:
        EndError: in any case.
    """
    emit(events.Interrupted, how=how)
    client.unread = bytearray()
    if how == "reset":
        client.reset()
        raise EndError("attacker", "reset")
    if how == "refused":
        client.send(NO_TLS)
    client.send_end(notify=False)
    # A socket that is closed over unread bytes is reset, and the answer is lost with it (RFC 9112
    # section 9.6).
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REFUSAL_SECONDS):
            while len(client.unread) < READ_SIZE and await client.listen():
                pass
    # An alert says that it has understood; what it says behind that is in plaintext.
    while client.unread and tls_record(client.unread):
        del client.unread[: _RECORD_HEADER + int.from_bytes(client.unread[3:_RECORD_HEADER], "big")]
    raise EndError("attacker", "eof")


async def answer_in_plaintext(client: Peer, chain: pki.Chain, emit: Emit) -> None:
    """Answer a ClientHello as an HTTP/2 server without TLS would, or one of HTTP/1.1.

    What the client sends then, if it goes on in plaintext, is left unread.

    Raises:
        EndError: it does not go on.
    """
    emit(events.CertificatePresented, certificate=chain.name, subjects=(), issuer="", sha256="")
    client.unread = bytearray()
    client.send(BAD_REQUEST if chain.tls.plaintext == "http/1.1" else EMPTY_SETTINGS)
    alerts, looked_at = AlertReader(), 0
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            # A client that is still in its handshake sends an alert, in the clear for want of
            # keys. That is a refusal, and no application data.
            while not client.unread or tls_record(client.unread):
                for alert in alerts.feed(client.unread[looked_at:]):
                    emit(events.Alert, by="client", name=alert.name, number=alert.number)
                    raise EndError("client", "alert")
                looked_at = len(client.unread)
                if len(client.unread) > READ_SIZE:
                    raise EndError("attacker", "error", "TLS records without end")
                if not await client.listen():
                    raise EndError("client", client.end or "eof")
    except TimeoutError:
        reason = f"the client has not reacted to plaintext within {HANDSHAKE_SECONDS:g} s"
        raise EndError("attacker", "time-limit", reason) from None
