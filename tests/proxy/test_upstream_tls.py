"""TLS on one of the two legs alone, and what is said of a server that is spoken to wrongly."""

import asyncio

import pytest

from mitm import events
from mitm.evidence import ClientRun, Observer
from tests.proxy.stage import (
    PREFACE,
    SETTINGS,
    LoopFactory,
    Props,
    Seen,
    a_stage,
    client_context,
    run,
    server_context,
)

# What OpenSSL and Go send a client that begins with something else than TLS: a fatal alert.
ALERT = bytes.fromhex("15030100020246")


def test_a_client_in_plaintext_is_taken_to_a_server_in_tls(props: Props, loop: LoopFactory) -> None:
    async def main() -> Seen:
        async with a_stage(props, upstream_tls=True) as stage:
            client = await stage.dial()
            await client.send(PREFACE)
            server = await stage.server.accept(server_context(props.genuine, alpn=("h2",)))
            assert await server.read_exactly(len(PREFACE)) == PREFACE
            await server.send(SETTINGS)
            assert await client.read_exactly(len(SETTINGS)) == SETTINGS
            await client.finish()
            assert await server.read() == b""
            assert server.notified
            await server.finish()
            assert await client.read() == b""
            await stage.seen.closed()
            return stage.seen

    seen = run(main(), loop)
    connected = seen.one(events.UpstreamConnected)
    assert (connected.version, connected.alpn) == ("TLSv1.3", "h2")
    assert not seen.one(events.ApplicationData, direction="client").encrypted
    assert seen.all(events.CertificatePresented) == []
    assert seen.all(events.HandshakeCompleted) == []
    observer = Observer()
    for event in seen.events:
        observer(event)
    # It is the client's leg that is under test: whoever passes there reads all of it.
    assert observer.observation(ClientRun("ended")).act == "exposed"


def test_a_client_in_tls_is_taken_to_a_server_in_plaintext(props: Props, loop: LoopFactory) -> None:
    async def main() -> Seen:
        async with a_stage(props, upstream_tls=False) as stage:
            client = await stage.dial()
            await client.handshake(client_context(alpn=("h2",)), name="localhost")
            server = await stage.server.accept()
            await client.send(PREFACE)
            assert await server.read_exactly(len(PREFACE)) == PREFACE
            await server.send(SETTINGS)
            assert await client.read_exactly(len(SETTINGS)) == SETTINGS
            await client.finish()
            await server.finish()
            await stage.seen.closed()
            return stage.seen

    seen = run(main(), loop)
    assert seen.one(events.UpstreamConnected).version is None
    assert seen.one(events.HandshakeCompleted).alpn == "h2"
    assert seen.one(events.ApplicationData, direction="client").encrypted


# The hint


@pytest.mark.parametrize(
    ("answer", "upstream_tls", "hint"),
    [
        (SETTINGS, None, "it answers in plaintext: add --upstream-plaintext"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", None, "add --upstream-plaintext"),
        (b"", None, "without an answer; if it takes no TLS, add --upstream-plaintext"),
        (SETTINGS, True, "it answers in plaintext: leave out --upstream-tls"),
    ],
)
def test_of_a_server_that_does_not_answer_in_tls_the_option_is_named(
    props: Props, loop: LoopFactory, answer: bytes, upstream_tls: bool | None, hint: str
) -> None:
    async def main() -> None:
        async with a_stage(props, upstream_tls=upstream_tls) as stage:
            client = await stage.dial()
            handshake = asyncio.create_task(client.handshake(client_context(), name="localhost"))
            server = await stage.server.accept()
            await server.read()
            await server.send(answer)
            await server.finish()
            await stage.seen.closed()
            await asyncio.wait([handshake])
            handshake.exception()
            assert hint in stage.seen.one(events.UpstreamFailed).reason

    run(main(), loop)


def test_its_twin_that_refuses_in_tls_is_given_no_advice(props: Props) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client = await stage.dial()
            handshake = asyncio.create_task(client.handshake(client_context(), name="localhost"))
            server = await stage.server.accept()
            await server.read()
            await server.send(ALERT)
            await server.finish()
            await stage.seen.closed()
            await asyncio.wait([handshake])
            handshake.exception()
            reason = stage.seen.one(events.UpstreamFailed).reason
            assert reason == "the TLS handshake failed: it sent the alert protocol_version (70)"

    run(main())


@pytest.mark.parametrize(
    ("answer", "upstream_tls", "hint"),
    [
        (ALERT, None, "the server answers in TLS: add --upstream-tls"),
        (b"", None, "without an answer; if it takes no plaintext, add --upstream-tls"),
        (b"", False, "leave out --upstream-plaintext"),
    ],
)
def test_of_a_server_that_does_not_answer_plaintext_the_option_is_named(
    props: Props, loop: LoopFactory, answer: bytes, upstream_tls: bool | None, hint: str
) -> None:
    async def main() -> None:
        async with a_stage(props, upstream_tls=upstream_tls) as stage:
            client, server = await stage.connect_plaintext()
            await server.send(answer)
            await server.finish()
            assert await client.read_all() == answer
            await client.finish()
            assert hint in (await stage.seen.closed()).reason

    run(main(), loop)


@pytest.mark.parametrize("answer", [SETTINGS, b""])
def test_its_twins_that_answer_or_are_left_are_given_no_advice(props: Props, answer: bytes) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            client, server = await stage.connect_plaintext()
            await server.send(answer)
            assert await client.read_exactly(len(answer)) == answer
            await client.finish()
            assert await server.read() == b""
            await server.finish()
            assert (await stage.seen.closed()).reason == ""

    run(main())
