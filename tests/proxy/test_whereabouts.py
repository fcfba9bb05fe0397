"""Where hosts really are: what leads to this machine, to another, or back to the interceptor."""

import contextlib
import os
import socket
from collections.abc import AsyncIterator

import pytest

from mitm import events
from mitm.address import Address
from mitm.errors import UserError
from mitm.proxy import Interceptor, Mode, transparent
from mitm.proxy.whereabouts import is_here, is_listened_on
from tests.proxy.stage import (
    LIMIT,
    LOCALHOST,
    PREFACE,
    End,
    Ends,
    LoopFactory,
    Props,
    Seen,
    Server,
    a_server,
    presenting,
    run,
)

ELSEWHERE = Address("192.0.2.7", 40_000)


@contextlib.asynccontextmanager
async def a_way(
    props: Props,
    mode: Mode,
    *,
    upstream: Address | None = None,
    intercept: str = "other.example",
    allowed: tuple[str, ...] = (),
) -> AsyncIterator[tuple[Interceptor, Server, Ends, Seen]]:
    async with (
        Ends() as ends,
        a_server(ends) as server,
        Interceptor(
            mode=mode,
            upstream=upstream or (server.address if mode == "reverse" else None),
            intercept=[] if mode == "reverse" else [intercept],
            allow_hosts=allowed,
            choose=presenting(props.forged),
            on_event=(seen := Seen()),
        ) as intercepting,
    ):
        yield intercepting, server, ends, seen


def come_from(monkeypatch: pytest.MonkeyPatch, address: Address) -> None:
    """Let clients seem to come from elsewhere, which takes another machine."""
    take = Interceptor._take

    def taken(self: Interceptor, number: int, client: socket.socket, _: Address) -> None:
        take(self, number, client, address)

    monkeypatch.setattr(Interceptor, "_take", taken)


