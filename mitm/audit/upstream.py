"""The user's own server, in place of the stand-in: that it is the right one is checked first."""

import asyncio
import contextlib
import ssl
from pathlib import Path

from mitm import pki
from mitm.address import Address
from mitm.audit.listener import Upstream
from mitm.errors import UserError
from mitm.proxy.greeting import seconds_of_doubt
from mitm.tls import alert_in
from mitm.tls.client_certificate import on_request, refused
from mitm.wire.http2 import PREFACE, PROTOCOLS

# Seconds for the connection and the TLS handshake.
_SECONDS = 10.0

# Seconds in which a server that has just accepted a connection answers HTTP/2's preface.
_ANSWER_SECONDS = 2.0

_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # RFC 9113 section 6.5, empty
_FRAME_TYPE = 3  # its place in a frame, section 4.1


async def own_server(
    address: Address,
    ca_file: Path | None,
    name: str | None = None,
    client_certificate: pki.Chain | None = None,
) -> Upstream:
    """Make sure that a server speaks TLS and is the one that it should be.

    The interceptor does not ask whom it relays to. What a careless client sends is its user's real
    data, and must reach no other server than the user's own.

    Args:
        address: where it is.
        ca_file: PEM file of the CA that signed its certificate; None for the system's.
        name: the name that its certificate must be for, None for the host of the address.
        client_certificate: what it is given if it asks for one; None for nothing.

    Raises:
        UserError: it is not there, speaks no TLS, or its certificate does not verify; or it
            refuses the client certificate, or that there is none.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise UserError(f"--ca: {ca_file} holds no PEM certificate") from None
    except OSError as error:
        raise UserError(f"--ca: cannot read {ca_file}: {error.strerror}") from None
    # gRPC servers turn down a client that does not offer it.
    context.set_alpn_protocols(["h2", "http/1.1"])
    asked: list[bool] = []
    on_request(context, lambda: asked.append(True))
    if client_certificate:
        try:
            pki.load_chain(context, client_certificate)
        except pki.Unsupported as error:
            raise UserError(f"--client-cert: {error}") from None
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(
                *address, ssl=context, server_hostname=name or address.host
            )
        try:
            if asked:
                alpn = writer.get_extra_info("ssl_object").selected_alpn_protocol()
                await _must_be_let_in(reader, alpn)
        finally:
            writer.transport.abort()
    except ssl.SSLCertVerificationError as error:
        hint = "" if ca_file else "; name the CA that signed it with --ca"
        raise UserError(
            f"--upstream {address}: its certificate does not verify: {error.verify_message}{hint}"
        ) from None
    except OSError as error:  # ssl.SSLError and TimeoutError among them
        alert = alert_in(error)
        if asked and not isinstance(error, TimeoutError):
            said = refused(alert, presented=client_certificate is not None)
            raise UserError(f"--upstream {address}: {said}") from None
        if await _speaks_plaintext(address):
            raise UserError(
                f"--upstream {address}: it was reached, but speaks no TLS: if that is as it should "
                "be, add --upstream-plaintext"
            ) from None
        raise _refusal(address, error) from None
    return Upstream(address, tls=True, client_certificate=client_certificate)


async def _must_be_let_in(reader: asyncio.StreamReader, alpn: str | None) -> None:
    """See that a server goes on that has asked for a client certificate.

    Args:
        reader: reads what it sends.
        alpn: the protocol agreed on. Without HTTP/2, an end may have other reasons.

    Raises:
        OSError: it does not.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds_of_doubt(alpn)):
            if not await reader.read(1) and alpn in PROTOCOLS:
                raise ConnectionResetError


async def plaintext_server(address: Address) -> Upstream:
    """Make sure that a server takes connections, and speaks no TLS.

    Args:
        address: where it is.

    Raises:
        UserError: it is not there, or does not answer HTTP in plaintext.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(*address)
    except OSError as error:
        raise _refusal(address, error) from None
    writer.transport.abort()
    if not await _speaks_plaintext(address):
        raise UserError(
            f"--upstream {address}: it does not answer HTTP in plaintext: if it speaks TLS, leave "
            "out --upstream-plaintext"
        )
    return Upstream(address, tls=False)


async def _speaks_plaintext(address: Address) -> bool:
    """Whether a server answers HTTP/2, or HTTP/1.1, without TLS.

    A server of HTTP/2 begins with SETTINGS (RFC 9113 section 3.4); one of HTTP/1.1 answers the
    preface with a status line, since it is made to be none of its requests.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(PREFACE + _SETTINGS)
                answer = await reader.readexactly(len(_SETTINGS))
            finally:
                writer.transport.abort()
    except (OSError, EOFError):
        return False
    return answer.startswith(b"HTTP/1.") or answer[_FRAME_TYPE] == _SETTINGS[_FRAME_TYPE]


def _refusal(address: Address, error: OSError) -> UserError:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return UserError(f"--upstream {address}: no TLS handshake with it: {reason}")
    if isinstance(error, TimeoutError):
        return UserError(f"--upstream {address}: no answer within {_SECONDS:g} s")
    reason = error.strerror or "it closed the connection"
    return UserError(f"--upstream {address}: not reached: {reason}")
