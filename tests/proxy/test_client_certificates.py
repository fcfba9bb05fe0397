"""Client certificates: what the client is asked for, and what the server is given and refuses."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import grpc
import h2.connection
import h2.events
import msgspec
import pytest

from mitm import events, pki
from mitm.address import Address
from mitm.errors import UserError
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor, greeting
from mitm.proxy import interceptor as interceptor_module
from mitm.proxy.contexts import Contexts
from mitm.tls import Hello, TlsLeg, client_certificate, read_client_hello
from tests.proxy.stage import (
    LOCALHOST,
    PREFACE,
    SETTINGS,
    VERSIONS,
    End,
    Ends,
    LoopFactory,
    Props,
    Seen,
    Stage,
    a_hello,
    a_server,
    a_stage,
    client_context,
    presenting,
    run,
    server_context,
)

HTTP_2 = ("h2",)
NAME = "client.example"

# Recipes, for a certificate that a client presents: what a server that knows a CA is to make of
# them is of no matter to an attacker.
RECIPES = (
    "genuine", "attacker-ca", "self-signed", "expired", "not-yet-valid", "eku-code-signing",
    "no-eku", "bad-signature", "intermediate", "attacker-ca-rsa", "imitated-ca",
)  # fmt: skip

CERTIFICATE_VERIFY = 15  # RFC 5246 section 7.4


class Identities:
    """Certificates that clients present."""

    def __init__(self) -> None:
        self._authorities = pki.Authorities([NAME])
        self.ca_pem = self._authorities.lab.pem

    def __getitem__(self, recipe: str) -> pki.Chain:
        made = pki.load_recipe(recipe)
        return pki.forge(made, NAME, self._authorities, datetime.now(UTC), purpose="client")


@pytest.fixture(scope="module")
def identities() -> Identities:
    return Identities()


@pytest.fixture(params=list(VERSIONS.values()), ids=list(VERSIONS))
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    found: ssl.TLSVersion = request.param
    return found


def asking(
    props: Props,
    identities: Identities,
    version: ssl.TLSVersion | None = None,
    how: ssl.VerifyMode = ssl.CERT_REQUIRED,
    alpn: tuple[str, ...] = HTTP_2,
) -> ssl.SSLContext:
    """The genuine server's TLS, which asks its clients for a certificate of the lab's CA."""
    context = server_context(props.genuine, alpn=alpn, version=version)
    context.load_verify_locations(cadata=identities.ca_pem.decode())
    context.verify_mode = how
    return context


def a_client(
    identity: pki.Chain | None = None,
    version: ssl.TLSVersion | None = None,
    alpn: tuple[str, ...] = HTTP_2,
) -> ssl.SSLContext:
    """A careless client's TLS, with a certificate of its own or without."""
    context = client_context(alpn=alpn, version=version)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if identity:
        pki.load_chain(context, identity)
    return context


async def serve(stage: Stage, context: ssl.SSLContext) -> End:
    """The next connection to the server, which says its first word."""
    end = await stage.server.accept(context)
    await end.send(SETTINGS)
    return end


async def refuse(stage: Stage, context: ssl.SSLContext) -> str:
    """The next connection to the server, which refuses it; the reason."""
    end = await stage.server.accept()
    with pytest.raises(ssl.SSLError) as raised:
        await end.handshake(context, server_side=True)
    with contextlib.suppress(OSError):
        await end.finish(notify=False)
    return str(raised.value.reason)