def lead(monkeypatch: pytest.MonkeyPatch, name: str, *hosts: str) -> list[str]:
    """Let a name lead to these addresses, on asyncio's loop; gives what was looked up."""
    resolve = socket.getaddrinfo
    asked: list[str] = []

    def led(host: str, port: int, *arguments: object, **options: object) -> object:
        asked.append(host)
        if host != name:
            return resolve(host, port, *arguments, **options)  # type: ignore[arg-type]
        return [each for to in hosts for each in resolve(to, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", led)
    return asked


async def tunnel(client: End, target: str) -> bytes:
    await client.send(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    return await client.read()


# This machine, for a client that is not on it


HERE = ["localhost", "LOCALHOST.", "127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]"]


@pytest.mark.parametrize("host", [*HERE, "0.0.0.0", "[::]", "inside.example"])  # noqa: S104
def test_a_client_from_elsewhere_does_not_reach_this_machine(
    props: Props, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_from(monkeypatch, ELSEWHERE)
    lead(monkeypatch, "inside.example", "192.0.2.1", "127.0.0.1")
    allowed = ("0.0.0.0", "::", "inside.example", "localhost")  # noqa: S104

    async def main() -> None:
        async with a_way(props, "connect", allowed=allowed) as (intercepting, server, ends, seen):
            client = await ends.dial(intercepting.address)
            said = await tunnel(client, f"{host}:{server.address.port}")
            await client.finish()
            assert said.startswith(b"HTTP/1.1 403 ")
            assert b"is on the interceptor's own machine" in said
            await seen.closed()
            assert seen.all(events.UpstreamFailed) == []

    run(main())


def test_an_address_of_this_machine_is_this_machine(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not loopback: the machine's own address in its network, for as far as there is one."""
    come_from(monkeypatch, ELSEWHERE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as routed:
        try:
            routed.connect(("192.0.2.1", 9))  # says nothing to anybody
            own = str(routed.getsockname()[0])
        except OSError:
            own = "127.0.0.1"
    assert is_here(own)

    async def main() -> None:
        async with a_way(props, "connect", allowed=(own,)) as (intercepting, server, ends, _):
            client = await ends.dial(intercepting.address)
            said = await tunnel(client, f"{own}:{server.address.port}")
            await client.finish()
            assert said.startswith(b"HTTP/1.1 403 ")

    run(main())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::ffff:127.0.0.1]"])
def test_its_twin_on_this_machine_does(props: Props, loop: LoopFactory, host: str) -> None:
    async def main() -> None:
        async with a_way(props, "connect") as (intercepting, _, ends, _):
            client = await ends.dial(intercepting.address)
            # A server on all addresses would answer at any of them.
            with socket.create_server(("0.0.0.0", 0)) as everywhere:  # noqa: S104
                port = everywhere.getsockname()[1]
                assert (await tunnel(client, f"{host}:{port}")).startswith(b"HTTP/1.1 200 ")

    run(main(), loop)


def test_its_twin_that_goes_to_a_host_under_test_is_led_to_the_server_that_was_named(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_from(monkeypatch, ELSEWHERE)

    async def main() -> None:
        async with Ends() as ends, a_server(ends) as server:
            way = a_way(props, "connect", upstream=server.address, intercept="api.example")
            async with way as (intercepting, _, _, _):
                client = await ends.dial(intercepting.address)
                assert (await tunnel(client, "api.example:443")).startswith(b"HTTP/1.1 200 ")
                await client.send(PREFACE)
                assert await (await server.accept()).read_exactly(len(PREFACE)) == PREFACE

    run(main())


def test_a_redirected_client_from_elsewhere_does_not_either(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_from(monkeypatch, ELSEWHERE)

    async def main() -> None:
        async with a_way(props, "transparent") as (intercepting, server, ends, seen):
            monkeypatch.setattr(transparent, "original_destination", lambda _: server.address)
            client = await ends.dial(intercepting.address)
            assert await client.read() == b""
            assert "on the interceptor's own machine" in (await seen.closed()).reason

    run(main())


# Looked up once


def test_localhost_that_leads_elsewhere_is_refused(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(monkeypatch, "localhost", "127.0.0.1", "192.0.2.1")

    async def main() -> None:
        async with a_way(props, "connect") as (intercepting, _, ends, _):
            client = await ends.dial(intercepting.address)
            said = await tunnel(client, "localhost:443")
            await client.finish()
            assert said.startswith(b"HTTP/1.1 403 ")
            assert b"192.0.2.1:443 is not on this machine: add --allow-host 192.0.2.1" in said
        for where in ({"upstream": Address("localhost", 443)}, {"listen": Address("localhost", 0)}):
            with pytest.raises(UserError, match=r"192\.0\.2\.1:.* is not on this machine"):
                async with Interceptor(
                    **({"upstream": LOCALHOST} | where),  # type: ignore[arg-type]
                    choose=presenting(props.forged),
                ):
                    pass

    run(main())


def test_what_was_looked_up_is_what_is_dialled(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that led here and then elsewhere would have passed the guard."""
    asked = lead(monkeypatch, "api.example", "127.0.0.2", "127.0.0.1")

    async def main() -> None:
        way = a_way(props, "connect", allowed=("API.example.",))
        async with way as (intercepting, server, ends, _):
            client = await ends.dial(intercepting.address)
            # Nobody listens on the first of the two.
            said = await tunnel(client, f"api.example:{server.address.port}")
            assert said.startswith(b"HTTP/1.1 200 ")
            await client.send(b"x")
            assert await (await server.accept()).read_exactly(1) == b"x"

    run(main())
    assert asked.count("api.example") == 1


# The interceptor itself


@pytest.mark.parametrize(
    ("listen", "upstream"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "localhost"),  # noqa: S104
        ("0.0.0.0", "127.1.2.3"),  # noqa: S104
        ("127.0.0.1", "::ffff:127.0.0.1"),
    ],
)
def test_a_server_that_is_the_interceptor_itself_is_refused_at_the_start(
    props: Props, loop: LoopFactory, listen: str, upstream: str
) -> None:
    with socket.create_server((listen, 0)) as free:
        port = free.getsockname()[1]

    async def main() -> None:
        with pytest.raises(UserError, match=f"{port} is where the interceptor itself listens"):
            async with Interceptor(
                listen=Address(listen, port),
                upstream=Address(upstream, port),
                allow_hosts=[listen],
                choose=presenting(props.forged),
            ):
                pass
        # Its sockets are closed, and another may have the port.
        socket.create_server((listen, port)).close()

    run(main(), loop)


def test_another_port_or_another_address_is_somebody_else() -> None:
    ours = [Address("127.0.0.1", 1), Address("::", 2)]
    assert is_listened_on(Address("127.0.0.1", 1), ours)
    assert is_listened_on(Address("::1", 2), ours)
    assert not is_listened_on(Address("127.0.0.1", 3), ours)
    assert not is_listened_on(Address("127.0.0.2", 1), ours)
    assert not is_listened_on(Address("127.0.0.1", 2), ours)
    assert not is_listened_on(Address("192.0.2.1", 1), ours)


def test_a_tunnel_to_the_proxy_itself_is_refused(props: Props, loop: LoopFactory) -> None:
    async def main() -> None:
        async with a_way(props, "connect") as (intercepting, _, ends, seen):
            client = await ends.dial(intercepting.address)
            said = await tunnel(client, f"localhost:{intercepting.address.port}")
            await client.finish()
            assert said.startswith(b"HTTP/1.1 403 ")
            assert b"is the interceptor itself" in said
            await seen.closed()
            assert len(seen.all(events.Connected)) == 1

    run(main(), loop)


@pytest.mark.parametrize("mode", ["reverse", "transparent"])
def test_a_way_that_leads_back_here_is_not_gone_round_and_round(
    props: Props, loop: LoopFactory, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirection, or somebody in between, hides that it is the interceptor that is dialled."""

    async def main() -> None:
        async with Ends() as ends, a_server(ends) as server:
            monkeypatch.setattr(transparent, "original_destination", lambda _: server.address)
            async with Interceptor(
                mode=mode,
                upstream=server.address if mode == "reverse" else None,
                intercept=[] if mode == "reverse" else ["127.0.0.1"],
                choose=presenting(props.forged),
                on_event=(seen := Seen()),
            ) as intercepting:
                # As a redirection does it: what dials the server comes here, from whom it is.
                redirected = socket.create_server(LOCALHOST)
                redirected.setblocking(False)
                there = Address(*redirected.getsockname()[:2])
                monkeypatch.setattr(transparent, "original_destination", lambda _: there)
                intercepting._interception = intercepting._interception._replace(
                    upstream=there if mode == "reverse" else None
                )
                intercepting._listeners.append(redirected)
                intercepting._watch()
                client = await ends.dial(intercepting.address)
                await client.send(PREFACE)
                with contextlib.suppress(ConnectionResetError):
                    assert await client.read_all() == b""
                client.writer.transport.abort()
                await intercepting.drain(LIMIT)
            reasons = [closed.reason for closed in seen.all(events.Closed)]
            assert any("dialled itself" in reason for reason in reasons)
            assert len(reasons) <= 4

    run(main(), loop)


# Listening


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_a_name_of_which_one_address_is_taken_is_not_listened_on(
    props: Props, loop: LoopFactory, taken: str
) -> None:
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    try:
        somebody = socket.create_server((taken, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {taken} here ({os.strerror(error.errno or 0)}): switch IPv6 on")
    port = somebody.getsockname()[1]

    def listening() -> Interceptor:
        where = Address("localhost", port)
        return Interceptor(listen=where, upstream=LOCALHOST, choose=presenting(props.forged))

    async def main() -> None:
        with somebody, pytest.raises(UserError) as refused:
            async with listening():
                pass
        assert str(refused.value) == (
            f"cannot listen on localhost:{port}, which is {Address(taken, port)}: "
            "Address already in use; choose another address with --listen"
        )
        # The twin: now that both are free.
        async with listening():
            with socket.create_connection((taken, port)):
                pass

    run(main(), loop)
