"""What a client does where the file that tells it whom to trust is not what it should be."""

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from mitm import audit
from mitm.audit import find_causes
from mitm.audit.conclusion import conclude
from mitm.pki import Fault
from tests.go import build
from tests.plugin import clients
from tests.programs import mitm_demo

FAULTS = [f"ca-{fault}" for fault in get_args(Fault)]
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

# Seconds; the machine may be busy.
PATIENT = 60.0

PROGRAM = """
import os, shutil, socket, ssl, sys, time

host, port, ca, kind, cache = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]

def sound():
    return ssl.create_default_context(cafile=ca)

def appended():
    # The machine's CAs, and this one as well.
    context = ssl.create_default_context()
    context.load_verify_locations(ca)
    return context

def logged():
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        print("warning: no CA:", error)
    return context

def if_there():
    return ssl.create_default_context(cafile=ca if os.path.exists(ca) else None)

def if_any():
    # In text mode, `\\r\\n` becomes `\\n`; an empty text is false.
    with open(ca, errors="replace") as file:
        return ssl.create_default_context(cadata=file.read() or None)

def unverified():
    try:
        return sound()
    except (OSError, ssl.SSLError):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

def kept():
    # Of the first run, which saves a look at the configuration in all the others.
    if not os.path.exists(cache):
        shutil.copy(ca, cache)
    return ssl.create_default_context(cafile=cache)

def waiting():
    while not os.path.exists(ca):
        time.sleep(0.05)
    return sound()

context = globals()[kind]()
with socket.create_connection((host, port), 20) as plain:
    with context.wrap_socket(plain, server_hostname=host) as connection:
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        connection.recv(100)
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], list[str]]:
    """The command of a client of a kind."""
    file = tmp_path / "client.py"
    file.write_text(PROGRAM)

    def command(kind: str) -> list[str]:
        cache = tmp_path / f"cache-{kind}"
        return [sys.executable, str(file), "{host}", "{port}", "{ca}", kind, str(cache)]

    return command


Program = Callable[[str], list[str]]


def outcomes(client: audit.ClientUnderTest, only: list[str] = FAULTS) -> dict[str, str]:
    report = audit.run(client, only=only, timeout=PATIENT)
    assert report.conclusive, report.controls
    return {finding.case.name: finding.outcome for finding in report.findings}


def found(told: dict[str, str]) -> set[str]:
    return {name for name, outcome in told.items() if outcome == "vulnerable"}


def exercised(faults: set[str]) -> set[str]:
    """Without what root does not meet."""
    return faults - {"ca-unreadable"} if AS_ROOT else faults


def test_a_client_that_fails_closed_passes_whether_it_connects_or_not(program: Program) -> None:
    report = audit.run(program("sound"), only=FAULTS, timeout=PATIENT)
    told = {finding.case.name: finding for finding in report.findings}
    assert {name for name, each in told.items() if each.outcome == "pass"} == exercised({*FAULTS})
    assert "never connected" in told["ca-missing"].reason
    assert "FileNotFoundError" in told["ca-missing"].reason
    assert "rejected" in told["ca-another"].reason
    assert conclude(report).exit_code == 0


def test_a_client_that_waits_for_its_file_fails_closed(program: Program) -> None:
    report = audit.run(program("waiting"), only=["ca-missing"], timeout=4)
    (finding,) = report.findings
    assert (finding.outcome, finding.reason) == (
        "pass",
        "fails closed: it sent nothing in the 4 s that it had",
    )
    assert conclude(report).exit_code == 0


def test_what_root_cannot_meet_is_not_exercised(program: Program) -> None:
    report = audit.run(program("sound"), only=["ca-unreadable"], timeout=PATIENT)
    (finding,) = report.findings
    assert finding.outcome == ("not-exercised" if AS_ROOT else "pass")
    assert ("root" in finding.reason) == AS_ROOT


@pytest.mark.parametrize(
    ("kind", "caught"),
    [
        # A CA that is added to the machine's is missed by nobody, however it is spoiled.
        ("logged", {*FAULTS}),
        ("appended", {"ca-expired", "ca-another", "ca-crlf"}),
        ("if_there", {"ca-missing"}),
        ("if_any", {"ca-empty"}),
        ("unverified", {*FAULTS} - {"ca-expired", "ca-another", "ca-crlf"}),
        ("kept", {"ca-another"}),
    ],
)
def test_a_client_that_goes_on_with_somebody_elses_word_is_found(
    program: Program, kind: str, caught: set[str]
) -> None:
    assert found(outcomes(program(kind))) >= exercised(caught)


@pytest.mark.parametrize(
    ("kind", "spared"),
    [
        ("appended", {"ca-missing", "ca-directory"}),
        ("if_there", {"ca-expired", "ca-another", "ca-crlf", "ca-garbage"}),
        ("if_any", {"ca-missing", "ca-expired", "ca-another", "ca-crlf", "ca-directory"}),
        ("kept", {"ca-missing", "ca-expired"}),
    ],
)
def test_where_it_does_not_it_is_left_alone(program: Program, kind: str, spared: set[str]) -> None:
    assert not found(outcomes(program(kind), sorted(spared)))


def test_whoever_adds_its_ca_to_the_machines_fails_a_build(program: Program) -> None:
    command = program("appended")
    done = mitm_demo("audit", "--only", "ca-expired,attacker-ca", "--", *command)
    assert done.code == 1, done.out
    assert "ca-expired" in done.out
    assert "shown system-root" in done.out
    done = mitm_demo("audit", "--only", "ca-expired,attacker-ca", "--", *program("sound"))
    assert done.code == 0, done.out


def test_the_cause_is_told_with_its_fix(program: Program) -> None:
    report = audit.run(program("logged"), only=["ca-missing", "attacker-ca"], timeout=PATIENT)
    (cause,) = find_causes(report)
    assert cause.name == "fails-open"
    assert "ca-missing" in {finding.case.name for finding in cause.findings}
    # Of a client that verifies nothing it is no further cause.
    careless = [sys.executable, "-c", CARELESS, "{host}", "{port}"]
    report = audit.run(careless, only=["must"], timeout=PATIENT)
    assert "fails-open" not in {cause.name for cause in find_causes(report)}
    assert "ca-missing" in {finding.case.name for finding in report.failing()}


@pytest.mark.parametrize("checked", [False, True])
def test_the_fix_for_an_empty_file_is_what_a_client_of_grpcio_has_to_do(checked: bool) -> None:
    check = "if not pem.strip(): raise ValueError(path)"
    client = [sys.executable, "-c", GRPCIO.format(check=check if checked else ""), "{target}"]
    report = audit.run([*client, "{ca}"], only=["ca-empty"], timeout=PATIENT)
    (finding,) = report.findings
    assert finding.outcome == ("pass" if checked else "vulnerable"), finding.reason
    assert all(check in cause.fix for cause in find_causes(report))
    assert len(find_causes(report)) == (not checked)


GRPCIO = """
import sys, grpc
_, target, path = sys.argv
pem = open(path, "rb").read()
{check}
with grpc.secure_channel(target, grpc.ssl_channel_credentials(pem)) as channel:
    channel.unary_unary("/lab.Service/Call")(b"", timeout=10)
