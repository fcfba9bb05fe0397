"""A client that offers an old TLS session again is shown the certificate all the same."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from mitm import events
from mitm.address import Address
from mitm.pki.recipe import Tls
from tests.proxy.stage import (
    VERSIONS,
    End,
    Ends,
    LoopFactory,
    Props,
    a_server,
    a_stage,
    client_context,
    presenting,
    run,
    server_context,
)


async def twice(
    ends: Ends, context: ssl.SSLContext, address: Address, accept: Callable[[], Awaitable[End]]
) -> list[bool]:
    """Connect twice, with the session of the first; whether each time a session was resumed."""
    session = None
    resumed = []
    for _ in range(2):
        client = await ends.dial(address)
        accepting = asyncio.ensure_future(accept())
        await client.handshake(context, name="localhost", session=session)
        server = await accepting
        await client.send(b"x")
        assert await server.read_exactly(1) == b"x"
        await server.send(b"y")
        assert await client.read_exactly(1) == b"y"
        session = client.tls.session
        resumed.append(bool(client.tls.session_reused))
        # A session is kept for a connection that has ended well alone (RFC 5246 section 7.2.1).
        await client.finish()
        await server.finish()
        assert await client.read() == b""
    return resumed


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_each_handshake_shows_the_certificate(
    props: Props, loop: LoopFactory, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        async with a_stage(props) as stage:
            genuine = server_context(props.genuine)
            resumed = await twice(
                stage.ends,
                client_context(version=version),
                stage.interceptor.address,
                lambda: stage.server.accept(genuine),
            )
            assert resumed == [False, False]
            assert len(stage.seen.all(events.CertificatePresented)) == 2

    run(main(), loop)


def test_so_does_a_recipe_that_stops_at_tls_1_2(props: Props) -> None:
    async def main() -> None:
        forged = msgspec.structs.replace(props.forged, tls=Tls(maximum="TLSv1.2"))
        async with a_stage(props, choose=presenting(forged)) as stage:
            genuine = server_context(props.genuine)
            resumed = await twice(
                stage.ends,
                client_context(),
                stage.interceptor.address,
                lambda: stage.server.accept(genuine),
            )
            assert resumed == [False, False]
            assert {done.version for done in stage.seen.all(events.HandshakeCompleted)} == {
                "TLSv1.2"
            }

    run(main())


def test_its_twin_before_a_server_that_resumes_is_shown_it_once(props: Props) -> None:
    async def main() -> None:
        async with Ends() as ends, a_server(ends) as server:
            genuine = server_context(props.genuine)
            context = client_context(version=ssl.TLSVersion.TLSv1_2)
            resumed = await twice(ends, context, server.address, lambda: server.accept(genuine))
            assert resumed == [False, True]

    run(main())
