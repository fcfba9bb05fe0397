"""Client certificates (RFC 8446 sections 4.3.2 and 4.4.2): who is asked, and what is presented.

`ssl` tells neither whether a server has asked for one, nor of one that it does not trust; and it
trusts only what was known before the handshake. The messages of a handshake are what tells. Their
callback is no public part of `ssl`, though CPython tests it: where it is not there, this is
*unsupported*.
"""

import base64
import contextlib
import ssl
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING

from mitm.tls.vectors import MalformedError, Reader

if TYPE_CHECKING:
    from mitm.tls.leg import ReceivedAlert

# The callback is given the messages in this direction from the peer.
_FROM_PEER = "read"

_HANDSHAKE = 22  # content type, RFC 8446 section 5.1
_CERTIFICATE, _CERTIFICATE_REQUEST = 11, 13  # RFC 8446 section 4
_CERTIFICATES = (_CERTIFICATE, 25)  # and CompressedCertificate, RFC 8879 section 4
# A Certificate with nothing in it, in bytes: its header, in TLS 1.3 a context, an empty list.
_EMPTY = 8
_TLS_1_3 = 0x0304

# X509_V_FLAG_IGNORE_CRITICAL, PARTIAL_CHAIN and NO_CHECK_TIME of OpenSSL's x509_vfy.h: a leaf that
# is trusted by itself is enough, whatever its extensions and dates say.
_TAKE_ANY = 0x10 | 0x80000 | 0x200000

# SSL_OP_NO_RX_CERTIFICATE_COMPRESSION of OpenSSL's ssl.h, since 3.2: a client is not to compress
# what it presents (RFC 8879), which would be another message.
_UNCOMPRESSED = 1 << 33 if ssl.OPENSSL_VERSION_INFO >= (3, 2) else 0

# X509_CERT_AUX of OpenSSL's x509_acert.h, behind a certificate: it is trusted as that of a TLS
# client (id-kp-clientAuth), which counts more than its own extensions.
_FOR_CLIENTS = bytes.fromhex("300c 300a 0608 2b06010505070302")

SUPPORTED = hasattr(ssl.SSLContext, "_msg_callback")
"""Whether the messages of a handshake can be looked at here."""


class SeenTls(ssl.SSLObject):
    """TLS of which those messages are noted.

    Attributes:
        asked: whether the peer has asked for a client certificate.
        presented: what the client has presented, DER, leaf first; () for no certificate, None
            while it was not asked or has not answered.
    """

    asked = False
    presented: tuple[bytes, ...] | None = None


def note_request(context: ssl.SSLContext) -> None:
    """Have the TLS of a client note whether its server asks for a certificate; if supported."""
    if SUPPORTED:
        context.sslobject_class = SeenTls
        context._msg_callback = _note_request  # type: ignore[attr-defined]


def on_request(
    context: ssl.SSLContext,
    tell: Callable[[], object],
    sent: Callable[[], object] = lambda: None,
) -> None:
    """Be told when a server asks for a certificate, where the TLS is out of reach; if supported.

    Args:
        context: of the client.
        tell: called when it is asked.
        sent: called when it answers with a certificate, and not with an empty list.
    """

    def note(
        tls: object, direction: str, version: int, content: int, message: int, data: bytes
    ) -> None:
        if _is_request(direction, content, message):
            tell()
        answers = content == _HANDSHAKE and direction != _FROM_PEER
        if answers and message in _CERTIFICATES and len(data) > _EMPTY:
            sent()

    if SUPPORTED:
        context._msg_callback = note  # type: ignore[attr-defined]


def ask_client(context: ssl.SSLContext) -> None:
    """Have a server ask for a client certificate, take whatever it gets, or none, and note it.

    What it gets is told once the client has answered. That the client holds the key is proved if
    the handshake then completes.

    Args:
        context: for one connection only, as it comes to trust what it is given; supported.
    """
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags = ssl.VerifyFlags(_TAKE_ANY)
    context.options |= _UNCOMPRESSED
    context.sslobject_class = SeenTls
    context._msg_callback = _note_certificate  # type: ignore[attr-defined]


def _note_request(
    tls: SeenTls, direction: str, version: int, content: int, message: int, data: bytes
) -> None:
    if _is_request(direction, content, message):
        tls.asked = True


def _is_request(direction: str, content: int, message: int) -> bool:
    is_request = message == _CERTIFICATE_REQUEST and content == _HANDSHAKE
    return is_request and direction == _FROM_PEER


def _note_certificate(
    tls: SeenTls, direction: str, version: int, content: int, message: int, data: bytes
) -> None:
    if message != _CERTIFICATE or content != _HANDSHAKE or direction != _FROM_PEER:
        return
    # What cannot be read or trusted, OpenSSL is about to turn down by itself.
    with contextlib.suppress(MalformedError, ssl.SSLError, OSError):
        tls.presented = read_certificate(data, tls_1_3=version >= _TLS_1_3)
        if tls.presented:
            _trust(tls.context, tls.presented[0])


def _trust(context: ssl.SSLContext, leaf: bytes) -> None:
    """Have a context take a client's leaf, which OpenSSL is about to verify."""
    pem = base64.encodebytes(leaf + _FOR_CLIENTS)
    # Only from a file does OpenSSL read what a certificate is trusted for.
    with tempfile.NamedTemporaryFile(prefix="mitm-demo-") as file:
        file.write(b"-----BEGIN TRUSTED CERTIFICATE-----\n%s" % pem)
        file.write(b"-----END TRUSTED CERTIFICATE-----\n")
        file.flush()
        context.load_verify_locations(file.name)


def refused(alert: "ReceivedAlert | None", *, presented: bool) -> str:
    """What is said of a server that asks for a client certificate, and has refused; and what to do.

    Args:
        alert: by which it has; None for none.
        presented: whether it was given one.
    """
    if not presented:
        return (
            "the server asks for a client certificate: add --client-cert FILE and --client-key FILE"
        )
    how = f"alert {alert.name} ({alert.number})" if alert else "no alert"
    return f"the server refused the client certificate: {how}"


def read_certificate(message: bytes, *, tls_1_3: bool) -> tuple[bytes, ...]:
    """The certificates in a Certificate message, DER, leaf first; () if it holds none.

    Args:
        message: with its header.
        tls_1_3: whether it is in the form of RFC 8446 section 4.4.2, or else of RFC 5246 section
            7.4.2.

    Raises:
        MalformedError: it is no such message.
    """
    reader = Reader(message, "Certificate message")
    reader.take(1)  # the type of the message
    body = reader.inner(3)
    if tls_1_3:
        body.inner(1)  # certificate_request_context
    listed = body.inner(3)
    found = []
    while listed.left:
        found.append(listed.vector(3))
        if tls_1_3:
            listed.inner(2)  # extensions
    if reader.left or body.left or not all(found):
        raise MalformedError("bytes without a meaning, or a certificate without any")
    return tuple(found)
