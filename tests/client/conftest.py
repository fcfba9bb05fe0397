"""Every client of client/, made ready; those that are not built here are skipped, and say why."""

import asyncio
import functools
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mitm import pki
from mitm.address import LOCALHOST
from mitm.lab.builds import NotBuilt, ToolMissing, ready
from mitm.lab.clients import Client, clients, load_client, surroundings
from mitm.lab.policies import Policy, Trust, environment, options
from tests.programs import LIMIT, serving

ALL = [*clients()]

# What a stack cannot express, by its documentation; its client says so.
UNSUPPORTED: set[tuple[str, Policy]] = {
    # Verification ends in BoringSSL, of which Python reaches neither the name's check nor a verify
    # callback (grpc/grpc issue 15461).
    ("python", "skip-hostname"),
    ("python", "pinned-key"),
    # `checkServerIdentity` is asked only about a chain that is good (Node's documentation of TLS).
    ("node", "pinned-key"),
}


@functools.cache
def _ready(name: str) -> Client | str:
    try:
        return asyncio.run(ready(load_client(name), build=False))
    except (ToolMissing, NotBuilt) as error:
        return str(error)


def built(name: str) -> Client:
    """A client by its name; without what it takes, the test is skipped."""
    made = _ready(name)
    if isinstance(made, str):
        pytest.skip(made)
    return made


@pytest.fixture(scope="session", params=ALL)
def client(request: pytest.FixtureRequest) -> Client:
    return built(request.param)


class Batch:
    """One process of a client, asked line by line."""

    def __init__(self, client: Client, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [*client.command, "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=surroundings(environ),
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout
        answer = json.loads(self.process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def ask(self, **asked: object) -> dict[str, Any]:
        self.tell(json.dumps({name.replace("_", "-"): value for name, value in asked.items()}))
        return self.hear()

    def end(self) -> tuple[int, str, str]:
        """Tell it that there is no more: its exit code, and what it has said besides."""
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, err


@contextmanager
def asking(client: Client, environ: dict[str, str] | None = None) -> Iterator[Batch]:
    batch = Batch(client, environ or dict(os.environ))
    try:
        yield batch
    finally:
        batch.process.kill()
        with batch.process:
            pass


@pytest.fixture(scope="module")
def kept(client: Client) -> Iterator[Batch]:
    """A process of the client that answers all tests of a module."""
    with asking(client) as batch:
        yield batch
        assert batch.end() == (0, "", "")


class Stage:
    """Servers with certificates of all sorts, and files by which a client may trust them.

    Attributes:
        trust: the CA, the genuine server's own certificate, and one to present.
        targets: `genuine`, and others by what they show.
    """

    def __init__(self, trust: Trust, targets: dict[str, str]) -> None:
        self.trust = trust
        self.targets = targets

    def asked(self, policy: Policy, server: str) -> dict[str, str]:
        # Presented only where it must be: nobody here asks for it.
        trust = self.trust if policy == "mutual-tls" else Trust(self.trust.ca, self.trust.pin)
        return {"target": self.targets[server], **options(policy, trust)}

    def environment(self, policy: Policy) -> dict[str, str]:
        return environment(policy, self.trust)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    authorities = pki.Authorities([LOCALHOST, "127.0.0.1", "::1"])
    pki.write_lab(folder, authorities, overwrite=False)
    shown = {"genuine": (folder / "server.pem", folder / "server.key")}
    for name in ("attacker-ca", "wrong-host", "expired"):
        recipe = pki.load_recipe(name)
        chain = pki.forge(recipe, LOCALHOST, authorities, datetime.now(UTC))
        pki.write_chain(folder / name, chain, overwrite=False)
        shown[name] = folder / name / f"{name}.pem", folder / name / f"{name}.key"
    for name, ends in (("same-key", 1), ("same-key-expired", -1)):
        (folder / f"{name}.pem").write_bytes(same_key(folder / "server.key", timedelta(days=ends)))
        shown[name] = folder / f"{name}.pem", folder / "server.key"
    with ExitStack() as stack:
        targets = {}
        for name, (cert, key) in shown.items():
            _, address = stack.enter_context(serving("--cert", cert, "--key", key))
            targets[name] = f"{LOCALHOST}:{address.rpartition(':')[2]}"
        presented = folder / "server.pem", folder / "server.key"
        yield Stage(Trust(folder / "ca.pem", folder / "server.pem", *presented), targets)


def same_key(key_file: Path, ends: timedelta) -> bytes:
    """A certificate that has little right but its key: of no CA, and for another's name.

    Args:
        key_file: of the key.
        ends: when it does, from now on.
    """
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("other.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)
