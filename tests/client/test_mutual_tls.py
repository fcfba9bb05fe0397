"""What clients present to servers that ask for a certificate, and what comes of it."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest

from mitm import pki
from mitm.address import LOCALHOST
from mitm.lab.clients import Client
from mitm.lab.policies import POLICIES, Policy, Trust, environment, options
from tests.client.conftest import UNSUPPORTED, asking
from tests.programs import LIMIT, serving

# Stacks that tell that a key is not the certificate's when a server asks for it, and not before.
TELLS_LATE = {"java"}

# Stacks of which the server sees the certificate twice under `skip-verify`: grpcio's users fetch
# the server's first.
FETCHES = {"python"}

# Stacks that complete the handshake with a server that they do not trust, and leave then. In TLS
# 1.3 Node leaves before it sends its last flight.
SHOWS_FIRST = {("node", ssl.TLSVersion.TLSv1_2)}


class Stand(NamedTuple):
    """Servers that insist on a certificate of the lab's CA, and files for their clients.

    Attributes:
        own: what a client may trust, and what it is let in with.
        others: the same, with what another CA of the same name has issued.
        target: of the genuine server.
        forged: of one that nobody has a reason to trust; it insists as well.
    """

    own: Trust
    others: Trust
    target: str
    forged: str


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("stand")
    lab, elsewhere = pki.Authorities([LOCALHOST]), pki.Authorities([LOCALHOST])
    pki.write_lab(folder, lab, overwrite=False)
    genuine = pki.load_recipe("genuine")
    for name, chain in (
        ("forged", pki.forge(pki.load_recipe("attacker-ca"), LOCALHOST, lab)),
        ("own", pki.forge(genuine, "client.example", lab, purpose="client")),
        ("others", pki.forge(genuine, "client.example", elsewhere, purpose="client")),
    ):
        (folder / f"{name}.pem").write_bytes(chain.pem)
        pki.write_private(folder / f"{name}.key", chain.key_pem)
    own, others = (
        Trust(folder / "ca.pem", folder / "server.pem", folder / f"{n}.pem", folder / f"{n}.key")
        for n in ("own", "others")
    )
    with ExitStack() as stack:
        targets = []
        for name in ("server", "forged"):
            shown = ("--cert", folder / f"{name}.pem", "--key", folder / f"{name}.key")
            _, address = stack.enter_context(serving(*shown, "--client-ca", own.ca))
            targets.append(f"{LOCALHOST}:{address.rpartition(':')[2]}")
        yield Stand(own, others, *targets)


def without(trust: Trust) -> Trust:
    return trust._replace(cert=None, key=None)


@pytest.mark.parametrize("policy", POLICIES)
def test_who_insists_lets_it_in_with_its_certificate_and_not_without_or_with_anothers(
    client: Client, stand: Stand, policy: Policy
) -> None:
    if policy in ("insecure", "no-ca") or (client.name, policy) in UNSUPPORTED:
        pytest.skip("it does not connect with this policy")
    with asking(client, environment(policy, stand.own)) as batch:

        def ask(trust: Trust) -> dict[str, Any]:
            return batch.ask(target=stand.target, timeout=20, **options(policy, trust))

        assert "user" in ask(stand.own)
        # By which code is the stack's own.
        assert "error" in ask(stand.others)
        kind = "usage" if policy == "mutual-tls" else "error"
        assert kind in ask(without(stand.own))
        assert "user" in ask(stand.own)


def test_a_forged_server_gets_nothing_of_who_verifies(client: Client, stand: Stand) -> None:
    with asking(client) as batch:
        asked = {"target": stand.forged, "timeout": 20}
        assert "error" in batch.ask(**asked, **options("mutual-tls", stand.own))
        # The twin: its certificate has let it in, and who it was let in by, nobody has asked.
        answer = batch.ask(**asked, **options("skip-verify", stand.own))
        # grpcio's users trust any issuer, and this one has the name.
        assert "user" in answer


@contextmanager
def recording(
    stand: Stand, name: str, mode: ssl.VerifyMode, version: ssl.TLSVersion
) -> Iterator[tuple[str, "SimpleQueue[bytes | None]"]]:
    """A server that tells what is presented to it: its address, and a leaf for each handshake.

    Args:
        name: of its certificate.
        mode: whether it asks.
        version: of TLS, and no other.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = stand.own.ca.with_name(name)
    context.load_cert_chain(path.with_suffix(".pem"), path.with_suffix(".key"))
    context.load_verify_locations(stand.own.ca)
    context.verify_mode = mode
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    presented: SimpleQueue[bytes | None] = SimpleQueue()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(LIMIT)
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        presented.put(secured.getpeercert(binary_form=True))
                except OSError:
                    # The client has broken off: in the handshake, or behind it.
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{LOCALHOST}:{listening.getsockname()[1]}", presented
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mode", [ssl.CERT_REQUIRED, ssl.CERT_NONE])
def test_who_does_not_verify_presents_its_certificate_to_whoever_asks(
    client: Client, stand: Stand, mode: ssl.VerifyMode, version: ssl.TLSVersion
) -> None:
    assert stand.own.cert
    with asking(client) as batch, recording(stand, "forged", mode, version) as (target, presented):
        # It hangs up after the handshake.
        asked = options("skip-verify", stand.own)
        assert "error" in batch.ask(target=target, timeout=5, **asked)
        leaf = ssl.PEM_cert_to_DER_cert(stand.own.cert.read_text())
        for _ in range(2 if client.name in FETCHES else 1):
            shown = presented.get(timeout=LIMIT)
            assert shown == (leaf if mode is ssl.CERT_REQUIRED else None)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_verifies_presents_nothing_to_a_forged_server_but_for_node(
    client: Client, stand: Stand, version: ssl.TLSVersion
) -> None:
    with ExitStack() as stack:
        batch = stack.enter_context(asking(client))
        for name in ("forged", "server"):
            here = recording(stand, name, ssl.CERT_OPTIONAL, version)
            target, presented = stack.enter_context(here)
            asked = options("mutual-tls", stand.own)
            assert "error" in batch.ask(target=target, timeout=5, **asked)
            if name == "server" or (client.name, version) in SHOWS_FIRST:
                assert presented.get(timeout=LIMIT)
            else:
                assert presented.empty()


