"""ClientHellos that OpenSSL really produced, and bytes that are none."""

import ssl
import time
from ssl import TLSVersion

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.tls import Hello, HelloReader, MalformedError, read_client_hello

# What this OpenSSL would not offer by itself needs a lower security level.
_WEAK = "ALL:@SECLEVEL=0"
_OLD = "ALL:!PSK:!SRP:@SECLEVEL=0"  # PSK and SRP suites are offered by who has such keys


def _context(
    alpn: tuple[str, ...] = (),
    lowest: TLSVersion = TLSVersion.TLSv1_2,
    highest: TLSVersion = TLSVersion.TLSv1_3,
    ciphers: str = "",
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if ciphers:
        context.set_ciphers(ciphers)
    context.minimum_version, context.maximum_version = lowest, highest
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _hello(context: ssl.SSLContext, server_name: str | None = "localhost") -> bytes:
    """The first bytes that Python's ssl sends."""
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def _read(data: bytes) -> Hello:
    hello = read_client_hello(data)
    assert hello is not None
    return hello


_REAL = _hello(_context(("h2", "http/1.1")), "some.server.example")


@pytest.mark.parametrize(
    "name", [None, "localhost", "a.b.example", "xn--jrg-sna.example", "trailing.dot."]
)
def test_the_server_name_is_read(name: str | None) -> None:
    assert _read(_hello(_context(), name)).server_name == name


def test_an_ip_address_is_no_server_name() -> None:
    assert _read(_hello(_context(), "127.0.0.1")).server_name is None


@pytest.mark.parametrize("alpn", [(), ("h2",), ("grpc-exp", "h2", "http/1.1"), ("x" * 255,)])
def test_the_protocols_are_read_in_order(alpn: tuple[str, ...]) -> None:
    assert _read(_hello(_context(alpn))).alpn == alpn


@pytest.mark.parametrize(
    ("lowest", "highest", "versions"),
    [
        (TLSVersion.TLSv1_3, TLSVersion.TLSv1_3, ("TLSv1.3",)),
        (TLSVersion.TLSv1_2, TLSVersion.TLSv1_3, ("TLSv1.3", "TLSv1.2")),
        (TLSVersion.TLSv1_2, TLSVersion.TLSv1_2, ("TLSv1.2",)),
    ],
)
def test_the_versions_are_read(
    lowest: TLSVersion, highest: TLSVersion, versions: tuple[str, ...]
) -> None:
    assert _read(_hello(_context((), lowest, highest))).versions == versions


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "name"), [(TLSVersion.TLSv1, "TLSv1"), (TLSVersion.TLSv1_1, "TLSv1.1")]
)
def test_old_versions_are_read(version: TLSVersion, name: str) -> None:
    hello = _read(_hello(_context((), version, version, _WEAK)))
    assert hello.versions == (name,)


@pytest.mark.parametrize(
    "ciphers", ["", "ECDHE-RSA-AES128-GCM-SHA256", "AES256-SHA:AES128-SHA", _OLD]
)
def test_the_cipher_suites_are_read_by_openssls_names_in_order(ciphers: str) -> None:
    context = _context(ciphers=ciphers)
    named = [name for name in _read(_hello(context)).cipher_suites if not name.startswith("0x")]
    # What takes a key, or a password, that both know is offered by nobody who was given none.
    allowed = [cipher["name"] for cipher in context.get_ciphers()]
    assert named == [name for name in allowed if {"PSK", "SRP"}.isdisjoint(name.split("-"))]


def test_a_hello_is_incomplete_until_its_last_byte() -> None:
    for length in range(len(_REAL)):
        assert read_client_hello(_REAL[:length]) is None
    assert _read(_REAL).server_name == "some.server.example"


def test_what_follows_the_hello_is_left_alone() -> None:
    assert _read(_REAL + b"\x17\x03\x03 whatever") == _read(_REAL)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_hello_may_be_spread_over_records(size: int) -> None:
    body = _REAL[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    records = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)
    assert _read(records) == _read(_REAL)
    for length in range(0, len(records), 7):
        assert read_client_hello(records[:length]) is None


# Hellos that OpenSSL does not send, put together by RFC 8446 section 4.1.2.


def _vector(prefix: int, content: bytes) -> bytes:
    return len(content).to_bytes(prefix, "big") + content


def _extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + _vector(2, content)


def _server_name(name: bytes) -> bytes:
    return _extension(0, _vector(2, b"\0" + _vector(2, name)))


def _protocols(*names: bytes) -> bytes:
    return _extension(16, _vector(2, b"".join(_vector(1, name) for name in names)))


def _made(
    *extensions: bytes,
    suites: bytes = b"\x13\x01",
    legacy: bytes = b"\x03\x03",
    record: bytes = b"\x16\x03\x01",
) -> bytes:
    body = legacy + bytes(32) + _vector(1, b"") + _vector(2, suites) + _vector(1, b"\0")
    if extensions:
        body += _vector(2, b"".join(extensions))
    return record + _vector(2, b"\x01" + _vector(3, body))


def test_a_hello_without_extensions_offers_its_legacy_version() -> None:
    hello = _read(_made(suites=b"\x00\x2f\xfe\xff"))
    assert hello == Hello(None, (), ("TLSv1.2",), ("AES128-SHA", "0xfeff"))
    assert _read(_made(legacy=b"\x03\x00")).versions == ("SSLv3",)


def test_values_that_keep_servers_tolerant_are_left_out() -> None:
    """GREASE, RFC 8701: as Chrome sends it."""
    hello = _read(
        _made(
            _extension(0x3A3A, b""),
            _protocols(b"\x8a\x8a", b"h2"),
            _extension(43, _vector(1, b"\x7a\x7a\x03\x04\x03\x03")),
            suites=b"\xda\xda\x13\x01",
        )
    )
    assert hello == Hello(None, ("h2",), ("TLSv1.3", "TLSv1.2"), ("TLS_AES_128_GCM_SHA256",))


