"""The user's own server in place of the stand-in: it must be the right one."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mitm import pki
from mitm.address import Address
from mitm.audit import catalogue, forge_suite, select, stand_in
from mitm.audit.upstream import own_server, plaintext_server
from mitm.errors import UserError
from mitm.messages import Schema
from mitm.proxy import Interceptor
from tests.proxy.stage import presenting, run


@pytest.fixture(scope="module")
def chains() -> dict[str, pki.Chain]:
    suite = forge_suite(select(catalogue(), ["attacker-ca"]), "api.test")
    local = forge_suite(select(catalogue(), ["attacker-ca"]), "127.0.0.1")
    (forged,) = suite.cases
    assert suite.control.chain
    assert local.control.chain
    assert forged.chain
    return {
        "api.test": suite.control.chain,
        "forged": forged.chain,
        "127.0.0.1": local.control.chain,
    }


@asynccontextmanager
async def serving(chain: pki.Chain | None) -> AsyncIterator[Address]:
    """A server, with TLS if there is a chain."""
    async with stand_in() as plaintext:
        if chain is None:
            yield plaintext.address
            return
        async with Interceptor(
            listen=Address("127.0.0.1", 0),
            upstream=plaintext.address,
            upstream_tls=False,
            choose=presenting(chain),
            schema=Schema(FileDescriptorSet()),
            on_event=lambda event: None,
        ) as server:
            yield server.address
            await server.drain(10)


def anchor(tmp_path: Path, chain: pki.Chain) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(chain.anchor_pem)
    return path


@pytest.mark.parametrize(("which", "name"), [("127.0.0.1", None), ("api.test", "api.test")])
def test_the_right_server_is_taken(
    tmp_path: Path, chains: dict[str, pki.Chain], which: str, name: str | None
) -> None:
    async def main() -> None:
        async with serving(chains[which]) as address:
            upstream = await own_server(address, anchor(tmp_path, chains[which]), name)
            assert upstream.address == address
            assert upstream.tls

    run(main())


@pytest.mark.parametrize(
    ("which", "name", "said"),
    [
        ("forged", "api.test", "does not verify"),
        ("api.test", None, "does not verify: IP address mismatch"),
        ("127.0.0.1", "api.test", "does not verify"),
        (None, None, "it was reached, but speaks no TLS: *add --upstream-plaintext"),
    ],
)
def test_another_server_is_refused(
    tmp_path: Path, chains: dict[str, pki.Chain], which: str | None, name: str | None, said: str
) -> None:
    async def main() -> None:
        chain = chains[which] if which else None
        async with serving(chain) as address:
            with pytest.raises(UserError) as error:
                await own_server(address, anchor(tmp_path, chains["api.test"]), name)
            assert str(error.value).startswith(f"--upstream {address}: ")
            assert fnmatch(str(error.value), f"*{said}*")
            assert "\n" not in str(error.value)

    run(main())


@asynccontextmanager
async def closing_at_once(greeting: bytes) -> AsyncIterator[Address]:
    """A server of HTTP/1.1 in plaintext, or of nothing at all."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield Address(*server.sockets[0].getsockname()[:2])


def test_a_server_in_plaintext_is_taken_if_that_is_asked_for() -> None:
    async def main() -> None:
        async with serving(None) as address:
            upstream = await plaintext_server(address)
            assert (upstream.address, upstream.tls) == (address, False)
        async with closing_at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
            assert not (await plaintext_server(address)).tls
            with pytest.raises(UserError, match="add --upstream-plaintext"):
                await own_server(address, None)

    run(main())


# A server of TLS, to what is no ClientHello: unexpected_message (RFC 8446 section 6.2).
ALERT = bytes.fromhex("1503010002020a")


def test_a_server_that_speaks_no_plaintext_is_refused_then() -> None:
    async def main() -> None:
        async with closing_at_once(ALERT) as address:
            with pytest.raises(UserError, match="leave out --upstream-plaintext"):
                await plaintext_server(address)
        async with closing_at_once(b"") as address:
            with pytest.raises(
                UserError, match=r"not reached: it closed the connection|no TLS handshake"
            ):
                await own_server(address, None)
        with pytest.raises(UserError, match="not reached: Connect"):
            await plaintext_server(address)

    run(main())


def test_without_a_ca_it_is_the_systems_and_the_way_out_is_named(
    chains: dict[str, pki.Chain],
) -> None:
    async def main() -> None:
        async with serving(chains["127.0.0.1"]) as address:
            with pytest.raises(UserError, match="name the CA that signed it with --ca"):
                await own_server(address, None)

    run(main())


def test_a_server_that_is_not_there_is_named() -> None:
    async def main() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = Address(*closed.getsockname()[:2])
            with pytest.raises(UserError, match="not reached: Connect"):
                await own_server(address, None)

    run(main())


@pytest.mark.parametrize(("content", "said"), [(None, "cannot read"), ("nothing", "no PEM cert")])
def test_a_ca_file_that_is_none_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    async def main() -> None:
        with pytest.raises(UserError, match=said) as error:
            await own_server(Address("127.0.0.1", 1), path)
        assert str(path) in str(error.value)

    run(main())
