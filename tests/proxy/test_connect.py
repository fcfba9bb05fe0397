"""An HTTP CONNECT proxy: what it is asked, what it answers, and whom it leaves alone."""

import asyncio
import contextlib
import socket
import ssl
import string
import time
from collections.abc import AsyncIterator, Collection
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm import events, pki
from mitm.address import Address
from mitm.proxy import Interceptor, arrival, connection
from mitm.proxy.connect import HEAD_LIMIT, RefusedError, read_request, refusal
from mitm.tls import Hello
from tests.cutting import cuts, pieces
from tests.proxy.stage import (
    LIMIT,
    LOCALHOST,
    PREFACE,
    End,
    Ends,
    LoopFactory,
    Props,
    Seen,
    Stage,
    a_hello,
    a_server,
    choosing,
    client_context,
    run,
    server_context,
)

# What is asked


def asked(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"CONNECT {target} HTTP/1.1", *fields, "", ""]).encode()


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("localhost:50051", Address("localhost", 50051)),
        ("API.Example:443", Address("api.example", 443)),
        ("127.0.0.1:1", Address("127.0.0.1", 1)),
        ("[::1]:65535", Address("::1", 65535)),
        ("[0:0:0:0:0:0:0:1]:443", Address("::1", 443)),
    ],
)
def test_a_request_says_where_to_go_and_what_follows_is_kept(target: str, address: Address) -> None:
    request = asked(target, f"Host: {target}", "User-Agent: grpc-c/58.0.0", "Empty:")
    assert read_request(request) == (address, b"")
    assert read_request(request + b"\x16\x03\x01 and so on") == (address, b"\x16\x03\x01 and so on")
    # RFC 9112 section 2.2: what a lenient reader takes.
    assert read_request(b"\r\n" + request.replace(b"\r\n", b"\n")) == (address, b"")


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (asked("localhost"), 400, "HOST:PORT"),
        (asked("localhost:"), 400, "HOST:PORT"),
        (asked("localhost:0"), 400, "HOST:PORT"),
        (asked("localhost:65536"), 400, "HOST:PORT"),
        (asked("localhost:https"), 400, "HOST:PORT"),
        (asked(":443"), 400, "HOST:PORT"),
        (asked("user@localhost:443"), 400, "HOST:PORT"),
        (asked("https://localhost:443"), 400, "HOST:PORT"),
        (asked("localhost:443/path"), 400, "HOST:PORT"),
        (asked("h\u00f6st:443"), 400, "HOST:PORT"),
        (asked("local\0host:443"), 400, "HOST:PORT"),
        (asked("[::1:443"), 400, "HOST:PORT"),
        (asked("[1.2.3.4]:443"), 400, "not an IPv6 address"),
        (asked("local host:443"), 400, "request line"),
        (b"CONNECT localhost:443\r\n\r\n", 400, "request line"),
        (b"CONNECT localhost:443 HTTP/2.0\r\n\r\n", 400, "request line"),
        (b"CONNECT localhost:443 SPDY\r\n\r\n", 400, "request line"),
        (asked("localhost:443", "no colon"), 400, "without a name"),
        (asked("localhost:443", "a space : x"), 400, "without a name"),
        (asked("localhost:443", ": x"), 400, "without a name"),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "knows CONNECT alone"),
        (b"POST / HTTP/1.0\r\n\r\n", 405, "knows CONNECT alone"),
        pytest.param(a_hello(), 400, "not an HTTP request", id="a ClientHello"),
        (PREFACE, 400, "request line"),
        (b"\x00", 400, "not an HTTP request"),
    ],
)
def test_what_is_no_request_for_a_tunnel_is_refused(data: bytes, status: int, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as refused:
        read_request(data)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("request_", "quoted"),
    [
        (b"CONNECT localhost:443 HTTP/2.0\r\n\r\n", "'CONNECT localhost:443 HTTP/2.0'"),
        (b"CONNECT local host:443 HTTP/1.1\r\n\r\n", "'CONNECT local host:443 HTTP/1.1'"),
        (asked("https://localhost:443"), "'https://localhost:443'"),
        (asked("localhost"), "'localhost'"),
        (asked("h\u00f6st:443"), "'h\u00f6st:443'"),
        (b"CONNECT h\xf6st:443 HTTP/1.1\r\n\r\n", r"'h\xf6st:443'"),
        (asked("a\x1b[2Jb:1:2"), r"'a\x1b[2Jb:1:2'"),
        (asked("a\u202eb:1:2"), r"'a\u202eb:1:2'"),
        (asked("[1.2.3.4]:443"), "'[1.2.3.4]:443'"),
        (asked(200 * "x"), "'" + 100 * "x" + "…'"),
        (asked("localhost:443", "no colon"), "'no'…"),
        (asked("localhost:443", "a space : x"), "'a'…"),
        # Credentials, wherever they stand.
        (asked("user:swordfish@localhost:443"), "'…@localhost:443'"),
        (asked("https://user:swordfish@localhost:443"), "'https://…@localhost:443'"),
        (asked("localhost:443", "Proxy-Authorization Basic swordfish"), "'Proxy-Authorization'…"),
        (asked("localhost:443", "Proxy-Authorization : Basic swordfish"), "'Proxy-Authorization'…"),
        (asked("localhost:443", ": swordfish"), "''…"),
        (b"CONNECT localhost:443 Bearer swordfish\r\n\r\n", "'CONNECT localhost:443 Bearer …'"),
        (b"CONNECT " + 60 * b"x" + b" Basic swordfish\r\n\r\n", "Basic …'"),
    ],
)
def test_the_refusal_of_a_malformed_request_quotes_what_came_but_no_credentials(
    request_: bytes, quoted: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        read_request(request_)
    assert refused.value.status == HTTPStatus.BAD_REQUEST
    assert quoted in str(refused.value)
    assert "swordfish" not in refusal(refused.value).decode()
    assert str(refused.value).isprintable()


@given(st.binary(max_size=300))
def test_no_refusal_is_more_than_a_line(rest: bytes) -> None:
    with contextlib.suppress(RefusedError):
        read_request(b"CONNECT " + rest + b"\r\n\r\n")
        return
    with pytest.raises(RefusedError) as refused:
        read_request(b"CONNECT " + rest + b"\r\n\r\n")
    assert str(refused.value).isprintable()
    assert len(refusal(refused.value)) < 1000


def test_the_work_on_a_head_that_comes_byte_by_byte_grows_with_its_bytes() -> None:
    def work(size: int) -> float:
        request = asked("localhost:443", "X: " + size * "x")
        said, seen = bytearray(), 0
        begun = time.process_time()
        for byte in request:
            said.append(byte)
            if found := read_request(said, seen):
                break
            seen = len(said)
        assert found == (Address("localhost", 443), b"")
        return time.process_time() - begun

    work(100)
    assert min(work(16_000) for _ in range(3)) < 10 * min(work(4_000) for _ in range(3))


def test_a_head_may_be_long_but_not_longer_than_the_limit() -> None:
    request = asked("localhost:443", "X: " + "x" * (HEAD_LIMIT - 100))
    assert read_request(request) == (Address("localhost", 443), b"")
    assert read_request(request[:-4]) is None
    endless = request[:-4] + b"x" * 100
    with pytest.raises(RefusedError) as refused:
        read_request(endless)
    assert refused.value.status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


@given(st.binary(max_size=200), st.data())
def test_anything_is_a_request_incomplete_or_refused_however_it_is_cut(
    rest: bytes, data: st.DataObject
) -> None:
    opening = data.draw(st.sampled_from([b"", b"CONNECT ", asked("localhost:443")]))

    def outcome(received: bytes) -> object:
        try:
            return read_request(received)
        except RefusedError as error:
            return error.status

    whole = outcome(opening + rest)
    received = b""
    for piece in pieces(opening + rest, data.draw(cuts)):
        received += piece
        if (early := outcome(received)) is not None:
            # What is decided is decided: more bytes change no status, and no destination.
            if isinstance(early, tuple):
                assert isinstance(whole, tuple)
                assert whole[0] == early[0]
            else:
                assert whole == early or whole in (400, 405)
            break


@given(
    st.one_of(
        st.text(string.ascii_lowercase + string.digits + ".-", min_size=1, max_size=60),
        st.ip_addresses(v=4).map(str),
        st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    ),
    st.integers(1, 65_535),
)
def test_the_target_is_read_as_the_standard_library_reads_it(host: str, port: int) -> None:
    request = read_request(asked(f"{host}:{port}"))
    assert request
    other = urlsplit(f"//{host}:{port}")
    assert request[0] == Address(other.hostname or "", other.port or 0)


def test_a_refusal_is_a_response_with_one_line_that_says_why() -> None:
    error = RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "CONNECT alone")
    head, _, content = refusal(error).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: CONNECT\r\n" in head
    assert f"Content-Length: {len(content)}".encode() in head
    assert content == b"mitm-demo: CONNECT alone\n"