def test_values_that_only_look_like_those_are_kept() -> None:
    hello = _read(_made(_protocols(b"\x8a\x9a", b"\x8a"), suites=b"\x0a\x1a"))
    assert hello.alpn == ("\\x8a\\x9a", "\\x8a")
    assert hello.cipher_suites == ("0x0a1a",)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b"", ""),
        (b".", "."),
        (b".example", ".example"),
        (b"a..example", "a..example"),
        (b"a\0.example", "a\0.example"),
        (b"a b.example", "a b.example"),
        (b"j\xc3\xb6rg.example", "j\\xc3\\xb6rg.example"),
        (64 * b"x" + b".example", 64 * "x" + ".example"),
        (4 * (63 * b"x" + b"."), 4 * (63 * "x" + ".")),
        (b"127.0.0.1", "127.0.0.1"),
        (b"::1", "::1"),
    ],
)
def test_a_server_name_that_is_no_host_name_is_told_and_not_asked_of_the_server(
    name: bytes, told: str
) -> None:
    hello = _read(_made(_server_name(name)))
    assert hello.server_name == told
    assert hello.askable_name is None


@pytest.mark.parametrize(
    "name", [b"a", b"a.example.", b"under_score.example", b"*.example", 63 * b"x" + b".example"]
)
def test_a_server_name_that_is_a_host_name_can_be_asked_of_the_server_in_turn(name: bytes) -> None:
    server_name = _read(_made(_server_name(name))).askable_name
    assert server_name == name.decode()
    assert _read(_hello(_context(), server_name)).server_name == server_name


@given(st.binary(max_size=300))
def test_a_name_that_is_asked_for_is_one_that_ssl_takes(name: bytes) -> None:
    askable = _read(_made(_server_name(name))).askable_name
    if askable is not None:
        assert askable.encode() == name
        assert _read(_hello(_context(), askable)).server_name == askable


def test_an_empty_server_name_extension_names_nobody() -> None:
    assert _read(_made(_extension(0, b""))).server_name is None
    assert _read(_made(_extension(0, _vector(2, b"")))).server_name is None


def test_an_empty_protocol_is_malformed() -> None:
    with pytest.raises(MalformedError, match="ALPN"):
        read_client_hello(_made(_protocols(b"h2", b"")))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\x01\x03\x01",  # a ClientHello of SSLv2
        b"\x15\x03\x01\x00\x02\x02\x28",  # an alert
        b"\x17\x03\x03\x00\x05hello",  # application data
        b"\x16\x02\x00\x00\x05\x01\x00\x00\x00\x00",  # another major version
        b"\x16\x03\x01\x00\x00",  # an empty record
        b"\x16\x03\x01\x40\x01",  # a record longer than 2^14
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",  # a ClientHello of nothing
        b"\x16\x03\x01\x00\x04\x01\x01\x00\x01",  # a ClientHello of 65,537 bytes
        _made(_extension(16, b"\x00\x09\x02h2")),  # a length beyond the end
        _made(suites=b"\x13\x01\x13"),  # half a cipher suite
    ],
)
def test_bytes_that_are_no_hello_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_client_hello(data)


def test_endless_records_are_given_up() -> None:
    # The hello announces 65,536 bytes and comes one byte a record.
    records = b"\x16\x03\x01\x00\x04\x01\x01\x00\x00" + 30_000 * b"\x16\x03\x01\x00\x01\0"
    with pytest.raises(MalformedError, match="too many small records"):
        read_client_hello(records)
    assert read_client_hello(records[:60_000]) is None


def _in_records(size: int) -> bytes:
    """A hello of so many bytes, each of them in a record of its own."""
    hello = _made(_extension(21, bytes(size)))[5:]  # RFC 7685: padding
    return b"".join(b"\x16\x03\x01\x00\x01" + bytes([byte]) for byte in hello)


@given(st.lists(st.integers(1, 40), max_size=30))
def test_a_hello_is_the_same_in_however_many_pieces(sizes: list[int]) -> None:
    records = _in_records(10)
    reader, at = HelloReader(), 0
    for size in sizes:
        at += size
        if at < len(records):
            assert reader.read(records[:at]) is None
    assert reader.read(records) == _read(records)


def test_the_work_grows_with_the_bytes_of_a_hello_and_not_with_their_square() -> None:
    """A byte at a time, each in a record of its own: four times as many, four times the work."""

    def work(size: int) -> float:
        records = _in_records(size)
        said, reader = bytearray(), HelloReader()
        begun = time.process_time()
        for byte in records:
            said.append(byte)
            hello = reader.read(said)
        assert hello
        return time.process_time() - begun

    work(100)
    assert min(work(16_000) for _ in range(3)) < 10 * min(work(4_000) for _ in range(3))


@given(st.data())
def test_a_hello_gone_wrong_is_read_or_malformed_and_nothing_else(data: st.DataObject) -> None:
    wrong = bytearray(_REAL)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(wrong) - 1))
        wrong[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not wrong:
            break
    _read_or_malformed(bytes(wrong))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_malformed_or_incomplete(data: bytes) -> None:
    _read_or_malformed(data)


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_arbitrary_hellos_are_read_or_malformed(extensions: bytes, suites: bytes) -> None:
    _read_or_malformed(_made(extensions, suites=suites))


def _read_or_malformed(data: bytes) -> None:
    malformed = False
    for length in range(len(data) + 1):
        try:
            read_client_hello(data[:length])
        except MalformedError:
            malformed = True
        else:
            # What has been malformed once is not mended by further bytes.
            assert not malformed
