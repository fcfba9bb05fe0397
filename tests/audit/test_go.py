"""Clients of Go, which say more in their ClientHello than others: what OpenSSL makes of that."""

from pathlib import Path

import pytest

from mitm import audit
from mitm.audit.cause import find_causes
from mitm.audit.offer import offer_rules
from tests.go import build

PROGRAM = """
package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"time"
)

func main() {
	pem, _ := os.ReadFile(os.Args[2])
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, NextProtos: []string{"h2"}}
	config.InsecureSkipVerify = os.Args[3] == "careless"
	if os.Args[4] == "TLSv1.2" {
		config.MaxVersion = tls.VersionTLS12
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
def go_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(PROGRAM, tmp_path_factory.mktemp("go"))


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize(("kind", "accepts"), [("careless", True), ("correct", False)])
def test_what_openssl_declines_to_present_is_not_the_clients_merit(
    go_client: Path, kind: str, accepts: bool, version: str
) -> None:
    """Go names the signatures that it takes in certificates, and MD5 is not among them.

    OpenSSL then keeps such a leaf to itself. An attacker shows it (RFC 8446 section 4.4.2.2).
    """
    command = [str(go_client), "{target}", "{ca}", kind, version]
    only = ["attacker-ca", "md5-signature", "tls-1.0"]
    report = audit.run(command, only=only, timeout=60)
    assert report.conclusive, report.controls
    # It makes no call of gRPC, nor is it called `go`: its ClientHello tells.
    assert report.subject.stack == ("Go, by its ClientHello" if version == "TLSv1.3" else "")
    causes = find_causes(report)
    assert ["InsecureSkipVerify" in cause.fix for cause in causes] == (
        [version == "TLSv1.3"] if accepts else []
    )
    findings = {finding.case.name: finding for finding in report.findings}
    assert findings["attacker-ca"].outcome == ("vulnerable" if accepts else "pass")
    assert findings["md5-signature"].outcome == "unsupported"
    assert "an attacker need not" in findings["md5-signature"].reason
    # What it does not offer at all, nobody could show it.
    assert findings["tls-1.0"].outcome in ("pass", "unsupported")
    assert "offers nothing" in findings["tls-1.0"].reason or findings["tls-1.0"].case.unsupported


def test_what_go_offers_by_default_is_as_it_should_be(go_client: Path) -> None:
    command = [str(go_client), "{target}", "{ca}", "correct", "TLSv1.3"]
    rules = [rule.name for rule in offer_rules()]
    report = audit.run(command, only=rules, timeout=60)
    assert report.conclusive, report.controls
    # `go` of the module and the toolchain decide on 3DES and on RSA: no build fails for either.
    assert {f.outcome for f in report.findings if f.case.severity != "info"} <= {
        "pass",
        "not-exercised",
    }