# What is answered


@contextlib.asynccontextmanager
async def a_proxy(
    props: Props,
    *,
    intercept: Collection[str] = ("localhost",),
    upstream: Address | None = None,
    allowed: Collection[str] = (),
    asked_for: list[str | None] | None = None,
) -> AsyncIterator[Stage]:
    """A CONNECT proxy that presents the forged chain, and a server."""
    seen = Seen()

    def choose(hello: Hello) -> pki.Chain:
        if asked_for is not None:
            asked_for.append(hello.server_name)
        return props.forged

    async with (
        Ends() as ends,
        a_server(ends) as server,
        Interceptor(
            mode="connect",
            listen=LOCALHOST,
            upstream=upstream,
            choose=choosing(choose),
            schema=props.schema,
            on_event=seen,
            intercept=intercept,
            allow_hosts=allowed,
        ) as interceptor,
    ):
        yield Stage(props, seen, server, interceptor, ends)


async def tunnel(stage: Stage, host: str = "localhost") -> End:
    """A client's socket, with a tunnel to the server on it."""
    client = await stage.dial()
    await client.send(asked(f"{host}:{stage.server.address.port}"))
    assert await client.read() == b"HTTP/1.1 200 Connection established\r\n\r\n"
    return client


async def answer(stage: Stage, request: bytes) -> str:
    """What a request comes to, read to the end of the connection."""
    client = await stage.dial()
    await client.send(request)
    return (await client.read_all()).decode()


