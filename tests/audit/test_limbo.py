"""x509-limbo's test cases: read, sorted into those that can be played live, and played."""

import json
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from hypothesis import given
from hypothesis import strategies as st

from mitm import audit
from mitm.audit import select
from mitm.audit.limbo import CONTROL_NAME, load_limbo
from mitm.errors import UserError
from tests.programs import mitm_demo

SAMPLE = Path(__file__).parent / "data" / "limbo-sample.json"

TESTS: dict[str, dict[str, Any]] = {
    test["id"]: test for test in json.loads(SAMPLE.read_text())["testcases"]
}

# Valid for centuries, for `example.com`, with a key.
SOUND = "rfc5280::no-basicconstraints"


def suite_file(folder: Path, *tests: dict[str, Any], **changed: object) -> Path:
    path = folder / "limbo.json"
    path.write_text(json.dumps({"version": 1, "testcases": tests} | changed))
    return path


def only_case(folder: Path, name: str = SOUND, **changed: Any) -> audit.Case:
    """The case that one of the sample's test cases becomes, with some of its fields changed."""
    (case,) = load_limbo(suite_file(folder, TESTS[name] | changed)).cases
    return case


def name_of(kind: str, value: str) -> dict[str, str]:
    return {"kind": kind, "value": value}


def test_every_test_case_is_there_in_the_order_of_the_file() -> None:
    assert [case.name for case in load_limbo(SAMPLE).cases] == list(TESTS)


def test_a_test_case_becomes_a_handshake(tmp_path: Path) -> None:
    test = TESTS["pathlen::ee-with-intermediate-pathlen-1"]
    case = only_case(tmp_path, test["id"])
    assert case.chain is not None
    assert case.chain.pem.decode().split() == (
        test["peer_certificate"].split() + test["untrusted_intermediates"][0].split()
    )
    assert case.chain.key_pem.decode() == test["peer_certificate_key"]
    assert case.chain.anchor_pem.decode().split() == test["trusted_certs"][0].split()
    assert (case.chain.server_name, case.chain.host) == ("example.com", "localhost")
    assert case.lesson.strip() == test["description"].strip()
    assert case.expect == "accept"


def test_a_failure_is_to_be_rejected(tmp_path: Path) -> None:
    case = only_case(tmp_path, "webpki::san::mismatch-domain-san")
    assert case.chain is not None
    assert (case.expect, case.cwe, case.chain.server_name) == ("reject", (295,), "example2.com")


def test_all_trusted_certificates_become_the_ca_file(tmp_path: Path) -> None:
    trusted = [TESTS[name]["trusted_certs"][0] for name in list(TESTS)[2:4]]
    case = only_case(tmp_path, trusted_certs=trusted)
    assert case.chain is not None
    assert case.chain.anchor_pem.decode().split() == " ".join(trusted).split()


@pytest.mark.parametrize(
    ("features", "importance", "severity"),
    [
        ([], "critical", "must"),
        ([], "high", "must"),
        ([], "undetermined", "must"),
        ([], "medium", "should"),
        ([], "low", "info"),
        (["pedantic-rfc5280"], "critical", "info"),
    ],
)
def test_severity_follows_importance_and_what_is_optional_binds_nobody(
    tmp_path: Path, features: list[str], importance: str, severity: str
) -> None:
    case = only_case(tmp_path, features=features, importance=importance)
    assert (case.severity, case.unsupported) == (severity, "")


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        # The CA/Browser Forum's rules, and RFC 5280's for CAs.
        ("webpki::aki::root-with-aki-all-fields", "info"),
        ("webpki::cn::ipv4-leading-zeros-mismatch", "info"),
        ("rfc5280::aki::leaf-missing-aki", "info"),
        ("rfc5280::nc::not-allowed-in-ee-noncritical", "info"),
        # A client can be of either mind.
        ("rfc5280::eku::ee-without-eku", "info"),
        # What every client has to do.
        ("webpki::san::mismatch-domain-san", "must"),
        ("rfc5280::eku::ee-wrong-eku", "must"),
        ("rfc5280::nc::excluded-dns-match-second", "must"),
        ("pathlen::intermediate-violates-pathlen-0", "must"),
    ],
)
def test_what_binds_cas_binds_no_client(name: str, severity: str) -> None:
    (case,) = (case for case in load_limbo(SAMPLE).cases if case.name == name)
    assert case.severity == severity


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("Forbidden under the [CA/B BR profile].", "info"),
        ("This breaks the CA/Browser Forum's rules.", "info"),
        ("Conforming\nCAs MUST mark this extension as non-critical.", "info"),
        ("CAs MUST NOT include the field.", "info"),
        ("The client SHOULD NOT match it.", "must"),
        ("An intermediate CA that must not sign.", "must"),
    ],
)
def test_a_rule_is_told_by_whom_it_binds(tmp_path: Path, text: str, severity: str) -> None:
    assert only_case(tmp_path, description=text).severity == severity
    # Somebody has determined how much depends on it: that counts.
    assert only_case(tmp_path, description=text, importance="critical").severity == "must"


