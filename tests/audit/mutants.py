"""Clients with one deliberate hole each, and correct ones, to try the audit on.

Each is a function of the endpoint that returns if it got its answer, and raises if it left. But for
its hole it does what the best client of its library does.
"""

import _ssl
import asyncio
import contextlib
import fnmatch
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import h2.connection
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.encoding.base import CodecBase

from mitm.audit import Endpoint

SECONDS = 20.0

METHOD = "/users.v1.Users/GetUser"

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, for which `ssl` has no name.
NO_CHECK_TIME = 0x200000

Judge = Callable[[Endpoint, list[x509.Certificate]], None]


class Left(Exception):  # noqa: N818
    """The client's own check made it leave."""


# Python's `ssl`


def ssl_correct(endpoint: Endpoint) -> None:
    _call(endpoint, _verifying(endpoint))


def ssl_as_documented(endpoint: Endpoint) -> None:
    """Nothing but `create_default_context`: takes the common name if there is no DNS name."""
    context = ssl.create_default_context(cafile=str(endpoint.ca_file))
    with _connected(endpoint, context) as connection:
        _ask(connection)


def ssl_unverified(endpoint: Endpoint) -> None:
    _call(endpoint, _unverifying())


def ssl_any_name(endpoint: Endpoint) -> None:
    context = _verifying(endpoint)
    context.check_hostname = False
    _call(endpoint, context)


def ssl_any_time(endpoint: Endpoint) -> None:
    context = _verifying(endpoint)
    context.verify_flags |= NO_CHECK_TIME
    _call(endpoint, context)


def ssl_any_ca(endpoint: Endpoint) -> None:
    """Checks the name of whatever it is shown, and nothing else."""
    _call(endpoint, _unverifying(), _has_the_name(_covers))


def ssl_first_use(endpoint: Endpoint) -> None:
    """Trusts the certificate that it is shown first, and so each time a new one."""
    fetched = ssl.get_server_certificate((endpoint.host, endpoint.port), timeout=SECONDS)
    with TemporaryDirectory() as folder:
        trusted = Path(folder) / "trusted.pem"
        trusted.write_text(fetched)
        context = _verifying(endpoint, trusted)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _call(endpoint, context)


def ssl_anything_old(endpoint: Endpoint) -> None:
    """Speaks every version and cipher that OpenSSL can, for which it has to take weak hashes."""
    context = _verifying(endpoint)
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    _call(endpoint, context)


def ssl_too_late(endpoint: Endpoint) -> None:
    """Checks the name once it has asked, and reports a failure that helps nobody any more."""
    context = _verifying(endpoint)
    context.check_hostname = False
    with _connected(endpoint, context) as connection:
        _ask(connection)
        _has_the_name(_covers)(endpoint, _sent_chain(connection))


def ssl_silent(endpoint: Endpoint) -> None:
    """Has no hole, but keeps it to itself that it has left."""
    with contextlib.suppress(OSError, Left):
        ssl_correct(endpoint)


def ssl_or_plaintext(endpoint: Endpoint) -> None:
    """Does without TLS if that fails."""
    try:
        _call(endpoint, _verifying(endpoint))
    except (OSError, Left):
        with socket.create_connection((endpoint.host, endpoint.port), SECONDS) as connection:
            _ask(connection)


def ssl_common_name(endpoint: Endpoint) -> None:
    """Compares the name with the common name."""

    def same(leaf: x509.Certificate, name: str) -> bool:
        return name in [a.value for a in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]

    _call_with_names(endpoint, same)


def ssl_substring(endpoint: Endpoint) -> None:
    """Looks for the name anywhere in a name of the certificate."""
    _call_with_names(endpoint, lambda leaf, name: any(name in n for n in _dns_names(leaf)))


def ssl_c_string(endpoint: Endpoint) -> None:
    """Reads names as C does, up to the first NUL byte."""
    _call_with_names(
        endpoint, lambda leaf, name: any(n.partition("\0")[0] == name for n in _dns_names(leaf))
    )


def ssl_shell_wildcards(endpoint: Endpoint) -> None:
    """Lets a `*` stand for anything, as a shell does, addresses included."""
    _call_with_names(
        endpoint, lambda leaf, name: any(fnmatch.fnmatch(name, n) for n in _dns_names(leaf))
    )


# Path validation made by hand, or by `cryptography`, after a handshake that verifies nothing


def signatures_only(endpoint: Endpoint) -> None:
    """Follows signatures up to the CA, and checks times and name; what a CA may do is all one."""

    def judge(endpoint: Endpoint, sent: list[x509.Certificate]) -> None:
        now = datetime.now(UTC)
        trusted = x509.load_pem_x509_certificates(endpoint.ca_pem)
        path, candidates = sent[:1], [*trusted, *sent[1:]]
        while path[-1] not in trusted:
            issuer = next((c for c in candidates if _issued(c, path[-1])), None)
            if issuer is None or issuer in path:
                raise Left("no path to the CA")
            path.append(issuer)
        if not all(c.not_valid_before_utc <= now <= c.not_valid_after_utc for c in path):
            raise Left("expired, or not valid yet")
        _has_the_name(_covers)(endpoint, sent)

    _call(endpoint, _unverifying(), judge)


def cryptography_correct(endpoint: Endpoint) -> None:
    _call(endpoint, _unverifying(), _verified_by(*_policies()))


def cryptography_any_purpose(endpoint: Endpoint) -> None:
    """Accepts certificates that were not issued for servers."""
    anything = (x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, None)
    judge = _verified_by(*(policy.may_be_present(*anything) for policy in _policies()))
    _call(endpoint, _unverifying(), judge)