def closed_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


def test_a_host_under_test_is_intercepted(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with a_proxy(props) as stage:
            client = await tunnel(stage)
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            await client.handshake(client_context(trust=props.attacker_ca), name="localhost")
            server = await accepting
            await client.send(b"a secret")
            assert await server.read_exactly(8) == b"a secret"
            await server.send(b"an answer")
            assert await client.read_exactly(9) == b"an answer"
            await client.finish()
            await server.finish()
            await stage.seen.closed()
        port = stage.server.address.port
        assert stage.seen.one(events.Destination).address == f"localhost:{port}"
        assert stage.seen.one(events.ApplicationData, direction="client").sample == b"a secret"
        assert stage.seen.all(events.Tunnelled) == []

    run(main(), loop)


def test_a_client_that_verifies_leaves_as_it_does_without_a_proxy(props: Props) -> None:
    async def main() -> None:
        async with a_proxy(props) as stage:
            client = await tunnel(stage)
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.handshake(client_context(trust=props.lab_ca), name="localhost")
            await accepting
            closed = await stage.seen.closed()
        assert (closed.by, closed.how) == ("client", "alert")
        assert stage.seen.one(events.Alert).name == "unknown_ca"
        assert stage.seen.all(events.ApplicationData) == []

    run(main())


def test_a_host_not_under_test_passes_untouched_and_unread(props: Props, loop: LoopFactory) -> None:
    """The client sees the server's own certificate, and nobody sees what passes."""

    async def main() -> None:
        async with a_proxy(props, intercept=["other.example"]) as stage:
            client = await tunnel(stage)
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            await client.handshake(client_context(trust=props.lab_ca), name="localhost")
            server = await accepting
            await client.send(b"a secret")
            assert await server.read_exactly(8) == b"a secret"
            await client.finish()
            assert await server.read() == b""
            # Half a close is passed on as half a close.
            await server.send(b"an answer")
            assert await client.read_exactly(9) == b"an answer"
            await server.finish()
            closed = await stage.seen.closed()
        kinds = [type(event) for event in stage.seen.events]
        told = [events.Connected, events.Destination, events.Tunnelled, events.Closed]
        assert kinds == told
        assert stage.seen.one(events.Tunnelled).name == "localhost"
        assert (closed.phase, closed.client_bytes) == ("tunnelled", 0)

    run(main(), loop)


@pytest.mark.parametrize("direction", ["client", "server"])
def test_a_reset_is_handed_on_where_nothing_is_read(
    props: Props, loop: LoopFactory, direction: str
) -> None:
    async def main() -> None:
        async with a_proxy(props, intercept=["other.example"]) as stage:
            client = await tunnel(stage)
            await client.send(b"x")
            server = await stage.server.accept()
            assert await server.read_exactly(1) == b"x"
            await server.send(b"y")
            assert await client.read_exactly(1) == b"y"
            leaving, staying = (client, server) if direction == "client" else (server, client)
            leaving.reset()
            with pytest.raises(ConnectionResetError):
                await staying.read()
            closed = await stage.seen.closed()
            assert (closed.by, closed.how) == (direction, "reset")

    run(main(), loop)


@pytest.mark.parametrize(
    ("under_test", "tunnelled"),
    [("127.0.0.1", False), ("localhost", False), ("LOCALHOST.", False), ("127.0.0.2", True)],
)
def test_a_host_is_under_test_by_the_address_asked_for_or_by_its_name(
    props: Props, loop: LoopFactory, under_test: str, tunnelled: bool
) -> None:
    names: list[str | None] = []

    async def main() -> None:
        async with a_proxy(props, intercept=[under_test], asked_for=names) as stage:
            client = await tunnel(stage, "127.0.0.1")
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            trust = props.lab_ca if tunnelled else props.attacker_ca
            await client.handshake(client_context(trust=trust), name="localhost")
            await accepting
            await stage.seen.wait(events.Tunnelled if tunnelled else events.HandshakeCompleted)

    run(main(), loop)
    # The certificate is to be for the name that the client expects.
    assert names == ([] if tunnelled else ["localhost"])


async def asking(stage: Stage, host: str, sni: bytes) -> tuple[End, list[str | None]]:
    """A client that has sent a ClientHello with such a name, and what the server was asked for."""
    asked_of_server: list[str | None] = []
    context = server_context(stage.props.genuine)
    context.sni_callback = lambda tls, name, context: asked_of_server.append(name)
    client = await tunnel(stage, host)
    placeholder = (len(sni) * "x.")[: len(sni) - 1] + "x"
    await client.send(a_hello(name=placeholder).replace(placeholder.encode(), sni))
    await stage.server.accept(context)
    return client, asked_of_server


@pytest.mark.parametrize(
    ("under_test", "host", "sni", "name"),
    [
        # RFC 6066 section 3: literal addresses are not permitted, and are not asked for.
        ("localhost", "localhost", b"127.0.0.1", "localhost"),
        ("localhost", "localhost", b"::1", "localhost"),
        # Though it should not be there, it is what the client says.
        ("127.0.0.2", "localhost", b"127.0.0.2", "127.0.0.2"),
        ("localhost", "localhost", b"a..b", "localhost"),
        ("localhost", "localhost", b"j\xc3\xb6rg", "localhost"),
        ("localhost", "localhost", b"a\0b", "localhost"),
        ("localhost", "localhost", 64 * b"y", "localhost"),
    ],
)
def test_a_name_that_is_none_hides_nobody_and_is_not_asked_of_the_server(
    props: Props, loop: LoopFactory, under_test: str, host: str, sni: bytes, name: str
) -> None:
    names: list[str | None] = []

    async def main() -> None:
        async with a_proxy(props, intercept=[under_test], asked_for=names) as stage:
            _, asked_of_server = await asking(stage, host, sni)
            await stage.seen.wait(events.CertificatePresented)
            assert asked_of_server == [None]
            told = stage.seen.one(events.ClientHello).server_name
            assert told == sni.decode("ascii", "backslashreplace")

    run(main(), loop)
    assert names == [name]


def test_an_address_as_a_name_is_under_test_for_nobody_else(props: Props) -> None:
    """The twin: neither the host nor the address is under test."""

    async def main() -> None:
        async with a_proxy(props, intercept=["127.0.0.2"]) as stage:
            client = await tunnel(stage)
            await client.send(a_hello(name="xxxxxxxxx").replace(b"xxxxxxxxx", b"127.0.0.1"))
            assert (await stage.seen.wait(events.Tunnelled)).name == "localhost"

    run(main())


def test_a_name_under_test_that_only_the_hello_tells_is_dialled_where_one_says(
    props: Props, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with (
            Ends() as ends,
            a_server(ends) as real,
            a_proxy(props, intercept=["localhost"], upstream=real.address) as stage,
        ):
            client = await tunnel(stage, "127.0.0.1")
            accepting = asyncio.create_task(real.accept(server_context(props.genuine)))
            await client.handshake(client_context(trust=props.attacker_ca), name="localhost")
            server = await accepting
            await client.send(b"a secret")
            assert await server.read_exactly(8) == b"a secret"
            assert stage.seen.one(events.UpstreamConnected).address == str(real.address)
            # Where the client wanted to go, nobody has said a word.
            assert await (await stage.server.accept()).read_all() == b""

    run(main(), loop)


def test_without_sni_it_is_what_was_asked_for_that_the_certificate_is_for(props: Props) -> None:
    async def main() -> None:
        names: list[str | None] = []
        asked_of_server: list[str | None] = []
        async with a_proxy(props, intercept=["127.0.0.1"], asked_for=names) as stage:
            client = await tunnel(stage, "127.0.0.1")
            context = server_context(props.genuine)
            context.sni_callback = lambda tls, name, context: asked_of_server.append(name)
            accepting = asyncio.create_task(stage.server.accept(context))
            await client.handshake(client_context(), name=None)
            await accepting
            await stage.seen.wait(events.HandshakeCompleted)
        # The server is asked as the client has asked: for no name.
        assert asked_of_server == [None]
        assert names == ["127.0.0.1"]
        assert stage.seen.one(events.ClientHello).server_name is None

    run(main())


@pytest.mark.parametrize("host", ["localhost.", "localhost"])
def test_without_sni_the_server_is_asked_for_the_name_without_its_dot(
    props: Props, host: str
) -> None:
    """RFC 6066 section 3. Go's server answers a name with one by `decode_error`."""
    asked_of_server: list[str | None] = []
    context = server_context(props.genuine)
    context.sni_callback = lambda tls, name, context: asked_of_server.append(name)

    async def main() -> None:
        async with a_proxy(props, intercept=["localhost"]) as stage:
            client = await tunnel(stage, host)
            accepting = asyncio.create_task(stage.server.accept(context))
            await client.handshake(client_context(), name=None)
            await accepting

    run(main())
    assert asked_of_server == ["localhost"]


@pytest.mark.parametrize("under_test", ["LOCALHOST", "localhost."])
def test_names_are_the_same_in_any_case_and_with_the_dot_of_the_root(
    props: Props, under_test: str
) -> None:
    async def main() -> None:
        async with a_proxy(props, intercept=[under_test]) as stage:
            client = await tunnel(stage, "LocalHost")
            await client.send(PREFACE)
            assert await (await stage.server.accept()).read_exactly(len(PREFACE)) == PREFACE
            await stage.seen.wait(events.Plaintext)

    run(main())


def test_a_protocol_in_which_the_server_speaks_first_passes_at_once(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "HELLO_SECONDS", 2 * LIMIT)

    async def main() -> None:
        async with a_proxy(props, intercept=["other.example"]) as stage:
            client = await tunnel(stage)
            server = await stage.server.accept()
            await server.send(b"220 ready")
            assert await client.read_exactly(9) == b"220 ready"
            await client.send(b"EHLO")
            assert await server.read_exactly(4) == b"EHLO"

    run(main(), loop)


@pytest.mark.parametrize("word", [b"SSH-2.0-client\r\n", b"\x16\x03\x01\x00\x05rubbish", PREFACE])
def test_a_protocol_that_is_not_tls_passes_where_the_host_is_not_under_test(
    props: Props, word: bytes
) -> None:
    async def main() -> None:
        async with a_proxy(props, intercept=["other.example"]) as stage:
            client = await tunnel(stage)
            await client.send(word)
            server = await stage.server.accept()
            assert await server.read_exactly(len(word)) == word
            assert stage.seen.all(events.Plaintext) == []

    run(main())


def test_a_client_that_says_nothing_passes_after_a_while(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "HELLO_SECONDS", 0.05)

    async def main() -> None:
        async with a_proxy(props, intercept=["other.example"]) as stage:
            client = await tunnel(stage)
            await stage.seen.wait(events.Tunnelled)
            await client.send(b"after all")
            assert await (await stage.server.accept()).read_exactly(9) == b"after all"

    run(main())


def test_a_hello_that_comes_with_the_request_is_not_lost(props: Props) -> None:
    """An eager client does not wait for the answer."""

    async def main() -> None:
        async with a_proxy(props) as stage:
            client = await stage.dial()
            await client.send(asked(f"localhost:{stage.server.address.port}") + a_hello())
            await stage.seen.wait(events.ClientHello)
            await stage.server.accept(server_context(props.genuine))
            await stage.seen.wait(events.CertificatePresented)
            assert (await client.read()).startswith(b"HTTP/1.1 200")

    run(main())


def test_a_name_under_test_is_dialled_where_one_says(props: Props) -> None:
    """The name need not be anybody's, least of all this machine's."""

    async def main() -> None:
        async with Ends() as ends, a_server(ends) as real:
            override = real.address
            async with a_proxy(props, intercept=["api.example"], upstream=override) as stage:
                client = await tunnel(stage, "api.example")
                await client.send(PREFACE)
                assert await (await real.accept()).read_exactly(len(PREFACE)) == PREFACE
                connected = await stage.seen.wait(events.UpstreamConnected)
                assert connected.address == str(override)
                # Others are dialled where the client wants to go, all the same.
                await (await tunnel(stage, "localhost")).send(b"x")
                assert await (await stage.server.accept()).read_exactly(1) == b"x"

    run(main())


@pytest.mark.parametrize("intercept", ["api.example", "192.0.2.1", "localhost"])
@pytest.mark.parametrize("host", ["api.example", "192.0.2.1", "localhost.example"])
def test_a_host_that_is_not_this_machine_is_refused_under_test_or_not(
    props: Props, intercept: str, host: str
) -> None:
    async def main() -> None:
        async with a_proxy(props, intercept=[intercept]) as stage:
            said = await answer(stage, asked(f"{host}:443"))
            assert said.startswith("HTTP/1.1 403 Forbidden\r\n")
            assert said.endswith(
                f"{host}:443 is not on this machine: add --allow-host {host} "
                "if you own that host and may test it\n"
            )
            closed = await stage.seen.closed()
            assert "--allow-host" in closed.reason
            assert stage.seen.all(events.UpstreamFailed) == []

    run(main())


def test_a_host_that_was_allowed_is_dialled(props: Props, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the refusals. The name leads to this machine, whatever DNS would say."""
    resolve = socket.getaddrinfo

    def to_loopback(host: str, *arguments: object, **options: object) -> object:
        name = "127.0.0.1" if host == "api.example" else host
        return resolve(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", to_loopback)

    async def main() -> None:
        async with a_proxy(props, intercept=["other.example"], allowed=["api.example"]) as stage:
            client = await tunnel(stage, "api.example")
            await client.send(b"x")
            assert await (await stage.server.accept()).read_exactly(1) == b"x"

    run(main())


def test_a_server_that_is_not_there_is_a_502_with_the_reason(props: Props) -> None:
    async def main() -> None:
        async with a_proxy(props) as stage:
            port = closed_port()
            said = await answer(stage, asked(f"localhost:{port}"))
            assert said.startswith("HTTP/1.1 502 Bad Gateway\r\n")
            assert "Connection refused" in said
            assert (await stage.seen.closed()).by == "attacker"
            assert stage.seen.one(events.UpstreamFailed).address == f"localhost:{port}"

    run(main())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed"),
        (b"CONNECT localhost HTTP/1.1\r\n\r\n", "400 Bad Request"),
        (b"\x16\x03\x01", "400 Bad Request"),
        (b"GET " + b"x" * 2 * HEAD_LIMIT, "431 Request Header Fields Too Large"),
        # What it sends is taken, lest a reset overtakes the answer.
        (b"POST http://localhost/ HTTP/1.1\r\n\r\n" + bytes(2**20), "405 Method Not Allowed"),
    ],
)
def test_what_is_no_request_for_a_tunnel_is_answered(
    props: Props, loop: LoopFactory, request_: bytes, status: str
) -> None:
    async def main() -> None:
        async with a_proxy(props) as stage:
            client = await stage.dial()
            await client.send(request_)
            said = (await client.read_all()).decode()
            assert said.startswith(f"HTTP/1.1 {status}\r\n")
            assert "\r\n\r\nmitm-demo: " in said
            await client.finish()
            closed = await stage.seen.closed()
            assert (closed.by, closed.how) == ("attacker", "error")
            assert closed.reason.startswith(status[:3])

    run(main(), loop)


@pytest.mark.parametrize(("host", "told"), [("LOCALHOST:80", True), ("other.test", False)])
def test_a_request_in_plaintext_for_a_host_under_test_is_told(
    props: Props, loop: LoopFactory, host: str, told: bool
) -> None:
    async def main() -> None:
        async with a_proxy(props) as stage:
            client = await stage.dial()
            await client.send(b"GET http://%b/users HTTP/1.1\r\nHost: x\r\n\r\n" % host.encode())
            assert (await client.read_all()).startswith(b"HTTP/1.1 405 ")
            await client.finish()
            await stage.seen.closed()
            assert bool(stage.seen.all(events.ApplicationData)) == told

    run(main(), loop)


def test_half_a_request_and_then_silence_is_given_up(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "HELLO_SECONDS", 0.05)

    async def main() -> None:
        async with a_proxy(props) as stage:
            client = await stage.dial()
            await client.send(b"CONNECT localhost:4")
            assert (await client.read_all()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            await client.finish()
            closed = await stage.seen.closed()
            assert (closed.by, closed.how) == ("attacker", "time-limit")

    run(main())


def test_a_refused_client_that_does_not_leave_is_cut_off(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "REFUSAL_SECONDS", 0.05)
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.05)

    async def main() -> None:
        async with a_proxy(props) as stage:
            client = await stage.dial()
            await client.send(b"GET / HTTP/1.1\r\n\r\n")
            await client.read_all()
            await stage.seen.closed()
            await stage.interceptor.drain(LIMIT)

    run(main())


@pytest.mark.parametrize("request_", [b"", b"CONNECT local"])
def test_a_client_that_leaves_before_it_has_asked_is_recorded(
    props: Props, request_: bytes
) -> None:
    async def main() -> None:
        async with a_proxy(props) as stage:
            client = await stage.dial()
            if request_:
                await client.send(request_)
            await client.finish()
            closed = await stage.seen.closed()
            assert (closed.by, closed.how, closed.phase) == ("client", "eof", "hello")
            assert stage.seen.all(events.Destination) == []

    run(main())
