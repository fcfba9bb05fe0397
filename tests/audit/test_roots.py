"""Whom a client trusts besides the CA that it is given: a machine's roots, played for it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mitm import audit, pki
from mitm.audit.cause import find_causes
from mitm.audit.command import trust_setting
from mitm.errors import UserError
from mitm.surroundings import TrustStore
from tests.go import build
from tests.plugin import clients
from tests.programs import mitm_demo

ONLY = ("attacker-ca", "system-root")

# What every client here does once it has decided whom to trust.
TALK = """
with socket.create_connection((host, int(port)), timeout=10) as plain:
    with context.wrap_socket(plain, server_hostname=name) as tls:
        tls.sendall(b"EHLO client\\r\\n")
        tls.recv(100)
"""
PYTHON = {
    "appends": """
context = ssl.create_default_context()
context.load_verify_locations(ca)
""",
    "default-paths": """
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(ca)
context.set_default_verify_paths()
""",
    "only": """
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(ca)
""",
    "cafile": "context = ssl.create_default_context(cafile=ca)",
    "machine": "context = ssl.create_default_context()",
    "careless": """
context = ssl.create_default_context()
context.check_hostname = False
""",
}


def python(trust: str) -> list[str]:
    """A client in Python's `ssl`, which is told all that the audit can tell it."""
    program = f"import socket, ssl, sys\nhost, port, ca, name = sys.argv[1:]\n{PYTHON[trust]}{TALK}"
    return [sys.executable, "-c", program, "{host}", "{port}", "{ca}", "{name}"]


def outcomes(report: audit.Report) -> dict[str, str]:
    assert report.conclusive, report.controls
    return {finding.case.name: finding.outcome for finding in report.findings}


@pytest.mark.parametrize("trust", ["appends", "default-paths"])
def test_who_appends_its_ca_to_the_systems_is_found(trust: str) -> None:
    report = audit.run(python(trust), only=ONLY)
    assert outcomes(report) == {"attacker-ca": "pass", "system-root": "vulnerable"}
    (cause,) = find_causes(report)
    assert "cafile" in cause.fix
    # It is no `must`: a client may be meant to trust both.
    assert not report.failing()
    assert [finding.case.name for finding in report.failing(strict=True)] == ["system-root"]


@pytest.mark.parametrize("trust", ["only", "cafile"])
def test_who_trusts_its_ca_alone_is_left_alone(trust: str) -> None:
    assert outcomes(audit.run(python(trust), only=ONLY)) == dict.fromkeys(ONLY, "pass")


def test_the_control_knows_nothing_of_it() -> None:
    # Nobody is told of the lab's CA but by its file.
    report = audit.run(python("machine"), only=ONLY)
    assert report.controls[0].outcome == "too-strict"


GO = """
package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"time"
)

func main() {
	roots := x509.NewCertPool()
	if os.Args[3] == "appends" {
		roots, _ = x509.SystemCertPool()
	}
	pem, _ := os.ReadFile(os.Args[2])
	roots.AppendCertsFromPEM(pem)
	connection, err := tls.Dial("tcp", os.Args[1], &tls.Config{RootCAs: roots})
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
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(GO, tmp_path_factory.mktemp("go-roots"))


@pytest.mark.parametrize(("trust", "outcome"), [("appends", "vulnerable"), ("only", "pass")])
def test_the_same_in_go(go_client: Path, trust: str, outcome: str) -> None:
    report = audit.run([str(go_client), "{target}", "{ca}", trust], only=ONLY)
    assert outcomes(report) == {"attacker-ca": "pass", "system-root": outcome}


JAVA = """
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.*;
import javax.net.ssl.*;

public class Client {
    static X509TrustManager trusting(KeyStore store) throws Exception {
        TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
        factory.init(store);
        return (X509TrustManager) factory.getTrustManagers()[0];
    }

