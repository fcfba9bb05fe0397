"""One connection: what is read before it is answered, whom it dials, and how its end is told."""

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import Callable

import pytest

from mitm import events, pki
from mitm.address import Address
from mitm.proxy import arrival, greeting
from mitm.tls import Hello
from tests.proxy.stage import (
    LOCALHOST,
    PREFACE,
    VERSIONS,
    LoopFactory,
    Props,
    a_hello,
    a_stage,
    choosing,
    client_context,
    run,
    server_context,
)

versions = pytest.mark.parametrize("version", VERSIONS)


# Before anything is answered


def test_the_certificate_is_chosen_by_what_the_client_says(props: Props, loop: LoopFactory) -> None:
    hellos: list[Hello] = []

    def choose(hello: Hello) -> pki.Chain:
        hellos.append(hello)
        return props.misnamed if hello.server_name == "other.example" else props.forged

    async def main() -> None:
        async with a_stage(props, choose=choosing(choose)) as stage:
            for name, chain in (("localhost", props.forged), ("other.example", props.misnamed)):
                client, _ = await stage.connect(name=name)
                assert client.tls.getpeercert(binary_form=True) == chain.certificates[0]

    run(main(), loop)
    assert [hello.server_name for hello in hellos] == ["localhost", "other.example"]