# Towards the client


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_client_is_asked_where_the_server_asks_and_whatever_it_presents_is_told(
    props: Props, identities: Identities, version: ssl.TLSVersion, recipe: str
) -> None:
    identity = identities[recipe]

    async def main() -> None:
        async with a_stage(props) as stage:
            how = asking(props, identities, how=ssl.CERT_OPTIONAL)
            accepting = asyncio.create_task(serve(stage, how))
            client = await stage.dial()
            await client.handshake(a_client(identity, version), name="localhost")
            server = await accepting
            # As to the server, the attacker has none.
            assert server.tls.getpeercert(binary_form=True) is None
            assert await client.read_exactly(len(SETTINGS)) == SETTINGS
            await client.send(PREFACE)
            assert await server.read_exactly(len(PREFACE)) == PREFACE
            told = stage.seen.one(events.ClientCertificate)
            assert told.subject == identity.subjects[0]
            assert told.issuer == identity.issuer
            assert told.sha256 == identity.sha256
            assert told.names == (NAME,)
            assert told.proved
            assert stage.seen.one(events.HandshakeCompleted).version == client.tls.version()
            assert not stage.seen.all(events.ClientCertificateRefused)
            kinds = [type(event) for event in stage.seen.events]
            shown = kinds.index(events.CertificatePresented)
            assert kinds[shown : shown + 3] == [
                events.CertificatePresented,
                events.ClientCertificate,
                events.HandshakeCompleted,
            ]

    run(main())


