"""The ClientHello: what a client says of itself before anybody has answered it."""

import re
import struct
from collections.abc import Iterable

import msgspec

from mitm.address import is_ip
from mitm.tls.cipher_suites import suite_names
from mitm.tls.vectors import MalformedError, Reader

# RFC 8446 section 5.1: type, legacy version, length.
_RECORD_HEADER = 5
_RECORD_LIMIT = 2**14
_HANDSHAKE_RECORD = 22
# RFC 8446 section 4: type, length of 24 bits.
_HANDSHAKE_HEADER = 4
_CLIENT_HELLO = 1

# A hello is some 500 bytes, 1,800 with a post-quantum key share. Go's crypto/tls stops at 65,536
# (maxHandshake). With the headers of its records it may be twice as long, so that nobody who sends
# it byte by byte, each in a record of its own, is read for long.
MAX_HELLO_SIZE = 65_536
MAX_RECORDS_SIZE = 2 * MAX_HELLO_SIZE

# RFC 1035 section 2.3.4 has the lengths. What a name is spelled with is the resolver's business,
# but for what is no visible character, and the backslash, which stands for bytes that are none.
_LABEL = r"[^\x00-\x20.\\\x7f-\U0010ffff]{1,63}"
_ASKABLE = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(\.{_LABEL})*\.?")

_SERVER_NAME, _SIGNATURE_ALGORITHMS, _ALPN, _SUPPORTED_VERSIONS = 0, 13, 16, 43

_VERSIONS = {
    0x0300: "SSLv3",
    0x0301: "TLSv1",
    0x0302: "TLSv1.1",
    0x0303: "TLSv1.2",
    0x0304: "TLSv1.3",
}

# RFC 8446 section 4.2.3, and of TLS 1.2 (RFC 5246 section 7.4.1.4.1) what is still met with.
_SIGNATURE_ALGORITHM_NAMES = {
    0x0101: "rsa_pkcs1_md5",
    0x0201: "rsa_pkcs1_sha1",
    0x0203: "ecdsa_sha1",
    0x0301: "rsa_pkcs1_sha224",
    0x0303: "ecdsa_sha224",
    0x0401: "rsa_pkcs1_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0501: "rsa_pkcs1_sha384",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0601: "rsa_pkcs1_sha512",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384",
    0x080B: "rsa_pss_pss_sha512",
}


class Hello(msgspec.Struct, frozen=True):
    """What a ClientHello offers, in the client's order of preference.

    Values that only keep servers tolerant (GREASE, RFC 8701) are left out.

    Attributes:
        server_name: SNI (RFC 6066 section 3), None if absent. A name in ASCII, says the RFC; it is
            whatever the client has sent, with bytes that are no ASCII as `\\xc3`.
        alpn: protocols (RFC 7301), `h2` for gRPC.
        versions: of TLS, by name.
        cipher_suites: by OpenSSL's name, `0x1a2b` where it has none.
        signature_algorithms: by the names of RFC 8446 section 4.2.3, `0x1a2b` where it has none.
    """

    server_name: str | None
    alpn: tuple[str, ...]
    versions: tuple[str, ...]
    cipher_suites: tuple[str, ...]
    signature_algorithms: tuple[str, ...] = ()

    @property
    def askable_name(self) -> str | None:
        """The server name, if it is one that another server can be asked for: no address."""
        name = self.server_name
        # OpenSSL takes some texts with a colon for addresses that are none, ":" among them.
        if not name or ":" in name or is_ip(name) or not _ASKABLE.fullmatch(name):
            return None
        return name


# Values that clients send to keep servers tolerant (RFC 8701).
_GREASE = frozenset(0x1010 * number + 0x0A0A for number in range(16))


_WHAT = "ClientHello"


def _numbers(reader: Reader, prefix: int) -> list[int]:
    """A vector of numbers of two bytes, without those of GREASE."""
    data = reader.vector(prefix)
    if len(data) % 2:
        raise reader.too_short()
    numbers = struct.unpack(f">{len(data) // 2}H", data)
    return [number for number in numbers if number not in _GREASE]


