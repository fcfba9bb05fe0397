"""`mitm-demo explain`: errors of TLS clients, as they stand in terminals and logs."""

import json
import random
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from docs.errors import heard_in, measure, of_refusals, without_refusals
from docs.refusals import PAGE as REFUSALS
from docs.refusals import Said
from docs.stacks import STACKS_OF_CLIENTS
from mitm import content
from mitm.explain import MEANINGS, Known, load, read
from mitm.explain.log import Reading
from mitm.explain.words import runs
from tests.programs import MITM_DEMO, mitm_demo, refused

GO = (
    'rpc error: code = Unavailable desc = connection error: desc = "transport: authentication '
    "handshake failed: tls: failed to verify certificate: x509: certificate is valid for {}, "
    'not {}"'
)
GRPCIO = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.1.2.3:443: Tls handshake "
    "failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL "
    "routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: certificate has expired: OK"
)
PYTHON = (
    "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
    "Hostname mismatch, certificate is not valid for 'api.example'. (_ssl.c:1000)"
)
NODE = "Error: self-signed certificate in certificate chain"
CURL = "curl: (60) SSL: no alternative certificate subject name matches target host name 'db.corp'"

# Names, ports and versions are none that the patterns were made of.
TEXTS = {
    GO.format("api.example", "shop"): ("grpc-go", "name", "wrong-host"),
    GRPCIO: ("grpcio", "dates", "expired"),
    PYTHON: ("grpclib", "name", "wrong-host"),
    NODE: ("grpc-js", "issuer", "attacker-ca"),
    CURL: ("curl", "name", "wrong-host"),
    # OpenSSL 1.1 and older write it without a hyphen.
    "Error: self signed certificate in certificate chain": ("grpc-js", "issuer", "attacker-ca"),
    "first record does not look like a TLS handshake": ("grpc-go", "plaintext", "plaintext-http2"),
    "x509: certificate has expired or is not yet valid: current time 2031-01-02T03:04:05Z is after "
    "2030-01-01T00:00:00Z": ("grpc-go", "dates", "expired"),
    'dial tcp 10.0.0.7:443: connect: connection refused"': ("grpc-go", "nobody-there", ""),
    "{ code: 'SELF_SIGNED_CERT_IN_CHAIN' }": ("grpc-js", "issuer", "attacker-ca"),
    "CERT_HAS_EXPIRED": ("grpc-js", "dates", "expired"),
}  # fmt: skip


def known(text: str) -> Reading:
    return read(text.splitlines(), load(content.ERRORS))


def first(reading: Reading) -> Known:
    return reading.errors[0][0]


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_an_error_is_named_with_what_shows_it(text: str, expected: tuple[str, str, str]) -> None:
    stack, cause, certificate = expected
    found = first(known(text))
    assert stack in found.stacks
    name, shown_by = found.cases[0]
    assert name == cause
    assert not certificate or certificate in shown_by


def test_the_command_names_cause_certificate_and_fix_of_the_stack() -> None:
    result = mitm_demo("explain", GO.format("a.example", "b.example"))
    assert result.code == 0, result
    for said in (
        MEANINGS["name"].says[1:],
        "mitm-demo show wrong-host",
        "ServerName in tls.Config",
    ):
        assert said in result.out
    assert mitm_demo("show", "wrong-host").code == 0


@pytest.mark.parametrize(
    "text",
    [
        "TypeError: undefined is not a function",
        "connection error",
        "remote error: tls: something new",
        "rpc error: code = NotFound desc = no such user",
        "INFO server listening on :50051, certificate loaded",
        "https://example.com/x509",
        "the certificate of this course is handed out on Friday",
        "…",
        "\x00\x1b[31m",
    ],
)
def test_no_such_error_known_is_an_answer(text: str) -> None:
    assert not known(text).errors
    if "\0" not in text:
        result = mitm_demo("explain", text)
        assert result.code == 1
        assert "No such error known" in result.out


def test_what_many_cases_say_is_told_as_that() -> None:
    result = mitm_demo("explain", "UNAVAILABLE: failed to connect to all addresses")
    assert result.code == 0
    assert "recognised in part" in result.out
    assert "causes: the likeliest first" in result.out
    found = first(known("UNAVAILABLE: failed to connect to all addresses"))
    assert found.count > 50
    causes, counts = zip(*((cause, len(names)) for cause, names in found.cases), strict=True)
    assert causes[0] == "issuer"
    assert list(counts[1:]) == sorted(counts[1:], reverse=True)
    # One that only says what it is about is told without that.
    one = GO.format("a.example", "b.example")
    assert "the likeliest first" not in mitm_demo("explain", one).out