def test_a_client_that_has_none_gets_on_all_the_same(
    props: Props, identities: Identities, version: ssl.TLSVersion, loop: LoopFactory
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            how = asking(props, identities, how=ssl.CERT_OPTIONAL)
            accepting = asyncio.create_task(serve(stage, how))
            client = await stage.dial()
            await client.handshake(a_client(version=version), name="localhost")
            server = await accepting
            await client.send(PREFACE)
            assert await server.read_exactly(len(PREFACE)) == PREFACE
            assert stage.seen.one(events.ClientCertificate).subject is None

    run(main(), loop)


def test_a_client_is_not_asked_where_the_server_does_not_ask(
    props: Props, identities: Identities, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            context = a_client(identities["genuine"], version)
            await stage.connect(context, server_context(props.genuine, alpn=HTTP_2))
            await stage.seen.wait(events.HandshakeCompleted)
            assert not stage.seen.all(events.ClientCertificate)

    run(main())


@pytest.mark.parametrize("ask", [True, False])
def test_a_client_is_asked_or_not_if_that_was_said(
    props: Props, identities: Identities, version: ssl.TLSVersion, ask: bool
) -> None:
    how = ssl.CERT_NONE if ask else ssl.CERT_OPTIONAL

    async def main() -> None:
        async with a_stage(props, ask_client=ask) as stage:
            accepting = asyncio.create_task(serve(stage, asking(props, identities, how=how)))
            client = await stage.dial()
            await client.handshake(a_client(identities["genuine"], version), name="localhost")
            await accepting
            await stage.seen.wait(events.HandshakeCompleted)
            assert len(stage.seen.all(events.ClientCertificate)) == ask

    run(main())


def test_a_client_is_asked_where_there_is_no_server_to_ask(
    props: Props, identities: Identities
) -> None:
    async def main(ask: bool | None) -> int:
        seen: list[events.Event] = []
        interceptor = Interceptor(
            upstream=None,
            choose=presenting(props.forged),
            on_event=seen.append,
            impersonate=True,
            ask_client=ask,
        )
        async with Ends() as ends, interceptor:
            client = await ends.dial(interceptor.address)
            await client.handshake(a_client(identities["genuine"]), name="localhost")
            await client.send(PREFACE)
            assert (await client.read())[3:4] == SETTINGS[3:4]
        return sum(isinstance(event, events.ClientCertificate) for event in seen)

    assert run(main(True)) == 1
    assert run(main(None)) == 0


def test_it_is_told_if_a_client_does_not_prove_that_it_holds_the_key(
    props: Props, identities: Identities
) -> None:
    identity = identities["genuine"]

    class Liar(End):
        """Spoils its signature, which is in the clear in TLS 1.2."""

        async def _flush(self) -> None:
            data = bytearray(self._outgoing.read())
            at = data.find(bytes((22, 3, 3)))
            while at >= 0 and at + 5 < len(data):
                size = int.from_bytes(data[at + 3 : at + 5], "big")
                if data[at] == 22 and data[at + 5] == CERTIFICATE_VERIFY:
                    data[at + 4 + size] ^= 1
                at += 5 + size
            if data:
                self.writer.write(data)

    async def main() -> None:
        async with a_stage(props, ask_client=True) as stage:
            accepting = asyncio.create_task(
                stage.server.accept(server_context(props.genuine, alpn=HTTP_2))
            )
            reader, writer = await asyncio.open_connection(*stage.interceptor.address)
            stage.ends.adopt(reader, writer)
            liar = Liar(reader, writer)
            with pytest.raises(ssl.SSLError):
                await liar.handshake(a_client(identity, ssl.TLSVersion.TLSv1_2), name="localhost")
            await accepting
            closed = await stage.seen.closed()
            told = stage.seen.one(events.ClientCertificate)
            assert (told.sha256, told.proved) == (identity.sha256, False)
            assert (closed.by, closed.phase) == ("attacker", "handshake")

    run(main())


def test_nothing_looks_at_messages_once_the_handshake_has_completed(
    props: Props, identities: Identities, version: ssl.TLSVersion
) -> None:
    contexts = Contexts(None)
    presented = pki.Presentation(props.forged)
    hello = a_read_hello(a_client(version=version))
    towards_client = contexts.client_leg(hello, presented, "h2", asking=True)
    towards_server = contexts.upstream_leg(hello, "localhost")
    for leg, peer in (
        (towards_client, a_client(version=version)),
        (towards_server, asking(props, identities, version, ssl.CERT_OPTIONAL)),
    ):
        assert callback(leg) is not None
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        other = peer.wrap_bio(incoming, outgoing, server_side=leg is towards_server)
        done = False
        while not done:
            done = leg.handshake()
            incoming.write(leg.to_send())
            try:
                other.do_handshake()
            except ssl.SSLWantReadError:
                done = False
            leg.receive(outgoing.read())
        assert callback(leg) is None
    assert towards_server.asked
    assert towards_client.client_chain == ()


def a_read_hello(context: ssl.SSLContext) -> Hello:
    hello = read_client_hello(a_hello(context))
    assert hello
    return hello


def callback(leg: TlsLeg) -> object:
    found: object = leg._tls.context._msg_callback  # type: ignore[attr-defined]
    return found


def test_where_python_does_not_show_messages_asking_is_unsupported_and_all_else_goes_on(
    props: Props, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_certificate, "SUPPORTED", False)
    monkeypatch.setattr(interceptor_module, "SUPPORTED", False)

    async def main() -> None:
        with pytest.raises(UserError, match="does not show the messages of a handshake"):
            async with a_stage(props, ask_client=True):
                pass
        async with a_stage(props) as stage:
            how = asking(props, identities, how=ssl.CERT_OPTIONAL)
            accepting = asyncio.create_task(serve(stage, how))
            client = await stage.dial()
            await client.handshake(a_client(identities["genuine"]), name="localhost")
            server = await accepting
            await client.send(PREFACE)
            assert await server.read_exactly(len(PREFACE)) == PREFACE
            assert not stage.seen.all(events.ClientCertificate)

    run(main())


# Towards the server


def test_the_server_is_given_what_a_thief_has(
    props: Props, identities: Identities, version: ssl.TLSVersion, loop: LoopFactory
) -> None:
    stolen = identities["genuine"]

    async def main() -> None:
        async with a_stage(props, client_certificate=stolen) as stage:
            accepting = asyncio.create_task(serve(stage, asking(props, identities, version)))
            client = await stage.dial()
            await client.handshake(a_client(), name="localhost")
            server = await accepting
            assert server.tls.getpeercert(binary_form=True) == stolen.certificates[0]
            assert await client.read_exactly(len(SETTINGS)) == SETTINGS
            await client.send(PREFACE)
            assert await server.read_exactly(len(PREFACE)) == PREFACE
            assert not stage.seen.all(events.ClientCertificateRefused)
            told = msgspec.json.encode(stage.seen.events)
            assert stolen.key_pem.splitlines()[1] not in told

    run(main(), loop)


# What a server of OpenSSL refuses, and how; in TLS 1.2 it has another alert for want of any.
REFUSED = {
    None: {"TLSv1.2": ("handshake_failure", 40), "TLSv1.3": ("certificate_required", 116)},
    "attacker-ca": dict.fromkeys(VERSIONS, ("unknown_ca", 48)),
    "expired": dict.fromkeys(VERSIONS, ("certificate_expired", 45)),
    "eku-code-signing": dict.fromkeys(VERSIONS, ("unsupported_certificate", 43)),
}


@pytest.mark.parametrize("stolen", REFUSED, ids=str)
@pytest.mark.parametrize("spoken", VERSIONS)
def test_a_refusal_is_told_and_the_attacker_goes_on_alone(
    props: Props, identities: Identities, loop: LoopFactory, spoken: str, stolen: str | None
) -> None:
    alert, number = REFUSED[stolen][spoken]
    identity = identities[stolen] if stolen else None

    async def main() -> None:
        async with a_stage(props, client_certificate=identity) as stage:
            context = asking(props, identities, VERSIONS[spoken])
            refusing = asyncio.create_task(refuse(stage, context))
            client = await stage.dial()
            await client.handshake(a_client(identities["genuine"]), name="localhost")
            await refusing
            assert client.tls.selected_alpn_protocol() == "h2"
            status = await call(client)
            assert status["grpc-status"] == "14"
            told = stage.seen.one(events.ClientCertificateRefused)
            assert (told.how, told.alert, told.number) == ("alert", alert, number)
            assert told.presented == (identity is not None)
            assert told.address == str(stage.server.address)
            assert stage.seen.one(events.UpstreamConnected).stand_in
            assert stage.seen.one(events.ClientCertificate).proved
            request = await stage.seen.wait(events.Headers, kind="request")
            assert request.method == "/a.B/C"

    run(main(), loop)


@pytest.mark.parametrize("rewrites", [False, True])
def test_so_it_does_behind_a_tunnel_and_where_what_passes_is_changed(
    props: Props, identities: Identities, version: ssl.TLSVersion, rewrites: bool
) -> None:
    seen = Seen()
    tap = Shown()
    rules = Rules(["metadata:x=y"], props.schema) if rewrites else None

    async def main() -> None:
        async with (
            Ends() as ends,
            a_server(ends) as server,
            Interceptor(
                upstream=server.address,
                choose=presenting(props.forged),
                on_event=seen,
                mode="connect",
                intercept=("localhost",),
                rules=rules,
                tap=tap,
            ) as interceptor,
        ):
            stage = Stage(props, seen, server, interceptor, ends)
            refusing = asyncio.create_task(refuse(stage, asking(props, identities, version)))
            client = await stage.dial()
            await client.send(b"CONNECT localhost:443 HTTP/1.1\r\n\r\n")
            assert (await client.read()).startswith(b"HTTP/1.1 200 ")
            await client.handshake(a_client(), name="localhost")
            await refusing
            assert (await call(client))["grpc-status"] == "14"
            assert len(seen.all(events.ClientCertificateRefused)) == 1
            # The client, the server that has refused, and the stand-in.
            assert tap.dialled == [False, True, True]

    run(main())


class Shown:
    """A tap that notes which connections it is shown."""

    def __init__(self) -> None:
        self.dialled: list[bool] = []
        self.key_log = os.devnull

    def opened(self, local: Address, remote: Address, *, dialled: bool) -> "Shown":
        self.dialled.append(dialled)
        return self

    def settle(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def sent(self, data: bytes) -> None: ...
    def received_end(self, *, reset: bool) -> None: ...
    def sent_end(self, *, reset: bool) -> None: ...
    def secrets_awaited(self) -> None: ...
    def secrets_told(self) -> None: ...


@pytest.mark.parametrize("presents", [False, True])
def test_without_going_on_alone_the_server_counts_as_not_reached(
    props: Props, identities: Identities, version: ssl.TLSVersion, presents: bool
) -> None:
    identity = identities["expired"] if presents else None
    said = (
        "the server refused the client certificate: alert certificate_expired (45)"
        if presents
        else "the server asks for a client certificate: add --client-cert FILE and "
        "--client-key FILE"
    )

    async def main() -> None:
        async with a_stage(props, client_certificate=identity, goes_on_alone=False) as stage:
            refusing = asyncio.create_task(refuse(stage, asking(props, identities, version)))
            client = await stage.dial()
            with pytest.raises((EOFError, ConnectionResetError)):
                await client.handshake(a_client(), name="localhost")
            await refusing
            closed = await stage.seen.closed()
            assert closed.reason == f"the server was not reached: {said}"
            assert stage.seen.one(events.UpstreamFailed).reason == said
            assert stage.seen.one(events.ClientCertificateRefused).presented == presents
            assert not stage.seen.all(events.CertificatePresented)

    run(main())


@pytest.mark.parametrize("how", ["eof", "reset", "close-notify"])
def test_a_refusal_may_be_without_an_alert(
    props: Props, identities: Identities, loop: LoopFactory, how: str
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            context = asking(props, identities, how=ssl.CERT_OPTIONAL)
            accepting = asyncio.create_task(stage.server.accept(context))
            client = await stage.dial()
            shaking = asyncio.create_task(client.handshake(a_client(), name="localhost"))
            server = await accepting
            if how == "reset":
                server.reset()
            else:
                await server.finish(notify=how == "close-notify")
            await shaking
            assert (await call(client))["grpc-status"] == "14"
            told = stage.seen.one(events.ClientCertificateRefused)
            assert (told.how, told.alert, told.number) == (how, "", None)

    run(main(), loop)


def test_a_server_that_says_nothing_at_first_is_waited_for_a_while_only(
    props: Props, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greeting, "FIRST_WORD_SECONDS", 0.01)

    async def main() -> None:
        async with a_stage(props) as stage:
            context = asking(props, identities, how=ssl.CERT_OPTIONAL)
            client, server = await stage.connect(a_client(), context)
            await client.send(PREFACE)
            assert await server.read_exactly(len(PREFACE)) == PREFACE
            await server.send(SETTINGS)
            assert await client.read_exactly(len(SETTINGS)) == SETTINGS
            assert not stage.seen.all(events.ClientCertificateRefused)

    run(main())


@pytest.mark.parametrize("alpn", [HTTP_2, ("http/1.1",), ()], ids=str)
def test_a_server_that_asks_and_ends_later_has_not_refused(
    props: Props, identities: Identities, alpn: tuple[str, ...]
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            context = asking(props, identities, how=ssl.CERT_OPTIONAL, alpn=alpn)
            accepting = asyncio.create_task(serve(stage, context))
            client = await stage.dial()
            await client.handshake(a_client(alpn=alpn), name="localhost")
            server = await accepting
            assert await client.read_exactly(len(SETTINGS)) == SETTINGS
            await server.finish()
            assert await client.read() == b""
            await client.finish()
            await stage.seen.closed()
            assert not stage.seen.all(events.ClientCertificateRefused)

    run(main())


def test_a_server_that_complains_of_a_client_that_has_hung_up_has_not_refused(
    props: Props, identities: Identities
) -> None:
    """OpenSSL has an alert for that, which comes before any application byte of the server's."""

    async def main() -> None:
        async with a_stage(props) as stage:
            context = asking(props, identities, how=ssl.CERT_OPTIONAL, alpn=())
            accepting = asyncio.create_task(stage.server.accept(context))
            client = await stage.dial()
            await client.handshake(a_client(alpn=()), name="localhost")
            server = await accepting
            await client.finish(notify=False)
            assert await server.read() == b""
            await server.complain()
            await server.finish(notify=False)
            await stage.seen.closed()
            assert stage.seen.one(events.Alert).by == "server"
            assert not stage.seen.all(events.ClientCertificateRefused)

    run(main())


@pytest.mark.parametrize("alpn", [("http/1.1",), ()], ids=str)
def test_a_server_of_another_protocol_that_refuses_is_done_without(
    props: Props, identities: Identities, version: ssl.TLSVersion, alpn: tuple[str, ...]
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            context = asking(props, identities, version, alpn=alpn)
            refusing = asyncio.create_task(refuse(stage, context))
            client = await stage.dial()
            await client.handshake(a_client(alpn=alpn), name="localhost")
            await refusing
            await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await client.read_all()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert stage.seen.one(events.ClientCertificateRefused).how == "alert"

    run(main())


def test_a_server_that_refuses_late_is_told_of(
    props: Props, identities: Identities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greeting, "REFUSAL_COMES_SECONDS", 0)

    async def main() -> None:
        async with a_stage(props) as stage:
            context = asking(props, identities, ssl.TLSVersion.TLSv1_3, alpn=("http/1.1",))
            refusing = asyncio.create_task(refuse(stage, context))
            client = await stage.dial()
            await client.handshake(a_client(alpn=("http/1.1",)), name="localhost")
            await client.send(b"GET / HTTP/1.1\r\n\r\n")
            await refusing
            assert await client.read_all() == b""
            await stage.seen.closed()
            told = stage.seen.one(events.ClientCertificateRefused)
            assert told.alert == "certificate_required"

    run(main())


def test_a_chain_that_openssl_will_not_present_is_told_at_the_start(props: Props) -> None:
    broken = msgspec.structs.replace(props.genuine, key_pem=props.forged.key_pem)

    async def main() -> None:
        with pytest.raises(UserError, match=r"the client certificate is of no use: OpenSSL"):
            async with a_stage(props, client_certificate=broken):
                pass

    run(main())


async def call(client: End) -> dict[str, str]:
    """Make a call over HTTP/2, and read its status."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    asked = {":method": "POST", ":scheme": "https", ":authority": "localhost", ":path": "/a.B/C"}
    asked |= {"content-type": "application/grpc", "te": "trailers"}
    connection.send_headers(1, list(asked.items()))
    connection.send_data(1, bytes(5), end_stream=True)
    await client.send(connection.data_to_send())
    status: dict[str, str] = {}
    while "grpc-status" not in status:
        data = await client.read()
        assert data
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                status |= {str(name): str(value) for name, value in decoded(event.headers)}
    return status


def decoded(headers: Iterable[tuple[bytes | str, bytes | str]]) -> Iterator[tuple[str, str]]:
    for pair in headers:
        name, value = (each.decode() if isinstance(each, bytes) else each for each in pair)
        yield name, value


@pytest.mark.parametrize("stolen", ["genuine", "attacker-ca", "expired", None], ids=str)
def test_grpcio_refuses_without_an_alert_and_that_is_told(
    props: Props,
    identities: Identities,
    version: ssl.TLSVersion,
    stolen: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends a connection without HTTP/2 in the same way, whatever it was given."""
    made = Contexts._unverifying

    def limited(contexts: Contexts, alpn: tuple[str, ...]) -> ssl.SSLContext:
        context = made(contexts, alpn)
        context.maximum_version = version
        return context

    monkeypatch.setattr(Contexts, "_unverifying", limited)
    server = grpc.server(ThreadPoolExecutor(1))
    pair = props.genuine.key_pem, props.genuine.pem
    insisting = grpc.ssl_server_credentials([pair], identities.ca_pem, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", insisting)
    server.start()

    async def main() -> None:
        identity = identities[stolen] if stolen else None
        upstream = LOCALHOST._replace(port=port)
        async with a_stage(props, upstream=upstream, client_certificate=identity) as stage:
            client = await stage.dial()
            await client.handshake(a_client(), name="localhost")
            status = (await call(client))["grpc-status"]
            refusals = stage.seen.all(events.ClientCertificateRefused)
            if stolen == "genuine":
                # It knows no method.
                assert (status, refusals) == ("12", [])
            else:
                assert (status, [each.how for each in refusals]) == ("14", ["eof"])
                assert refusals[0].presented == (identity is not None)
        async with a_stage(props, upstream=upstream, client_certificate=identity) as stage:
            client = await stage.dial()
            await client.handshake(a_client(alpn=()), name="localhost")
            if stolen == "genuine" or version is ssl.TLSVersion.TLSv1_3:
                assert await client.read_all() == b""
                assert not stage.seen.all(events.ClientCertificateRefused)

    try:
        run(main())
    finally:
        server.stop(None)
