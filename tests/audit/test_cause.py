"""The cause of what a client accepts: true, one for each hole, with a fix in its own stack."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mitm.audit import Finding
from mitm.audit.attack import load_attack
from mitm.audit.cause import Cause, CauseName, causes_of, find_causes
from mitm.audit.stack import kind_of_stack
from mitm.content import CERTS, markdown_files
from mitm.evidence import Ending, Observation
from mitm.pki import load_recipe
from mitm.pki.recipe import Severity
from tests.audit.findings import catalogued, finding, report

FORGERIES = [n for n in markdown_files(CERTS) if load_recipe(n).expect == "reject"]

# What a client that verifies nothing refuses all the same: the handshake does.
BY_THE_HANDSHAKE = {
    *("anonymous-cipher", "null-cipher", "other-key", "plaintext-http1", "plaintext-http2"),
    *("alpn-http1", "no-alpn", "other-key-tls-1.2", "tls-1.0", "tls-1.1"),
}


def audited(accepted: set[str], refused: set[str], stack: str = "") -> tuple[Cause, ...]:
    findings = [catalogued(name, "vulnerable") for name in sorted(accepted)]
    findings += [catalogued(name, "pass") for name in sorted(refused)]
    return causes_of(findings, stack)


def names(causes: tuple[Cause, ...]) -> list[str]:
    return [cause.name for cause in causes if cause.severity == "must"]


EVERYTHING = set(FORGERIES) - BY_THE_HANDSHAKE


def test_a_client_that_verifies_nothing_has_one_cause() -> None:
    first, *others = audited(EVERYTHING, BY_THE_HANDSHAKE)
    assert first.says == "this client does not verify at all"
    assert {f.case.name for f in first.findings} == EVERYTHING - {"must-staple"}
    assert [cause.severity for cause in others] == ["info"]


@pytest.mark.parametrize(
    "refused",
    ["eku-client-auth", "path-length-exceeded", "wrong-san", "expired-intermediate", "imitated-ca"],
)
def test_not_at_all_is_said_of_nobody_who_refuses_a_forgery_of_any_family(refused: str) -> None:
    causes = audited(EVERYTHING - {refused}, BY_THE_HANDSHAKE | {refused})
    assert "no-verification" not in names(causes)
    assert len(names(causes)) > 1


def test_what_a_parser_turns_away_was_not_verified() -> None:
    odd = {"nul-in-san", "malformed-san", "unknown-critical-extension", "zero-signature"}
    assert names(audited(EVERYTHING - odd, BY_THE_HANDSHAKE | odd)) == ["no-verification"]


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ({"attacker-ca"}, ["any-issuer"]),
        ({"attacker-ca", "wrong-host"}, ["any-issuer", "no-name-check"]),
        ({"expired"}, ["lenient-dates"]),
        ({"expired", "not-yet-valid"}, ["no-dates"]),
        ({"wrong-san"}, ["lenient-names"]),
        ({"self-signed"}, ["untrusted-path"]),
        ({"bad-signature"}, ["no-signature-check"]),
        ({"other-key"}, ["no-possession"]),
        ({"leaf-as-ca"}, ["ca-limits"]),
        ({"md5-signature"}, ["weak-cryptography"]),
    ],
)
def test_of_what_was_not_tried_nothing_is_said(tried: set[str], expected: list[str]) -> None:
    assert names(audited(tried, set())) == expected


def test_what_needs_trust_follows_from_taking_any_issuer() -> None:
    (cause,) = audited({"attacker-ca", "leaf-as-ca", "eku-client-auth"}, {"wrong-host", "expired"})
    assert cause.name == "any-issuer"
    assert [f.case.name for f in cause.proof] == ["attacker-ca"]
    assert {f.case.name for f in cause.follows} == {"leaf-as-ca", "eku-client-auth"}


def test_who_trusts_the_machine_as_well_is_told_so() -> None:
    (cause,) = audited({"system-root"}, {"attacker-ca", "self-signed"})
    assert (cause.name, cause.severity) == ("other-roots", "should")
    (cause,) = audited({"system-root", "attacker-ca"}, {"wrong-host"})
    assert cause.name == "any-issuer"


def test_who_refuses_a_self_signed_certificate_does_not_take_any_issuer() -> None:
    assert names(audited({"attacker-ca"}, {"self-signed"})) == ["untrusted-path"]


def test_what_only_good_clients_refuse_stands_apart() -> None:
    causes = audited({"nul-in-san", "no-san", "trailing-dot"}, {"wrong-host"})
    assert [(c.severity, [f.case.name for f in c.proof]) for c in causes] == [
        ("must", ["nul-in-san"]),
        ("should", ["no-san"]),
        ("info", ["trailing-dot"]),
    ]


@given(st.sets(st.sampled_from(FORGERIES)), st.sets(st.sampled_from(FORGERIES)))
def test_every_certificate_has_one_cause_and_the_worst_comes_first(
    accepted: set[str], refused: set[str]
) -> None:
    causes = audited(accepted, refused - accepted)
    told = [f.case.name for cause in causes for f in cause.findings]
    assert sorted(told) == sorted(accepted)
    weights = [["must", "should", "info"].index(cause.severity) for cause in causes]
    assert weights == sorted(weights)
    for cause in causes:
        assert cause.fix
        assert cause.says.startswith("this client ")
    if {"attacker-ca", "wrong-host", "expired", "not-yet-valid"} & refused - accepted:
        assert "no-verification" not in names(causes)


def test_without_both_controls_there_is_no_cause() -> None:
    forged = catalogued("attacker-ca", "vulnerable")
    assert find_causes(report(forged))
    assert not find_causes(report(forged, last="too-strict"))
    assert not find_causes(report(forged, last=None))


def plain(*findings: Finding, control: bool) -> tuple[Cause, ...]:
    genuine = catalogued("genuine", "vulnerable", exposed=control)
    return causes_of(findings, control=genuine)


def test_a_client_without_tls_has_one_cause() -> None:
    forged = [catalogued(name, "vulnerable", exposed=True) for name in FORGERIES]
    (cause,) = plain(*forged, control=True)
    assert (cause.name, cause.says) == ("no-tls", "this client uses no TLS")
    assert len(cause.findings) == len(FORGERIES)
    assert "name" not in cause.fix


def test_a_client_that_falls_back_to_plaintext_does_not_lack_tls() -> None:
    forged = [catalogued(name, "vulnerable", exposed=True) for name in ("expired", "wrong-host")]
    (cause,) = plain(*forged, catalogued("attacker-ca", "pass"), control=False)
    assert cause.name == "plaintext-fallback"


def test_of_one_certificate_its_connections_tell_whether_tls_was_tried() -> None:
    forged = catalogued("expired", "vulnerable", exposed=True)
    assert forged.evidence
    assert [cause.name for cause in causes_of([forged])] == ["no-tls"]
    ends = (Ending(1, False, "client", "alert", "handshake", "unknown_ca (48)"),)
    evidence = structs.replace(forged.evidence, connections=ends + forged.evidence.connections)
    observation = Observation("exposed", "", evidence)
    fallback = structs.replace(forged, observation=observation)
    assert [cause.name for cause in causes_of([fallback])] == ["plaintext-fallback"]


def test_certificates_of_ones_own_are_told_by_their_own_fix() -> None:
    own = [finding("a", "vulnerable"), finding("b", "vulnerable")]
    causes = causes_of(own)
    assert [cause.fix for cause in causes] == [f.case.fix for f in own]
    assert {cause.name for cause in causes} == {"other"}


def test_the_page_tells_every_cause() -> None:
    page = (CERTS.parent / "docs" / "audit.md").read_text()
    for name in get_args(CauseName):
        assert f"`{name}`" in page


# The client's own stack


GRPCIO = "grpc-python/1.85.3 grpc-c/58.0.0 (linux; chttp2)"
GO = "my-app/1.0 grpc-go/1.85.0"
STACKS = {
    GRPCIO: "root_certificates",
    "grpc-python-grpclib/0.4.9 (linux; cpython/3.11.7)": "CERT_NONE",
    GO: "InsecureSkipVerify",
    "grpc-node-js/1.14.0": "rejectUnauthorized",
    "grpc-java-netty/1.76.0": "TlsChannelCredentials",
    "users-client/0.1 tonic/0.14.2": "ClientTlsConfig",
    "curl/8.5.0": "--insecure",
    "Python": "create_default_context",
    "Java": "TrustManager",
    "": "verification",
}


@pytest.mark.parametrize(("stack", "word"), STACKS.items())
def test_the_fix_is_one_of_the_clients_own_stack(stack: str, word: str) -> None:
    (cause,) = audited(EVERYTHING - {"must-staple"}, BY_THE_HANDSHAKE, stack)
    assert word in cause.fix
    others = set(STACKS.values()) - {word, "verification"}
    if stack not in ("", "Python") and "grpclib" not in stack:
        assert not [other for other in others if other in cause.fix and "Trust" not in other]


@pytest.mark.parametrize(
    ("stack", "word"),
    [
        ("grpc-python-grpclib/0.4.9", "SSLContext.set_ciphers"),
        (GO, "`go` line of the module"),
        ("grpc-node-js/1.14.0", "--tls-cipher-list"),
        ("grpc-java-netty/1.76.0", "jdk.certpath.disabledAlgorithms"),
    ],
)
def test_a_library_on_the_tls_of_its_runtime_is_told_what_holds_there(
    stack: str, word: str
) -> None:
    causes = audited({"rsa-1024", "sha1-signature"}, {"wrong-host", "attacker-ca"}, stack)
    assert any(word in cause.fix for cause in causes)


def test_where_a_stack_has_no_switch_that_is_told() -> None:
    sound = {"no-san", "ip-in-dns-san", "trailing-dot", "rsa-1024", "sha1-signature", "must-staple"}
    for cause in audited(sound, {"wrong-host", "attacker-ca"}, GRPCIO):
        assert "grpcio has no switch for it" in cause.fix.replace(" its name check", " it")
    for cause in audited(sound, {"wrong-host", "attacker-ca"}, GO):
        assert "grpcio" not in cause.fix


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("grpc-python/1.85.3; Python 3.12.1, grpcio 1.85.3", "grpcio"),
        ("Python 3.12.1, OpenSSL 3.0.13, grpcio 1.85.3", "python"),
        ("grpc-python-asyncio/1.60.0 grpc-c/37.0.0 (linux; chttp2)", "grpcio"),
        ("grpcurl/1.9 grpc-go/1.61.0; Go", "grpc-go"),
        ("grpc-c++/1.51.1 grpc-c/29.0.0 (linux; chttp2)", "grpc-c++"),
        ("not-grpc-go/1.0", ""),
        ("Go-http-client/2.0", "go"),
        ("Node.js", "node"),
        ("", ""),
    ],
)
def test_the_stack_is_known_by_its_own_word(said: str, kind: str) -> None:
    assert kind_of_stack(said) == kind


@given(st.text())
def test_whatever_a_client_calls_itself_is_no_trouble(said: str) -> None:
    kind_of_stack(said)


@pytest.mark.parametrize("stack", ["users-client/0.1 tonic/0.14.2", "Rust"])
def test_of_what_rustls_leaves_out_a_fix_says_what_its_user_can_do(stack: str) -> None:
    (cause,) = audited({"ca-without-cert-sign"}, {"attacker-ca", "self-signed"}, stack)
    assert cause.severity == "should"
    assert "trust no CA that has certified a key" in cause.fix
    (other,) = audited({"ca-without-cert-sign"}, {"attacker-ca", "self-signed"})
    assert "webpki" not in other.fix


def test_of_attacks_what_binds_stands_first_and_its_fix_is_told() -> None:
    attacked = []
    played: list[tuple[str, Severity]] = [("resumed-session", "info"), ("same-process", "must")]
    for name, severity in played:
        found = finding(name, "vulnerable", severity)
        case = structs.replace(found.case, family="sequence", attack=load_attack(name))
        attacked.append(structs.replace(found, case=case))
    (cause,) = find_causes(report(*attacked))
    assert [each.case.name for each in cause.proof] == ["same-process", "resumed-session"]
    assert cause.fix.endswith("for same-process")