@pytest.mark.parametrize(
    "text",
    [
        # What older versions say of whatever OpenSSL, or BoringSSL, refuses; and what people quote.
        "CERTIFICATE_VERIFY_FAILED",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:777)",
        "error:1416F086:SSL routines:tls_process_server_certificate:certificate verify failed",
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.1.2.3:443: Ssl handshake "
        "failed: SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:"
        "CERTIFICATE_VERIFY_FAILED",
    ],
)
def test_what_names_no_cause_is_said_for_many(text: str) -> None:
    found = first(known(text))
    causes = [cause for cause, _ in found.cases]
    assert causes[0] == "issuer"
    assert {"dates", "ca-limits", "purpose"} <= set(causes)


# Whose certificate: the client's, refused by the server

ALERTS = (
    # What only a server sends.
    (
        'rpc error: code = Unavailable desc = connection error: desc = "error reading server '
        'preface: remote error: tls: certificate required"',
        True,
    ),
    (
        "No connection established. Last error: 00AC:error:0A00045C:SSL routines:ssl3_read_bytes:"
        "tlsv13 alert certificate required:../deps/openssl/openssl/ssl/rec_layer_s3.c:1605:"
        "SSL alert number 116",
        True,
    ),
    ("{ code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' }", True),
    ("transport error: connection error: received fatal alert: CertificateRequired", True),
    (
        "ssl.SSLError: [SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required "
        "(_ssl.c:2580)",
        True,
    ),
    ("javax.net.ssl.SSLHandshakeException: Received fatal alert: certificate_required", True),
    # What both sides send.
    ("remote error: tls: bad certificate", False),
    ("tls: bad certificate", False),
    ("remote error: tls: unknown certificate authority", False),
    ("remote error: tls: expired certificate", False),
    ("javax.net.ssl.SSLHandshakeException: Received fatal alert: bad_certificate", False),
    ("error:10000412:SSL routines:OPENSSL_internal:SSLV3_ALERT_BAD_CERTIFICATE", False),
    (
        "error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:rec_layer_s3.c:1605:"
        "SSL alert number 48",
        False,
    ),
    (
        "140735:error:14094412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:s3.c:1:"
        "SSL alert number 42",
        False,
    ),
    ("transport error: received fatal alert: UnknownCA", False),
)


@pytest.mark.parametrize(("text", "of_a_server"), ALERTS)
def test_an_alert_that_was_received_is_about_the_own_certificate(
    text: str, of_a_server: bool
) -> None:
    (found, _), *others = known(text).errors
    assert not others
    assert found.whole
    causes = [cause for cause, _ in found.cases]
    # In a server's log the same words mean the opposite.
    assert causes == ["client-certificate"] + ["client-refused"] * (not of_a_server)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        # Found by the client itself: about the server's certificate.
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "issuer",
        ),
        ("transport error: invalid peer certificate: UnknownIssuer", "issuer"),
        (
            "error:0A000086:SSL routines:tls_process_server_certificate:certificate verify failed",
            "issuer",
        ),
        (
            "SSLHandshakeException: (certificate_unknown) PKIX path building failed: "
            "sun.security.provider.certpath.SunCertPathBuilderException: unable to find valid "
            "certification path to requested target",
            "issuer",
        ),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired",
            "dates",
        ),
        # Alerts that are about something else.
        ("remote error: tls: protocol version not supported", "protocol"),
        (
            "ssl3_read_bytes:tlsv1 alert protocol version:rec_layer_s3.c:1605:SSL alert number 70",
            "protocol",
        ),
        ("remote error: tls: handshake failure", "protocol"),
        # In the log of a server.
        (
            "http: TLS handshake error from 10.0.0.1:4321: remote error: tls: bad certificate",
            "client-refused",
        ),
        (
            "http: TLS handshake error from 10.0.0.1:1: tls: client didn't provide a certificate",
            "client-certificate",
        ),
        (
            "SSLError: [SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE] peer did not return a certificate",
            "client-certificate",
        ),
    ],
)
def test_what_is_about_another_certificate_is_told_apart(text: str, cause: str) -> None:
    found = first(known(text))
    assert found.cases[0][0] == cause
    if not cause.startswith("client"):
        assert "client-refused" not in dict(found.cases)