class HelloReader:
    """Reads a ClientHello that comes in pieces, and each byte of it once.

    However small the pieces are, and the records in them, the work grows with their bytes alone.
    """

    def __init__(self) -> None:
        self._handshake = bytearray()
        self._at = 0  # how much was read
        self._left = 0  # of the record that is being read

    def read(self, data: bytes | bytearray) -> Hello | None:
        """Parse the first bytes of a connection.

        Args:
            data: everything received so far, from the first byte; more of it each time.

        Returns:
            The hello, or None while it is incomplete.

        Raises:
            MalformedError: no further byte can make this a ClientHello.
        """
        if data and data[0] != _HANDSHAKE_RECORD:
            raise MalformedError("not a TLS handshake record")
        while self._left or len(data) - self._at >= _RECORD_HEADER:
            if not self._left:
                self._left = _record_length(data[self._at : self._at + _RECORD_HEADER])
                self._at += _RECORD_HEADER
            piece = data[self._at : self._at + self._left]
            if not piece:
                break
            self._handshake += piece
            self._at += len(piece)
            self._left -= len(piece)
            if self._is_whole():
                return _parse(
                    Reader(bytes(self._handshake[_HANDSHAKE_HEADER : self._end()]), _WHAT)
                )
        if len(data) > MAX_RECORDS_SIZE:
            raise MalformedError("a ClientHello in too many small records")
        return None

    def _end(self) -> int:
        return _HANDSHAKE_HEADER + int.from_bytes(self._handshake[1:_HANDSHAKE_HEADER], "big")

    def _is_whole(self) -> bool:
        if len(self._handshake) < _HANDSHAKE_HEADER:
            return False
        if self._handshake[0] != _CLIENT_HELLO:
            raise MalformedError("the first handshake message is not a ClientHello")
        size = self._end() - _HANDSHAKE_HEADER
        if size > MAX_HELLO_SIZE:
            raise MalformedError(f"a ClientHello of {size} bytes (limit {MAX_HELLO_SIZE})")
        return len(self._handshake) >= self._end()


def _record_length(header: bytes | bytearray) -> int:
    if header[0] != _HANDSHAKE_RECORD or header[1] != 3:
        raise MalformedError("not a TLS handshake record")
    length = int.from_bytes(header[3:], "big")
    if length == 0:
        # RFC 8446 section 5.1: no zero-length fragments of handshake types.
        raise MalformedError("an empty handshake record")
    if length > _RECORD_LIMIT:
        raise MalformedError(f"a record of {length} bytes (limit {_RECORD_LIMIT})")
    return length


def read_client_hello(data: bytes | bytearray) -> Hello | None:
    """Parse the first bytes of a connection; see `HelloReader.read`."""
    return HelloReader().read(data)


def _parse(body: Reader) -> Hello:
    legacy_version = body.number(2)
    body.take(32)  # random
    body.vector(1)  # legacy session id
    ciphers = suite_names(_numbers(body, 2))
    body.vector(1)  # legacy compression methods

    server_name = None
    algorithms: tuple[str, ...] = ()
    alpn: list[str] = []
    versions = _names(_VERSIONS, [legacy_version])
    # A TLS 1.2 hello may end without extensions (RFC 5246 section 7.4.1.2).
    extensions = body.inner(2) if body.left else Reader(b"", _WHAT)
    while extensions.left:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME and content:
            names = Reader(content, _WHAT).inner(2)
            if names.left and names.number(1) == 0:
                server_name = names.vector(2).decode("ascii", "backslashreplace")
        elif kind == _SIGNATURE_ALGORITHMS:
            algorithms += _names(_SIGNATURE_ALGORITHM_NAMES, _numbers(Reader(content, _WHAT), 2))
        elif kind == _ALPN:
            protocols = Reader(content, _WHAT).inner(2)
            while protocols.left:
                protocol = protocols.vector(1)
                if not protocol:
                    raise MalformedError("an empty ALPN protocol (RFC 7301 section 3.1)")
                if not (len(protocol) == 2 and int.from_bytes(protocol, "big") in _GREASE):
                    alpn.append(protocol.decode("ascii", "backslashreplace"))
        elif kind == _SUPPORTED_VERSIONS:
            versions = _names(_VERSIONS, _numbers(Reader(content, _WHAT), 1))
    return Hello(server_name, tuple(alpn), versions, ciphers, algorithms)


def _names(known: dict[int, str], numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple([known.get(number) or f"0x{number:04x}" for number in numbers])