# gRPC


def grpclib_correct(endpoint: Endpoint) -> None:
    _call_grpclib(endpoint, _verifying(endpoint))


def grpclib_unverified(endpoint: Endpoint) -> None:
    _call_grpclib(endpoint, _unverifying())


def grpcio_correct(endpoint: Endpoint) -> None:
    _call_grpcio(endpoint, endpoint.ca_pem)


def grpcio_pinned(endpoint: Endpoint) -> None:
    """Trusts one certificate, the genuine one."""
    _call_grpcio(endpoint, endpoint.pin_pem)


def grpcio_first_use(endpoint: Endpoint) -> None:
    """Trusts the certificate that it is shown first: grpcio's way not to verify."""
    fetched = ssl.get_server_certificate((endpoint.host, endpoint.port), timeout=SECONDS)
    _call_grpcio(endpoint, fetched.encode())


# What they share


def _verifying(endpoint: Endpoint, ca_file: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_file or endpoint.ca_file))
    # Python 3.13 made more of them the default.
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["h2"])
    return context


def _unverifying() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


@contextlib.contextmanager
def _connected(endpoint: Endpoint, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((endpoint.host, endpoint.port), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=endpoint.name) as connection,
    ):
        yield connection


def _ask(connection: socket.socket) -> None:
    """Call a method of gRPC over HTTP/2, with an empty message."""
    http2 = h2.connection.H2Connection()
    http2.initiate_connection()
    fields = {":method": "POST", ":scheme": "https", ":authority": "localhost", ":path": METHOD}
    fields |= {"content-type": "application/grpc", "te": "trailers"}
    http2.send_headers(1, list(fields.items()))
    http2.send_data(1, bytes(5), end_stream=True)
    connection.sendall(http2.data_to_send())
    connection.recv(1)


def _call(endpoint: Endpoint, context: ssl.SSLContext, judge: Judge | None = None) -> None:
    with _connected(endpoint, context) as connection:
        if connection.selected_alpn_protocol() != "h2":
            raise Left("no HTTP/2")
        if judge:
            judge(endpoint, _sent_chain(connection))
        _ask(connection)


def _call_with_names(endpoint: Endpoint, covers: Callable[[x509.Certificate, str], bool]) -> None:
    """Let OpenSSL verify all but the name."""
    context = _verifying(endpoint)
    context.check_hostname = False
    _call(endpoint, context, _has_the_name(covers))


def _sent_chain(connection: ssl.SSLSocket) -> list[x509.Certificate]:
    # Public since Python 3.13, and there before.
    sent = connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return [x509.load_der_x509_certificate(c.public_bytes(_ssl.ENCODING_DER)) for c in sent]


def _has_the_name(covers: Callable[[x509.Certificate, str], bool]) -> Judge:
    def judge(endpoint: Endpoint, sent: list[x509.Certificate]) -> None:
        if not covers(sent[0], endpoint.name):
            raise Left("not the server's name")

    return judge


def _dns_names(leaf: x509.Certificate) -> list[str]:
    """As they stand there; malformed ones raise ValueError."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.DNSName)


def _covers(leaf: x509.Certificate, name: str) -> bool:
    """Whether a certificate is for a name, by RFC 9525 section 6.3 and 6.4."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        first, _, rest = name.lower().partition(".")
        accepted = {name.lower(), f"*.{rest}"} if first and "." in rest else {name.lower()}
        return any(n.lower() in accepted for n in _dns_names(leaf))
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return address in names.get_values_for_type(x509.IPAddress)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # of many kinds, by what is wrong
        return False
    return True


def _policies() -> tuple["verification.ExtensionPolicy", "verification.ExtensionPolicy"]:
    """For CAs, and for leaves; cryptography has them from 45 on."""
    policy = verification.ExtensionPolicy
    return policy.webpki_defaults_ca(), policy.webpki_defaults_ee()


def _verified_by(ca: "verification.ExtensionPolicy", ee: "verification.ExtensionPolicy") -> Judge:
    def judge(endpoint: Endpoint, sent: list[x509.Certificate]) -> None:
        store = verification.Store(x509.load_pem_x509_certificates(endpoint.ca_pem))
        builder = verification.PolicyBuilder().store(store)
        builder = builder.extension_policies(ca_policy=ca, ee_policy=ee)
        try:
            subject: verification.Subject = x509.IPAddress(ipaddress.ip_address(endpoint.name))
        except ValueError:
            subject = x509.DNSName(endpoint.name)
        builder.build_server_verifier(subject).verify(sent[0], sent[1:])

    return judge


class _Bytes(CodecBase):
    """Messages as they are."""

    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data


def _call_grpclib(endpoint: Endpoint, context: ssl.SSLContext) -> None:
    async def call() -> None:
        config = Configuration(ssl_target_name_override=endpoint.name)
        host, port = endpoint.host, endpoint.port
        channel = Channel(host, port, codec=_Bytes(), ssl=context, config=config)
        try:
            await UnaryUnaryMethod(channel, METHOD, bytes, bytes)(b"", timeout=SECONDS)
        finally:
            # `close` begins to close the connection, and there is nothing to wait for its end with.
            if channel._protocol:
                channel._protocol.connection._transport.abort()
            channel.close()

    asyncio.run(call())


def _call_grpcio(endpoint: Endpoint, roots: bytes) -> None:
    credentials = grpc.ssl_channel_credentials(roots)
    options = [("grpc.ssl_target_name_override", endpoint.name), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(endpoint.target, credentials, options) as channel:
        channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=SECONDS)