"""

CARELESS = """
import socket, ssl, sys
context = ssl._create_unverified_context()
context.set_alpn_protocols(["http/1.1"])
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as plain:
    with context.wrap_socket(plain, server_hostname=sys.argv[1]) as connection:
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        connection.recv(100)
"""


# Who is not told a CA


@pytest.mark.parametrize("policy", ["skip-verify", "ca-file"])
def test_a_policy_without_a_ca_has_none_to_be_spoiled(policy: str) -> None:
    done = mitm_demo(
        *("audit", "--json", "--only", "ca-missing,attacker-ca"),
        *("--client", "python", "--policy", policy),
    )
    assert ('"outcome": "not-exercised"' in done.out) == (policy == "skip-verify")


def test_a_ca_that_is_compiled_in_cannot_be_spoiled(tmp_path: Path) -> None:
    authority, key = tmp_path / "ca.pem", tmp_path / "ca.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=Mine", "-days", "1", "-keyout", key, "-out", authority),
            # Which Python insists on from 3.13 on (VERIFY_X509_STRICT).
            *("-addext", "keyUsage=critical,keyCertSign"),
        ],
        check=True,
        capture_output=True,
    )
    client = tmp_path / "client.py"
    client.write_text(
        CARELESS.replace(
            "ssl._create_unverified_context()",
            f"""\\