def test_a_cas_duty_that_is_the_clients_as_well_binds_it(tmp_path: Path) -> None:
    said = "Conforming CAs MUST include this extension in all CA certificates."
    name = "rfc5280::intermediate-ca-missing-basic-constraints"
    assert only_case(tmp_path, id=name, description=said).severity == "must"
    other = "rfc5280::root-missing-basic-constraints"
    assert only_case(tmp_path, id=other, description=said).severity == "info"


def test_conflicts_are_kept_and_told(tmp_path: Path) -> None:
    assert only_case(tmp_path, conflicts_with=[]).rule == f"x509-limbo, {SOUND}"
    case = only_case(tmp_path, conflicts_with=["webpki::a", "webpki::b"], importance="critical")
    assert case.severity == "info"
    assert case.rule == (
        f"x509-limbo, {SOUND}; no client does both as this asks and as webpki::a or webpki::b does"
    )


def test_test_cases_are_chosen_by_namespace_as_well() -> None:
    cases = load_limbo(SAMPLE).cases
    for word in ("rfc5280::nc", "rfc5280::nc::"):
        names = [case.name for case in select(cases, [word])]
        assert names == [name for name in TESTS if name.startswith("rfc5280::nc::")]
    some = select(cases, ["webpki::", "rfc5280::serial"], ["webpki::san"])
    assert some == [
        case
        for case in cases
        if case.name.startswith(("webpki::", "rfc5280::serial::"))
        and not case.name.startswith("webpki::san::")
    ]
    # A part of a name is no namespace.
    with pytest.raises(UserError):
        select(cases, ["rfc5280::n"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("rfc5280::nc::permitted-dn-mtach", "did you mean 'rfc5280::nc::permitted-dn-match'?"),
        ("rfc5820", "did you mean 'rfc5280'?"),
        ("zzz", "namespaces: crl, pathlen, pathological, rfc5280, webpki"),
        ("self-signed", "unknown test case, namespace, severity or CWE 'self-signed'"),
        ("CWE-1", "goes by 'CWE-1'"),
    ],
)
def test_an_unknown_word_is_answered_in_one_short_line(word: str, said: str) -> None:
    for only, exclude in (([word], []), ([], [word])):
        with pytest.raises(UserError) as caught:
            select(load_limbo(SAMPLE).cases, only, exclude)
        assert said in str(caught.value)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"validation_kind": "CLIENT"}, "client validation"),
        ({"peer_certificate_key": None}, "no private key"),
        ({"validation_time": "2024-01-01T00:00:00Z"}, "the clock at 2024-01-01T00:00:00+00:00"),
        ({"expected_peer_name": None}, "no peer name"),
        ({"expected_peer_name": name_of("RFC822", "a@example.com")}, "of kind RFC822"),
        ({"crls": ["-----BEGIN X509 CRL-----"]}, "given CRLs"),
        ({"features": ["has-crl"]}, "given CRLs"),
        ({"max_chain_depth": 1}, "how long a chain may be"),
        ({"features": ["max-chain-depth"]}, "how long a chain may be"),
        ({"signature_algorithms": ["RSA_WITH_SHA256"]}, "which signature algorithms"),
        ({"key_usage": ["keyCertSign"]}, "which key usage"),
        ({"extended_key_usage": ["clientAuth"]}, "the purpose clientAuth"),
        ({"peer_certificate": "no certificate"}, "not PEM"),
    ],
)
def test_what_cannot_be_played_live_is_unsupported_with_the_reason(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    assert only_case(tmp_path).unsupported == ""
    case = only_case(tmp_path, **changed)
    assert reason in case.unsupported
    assert case.chain is None


def test_each_reason_is_given(tmp_path: Path) -> None:
    case = only_case(tmp_path, "crl::revoked-certificate-with-crl")
    assert case.unsupported == (
        "needs the clock at 2024-01-01T00:00:00+00:00; needs a client that is given CRLs"
    )


def test_asking_for_a_server_certificate_is_no_obstacle(tmp_path: Path) -> None:
    assert only_case(tmp_path, extended_key_usage=["serverAuth"]).unsupported == ""


def test_fields_that_the_format_may_gain_are_passed_over(tmp_path: Path) -> None:
    assert only_case(tmp_path, of_a_later_version={"nobody": "knows"}).unsupported == ""


def test_fields_that_older_files_lack_are_not_missed(tmp_path: Path) -> None:
    optional = ("importance", "conflicts_with", "expected_peer_names", "crls", "max_chain_depth")
    test = {key: value for key, value in TESTS[SOUND].items() if key not in optional}
    (case,) = load_limbo(suite_file(tmp_path, test)).cases
    assert (case.severity, case.unsupported) == ("must", "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON: Input data was truncated"),
        ("[]", "the whole: Expected `object`, got `array`"),
        ('{"version": 2, "testcases": []}', "version: Invalid enum value 2"),
        ('{"version": 1}', "the whole: Object missing required field `testcases`"),
        ('{"version": 1, "testcases": []}', "testcases: it holds no test case"),
        ('{"version": 1, "testcases": [{"id": 7}]}', "testcases[0].id: Expected `str`, got `int`"),
        ("\udcff", "not JSON"),
    ],
)
def test_a_malformed_file_is_told_with_file_place_and_reason(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "limbo.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UserError) as caught:
        load_limbo(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert "\n" not in str(caught.value)


def test_a_wrong_value_is_told_with_its_place(tmp_path: Path) -> None:
    tests = (TESTS[SOUND], TESTS[SOUND] | {"id": "another", "expected_result": "MAYBE"})
    with pytest.raises(UserError, match=r"testcases\[1\]\.expected_result: .*MAYBE"):
        load_limbo(suite_file(tmp_path, *tests))


def test_a_name_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{SOUND} stands there 2 times"):
        load_limbo(suite_file(tmp_path, TESTS[SOUND], TESTS[SOUND]))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"limbo\.json: cannot be read: No such file"):
        load_limbo(tmp_path / "limbo.json")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(TESTS[SOUND])), inner),
    ),
    st.sampled_from(list(TESTS[SOUND])),
)
def test_any_value_of_a_field_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, value: object, field: str
) -> None:
    path = suite_file(tmp_path_factory.getbasetemp(), TESTS[SOUND] | {field: value})
    refusal = ""
    try:
        (case,) = load_limbo(path).cases
    except UserError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith(f"{path}: ")
        assert "\n" not in refusal
    else:
        assert (case.chain is None) == bool(case.unsupported)


