"""Certificates and descriptors for the interceptor's tests, made once."""

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mitm import content, pki
from mitm.descriptors import load_descriptor_set
from mitm.messages import Schema
from tests.proxy.stage import LOOPS, LoopFactory, Props


@pytest.fixture(scope="session")
def props(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Props]:
    authorities = pki.Authorities(["localhost", "other.example", "127.0.0.1", "::1"])

    def chain(recipe: str, name: str = "localhost") -> pki.Chain:
        return pki.forge(pki.load_recipe(recipe), name, authorities, datetime.now(UTC))

    def pem(authority: pki.Authority, name: str) -> Path:
        path = tmp_path_factory.mktemp("anchors") / name
        path.write_bytes(authority.pem)
        return path

    made = Props(
        genuine=chain("genuine"),
        forged=chain("attacker-ca"),
        misnamed=chain("attacker-ca", "other.example"),
        lab_ca=pem(authorities.lab, "lab.pem"),
        attacker_ca=pem(authorities.attacker, "attacker.pem"),
        schema=Schema(load_descriptor_set(content.PROTO / "users.binpb")),
    )
    # Each test collects its own garbage, see `run`: it need not look through all of the imports.
    gc.collect()
    gc.freeze()
    yield made
    gc.unfreeze()


@pytest.fixture(params=LOOPS, ids=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> LoopFactory:
    """Each of the event loops that the interceptor runs on."""
    return LOOPS[request.param]