def test_the_hello_is_told_as_the_client_sent_it(props: Props) -> None:
    context = client_context(alpn=("h2", "http/1.1"), version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    hellos: list[Hello] = []

    def choose(hello: Hello) -> pki.Chain:
        hellos.append(hello)
        return props.forged

    async def main() -> None:
        async with a_stage(props, choose=choosing(choose)) as stage:
            await stage.connect(context)
            told = stage.seen.one(events.ClientHello)
        (hello,) = hellos
        for seen in (hello, told):
            assert seen.server_name == "localhost"
            assert seen.alpn == ("h2", "http/1.1")
            assert seen.versions == ("TLSv1.2",)
            assert seen.cipher_suites[:2] == (
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-ECDSA-AES256-GCM-SHA384",
            )

    run(main())


def test_a_hello_may_come_byte_by_byte(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            for byte in a_hello():
                await client.send(bytes([byte]))
                await asyncio.sleep(0)
            await stage.server.accept(server_context(props.genuine))
            assert await stage.seen.wait(events.CertificatePresented)

    run(main(), loop)


def test_the_whole_forged_chain_is_presented(props: Props) -> None:
    """A client that trusts the attacker's CA can build a path; one that trusts the lab cannot."""

    async def main() -> None:
        async with a_stage(props) as stage:
            await stage.connect(client_context(trust=props.attacker_ca))
            presented = stage.seen.one(events.CertificatePresented)
            assert presented.sha256 == hashlib.sha256(props.forged.certificates[0]).hexdigest()
            assert presented.certificate == "attacker-ca"
            assert "localhost" in presented.subjects[0]
            assert "DO NOT TRUST" in presented.issuer

            refusing = await stage.dial()
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            with pytest.raises(ssl.SSLCertVerificationError):
                await refusing.handshake(client_context(trust=props.lab_ca), name="localhost")
            await accepting

    run(main())


@pytest.mark.parametrize("cut", [1, 3, 23])
def test_plaintext_http2_is_recognised_however_it_is_cut(
    props: Props, loop: LoopFactory, cut: int
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(PREFACE[:cut])
            await asyncio.sleep(0)
            await client.send(PREFACE[cut:] + b"more")
            server = await stage.server.accept()
            assert await server.read_exactly(len(PREFACE) + 4) == PREFACE + b"more"
            upstream = stage.seen.one(events.UpstreamConnected)
            assert (upstream.version, upstream.alpn) == (None, None)
            assert stage.seen.one(events.Plaintext)
            assert stage.seen.all(events.CertificatePresented) == []

    run(main(), loop)


RUBBISH = {
    "half a preface": b"PRI * HTTP/1.1\r\n\r\n",
    "a byte": b"\0",
    "a ServerHello": b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "all bytes": bytes(range(256)) * 1000,
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
def test_a_peer_that_speaks_neither_tls_nor_http2_is_turned_away(
    props: Props, rubbish: bytes
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            with contextlib.suppress(ConnectionError):
                await client.send(rubbish)
            closed = await stage.seen.closed()
            with contextlib.suppress(ConnectionResetError):
                assert await client.read() == b""
            assert stage.seen.all(events.UpstreamConnected) == []
        assert (closed.by, closed.how, closed.phase) == ("attacker", "not-tls", "hello")
        assert "neither TLS nor HTTP" in closed.reason

    run(main())


@pytest.mark.parametrize(
    "said",
    [b"", a_hello()[:100], PREFACE[:10]],
    ids=["nothing", "half a hello", "half a preface"],
)
def test_a_client_may_leave_before_it_has_said_what_it_wants(
    props: Props, loop: LoopFactory, said: bytes
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(said)
            await client.finish()
            closed = await stage.seen.closed()
            assert await client.read() == b""
        assert (closed.by, closed.how, closed.phase) == ("client", "eof", "hello")
        assert f"received {len(said)} bytes" in closed.reason

    run(main(), loop)


def test_a_reset_before_the_hello_is_the_clients(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await stage.seen.wait(events.Connected)
            client.reset()
            closed = await stage.seen.closed()
        assert (closed.by, closed.how, closed.phase) == ("client", "reset", "hello")

    run(main(), loop)


# The server


def test_the_server_is_asked_for_what_the_client_asked_for(props: Props) -> None:
    names: list[str | None] = []
    context = server_context(props.genuine, alpn=("h2",))
    context.sni_callback = lambda tls, name, _: names.append(name)

    async def main() -> None:
        async with a_stage(props) as stage:
            await stage.connect(client_context(alpn=("h2",)), context)
            upstream = stage.seen.one(events.UpstreamConnected)
            assert upstream.address == str(stage.server.address)
            assert (upstream.version, upstream.alpn) == ("TLSv1.3", "h2")
        assert names == ["localhost"]

    run(main())


def test_what_the_server_sees_as_its_peer_is_recorded(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect()
            peer = server.writer.get_extra_info("peername")
            assert stage.seen.one(events.UpstreamConnected).local == f"{peer[0]}:{peer[1]}"
            own = client.writer.get_extra_info("sockname")
            assert stage.seen.one(events.Connected).client == f"{own[0]}:{own[1]}"

    run(main(), loop)


@pytest.mark.parametrize(
    ("offered", "served", "chosen"),
    [
        (("h2", "http/1.1"), ("h2",), "h2"),
        (("h2", "http/1.1"), ("http/1.1",), "http/1.1"),
        (("h2", "http/1.1"), ("http/1.1", "h2"), "http/1.1"),
        (("h2",), (), None),
        ((), ("h2",), None),
    ],
)
def test_the_client_is_given_the_protocol_that_the_server_chose(
    props: Props, offered: tuple[str, ...], served: tuple[str, ...], chosen: str | None
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect(
                client_context(alpn=offered), server_context(props.genuine, alpn=served)
            )
            assert server.tls.selected_alpn_protocol() == chosen
            assert client.tls.selected_alpn_protocol() == chosen
            assert (await stage.seen.wait(events.HandshakeCompleted)).alpn == chosen
            await client.send(b"relayed all the same")
            assert await server.read_exactly(20) == b"relayed all the same"

    run(main())


@pytest.mark.parametrize("replaced", [b"sp\xc3\xa4/3", b"sp\0y/3", b"\xff" * 200])
def test_no_protocol_that_a_client_offers_breaks_the_dialling(
    props: Props, replaced: bytes
) -> None:
    placeholder = "x" * len(replaced)
    hello = a_hello(client_context(alpn=("h2", placeholder)))

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(hello.replace(placeholder.encode(), replaced))
            server = await stage.server.accept(server_context(props.genuine, alpn=("h2",)))
            assert server.tls.selected_alpn_protocol() == "h2"
            await stage.seen.wait(events.CertificatePresented)

    run(main())


def test_a_client_without_sni_is_served(props: Props) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect(name=None)
            assert stage.seen.one(events.ClientHello).server_name is None
            await client.send(b"hello")
            assert await server.read_exactly(5) == b"hello"

    run(main())


async def turned_away(props: Props, address: Address, first: bytes | None = None) -> str:
    """Dial an interceptor whose server fails; give the reason that it names."""
    async with a_stage(props, upstream=address) as stage:
        client = await stage.dial()
        await client.send(a_hello() if first is None else first)
        closed = await stage.seen.closed()
        assert await client.read() == b""
        failed = stage.seen.one(events.UpstreamFailed)
        assert failed.address == str(address)
        # The client was shown nothing, so that nothing is said of what it would have done.
        assert stage.seen.all(events.CertificatePresented) == []
    assert (closed.by, closed.how, closed.phase) == ("attacker", "error", "hello")
    assert failed.reason in closed.reason
    return failed.reason


@pytest.mark.parametrize("first", [a_hello(), PREFACE], ids=["tls", "plaintext"])
def test_a_server_that_is_not_there(props: Props, loop: LoopFactory, first: bytes) -> None:
    with socket.create_server(LOCALHOST) as taken:
        address = Address(*taken.getsockname())
    assert run(turned_away(props, address, first), loop) == "Connection refused"


async def against(props: Props, answer: Callable[[socket.socket], None]) -> str:
    """Dial an interceptor whose server answers the ClientHello as given."""
    with socket.create_server(LOCALHOST) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                answer(accepted)

        serving = asyncio.create_task(asyncio.to_thread(serve))
        reason = await turned_away(props, Address(*listener.getsockname()))
        await serving
        return reason


def test_a_server_that_closes_at_once(props: Props, loop: LoopFactory) -> None:
    reason = run(against(props, lambda sock: sock.shutdown(socket.SHUT_RDWR)), loop)
    assert reason.startswith("the TLS handshake failed: it closed the connection without an answer")


def test_a_server_that_speaks_no_tls(props: Props, loop: LoopFactory) -> None:
    def answer(sock: socket.socket) -> None:
        sock.recv(65_536)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    reason = run(against(props, answer), loop)
    assert reason.startswith("the TLS handshake failed: it answers in plaintext: ")


def test_a_server_that_refuses_the_handshake(props: Props, loop: LoopFactory) -> None:
    def answer(sock: socket.socket) -> None:
        # Without a certificate there is no cipher suite to agree on.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(sock, server_side=True)

    reason = run(against(props, answer), loop)
    assert reason == "the TLS handshake failed: it sent the alert handshake_failure (40)"


# Time limits


def a_silent_server() -> socket.socket:
    """It accepts, by way of the kernel, and says nothing."""
    return socket.create_server(LOCALHOST)


@pytest.mark.parametrize(
    "said",
    [b"", a_hello()[:100], PREFACE[:10]],
    ids=["nothing", "half a hello", "half a preface"],
)
def test_a_client_that_falls_silent_before_its_hello_is_over_is_given_up(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(arrival, "HELLO_SECONDS", 0.05)

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(said)
            closed = await stage.seen.closed()
            assert await client.read() == b""
        assert (closed.by, closed.how, closed.phase) == ("attacker", "time-limit", "hello")
        assert closed.reason.startswith("no complete ClientHello within 0.05 s; received ")

    run(main(), loop)


def test_a_server_that_does_not_answer_is_given_up(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greeting, "HANDSHAKE_SECONDS", 0.05)
    with a_silent_server() as silent:
        reason = run(turned_away(props, Address(*silent.getsockname())), loop)
    assert reason == "no answer within 0.05 s"


def test_a_server_that_does_not_accept_is_given_up(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "DIAL_SECONDS", 0.05)
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(LOCALHOST, backlog=0))
        # The kernel answers no SYN once the queue is full.
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        reason = run(turned_away(props, Address(*full.getsockname())), loop)
    assert reason == "no answer within 0.05 s"


@versions
def test_a_client_that_falls_silent_in_the_handshake_is_given_up(
    props: Props, loop: LoopFactory, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(greeting, "HANDSHAKE_SECONDS", 0.05)

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(a_hello(client_context(version=VERSIONS[version])))
            await stage.server.accept(server_context(props.genuine))
            closed = await stage.seen.closed()
        assert (closed.by, closed.how, closed.phase) == ("attacker", "time-limit", "handshake")
        assert closed.reason == "the handshake was not completed within 0.05 s"
        assert stage.seen.all(events.HandshakeCompleted) == []

    run(main(), loop)


def test_an_established_connection_may_be_silent_for_as_long_as_it_likes(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "HELLO_SECONDS", 5.0)
    monkeypatch.setattr(arrival, "DIAL_SECONDS", 5.0)
    monkeypatch.setattr(greeting, "HANDSHAKE_SECONDS", 5.0)

    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect()
            await stage.seen.wait(events.HandshakeCompleted)
            # Past every limit, by the loop's clock.
            loop = asyncio.get_running_loop()
            now = loop.time
            monkeypatch.setattr(loop, "time", lambda: now() + 6)
            await asyncio.sleep(0)
            await client.send(b"still here")
            assert await server.read_exactly(10) == b"still here"

    run(main())


# Who left, when and how


def call(address: Address, context: ssl.SSLContext) -> bytes:
    """An ordinary client of Python's `ssl`, with a blocking socket."""
    with (
        socket.create_connection(address) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"secret")
        return tls.recv(100)


@versions
def test_a_client_that_verifies_leaves_with_an_alert_in_the_handshake(
    props: Props, loop: LoopFactory, version: str
) -> None:
    """In TLS 1.3 the server's side has said all it has to say by then, and must not conclude."""
    context = client_context(trust=props.lab_ca, version=VERSIONS[version])

    async def main() -> None:
        async with a_stage(props) as stage:
            calling = asyncio.create_task(
                asyncio.to_thread(call, stage.interceptor.address, context)
            )
            server = await stage.server.accept(server_context(props.genuine))
            with pytest.raises(ssl.SSLCertVerificationError):
                await calling
            closed = await stage.seen.closed()
            assert await server.read_all() == b""
        alert = stage.seen.one(events.Alert)
        assert (alert.by, alert.name, alert.number) == ("client", "unknown_ca", 48)
        assert (closed.by, closed.how, closed.phase) == ("client", "alert", "handshake")
        assert (closed.client_bytes, closed.server_bytes) == (0, 0)
        assert stage.seen.all(events.HandshakeCompleted) == []
        assert stage.seen.all(events.ApplicationData) == []

    run(main(), loop)


@versions
def test_its_twin_that_does_not_verify_is_read(
    props: Props, loop: LoopFactory, version: str
) -> None:
    context = client_context(version=VERSIONS[version])

    async def main() -> None:
        async with a_stage(props) as stage:
            calling = asyncio.create_task(
                asyncio.to_thread(call, stage.interceptor.address, context)
            )
            server = await stage.server.accept(server_context(props.genuine))
            assert await server.read_exactly(6) == b"secret"
            await server.send(b"answer")
            assert await calling == b"answer"
            assert await server.read_all() == b""
            await server.finish()
            closed = await stage.seen.closed()
        assert stage.seen.one(events.HandshakeCompleted).version == version
        assert stage.seen.one(events.ApplicationData, direction="client").sample == b"secret"
        assert stage.seen.all(events.Alert) == []
        assert (closed.by, closed.phase) == ("client", "established")
        assert (closed.client_bytes, closed.server_bytes) == (6, 6)

    run(main(), loop)


@versions
def test_a_client_that_leaves_in_the_handshake_without_a_word(
    props: Props, loop: LoopFactory, version: str
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            await client.send(a_hello(client_context(version=VERSIONS[version])))
            await stage.server.accept(server_context(props.genuine))
            assert await client.read() != b""
            await client.finish()
            closed = await stage.seen.closed()
        assert (closed.by, closed.how, closed.phase) == ("client", "eof", "handshake")
        assert stage.seen.all(events.HandshakeCompleted) == []
        assert stage.seen.all(events.Alert) == []

    run(main(), loop)


@pytest.mark.parametrize(("notify", "how"), [(True, "close-notify"), (False, "eof")])
@versions
def test_a_client_that_leaves_after_the_handshake_without_a_byte(
    props: Props, version: str, notify: bool, how: str
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect(client_context(version=VERSIONS[version]))
            await client.finish(notify=notify)
            await server.finish()
            closed = await stage.seen.closed()
        assert (closed.by, closed.how, closed.phase) == ("client", how, "established")
        assert stage.seen.one(events.HandshakeCompleted).version == version
        assert stage.seen.all(events.ApplicationData) == []

    run(main())


def test_the_alert_of_a_server_is_the_servers(props: Props, loop: LoopFactory) -> None:
    """A server that wants a client certificate says so, in TLS 1.3, after the handshake."""
    context = server_context(props.genuine, version=ssl.TLSVersion.TLSv1_3)
    context.load_verify_locations(props.lab_ca)
    context.verify_mode = ssl.CERT_REQUIRED

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            accepting = asyncio.create_task(stage.server.accept(context))
            await client.handshake(client_context(), name="localhost")
            with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
                await accepting
            # The client is nobody's concern but the attacker's now.
            await client.finish()
            closed = await stage.seen.closed()
        refused = stage.seen.one(events.ClientCertificateRefused)
        assert (refused.how, refused.alert, refused.number) == (
            "alert",
            "certificate_required",
            116,
        )
        assert not stage.seen.all(events.Alert)
        assert (closed.by, closed.phase) == ("client", "established")

    run(main(), loop)


def test_a_handshake_that_fails_here_is_not_blamed_on_the_client(props: Props) -> None:
    """A client without a cipher suite in common, say: nothing is known of how it verifies."""
    context = client_context(version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # the forged key is an ECDSA key

    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
                await client.handshake(context, name="localhost")
            with contextlib.suppress(ssl.SSLError, EOFError):
                await accepting
            closed = await stage.seen.closed()
        assert (closed.by, closed.how) == ("attacker", "error")

    run(main())


def test_a_chain_that_cannot_be_presented_ends_its_connection_alone(
    props: Props, loop: LoopFactory
) -> None:
    def choose(hello: Hello) -> pki.Chain:
        if hello.server_name == "other.example":
            raise pki.Unsupported("OpenSSL refuses to present it: ee key too small")
        return props.forged

    async def main() -> None:
        async with a_stage(props, choose=choosing(choose)) as stage:
            client = await stage.dial()
            await client.send(a_hello(name="other.example"))
            await stage.server.accept(server_context(props.genuine))
            closed = await stage.seen.closed()
            assert await client.read() == b""
            await stage.connect()
        assert (closed.by, closed.how) == ("attacker", "error")
        assert "ee key too small" in closed.reason

    run(main(), loop)


def test_what_nobody_has_foreseen_is_named_and_not_quoted(props: Props, loop: LoopFactory) -> None:
    """Its text may hold anything: an address in memory, or what the client has sent."""

    def choose(hello: Hello) -> pki.Chain:
        raise LookupError(object(), hello.server_name)

    async def main() -> None:
        async with a_stage(props, choose=choosing(choose)) as stage:
            client = await stage.dial()
            await client.send(a_hello())
            await stage.server.accept(server_context(props.genuine))
            closed = await stage.seen.closed()
            assert await client.read() == b""
        assert (closed.by, closed.how) == ("attacker", "error")
        assert closed.reason == "unforeseen: LookupError"

    run(main(), loop)
