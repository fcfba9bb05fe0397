"""What is peculiar about verification in a stack, by the README of its client: still so?"""

import asyncio
import functools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mitm.lab.builds import NotBuilt, ToolMissing, ready
from mitm.lab.clients import load_client, surroundings
from tests.programs import mitm_demo, run, serving


class Stage(NamedTuple):
    """Files to trust by, and servers: a CA's, the attacker's, and one that is expired."""

    folder: Path
    genuine: str
    attacker: str
    expired: str


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage") / "pki"
    assert mitm_demo("certs", folder).code == 0
    _self_signed_and_expired(folder / "expired", "other.example")
    with ExitStack() as stack:
        targets = []
        for name in ("server", "attacker", "expired"):
            files = ("--cert", folder / f"{name}.pem", "--key", folder / f"{name}.key")
            _, address = stack.enter_context(serving(*files))
            targets.append(f"localhost:{address.rpartition(':')[2]}")
        yield Stage(folder, *targets)


def _self_signed_and_expired(path: Path, host: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@functools.cache
def _command(name: str) -> tuple[str, ...] | str:
    try:
        return asyncio.run(ready(load_client(name), build=False)).command
    except (ToolMissing, NotBuilt) as error:
        return str(error)


def call(client: str, policy: str, target: str, *options: str | Path) -> dict[str, Any]:
    command = _command(client)
    if isinstance(command, str):
        pytest.skip(command)
    told = ("--policy", policy, "--target", target, "--timeout", "30", *options)
    result = run(*command, *told, **surroundings(os.environ))
    (line,) = result.json_lines
    assert (result.code, result.err) == (0 if "user" in line else 1, "")
    return line


@pytest.mark.parametrize(
    ("client", "cause"),
    [
        ("rust", "invalid peer certificate: UnknownIssuer"),
        ("java", "unable to find valid certification path to requested target"),
        ("cpp", "certificate verify failed"),
    ],
)
def test_the_cause_is_told_and_not_the_outermost_error_alone(
    stage: Stage, client: str, cause: str
) -> None:
    trust = ("--ca", stage.folder / "ca.pem")
    assert "user" in call(client, "ca-file", stage.genuine, *trust)
    failed = call(client, "ca-file", stage.attacker, *trust)
    assert failed["error"]["code"] == "UNAVAILABLE"
    assert cause in failed["error"]["message"]


@pytest.mark.parametrize(("client", "taken"), [("rust", False), ("java", True), ("cpp", True)])
def test_a_leaf_is_given_as_a_root(stage: Stage, client: str, taken: bool) -> None:
    """A leaf that a CA has signed: webpki looks among its roots for an issuer."""
    leaf = stage.folder / "server.pem"
    assert ("user" in call(client, "ca-file", stage.genuine, "--ca", leaf)) == taken
    assert "user" in call(client, "pinned", stage.genuine, "--pin", leaf)


@pytest.mark.parametrize(
    ("client", "policy", "named_rightly", "named_wrongly"),
    [
        ("rust", "pinned", True, True),
        ("java", "pinned", True, False),
        ("cpp", "pinned", False, False),
        ("rust", "pinned-key", True, True),
        ("java", "pinned-key", True, True),
        ("cpp", "pinned-key", True, True),
    ],
)
def test_what_is_looked_at_besides_a_pin(
    stage: Stage, client: str, policy: str, named_rightly: bool, named_wrongly: bool
) -> None:
    """The pinned certificate has expired, and is for another name than the one that is dialled."""
    pin = ("--pin", stage.folder / "expired.pem")
    named = call(client, policy, stage.expired, *pin, "--server-name", "other.example")
    assert ("user" in named) == named_rightly
    assert ("user" in call(client, policy, stage.expired, *pin)) == named_wrongly
    assert "error" in call(client, policy, stage.attacker, *pin)