@pytest.mark.parametrize(
    "text",
    [
        # Sent, and not received.
        "local error: tls: bad certificate",
        "* TLSv1.3 (OUT), TLS alert, bad certificate (554)",
        "* TLSv1.3 (OUT), TLS alert, unknown CA (560)",
        "SSL3 alert write:fatal:bad certificate",
        # Which alert, it does not say in words.
        "SSL alert number 0",
        "remote error: tls: something new",
        # No TLS.
        "HTTP 403: certificate required",
        "INFO bad certificate count 0",
        "an unknown certificate was uploaded",
        "websocket: Socket closed",
        "database: connection lost",
        "write tcp 10.0.0.1:1->10.0.0.2:5432: write: broken pipe",
        "http: TLS handshake error from 10.0.0.1:4321: EOF",
    ],
)
def test_words_of_an_alert_are_none_by_themselves(text: str) -> None:
    assert not known(text).errors


@pytest.mark.parametrize(
    "text",
    [
        "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:10.1.2.3:443: "
        "Socket closed",
        "Network closed for unknown reason",
        "StreamTerminatedError: Connection lost",
        "operation was canceled: transport error: operation was canceled: connection closed",
    ],
)
def test_a_connection_that_was_just_closed_is_not_put_down_to_one_cause(text: str) -> None:
    """As a server on gRPC's C core refuses a client's certificate: without an alert."""
    causes = [cause for cause, _ in first(known(text)).cases]
    assert causes == ["interrupted", "client-certificate"]


def test_the_fix_is_a_certificate_for_the_client() -> None:
    result = mitm_demo("explain", "remote error: tls: bad certificate")
    assert result.code == 0
    words = " ".join(result.out.split())
    for part in (
        "The server refused the client's certificate, or misses one",
        "mitm-demo show mutual-tls",
        "in grpc-go: Certificates in tls.Config",
        "If this stands in a server's log, it is the other way round",
    ):
        assert part in words
    assert mitm_demo("show", "mutual-tls").code == 0
    required = mitm_demo("explain", "remote error: tls: certificate required")
    assert "other way round" not in required.out


def test_all_that_was_recorded_of_alerts_is_explained_as_that() -> None:
    """The dictionary is of docs/refusals.json, and nothing that it was made of contradicts it."""
    recorded = msgspec.json.decode(REFUSALS.read_bytes(), type=list[Said])
    assert {each.stack for each in recorded if each.by == "client"} >= {*STACKS_OF_CLIENTS.values()}
    # Made anew of what was recorded, it is the same.
    stacks = load(content.ERRORS).stacks
    assert of_refusals(recorded, without_refusals(stacks)) == stacks
    alerts = 0
    for each in recorded:
        reading = known(each.text)
        causes = [cause for error, _ in reading.errors for cause, _ in error.cases]
        if each.by == "client" and causes:
            assert "client-certificate" in causes or "interrupted" in causes, each
        if each.refused == "server" and re.search("bad.cert|unknown.ca", each.text):
            assert "client-refused" in causes, each
            alerts += 1
        if not each.refused:
            assert causes != ["client-certificate"], each
    assert alerts > 5


# As they stand in logs