def test_no_library_warns_of_an_odd_certificate(tmp_path: Path) -> None:
    """Warnings are errors in these tests; this certificate brings one if it is merely loaded."""
    pem = TESTS["rfc5280::serial::negative"]["peer_certificate"]
    with pytest.warns(CryptographyDeprecationWarning):
        x509.load_pem_x509_certificate(pem.encode())
    chain = only_case(tmp_path, untrusted_intermediates=[pem]).chain
    assert chain is not None
    assert chain.subjects[1] == x509_subject(pem)


def x509_subject(pem: str) -> str:
    with pytest.warns(CryptographyDeprecationWarning):
        return x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()


def test_a_certificate_that_nobody_can_parse_is_presented_all_the_same(tmp_path: Path) -> None:
    rubbish = ssl.DER_cert_to_PEM_cert(b"\x30\x03\x02\x01\x00")
    case = only_case(tmp_path, untrusted_intermediates=[rubbish])
    assert case.chain is not None
    assert case.chain.subjects[1] == "(subject that cannot be read)"


def told_client(
    endpoint: audit.Endpoint, name: Callable[[audit.Endpoint], str] = lambda e: e.name
) -> None:
    """Python's `ssl`, which expects the name that it is told."""
    context = ssl.create_default_context(cafile=str(endpoint.ca_file))
    with (
        socket.create_connection((endpoint.host, endpoint.port)) as plain,
        context.wrap_socket(plain, server_hostname=name(endpoint)) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection.recv(1)


def untold_client(endpoint: audit.Endpoint) -> None:
    """The same, but it expects the name that it dials."""
    told_client(endpoint, lambda e: e.host)


def play(suite: audit.Suite, client: Callable[[audit.Endpoint], None]) -> audit.Report:
    with audit.Auditor() as auditor:
        return auditor.audit(suite, client, jobs=2)


def limbo_of(folder: Path, *names: str) -> audit.Suite:
    return load_limbo(suite_file(folder, *(TESTS[name] for name in names)))


def test_test_cases_are_played_as_live_handshakes(tmp_path: Path) -> None:
    outcomes = {
        SOUND: "pass",
        "webpki::san::leftmost-wildcard-san": "pass",
        "webpki::san::mismatch-domain-san": "pass",
        "pathlen::intermediate-violates-pathlen-0": "pass",
        "rfc5280::validity::expired-1-second": "unsupported",
    }
    report = play(limbo_of(tmp_path, *outcomes), told_client)
    assert report.conclusive
    assert {f.case.name: f.outcome for f in report.findings} == outcomes
    rejected = {f.case.name for f in report.findings if f.reason.startswith("rejected")}
    assert rejected == {
        "webpki::san::mismatch-domain-san",
        "pathlen::intermediate-violates-pathlen-0",
    }


def test_a_peer_name_may_be_an_address(tmp_path: Path) -> None:
    # OpenSSL does not mind what limbo minds about this one: that it gets through shows that the
    # address, which nobody dialled, was what the client expected.
    name = "webpki::cn::ipv4-leading-zeros-mismatch"
    suite = limbo_of(tmp_path, name)
    assert suite.cases[0].chain is not None
    assert suite.cases[0].chain.server_name == "192.168.1.1"
    assert play(suite, told_client).findings[0].outcome == "vulnerable"
    elsewhere = TESTS[name] | {"expected_peer_name": name_of("IP", "192.168.1.2")}
    suite = load_limbo(suite_file(tmp_path, elsewhere))
    assert play(suite, told_client).findings[0].outcome == "pass"


def test_a_client_that_is_not_told_the_name_proves_nothing(tmp_path: Path) -> None:
    suite = limbo_of(tmp_path, "webpki::san::mismatch-domain-san")
    assert suite.control.chain is not None
    assert suite.control.chain.server_name == CONTROL_NAME
    report = play(suite, untold_client)
    assert not report.conclusive
    assert not report.findings


def test_a_key_that_does_not_fit_is_unsupported_with_openssls_reason(tmp_path: Path) -> None:
    other = TESTS["rfc5280::eku::ee-without-eku"]["peer_certificate_key"]
    suite = load_limbo(suite_file(tmp_path, TESTS[SOUND] | {"peer_certificate_key": other}))
    (finding,) = play(suite, told_client).findings
    assert finding.outcome == "unsupported"
    assert finding.reason == "OpenSSL refuses to present it: key values mismatch"


CLIENT = """
import socket, ssl, sys
host, port, ca, name = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.check_hostname = True
with socket.create_connection((host, port)) as plain:
    with context.wrap_socket(plain, server_hostname=name) as connection:
        connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        connection.recv(1)
"""


def test_a_stock_client_passes_the_sample_and_a_careless_one_does_not(tmp_path: Path) -> None:
    careless = CLIENT.replace("check_hostname = True", "check_hostname = False")
    assert audit_by_command(tmp_path, CLIENT, *TESTS)["code"] == 0
    report = audit_by_command(tmp_path, careless, *TESTS)
    assert (report["code"], report["failing"]) == (1, ["webpki::san::mismatch-domain-san"])


def audit_by_command(folder: Path, client: str, *names: str) -> dict[str, Any]:
    """`mitm-demo audit --limbo` of a client of the test's own, its JSON report and exit code."""
    program = folder / "client.py"
    program.write_text(client)
    file = suite_file(folder, *(TESTS[name] for name in names))
    command = (sys.executable, program, "{host}", "{port}", "{ca}", "{name}")
    result = mitm_demo("audit", "--json", "--limbo", file, "--", *command)
    report: dict[str, Any] = json.loads(result.out)
    return report | {"code": result.code}


def test_the_command_line_plays_a_suite_of_limbos(tmp_path: Path) -> None:
    names = (SOUND, "webpki::san::mismatch-domain-san", "rfc5280::validity::expired-1-second")
    report = audit_by_command(tmp_path, CLIENT, *names)
    outcomes = {f["certificate"]: f["outcome"] for f in report["findings"]}
    assert outcomes == dict(zip(names, ("pass", "pass", "unsupported"), strict=True))
    assert report["code"] == 0


def test_the_command_line_tells_which_test_case_was_accepted_wrongly(tmp_path: Path) -> None:
    careless = CLIENT.replace("check_hostname = True", "check_hostname = False")
    name = "webpki::san::mismatch-domain-san"
    report = audit_by_command(tmp_path, careless, SOUND, name)
    outcomes = {f["certificate"]: f["outcome"] for f in report["findings"]}
    assert outcomes == {SOUND: "pass", name: "vulnerable"}
    assert report["code"] == 1
