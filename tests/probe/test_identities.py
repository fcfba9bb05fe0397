"""Clients of all sorts: whatever the good one looks like, the others look like it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mitm.audit.servers.answer import Answer
from mitm.audit.servers.credentials import credentials_from_files
from mitm.audit.servers.judge import judge
from mitm.audit.servers.way import all_ways
from mitm.errors import UserError
from mitm.pki.recipe import KeyKind
from tests.probe.lab import Lab, finding, holes, made, probed
from tests.probe.servers import Caller, Rules, serving

SPIFFE = "spiffe://lab.example/billing"


@pytest.mark.parametrize("kind", ["rsa-2048", "ec-p384", "ed25519"])
def test_others_have_a_key_of_the_good_ones_kind(kind: KeyKind, tmp_path: Path) -> None:
    lab = made(tmp_path, key=kind)
    with serving(lab, Rules(allow=lambda caller: True)) as port:
        report = probed(lab, port)
    assert holes(report) == {"wrong-identity"}
    stolen = finding(report, "client-other-key")
    assert stolen.outcome == ("unsupported" if kind == "ed25519" else "pass"), stolen.reason


def of(*names: str) -> Callable[[Caller], bool]:
    return lambda caller: any(name in caller.all_names for name in names)


@pytest.mark.parametrize(
    ("identity", "allow", "expected"),
    [
        (SPIFFE, of(SPIFFE), set()),
        (SPIFFE, lambda c: any(n.startswith(SPIFFE) for n in c.all_names), {"lookalike-identity"}),
        # One trust domain is not one role.
        (
            SPIFFE,
            lambda c: any(n.startswith("spiffe://lab.example/") for n in c.all_names),
            {"wrong-identity"},
        ),
        ("192.0.2.7", of("192.0.2.7"), set()),
        ("billing", of("billing"), set()),
    ],
)
def test_an_identity_of_any_form_is_imitated(
    identity: str, allow: Callable[[Caller], bool], expected: set[str], tmp_path: Path
) -> None:
    lab = made(tmp_path, identity)
    with serving(lab, Rules(allow=allow)) as port:
        report = probed(lab, port)
    assert holes(report) == expected
    # What is wrong with a certificate is not that it names somebody else.
    with serving(lab, Rules(allow=lambda caller: True)) as port:
        assert holes(probed(lab, port)) == {"wrong-identity"}


def test_a_ca_that_has_not_signed_the_client_is_told(lab: Lab, tmp_path: Path) -> None:
    other = made(tmp_path).folder
    mine = lab.folder / "client.pem", lab.folder / "client.key"
    with pytest.raises(UserError, match="has signed none of the certificates"):
        credentials_from_files(*mine, other / "clients.pem", other / "clients.key")
    with pytest.raises(UserError, match="go together"):
        credentials_from_files(*mine, lab.folder / "clients.pem")
    with pytest.raises(UserError, match="does not fit"):
        credentials_from_files(lab.folder / "client.pem", lab.folder / "server.key")


def test_what_passed_of_certificates_is_seen(lab: Lab) -> None:
    with serving(lab, Rules()) as port:
        report = probed(lab, port, only=["no-certificate", "client-self-signed"])
    for name, shown in (("no-certificate", False), ("client-self-signed", True)):
        answer = finding(report, name).answer
        assert answer is not None
        assert (answer.asked, answer.shown) == (True, shown)


def test_without_that_it_comes_to_the_same(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitm.audit.servers.caller.SUPPORTED", False)
    with serving(lab, Rules(allow=lambda caller: True)) as port:
        report = probed(lab, port)
    assert holes(report) == {"wrong-identity"}
    answer = finding(report, "no-certificate").answer
    assert answer is not None
    assert answer.asked is answer.shown is None


def test_a_kind_of_certificate_that_the_server_does_not_take_proves_nothing(lab: Lab) -> None:
    # It asks for signatures of other kinds: the client answers with an empty list.
    answer = Answer("connection", "closed without an alert", asked=True, shown=False)
    way = next(way for way in all_ways() if way.name == "client-self-signed")
    told = judge(way, answer, Answer("call", status="OK"))
    assert told.outcome == "unsupported"