FORMS = {
    "prefix": "2031-05-06T07:08:09.123Z pod-7f9c4 app[17]: ERROR (main) could not sync: {}",
    "colours": "\x1b[31mERROR\x1b[0m \x1b[1m{}\x1b[0m",
    "logfmt": 'time=2031-05-06T07:08:09Z level=error msg="sync" err="{}"',
    "bulleted": "  | caused by: {} | retrying in 5s",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", [GO.format("a.example", "b.example"), GRPCIO, PYTHON, NODE, CURL])
def test_it_is_found_in_whatever_a_log_puts_around_it(text: str, form: str) -> None:
    around = ["GET /health 200 1ms", FORMS[form].format(text), "GET /health 200 2ms"]
    reading = known("\n".join(around))
    assert first(reading) == first(known(text))
    assert len(reading.errors) == 1


@pytest.mark.parametrize("text", [GO.format("a.example", "b.example"), GRPCIO, PYTHON, NODE, CURL])
def test_it_is_found_in_json_and_wrapped(text: str) -> None:
    plain = first(known(text))
    once = json.dumps({"level": "error", "msg": text})
    assert first(known(once)) == plain
    assert first(known(json.dumps({"log": once}))) == plain
    words = text.split(" ")
    half = len(words) // 2
    wrapped = f"{' '.join(words[:half])}\n    {' '.join(words[half:])}"
    assert first(known(wrapped)) == plain
    crlf = f"before\r\n{text}\r\nbehind\r\n"
    assert first(known(crlf)) == plain


def test_a_log_with_several_errors_tells_each_and_how_often() -> None:
    log = "\n".join(
        [NODE, "ok", GO.format("a.example", "b"), NODE.replace("Error", "E"), "ok", NODE]
    )
    found = {error.cases[0][0]: times for error, times in known(log).errors}
    assert found == {"issuer": 3, "name": 1}


def test_standard_input_is_read_as_a_log() -> None:
    log = f"start\n{GRPCIO}\nend\n".encode()
    done = subprocess.run([MITM_DEMO, "explain", "-"], input=log, capture_output=True, check=False)
    assert done.returncode == 0, done
    assert b"expired" in done.stdout
    empty = subprocess.run([MITM_DEMO, "explain", "-"], input=b"", capture_output=True, check=False)
    assert empty.returncode == 1
    assert refused(mitm_demo("explain", " "))
    assert mitm_demo("explain").code == 2


def test_whatever_comes_on_standard_input_is_harmless() -> None:
    # In a process with little memory: a log is not kept.
    bounded = f"ulimit -v 700000; exec {MITM_DEMO} explain -"
    chance = random.Random(1)  # noqa: S311 - the same in every run
    endless = b"certificate a" * 1_500_000
    noise = chance.randbytes(1_000_000)
    terminal = b"\x1b]0;owned\x07 certificate verify failed: \x1b[2J certificate has expired\n"
    deep = b'{"a":' * 100_000 + b"\\u0000\\ud800" * 10_000
    for log in (endless, noise, terminal, deep, b"\xff\xfe" * 1000):
        done = subprocess.run(["bash", "-c", bounded], input=log, capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        assert done.stderr == b""
        assert b"\x1b" not in done.stdout


@pytest.mark.parametrize("dump", ["9a", "_", "a", "-"])
def test_a_word_of_any_length_is_looked_through_once(dump: str) -> None:
    """A dump in hexadecimal, say: to begin again at each of its characters would take an hour."""
    told = ("certificate", "has", "expired")
    assert told in runs(f"{dump * 500_000}: certificate has expired: {dump * 500_000}")


def test_many_different_lines_end_in_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mitm.explain.log._LINES", 50)
    chance = random.Random(2)  # noqa: S311 - the same in every run
    letters = "abcdefghijklmnopqrstuvwxyz"
    lines = [f"certificate {''.join(chance.choices(letters, k=9))}" for _ in range(200)]
    reading = read([NODE, *lines], load(content.ERRORS))
    assert reading.cut
    assert first(reading).cases[0][0] == "issuer"
    assert not read([NODE, *lines[:5]], load(content.ERRORS)).cut


# How well: on real runs, with a name that the patterns were not made of

SAMPLE = (
    "attacker-ca,self-signed,incomplete-chain,wrong-host,lookalike-suffix,expired,not-yet-valid,"
    "bad-signature,other-key,leaf-as-ca,path-length-exceeded,name-not-permitted,name-excluded,"
    "eku-client-auth,tls-1.0,no-alpn,plaintext-http2,unknown-critical-extension,md5-signature"
)


def test_messages_of_another_name_are_explained(tmp_path: Path) -> None:
    """The sample of `python -m docs.errors --measure` that needs nothing but Python."""
    client = ("--client", "python", "--policy", "ca-file")
    name = "orders.internal.example.net"
    audited = mitm_demo("audit", "--json", "--only", SAMPLE, "--name", name, *client)
    report = tmp_path / "held-out.json"
    report.write_text(audited.out)
    heard = list(heard_in(report))
    assert len(heard) >= 17
    (measured,) = measure(heard, load(content.ERRORS)).values()
    assert measured.right / measured.total >= 0.95, measured.missed


def test_the_page_and_the_dictionary_are_of_one_run() -> None:
    page = (content.ROOT / "docs" / "errors.md").read_text()
    # A matrix made where a client could not be built would leave its stack out.
    assert load(content.ERRORS).stacks.keys() >= {*STACKS_OF_CLIENTS.values()}
    for stack, patterns in load(content.ERRORS).stacks.items():
        for pattern in patterns:
            assert f"| {stack} | `{' … '.join(pattern.says)}`".replace("\\|", "|") in page
    figure = [line for line in page.splitlines() if line.startswith("| **all** |")]
    assert len(figure) == 1
    assert float(figure[0].split("|")[3].strip(" %")) >= 95
