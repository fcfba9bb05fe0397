"""What the tests of the probe share: a CA of clients, a server's certificate, a good client."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mitm import pki
from mitm.address import Address
from mitm.audit import Finding, Report
from mitm.audit.servers.credentials import credentials_from_files
from mitm.audit.servers.probe import run_probe
from mitm.audit.servers.target import Target
from mitm.audit.servers.way import all_ways
from mitm.pki.recipe import KeyKind

SERVER = "server.lab.example"
CLIENT = "billing.lab.example"
METHOD = "/users.v1.UserService/GetUser"


class Lab(NamedTuple):
    """Files in a folder: `server.pem`, `client.pem`, `clients.pem` (the CA of both), each with key.

    Attributes:
        ca_pem: that CA, as text.
    """

    folder: Path
    ca_pem: str


def made(
    folder: Path, identity: str = CLIENT, key: KeyKind = "ec-p256", server: str = SERVER
) -> Lab:
    """Write it, with a client of that identity and kind of key, and a server of that name."""
    authorities = pki.Authorities([SERVER, CLIENT])
    genuine = pki.load_recipe("genuine")
    leaf, *above = genuine.chain
    of_kind = (msgspec.structs.replace(leaf, key=key), *above)
    served = pki.forge(genuine, server, authorities)
    client = pki.forge(
        msgspec.structs.replace(genuine, chain=of_kind), identity, authorities, purpose="client"
    )
    ca_key = authorities.lab.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {
        "server.pem": served.pem,
        "server.key": served.key_pem,
        "client.pem": client.pem,
        "client.key": client.key_pem,
        "clients.pem": authorities.lab.pem,
        "clients.key": ca_key,
    }
    for name, data in files.items():
        pki.write_private(folder / name, data)
    return Lab(folder, authorities.lab.pem.decode())


def probed(
    lab: Lab,
    port: int,
    *,
    method: str = METHOD,
    with_ca: bool = True,
    only: Sequence[str] = (),
    server_name: str = SERVER,
    seconds: float = 20.0,
) -> Report:
    """What a probe says of a server on a port."""
    ca = (lab.folder / "clients.pem", lab.folder / "clients.key") if with_ca else (None, None)
    given = credentials_from_files(lab.folder / "client.pem", lab.folder / "client.key", *ca)
    target = Target(
        Address("127.0.0.1", port), server_name, method=method, ca_pem=lab.ca_pem, seconds=seconds
    )
    ways = [way for way in all_ways() if not only or way.name in only]
    return asyncio.run(run_probe(target, given, ways))


def holes(report: Report) -> set[str]:
    """Who got in and must not."""
    assert report.conclusive, [control.reason for control in report.controls]
    undecided = [each for each in report.findings if each.outcome == "inconclusive"]
    assert not undecided, undecided
    return {each.case.name for each in report.findings if each.outcome == "vulnerable"}


def finding(report: Report, name: str) -> Finding:
    """What came of one way."""
    (found,) = (each for each in report.findings if each.case.name == name)
    return found