@pytest.mark.parametrize("policy", ["pinned", "pinned-key"])
def test_any_of_several_pins_is_right_and_another_is_not(
    client: Client, stand: Stand, policy: Policy, tmp_path: Path
) -> None:
    if (client.name, policy) in UNSUPPORTED:
        pytest.skip("it is not supported")
    present, following, third = (
        stand.own.pin.with_name(f"{name}.pem").read_text() for name in ("server", "forged", "own")
    )
    with asking(client) as batch:
        for pins, kind in (
            ((present, following), "user"),
            ((following, present), "user"),
            ((following, third), "error"),
        ):
            (tmp_path / "pins.pem").write_text("".join(pins))
            trust = stand.own._replace(pin=tmp_path / "pins.pem")
            asked = options(policy, trust)
            assert kind in batch.ask(target=stand.target, timeout=20, **asked)


def test_what_is_presented_must_be_whole_and_fit(
    client: Client, stand: Stand, tmp_path: Path
) -> None:
    right = {"target": stand.target, **options("mutual-tls", stand.own)}
    broken = tmp_path / "broken.key"
    broken.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    wrong: list[dict[str, str]] = [
        {name: value for name, value in right.items() if name != "cert"},
        {name: value for name, value in right.items() if name != "key"},
        {name: value for name, value in right.items() if name not in ("cert", "key")},
        right | {"cert": "/nowhere/client.pem"},
        right | {"key": "/nowhere/client.key"},
        right | {"cert": right["key"]},
        right | {"key": right["ca"]},
        right | {"key": str(broken)},
    ]
    anothers = right | {"key": str(stand.others.key)}
    with asking(client) as batch:
        for asked in wrong:
            assert [*batch.ask(**asked)] == ["usage"], asked
        kind = "error" if client.name in TELLS_LATE else "usage"
        assert [*batch.ask(**anothers)] == [kind]
        assert "user" in batch.ask(**right)


def test_in_plaintext_there_is_nobody_to_present_anything_to(client: Client, stand: Stand) -> None:
    with serving() as (_, address), asking(client) as batch:
        asked = {"target": address, "policy": "insecure", "cert": "/nowhere", "key": "/nowhere"}
        assert "user" in batch.ask(**asked)
        assert "usage" in batch.ask(**{name: asked[name] for name in asked if name != "key"})