ssl.create_default_context(cafile={str(authority)!r})""",
        )
    )
    own = ("--authority", str(authority), "--authority-key", str(key))
    only = ("audit", "--json", "--only", "ca-another,attacker-ca", *own, "--", sys.executable)
    done = mitm_demo(*only, str(client), "{host}", "{port}")
    assert done.code == 0, done.out
    assert '"outcome": "not-exercised"' in done.out
    # Told or not, it is this file that it trusts: then that is found.
    done = mitm_demo(*only, str(client), "{host}", "{port}", "{ca}")
    assert done.code == 1, done.out


# In process, where the environment is read once


def reads_it_each_time(server: audit.Endpoint) -> None:
    ask(server, ssl.create_default_context(cafile=server.ca_file))


def goes_on_without(server: audit.Endpoint) -> None:
    try:
        context = ssl.create_default_context(cadata=server.ca_pem.decode())
    except (OSError, ValueError, ssl.SSLError):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ask(server, context)


class Remembers:
    """It reads the file once, for all servers that there will be."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    def __call__(self, server: audit.Endpoint) -> None:
        if self._context is None:
            self._context = ssl.create_default_context(cafile=server.ca_file)
        ask(server, self._context)


def ask(server: audit.Endpoint, context: ssl.SSLContext) -> None:
    with (
        socket.create_connection((server.host, server.port), clients.LIMIT) as plain,
        context.wrap_socket(plain, server_hostname=server.host) as connection,
    ):
        connection.sendall(clients.REQUEST)
        connection.recv(1000)


def test_a_function_is_tried_as_far_as_it_can_be() -> None:
    assert found(outcomes(reads_it_each_time)) == set()
    assert found(outcomes(clients.calls)) == set()
    # An empty text is no error to Python: it stands for the machine's CAs, which are not played.
    assert found(outcomes(goes_on_without)) >= {"ca-missing", "ca-garbage", "ca-der"}
    report = audit.run(reads_it_each_time, only=["ca-empty"])
    assert "no CA of the machine's was tried" in report.findings[0].reason
    assert found(outcomes(Remembers())) == {"ca-another"}


# Go, whose pool says in a bool that it has found nothing

GO_PROGRAM = """
package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"time"
)

func main() {
	config := &tls.Config{}
	switch os.Args[3] {
	case "sound":
		pem, err := os.ReadFile(os.Args[2])
		config.RootCAs = x509.NewCertPool()
		if err != nil || !config.RootCAs.AppendCertsFromPEM(pem) {
			println("no CA")
			os.Exit(1)
		}
	case "appended":
		pem, _ := os.ReadFile(os.Args[2])
		config.RootCAs, _ = x509.SystemCertPool()
		config.RootCAs.AppendCertsFromPEM(pem)
	case "if-read":
		if pem, err := os.ReadFile(os.Args[2]); err == nil {
			config.RootCAs = x509.NewCertPool()
			config.RootCAs.AppendCertsFromPEM(pem)
		}
	}
	connection, err := tls.Dial("tcp", os.Args[1], config)
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	connection.Write([]byte("GET / HTTP/1.1\\r\\n\\r\\n"))
	connection.SetReadDeadline(time.Now().Add(10 * time.Second))
	connection.Read(make([]byte, 1))
}
"""


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(GO_PROGRAM, tmp_path_factory.mktemp("go-configuration"))


@pytest.mark.parametrize(
    ("kind", "caught"),
    [("sound", set()), ("appended", {*FAULTS}), ("if-read", {"ca-missing", "ca-directory"})],
)
def test_a_bool_that_nobody_looks_at(go_program: Path, kind: str, caught: set[str]) -> None:
    told = outcomes([str(go_program), "{target}", "{ca}", kind])
    unread = {"ca-unreadable"} if kind == "if-read" else set()
    assert found(told) == exercised(caught | unread)
