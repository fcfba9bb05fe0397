"""A server that insists on client certificates, with `proxy` and with `audit --upstream`."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mitm import pki
from mitm.address import LOCALHOST
from mitm.lab.clients import load_client
from tests.programs import MITM_DEMO, Result, mitm_demo, refused, run, running, serving

NO_CERTIFICATE = (
    "the server asks for a client certificate: add --client-cert FILE and --client-key FILE"
)


class Stand(NamedTuple):
    """A server that insists, and files.

    Attributes:
        upstream: its address.
        own: a certificate that lets in, with its key; `others` is of another CA.
    """

    upstream: str
    ca: Path
    own: tuple[Path, Path]
    others: tuple[Path, Path]


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("stand")
    authorities = pki.Authorities([LOCALHOST])
    pki.write_lab(folder, authorities, overwrite=False)
    pairs = []
    for recipe in ("genuine", "attacker-ca"):
        made = pki.load_recipe(recipe)
        chain = pki.forge(made, "client.example", authorities, purpose="client")
        cert, key = folder / f"client-{recipe}.pem", folder / f"client-{recipe}.key"
        cert.write_bytes(chain.pem)
        pki.write_private(key, chain.key_pem)
        pairs.append((cert, key))
    ca = folder / "ca.pem"
    shown = ("--cert", folder / "server.pem", "--key", folder / "server.key", "--client-ca", ca)
    with serving(*shown) as (_, address):
        port = address.rpartition(":")[2]
        yield Stand(f"{LOCALHOST}:{port}", ca, *pairs)


def presenting(pair: tuple[Path, Path], prefix: str = "--client") -> tuple[str | Path, ...]:
    return (f"{prefix}-cert", pair[0], f"{prefix}-key", pair[1])


def call(address: str, stand: Stand) -> Result:
    """A careless client that has a certificate."""
    target = ("--target", f"{LOCALHOST}:{address.rpartition(':')[2]}")
    own = ("--cert", stand.own[0], "--key", stand.own[1])
    return run(*load_client("python").command, *target, "--policy", "skip-verify", *own)


@pytest.mark.parametrize("which", ["nothing", "others", "own"])
def test_proxy_relays_with_a_stolen_certificate_and_reads_without(stand: Stand, which: str) -> None:
    stolen = {"nothing": None, "others": stand.others, "own": stand.own}[which]
    command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", stand.upstream)
    with running(
        MITM_DEMO, *command, *(presenting(stolen) if stolen else ()), PYTHONUNBUFFERED="1"
    ) as process:
        assert process.stdout
        answer = call(process.stdout.readline().split()[2].rstrip(","), stand)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert "presents a certificate of its own: CN=client.example" in out
    (verdict,) = [line for line in out.splitlines() if " COMPROMISED " in line]
    assert "read: /users.v1.UserService/GetUser" in verdict
    if which == "own":
        assert answer.json_lines[0]["user"]["name"] == "Nicolas"
        assert "refuse" not in out
        return
    assert answer.json_lines[0]["error"]["code"] == "UNAVAILABLE"
    whom = "the attacker, who has no client certificate"
    if stolen:
        whom = "the attacker's client certificate"
    assert verdict.endswith(f"; the server refused {whom}: no alert")
    assert "refuses the attacker, who has " in out
    assert "answers by itself, in the server's place" in out


def test_proxy_asks_clients_if_it_is_told_to(stand: Stand) -> None:
    command = ("proxy", "--listen", "127.0.0.1:0", "--impersonate", "--ask-client")
    with running(MITM_DEMO, *command, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        assert call(process.stdout.readline().split()[2].rstrip(","), stand).code == 0
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert "presents a certificate of its own: CN=client.example" in out


def audit(stand: Stand, *arguments: str | Path) -> Result:
    own = ("--cert", stand.own[0], "--key", stand.own[1])
    told = ("--target", "{target}", "--ca", "{ca}")
    client: tuple[str | Path, ...] = (*load_client("python").command, *told, *own)
    upstream = ("--upstream", stand.upstream, "--ca", stand.ca)
    only = ("--only", "attacker-ca", "--name", LOCALHOST)
    policy = ("--policy", "mutual-tls")
    return mitm_demo("audit", *upstream, *only, *arguments, "--", *client, *policy)


def test_audit_says_in_one_line_that_the_server_insists(stand: Stand) -> None:
    assert NO_CERTIFICATE in refused(audit(stand))
    said = refused(audit(stand, *presenting(stand.others)))
    assert "the server refused the client certificate: no alert" in said
    # The twin.
    result = audit(stand, *presenting(stand.own))
    assert result.code == 0, result


def test_to_ask_clients_takes_a_python_that_can() -> None:
    program = (
        "import sys\n"
        "from mitm.tls import client_certificate\n"
        "client_certificate.SUPPORTED = False\n"
        "from mitm.cli import main\n"
        "sys.argv[1:] = ['proxy', '--impersonate', '--ask-client']\n"
        "main()\n"
    )
    said = refused(run(sys.executable, "-c", program))
    assert "clients cannot be asked for a certificate with this Python" in said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("proxy", "--client-cert", "{cert}"), "--client-cert and --client-key go together"),
        (("audit", "--client-key", "{key}", "--", "true"), "go together"),
        (("proxy", "--client-cert", "{cert}", "--client-key", "{cert}"), "no PEM private key"),
        (("proxy", "--impersonate", "{pair}"), "leave out --client-cert"),
        (("proxy", "--upstream-plaintext", "{pair}"), "leave out --client-cert"),
        (("audit", "{pair}", "--", "true"), "--client-cert is for --upstream"),
        (
            ("audit", "--upstream", "localhost:1", "--upstream-plaintext", "{pair}", "--", "true"),
            "leave out --client-cert",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(stand: Stand, command: tuple[str, ...], said: str) -> None:
    cert, key = stand.own
    words: list[str | Path] = []
    for word in command:
        if word == "{pair}":
            words += presenting(stand.own)
        else:
            words.append(word.format(cert=cert, key=key))
    assert said in refused(mitm_demo(*words))
