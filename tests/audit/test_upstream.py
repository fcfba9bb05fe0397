"""The user's own server in place of the stand-in: it must be the right one."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mitm import pki
from mitm.address import Address
from mitm.audit import catalogue, forge_suite, select, stand_in
from mitm.audit.upstream import own_server
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
        (None, None, "no TLS handshake with it"),
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
            assert said in str(error.value)
            assert "\n" not in str(error.value)

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
