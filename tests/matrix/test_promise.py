"""What each policy promises: a table, held for every case of the catalogue."""

import pytest
from msgspec.structs import replace

from mitm.audit import Case, catalogue, forge_suite
from mitm.audit.setting import LONG_NAME
from mitm.lab.policies import POLICIES
from mitm.matrix.promise import Promise, promise_of

SUITE = forge_suite(catalogue(), LONG_NAME)
CASES = {case.name: case for case in (SUITE.control, *SUITE.cases)}


def promised(policy: str, name: str) -> str:
    return of(policy, CASES[name]).what


def of(policy: str, case: Case) -> Promise:
    assert SUITE.control.chain
    return promise_of(policy, case, SUITE.control.chain)


# Worked out from client/README.md, case by case of different kinds.
# As in POLICIES: insecure, skip-verify, no-ca, ca-file, system-roots, pinned, skip-hostname,
# pinned-key, mutual-tls: to Take, to Refuse, or - either.
TABLE = {
    "genuine": "T T R T T T T T T",
    "attacker-ca": "- - R R R R R R R",
    "wrong-host": "- - R R R R - R R",
    "expired": "- - R R R R R R R",
    "name-excluded": "- - R R R R R R R",
    "mixed-case": "T T R T T R T R T",
    "intermediate": "T T R T T R T R T",
    "must-staple": "- - R - - R - R -",
    "plaintext-http2": "- R R R R R R R R",
    "tls-1.0": "- R R R R R R R R",
    "first-connection": "- - R R R R R R R",
    "ca-missing": "- - R R R R R R R",
    "other-key": "- - R R R R R R R",
    "offers-rc4": "- R R R R R R R R",
    "ed25519-leaf": "T - R - - R - R -",
}


@pytest.mark.parametrize(
    ("policy", "name", "what"),
    [
        (policy, name, {"T": "take", "R": "refuse", "-": "open"}[what])
        for name, line in TABLE.items()
        for policy, what in zip(
            POLICIES,
            line.split(),
            strict=True,
        )
    ],
)
def test_a_policy_promises_what_its_name_says(policy: str, name: str, what: str) -> None:
    assert promised(policy, name) == what


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_promises_to_let_a_forgery_in(policy: str) -> None:
    taken = [
        case.name
        for case in CASES.values()
        if case.expect == "reject" and of(policy, case).what == "take"
    ]
    assert taken == []


@pytest.mark.parametrize("policy", ["ca-file", "system-roots", "mutual-tls"])
def test_who_verifies_promises_what_binds_every_client(policy: str) -> None:
    for case in CASES.values():
        promise = of(policy, case)
        assert promise.binding == (case.severity == "must")
        assert (promise.what == "open") == (case.severity == "info")


@pytest.mark.parametrize("policy", ["pinned", "pinned-key"])
def test_who_pins_promises_to_refuse_all_but_the_genuine_server(policy: str) -> None:
    cases = [case for case in SUITE.cases if case.family != "offer"]
    assert {of(policy, case) for case in cases} == {Promise("refuse", binding=True)}
    assert of(policy, SUITE.control) == Promise("take", binding=True)


def test_a_pinned_key_is_good_in_any_certificate() -> None:
    chain = SUITE.control.chain
    assert chain
    with_other_ca = forge_suite([], LONG_NAME).control.chain
    assert with_other_ca
    case = CASES["expired"]
    same_key = promise_of("pinned-key", replace(case, chain=chain), chain)
    assert same_key.what == "open"
    other_key = promise_of("pinned-key", replace(case, chain=with_other_ca), chain)
    assert other_key == Promise("refuse", binding=True)