    public static void main(String[] args) throws Exception {
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        try (FileInputStream file = new FileInputStream(args[2])) {
            Certificate ca = CertificateFactory.getInstance("X.509").generateCertificate(file);
            own.setCertificateEntry("ca", ca);
        }
        X509TrustManager given = trusting(own);
        X509TrustManager manager = args[3].equals("only") ? given : new X509TrustManager() {
            public void checkClientTrusted(X509Certificate[] chain, String type) {}

            public void checkServerTrusted(X509Certificate[] chain, String type)
                throws CertificateException {
                try {
                    given.checkServerTrusted(chain, type);
                } catch (CertificateException refused) {
                    try {
                        trusting(null).checkServerTrusted(chain, type);
                    } catch (Exception error) {
                        throw refused;
                    }
                }
            }

            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        };
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {manager}, null);
        int port = Integer.parseInt(args[1]);
        try (var socket = context.getSocketFactory().createSocket(args[0], port)) {
            socket.getOutputStream().write("EHLO client\\r\\n".getBytes());
            socket.getInputStream().read();
        }
    }
}
"""


@pytest.mark.parametrize(("trust", "outcome"), [("appends", "vulnerable"), ("only", "pass")])
def test_the_same_in_java(tmp_path: Path, trust: str, outcome: str) -> None:
    if not shutil.which("javac"):
        pytest.skip("javac is needed: apt install default-jdk-headless")
    (tmp_path / "Client.java").write_text(JAVA)
    subprocess.run(["javac", "Client.java"], cwd=tmp_path, check=True)
    command = ["java", "-cp", str(tmp_path), "Client", "{host}", "{port}", "{ca}", trust]
    report = audit.run(command, only=ONLY, timeout=60)
    assert outcomes(report) == {"attacker-ca": "pass", "system-root": outcome}


def test_a_client_that_is_meant_to_trust_its_machine() -> None:
    expected = {"attacker-ca": "pass", "system-root": "not-exercised"}
    for trust in ("machine", "appends", "only"):
        assert outcomes(audit.run(python(trust), only=ONLY, roots="system")) == expected
    careless = audit.run(python("careless"), only=["wrong-host", "attacker-ca"], roots="system")
    assert outcomes(careless) == {"attacker-ca": "pass", "wrong-host": "vulnerable"}
    with pytest.raises(UserError, match="for commands"):
        audit.run(clients.checks, only=ONLY, roots="system")


# What is not to be played


def test_in_process_it_is_not_played() -> None:
    report = audit.run(clients.checks, only=ONLY)
    assert outcomes(report)["system-root"] == "not-exercised"
    assert "once in a process" in report.findings[-1].reason


@pytest.mark.parametrize(
    "words",
    [
        ["env", "SSL_CERT_FILE={ca}", "./client"],
        ["sh", "-c", 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="$MITM_CA" ./client'],
        ["java", "-Djavax.net.ssl.trustStore=mine.jks", "-jar", "client.jar"],
    ],
)
def test_a_command_that_sets_whom_its_machine_trusts_is_told(words: list[str]) -> None:
    assert trust_setting(words).startswith("its command sets ")


def test_who_is_told_its_ca_as_one_of_the_machines_gets_no_false_alarm() -> None:
    words = ["env", "SSL_CERT_FILE={ca}", *python("machine")]
    report = audit.run(words, only=ONLY)
    assert outcomes(report) == {"attacker-ca": "pass", "system-root": "not-exercised"}
    assert "SSL_CERT_FILE" in report.findings[-1].reason


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_ca_that_the_environment_names_already_is_told(tmp_path: Path, kind: str) -> None:
    authorities = pki.Authorities(["localhost"])
    store = pki.write_trust_store(tmp_path / "mine", authorities.lab.pem)
    environment = {
        "file": {"SSL_CERT_FILE": str(store.file)},
        "directory": {"SSL_CERT_DIR": f"{tmp_path}{os.pathsep}{store.directory}"},
    }[kind]
    assert "is set" in trust_setting(["./client"], environment, authorities.lab.pem)
    assert not trust_setting(["./client"], environment, authorities.system.pem)
    assert not trust_setting(["./client"], {}, authorities.lab.pem)
    assert not trust_setting(["./client"], {"SSL_CERT_FILE": "none"}, authorities.lab.pem)


def test_what_java_was_told_before_is_kept() -> None:
    store = TrustStore(Path("/lab of mine/roots.pem"))
    planted = store.planted({"JAVA_TOOL_OPTIONS": "-Xmx64m", "HOME": "/"}, over_own=False)
    kept, trust = planted["JAVA_TOOL_OPTIONS"].split(" ", 1)
    assert kept == "-Xmx64m"
    assert trust == '-Djavax.net.ssl.trustStore="/lab of mine/roots.jks"'
    assert planted["HOME"] == "/"
    # `requests` would let it overrule the CA that a session was given.
    assert "REQUESTS_CA_BUNDLE" not in planted
    assert "REQUESTS_CA_BUNDLE" in store.planted({}, over_own=True)


# Clients of the lab

README = """---
title: A client that trusts its machine as well
command: ["{python}", "{folder}/client.py"]
policies: [ca-file, system-roots]
---
"""
DESCRIBED = """
import json, socket, ssl, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
context = ssl.create_default_context()
if "--ca" in given:
    context.load_verify_locations(given["--ca"])
host, port = given["--target"].rsplit(":", 1)
try:
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=given.get("--server-name", host)) as tls:
            tls.sendall(b"EHLO client\\r\\n")
            tls.recv(100)
except ssl.SSLError as error:
    print(json.dumps({"error": {"code": "UNAVAILABLE", "message": str(error)}}))
    sys.exit(1)
print(json.dumps({"user": {}}))
"""


@pytest.mark.parametrize(("policy", "outcome"), [("ca-file", "vulnerable"), ("system-roots", "")])
def test_a_described_client_is_played_the_same(tmp_path: Path, policy: str, outcome: str) -> None:
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "client.py").write_text(DESCRIBED)
    words = ("--only", ",".join(ONLY), "--json", "--client", tmp_path, "--policy", policy)
    result = mitm_demo("audit", *words)
    assert result.code == 0, result
    findings = {f["certificate"]: f for f in json.loads(result.out)["findings"]}
    assert findings["attacker-ca"]["outcome"] == "pass"
    if outcome:
        assert findings["system-root"]["outcome"] == outcome
    else:
        # It is told to trust what its machine trusts.
        assert "by its policy" in findings["system-root"]["reason"]


def test_the_projects_own_client_trusts_what_it_is_given() -> None:
    words = ("--only", "system-root", "--json", "--client", "python", "--policy", "ca-file")
    result = mitm_demo("audit", *words)
    assert result.code == 0, result
    (finding,) = json.loads(result.out)["findings"]
    assert finding["outcome"] == "pass"
