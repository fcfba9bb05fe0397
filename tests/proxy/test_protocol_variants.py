"""Chains whose flaw is in how they are served, presented by the interceptor."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from mitm import events, pki
from mitm.proxy.greeting import BAD_REQUEST
from tests.pki.verifiers import lax_client
from tests.proxy.stage import (
    PREFACE,
    SETTINGS,
    End,
    Props,
    Stage,
    a_hello,
    a_stage,
    client_context,
    presenting,
    run,
    server_context,
)


def chain(recipe: str) -> pki.Chain:
    names = pki.Authorities(["localhost"])
    return pki.forge(pki.load_recipe(recipe), "localhost", names, datetime.now(UTC))


@contextlib.asynccontextmanager
async def answered_in_plaintext(props: Props) -> AsyncIterator[tuple[Stage, End, End]]:
    """A client that has sent a ClientHello and got plaintext, and the server behind."""
    plaintext = chain("plaintext-http2")
    async with a_stage(props, choose=presenting(plaintext)) as stage:
        client = await stage.dial()
        accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
        await client.send(a_hello())
        assert await client.read_exactly(len(SETTINGS)) == SETTINGS
        yield stage, client, await accepting


@pytest.mark.parametrize("recipe", ["plaintext-http2", "plaintext-http1"])
def test_a_tls_client_that_gets_plaintext_leaves_before_any_data(props: Props, recipe: str) -> None:
    plaintext = chain(recipe)

    async def main() -> None:
        async with a_stage(props, choose=presenting(plaintext)) as stage:
            client = await stage.dial()
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            with pytest.raises(ssl.SSLError, match=r"(?i)wrong.version|record.layer"):
                await client.handshake(client_context(), name="localhost")
            await accepting
            client.writer.close()
            closed = await stage.seen.closed()
            assert (closed.by, closed.client_bytes) == ("client", 0)
            assert closed.phase == "handshake"
            assert stage.seen.one(events.CertificatePresented).certificate == recipe
            assert not stage.seen.all(events.ApplicationData)

    run(main())


def test_plaintext_may_be_that_of_http1_and_who_goes_on_in_it_is_read(props: Props) -> None:
    request = b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"

    async def main() -> None:
        async with a_stage(props, choose=presenting(chain("plaintext-http1"))) as stage:
            client = await stage.dial()
            accepting = asyncio.create_task(stage.server.accept(server_context(props.genuine)))
            await client.send(a_hello())
            assert await client.read_exactly(len(BAD_REQUEST)) == BAD_REQUEST
            server = await accepting
            await client.send(request)
            assert await server.read_exactly(len(request)) == request
            data = await stage.seen.wait(events.ApplicationData)
            assert (data.direction, data.encrypted) == ("client", False)

    run(main())


def test_a_client_that_goes_on_in_plaintext_is_read(props: Props) -> None:
    async def main() -> None:
        async with answered_in_plaintext(props) as (stage, client, server):
            await client.send(PREFACE + SETTINGS)
            assert await server.read_exactly(len(PREFACE + SETTINGS)) == PREFACE + SETTINGS
            data = await stage.seen.wait(events.ApplicationData)
            assert (data.direction, data.encrypted) == ("client", False)
            await server.send(SETTINGS)
            assert await client.read_exactly(len(SETTINGS)) == SETTINGS

    run(main())


@pytest.mark.parametrize(
    ("number", "name"), [(70, "protocol_version"), (10, "unexpected_message"), (99, "99")]
)
def test_an_alert_may_come_byte_by_byte(props: Props, number: int, name: str) -> None:
    async def main() -> None:
        async with answered_in_plaintext(props) as (stage, client, _):
            for byte in b"\x15\x03\x03\x00\x02\x02" + bytes([number]):
                await client.send(bytes([byte]))
            alert = await stage.seen.wait(events.Alert)
            assert (alert.by, alert.name, alert.number) == ("client", name, number)

    run(main())


def test_a_client_that_leaves_without_a_word_has_sent_nothing(props: Props) -> None:
    async def main() -> None:
        async with answered_in_plaintext(props) as (stage, client, _):
            await client.finish()
            closed = await stage.seen.closed()
            assert (closed.by, closed.how, closed.client_bytes) == ("client", "eof", 0)

    run(main())


def test_tls_records_without_end_are_not_collected(props: Props) -> None:
    async def main() -> None:
        async with answered_in_plaintext(props) as (stage, client, _):
            record = b"\x16\x03\x03\x40\x00" + bytes(16_384)
            with contextlib.suppress(OSError):
                for _ in range(20):
                    await client.send(record)
            closed = await stage.seen.closed()
            assert (closed.by, closed.how) == ("attacker", "error")
            assert not stage.seen.all(events.ApplicationData)

    run(main())


@pytest.mark.parametrize(
    ("recipe", "version", "cipher", "alpn"),
    [
        ("genuine", "TLSv1.3", "AES", "h2"),
        ("tls-1.0", "TLSv1", "AES", "h2"),
        ("tls-1.1", "TLSv1.1", "AES", "h2"),
        ("tls-1.2", "TLSv1.2", "AES", "h2"),
        ("no-alpn", "TLSv1.3", "AES", None),
        ("alpn-http1", "TLSv1.3", "AES", "http/1.1"),
        ("anonymous-cipher", "TLSv1.2", "AECDH", "h2"),
        ("null-cipher", "TLSv1.2", "NULL", "h2"),
    ],
)
def test_a_client_that_takes_everything_is_served_as_the_recipe_says(
    props: Props, recipe: str, version: str, cipher: str, alpn: str | None
) -> None:
    presented = chain(recipe)

    async def main() -> None:
        async with a_stage(props, choose=presenting(presented)) as stage:
            server = server_context(props.genuine, alpn=("h2",))
            client, behind = await stage.connect(lax_client(), server)
            done = await stage.seen.wait(events.HandshakeCompleted)
            assert (done.version, done.alpn) == (version, alpn)
            assert cipher in done.cipher
            await client.send(b"hello")
            assert await behind.read_exactly(5) == b"hello"

    run(main())
