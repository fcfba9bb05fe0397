"""Servers in Python, each with one flaw: the probe finds just that, and nothing in sound ones."""

import ssl
import warnings

import pytest

from mitm.audit import find_causes
from tests.probe.lab import CLIENT, METHOD, SERVER, Lab, finding, holes, probed
from tests.probe.servers import Caller, Rules, by_name, serving, splits_subject

# All that come without a certificate and call the method by its name.
ANONYMOUS = {"no-certificate"}

# Who is let in where everybody of the CA is.
WHOEVER = {"wrong-identity"}

MUTANTS: dict[str, tuple[Rules, set[str]]] = {
    "sound": (Rules(), set()),
    "sound-in-tls-1.2": (Rules(newest=ssl.TLSVersion.TLSv1_2), set()),
    "asks-in-tls-1.3-alone": (
        Rules(
            verify=ssl.CERT_OPTIONAL,
            allow=lambda c: by_name(c) or (not c.certificate and c.version == "TLSv1.2"),
        ),
        {"no-certificate-tls-1.2"},
    ),
    "everybody-of-the-ca": (Rules(allow=lambda caller: True), WHOEVER),
    "certificate-optional": (
        Rules(verify=ssl.CERT_OPTIONAL, allow=lambda c: by_name(c) or not c.certificate),
        ANONYMOUS,
    ),
    "common-name": (
        Rules(allow=lambda c: CLIENT in c.common_names),
        {"common-name-beside-san", "common-name-alone"},
    ),
    "common-name-if-there-is-no-other": (
        Rules(allow=lambda c: CLIENT in (c.all_names or c.common_names)),
        {"common-name-alone"},
    ),
    "nobody-is-wrong": (
        Rules(allow=lambda c: all(name == CLIENT for name in c.all_names)),
        {"no-identity", "common-name-alone"},
    ),
    "begins-with": (
        Rules(allow=lambda c: any(name.startswith(CLIENT) for name in c.names)),
        {"lookalike-identity", "nul-in-identity"},
    ),
    "of-whatever-kind": (
        Rules(allow=lambda c: any(CLIENT in name.split("@")[0].split("/") for name in c.all_names)),
        {"name-of-another-kind"},
    ),
    "up-to-a-zero": (
        Rules(allow=lambda c: any(name.split("\0")[0] == CLIENT for name in c.names)),
        {"nul-in-identity"},
    ),
    "wildcards": (
        Rules(allow=lambda c: by_name(c) or f"*.{CLIENT.partition('.')[2]}" in c.names),
        {"wildcard-identity"},
    ),
    "splits-the-subject": (
        Rules(allow=lambda c: by_name(c) or splits_subject(c)),
        {"injected-identity", "common-name-beside-san", "common-name-alone"},
    ),
    "one-server-name": (
        Rules(required_under=lambda name: name == SERVER),
        {
            *("other-server-name", "no-server-name"),
            *("mixed-case-server-name", "trailing-dot-server-name"),
        },
    ),
    "none-is-forgotten": (Rules(required_under=lambda name: name is not None), {"no-server-name"}),
    "case-counts": (
        Rules(required_under=lambda name: (name or "").lower() == name),
        {"mixed-case-server-name", "no-server-name"},
    ),
    "dot-is-forgotten": (
        Rules(required_under=lambda name: not (name or "").endswith(".")),
        {"trailing-dot-server-name"},
    ),
    "first-record": (
        Rules(required_under=lambda name: name is not None, first_record_only=True),
        {"fragmented-hello", "no-server-name"},
    ),
    "header": (
        Rules(
            verify=ssl.CERT_OPTIONAL,
            allow=lambda c: by_name(c) or c.headers.get("x-ssl-client-verify") == "SUCCESS",
        ),
        {"forwarded-certificate"},
    ),
    "path": (
        Rules(
            route=lambda path: path if path.startswith("/") else f"/{path}",
            denied=lambda path: path.startswith("/"),
        ),
        {"path-without-slash", "path-without-slash-role"},
    ),
    "two-slashes": (
        Rules(
            route=lambda path: path.replace("//", "/"),
            denied=lambda path: not path.startswith("//"),
        ),
        {"path-double-slash-role"},
    ),
    "decoded-too-late": (
        Rules(route=lambda path: path.replace("%47", "G"), denied=lambda path: path == METHOD),
        {"path-encoded-role"},
    ),
    "plaintext-beside": (Rules(plaintext=True), {"plaintext"}),
    "resumed-is-known": (
        Rules(allow=lambda c: by_name(c) or c.resumed),
        {"resumed-other-identity"},
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_just_the_holes_of_a_server_are_found(name: str, lab: Lab) -> None:
    rules, expected = MUTANTS[name]
    with serving(lab, rules) as port:
        report = probed(lab, port)
    assert holes(report) == expected


def test_a_server_that_never_asks_lets_everybody_in(lab: Lab) -> None:
    with serving(lab, Rules(verify=ssl.CERT_NONE, allow=lambda caller: True)) as port:
        report = probed(lab, port)
    assert "it was asked for no certificate" in finding(report, "no-certificate").reason
    kinds = ("trust", "time", "purpose", "authority")
    shown = {f.case.name for f in report.findings if f.case.family in kinds}
    assert {name for name in shown if not name.endswith("-tls-1.2")} <= holes(report)
    # It is one mistake, and all the rest follows from it.
    (cause,) = find_causes(report)
    assert cause.name == "no-client-certificate"
    assert cause.proof[0].case.name == "no-certificate"
    assert holes(report) == {f.case.name for f in cause.findings}


def test_old_versions_are_found(lab: Lab) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        oldest = ssl.TLSVersion.TLSv1
        with serving(lab, Rules(oldest=oldest)) as port:
            report = probed(lab, port)
    outcomes = {finding(report, f"client-tls-1.{n}").outcome for n in (0, 1)}
    if "unsupported" in outcomes:
        pytest.skip("the OpenSSL here does not speak them")
    assert holes(report) == {"client-tls-1.0", "client-tls-1.1"}


def test_a_session_of_another_name_is_found(lab: Lab) -> None:
    # Under any other name anybody may shake hands, and is given nothing; a session is taken for
    # proof that its client was looked at.
    def allow(caller: Caller) -> bool:
        return by_name(caller) or (caller.resumed and caller.server_name == SERVER)

    with serving(lab, Rules(verify=ssl.CERT_OPTIONAL, allow=allow)) as port:
        report = probed(lab, port)
    assert holes(report) == {"resumed-other-name", "resumed-other-identity"}


def test_without_the_key_of_the_ca_what_takes_it_is_not_exercised(lab: Lab) -> None:
    with serving(lab, Rules(allow=lambda caller: True)) as port:
        report = probed(lab, port, with_ca=False)
    assert holes(report) == set()
    for name in ("wrong-identity", "client-expired", "client-eku-server"):
        each = finding(report, name)
        assert each.outcome == "not-exercised"
        assert "--client-ca-cert" in each.reason
    assert finding(report, "client-leaf-as-ca").outcome == "pass"
