"""A public CA in the cast of a scenario: what a file may say of it, and what is told."""

from pathlib import Path

import pytest

from mitm.errors import UserError
from mitm.lab.scenario import Scenario, load_scenario

_FILE = """---
title: Of a test
order: 1
cast:
  - {{name: CA, program: acme-server}}
  - {{name: lab CA, program: ca, authority: lab, does: signs}}
  - {{name: client, program: client, policy: system-roots, store: [{store}]}}
  - {{name: attacker, program: interceptor, {attacker}}}
  - {{name: server, program: server, {server}}}
legs:
  - {{path: [client, server], expected: connected}}
point: Whatever.
---

## What happens
"""


def _loaded(
    folder: Path,
    *,
    store: str = "CA",
    attacker: str = "issued_by: CA, hijacks_dns: true",
    server: str = "issued_by: CA",
) -> Scenario:
    path = folder / "mine.md"
    path.write_text(_FILE.format(store=store, attacker=attacker, server=server))
    return load_scenario(str(path))


def test_the_cast_is_told_with_the_part_of_each(tmp_path: Path) -> None:
    told = {member.name: member.told for member in _loaded(tmp_path).members("a client")}
    assert told["CA"].startswith("Pebble, a public CA")
    assert "its machine trusts the CA CA" in told["client"]
    assert "obtained of the CA by ACME" in told["server"]
    assert "has had the DNS answer with its own address" in told["attacker"]


@pytest.mark.parametrize(
    "changed",
    [
        {"store": "lab, CA"},
        {"attacker": "issued_by: lab CA"},
        {"attacker": "certificate: attacker-ca", "server": "mode: tls"},
        {"server": "issued_by: CA, mode: mutual-tls"},
    ],
    ids=str,
)
def test_what_makes_sense_is_taken(tmp_path: Path, changed: dict[str, str]) -> None:
    assert _loaded(tmp_path, **changed).name == "mine"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"store": "nobody"}, r"cast\[2\]\.store: 'nobody' is no CA of the run"),
        ({"store": "lab CA"}, r"cast\[2\]\.store: 'lab CA' is no CA of the run"),
        ({"attacker": "issued_by: CA"}, r"cast\[3\]\.hijacks_dns: "),
        ({"attacker": "issued_by: lab CA, hijacks_dns: true"}, r"cast\[3\]\.hijacks_dns: "),
        (
            {"attacker": "certificate: attacker-ca, hijacks_dns: true"},
            r"cast\[3\]\.hijacks_dns: ",
        ),
        ({"server": "issued_by: lab CA"}, r"cast\[4\]\.issued_by: 'lab CA' is no ACME server"),
        ({"server": "issued_by: server"}, r"cast\[4\]\.issued_by: 'server' is no ACME server"),
        ({"server": "issued_by: CA, mode: plaintext"}, r"cast\[4\]\.issued_by: it goes with TLS"),
        ({"server": "issued_by: CA, certificate: expired"}, r"cast\[4\]\.issued_by: it goes with"),
    ],
    ids=str,
)
def test_what_makes_none_is_refused_by_its_key(
    tmp_path: Path, changed: dict[str, str], why: str
) -> None:
    with pytest.raises(UserError, match=why):
        _loaded(tmp_path, **changed)
