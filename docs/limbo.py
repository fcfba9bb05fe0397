"""Compares verifiers over x509-limbo's sample, and writes the page: python -m docs.limbo [FILE]"""

import ipaddress
import platform
import socket
import ssl
import sys
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import cryptography
import grpc
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification

from docs.marked import filled
from mitm import audit
from mitm.audit.limbo import TestCase, load_limbo, read_limbo

PAGE = Path(__file__).with_name("limbo.md")
SAMPLE = Path(__file__).parent.parent / "tests" / "audit" / "data" / "limbo-sample.json"

SECONDS = 10.0

Verdict = Literal["accept", "reject"]

VERIFIERS = ("cryptography", "ssl", "strict ssl", "grpcio")


class Row(NamedTuple):
    """One test case.

    Attributes:
        verdicts: what came of it, by verifier; none where it could not be tried.
        unplayable: why there was no live handshake, "" if there was.
    """

    name: str
    expected: Verdict
    verdicts: dict[str, Verdict]
    unplayable: str

    @property
    def differing(self) -> tuple[str, ...]:
        """The verifiers that came to another result than the one expected."""
        return tuple(v for v in VERIFIERS if self.verdicts.get(v, self.expected) != self.expected)


class Explanation(NamedTuple):
    """Why some verifiers differ from limbo in a test case."""

    differing: tuple[str, ...]
    text: str


LIVE = ("ssl", "strict ssl", "grpcio")

EXPLANATIONS = {
    "crl::crlnumber-critical": Explanation(
        ("cryptography",),
        "The flaw is in the CRL. This verifier takes no CRLs, so it is not there for it.",
    ),
    "crl::revoked-certificate-with-crl": Explanation(
        ("cryptography",),
        "Revoked by a CRL alone, and this verifier takes none.",
    ),
    "pathlen::self-issued-certs-pathlen": Explanation(
        ("cryptography",),
        "RFC 5280 section 4.2.1.9 does not count self-issued CAs against a path length. This "
        "verifier counts them: such a chain with `pathlen:2` in place of `pathlen:1` is "
        "accepted. It errs on the safe side.",
    ),
    "rfc5280::aki::leaf-missing-aki": Explanation(
        ("ssl", "grpcio"),
        "RFC 5280 section 4.2.1.1 asks the CA for an authority key identifier; the path "
        "validation of section 6.1 does not look at it. OpenSSL does if it is told to be "
        "strict, BoringSSL never. Nobody gains by its absence: the signature is checked.",
    ),
    "rfc5280::nc::not-allowed-in-ee-noncritical": Explanation(
        LIVE,
        "RFC 5280 section 4.2.1.10 forbids the CA to put name constraints into a leaf. They "
        "bind what a CA signs, and a leaf signs nothing: section 6.1.5 does not process them, "
        "and neither OpenSSL nor BoringSSL minds them.",
    ),
    "rfc5280::pc::ica-noncritical-pc": Explanation(
        VERIFIERS,
        "RFC 5280 section 4.2.1.11 tells the CA to mark policy constraints as critical. None of "
        "these verifiers checks that the CA did; they ask for no policy, so nothing hangs on "
        "it. Limbo counts it as an optional feature.",
    ),
    "rfc5280::serial::too-long": Explanation(
        LIVE,
        "RFC 5280 section 4.1.2.2 limits the serial number to 20 octets. OpenSSL and BoringSSL "
        "need it for revocation only and take longer ones. Limbo counts it as pedantic.",
    ),
    "webpki::aki::root-with-aki-all-fields": Explanation(
        ("cryptography", "strict ssl", "grpcio"),
        "A rule of the CA/Browser Forum for what a root may contain (7.1.2.1.3). RFC 5280 "
        "section 6.1.1 takes of a trust anchor its name and its key; these three do not mind "
        "what its identifier says. `ssl` rejects it for another reason: the identifier names an "
        "issuer and a serial number that are not the root's own, so OpenSSL does not take it "
        "for self-signed and looks for its issuer. The strict one does not, because a partial "
        "chain is enough for it.",
    ),
    "webpki::cn::ipv4-leading-zeros-mismatch": Explanation(
        VERIFIERS,
        "A rule of the CA/Browser Forum for the common name (7.1.4.3). Verifiers take the name "
        "from the subject alternative name alone, as RFC 9525 section 2 tells them, and that is "
        "right.",
    ),
    "webpki::eku::ee-anyeku": Explanation(
        VERIFIERS,
        "The CA/Browser Forum forbids CAs to add `anyExtendedKeyUsage` (7.1.2.7.10). The leaf "
        "has `serverAuth` as well, and by RFC 5280 section 4.2.1.12 that is enough. Limbo "
        "counts it as pedantic.",
    ),
    "webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf": Explanation(
        VERIFIERS,
        "A rule of the CA/Browser Forum (6.1.5). The key of 2052 bits is no weaker for breaking "
        "it. Limbo counts it as pedantic.",
    ),
}


def compare(path: Path) -> list[Row]:
    """Try every test case on every verifier."""
    suite = load_limbo(path)
    live = {
        "ssl": _play(suite, lambda endpoint: _call_ssl(endpoint, strict=False)),
        "strict ssl": _play(suite, lambda endpoint: _call_ssl(endpoint, strict=True)),
        "grpcio": _play(suite, _call_grpcio),
    }
    rows = []
    for test, case in zip(read_limbo(path), suite.cases, strict=True):
        verdicts = {name: found[case.name] for name, found in live.items() if case.name in found}
        if offline := _verify(test):
            verdicts["cryptography"] = offline
        rows.append(Row(case.name, case.expect, verdicts, case.unsupported))
    return rows


def _play(suite: audit.Suite, call: Callable[[audit.Endpoint], None]) -> dict[str, Verdict]:
    """What a client does with each test case that can be played live, by name."""
    with audit.Auditor() as auditor:
        report = auditor.audit(suite, call, timeout=SECONDS, jobs=2)
    assert report.conclusive, report.controls
    verdicts: dict[str, Verdict] = {}
    for finding in report.findings:
        expected = finding.case.expect
        opposite: Verdict = "accept" if expected == "reject" else "reject"
        if finding.outcome in ("vulnerable", "too-strict"):
            verdicts[finding.case.name] = opposite
        elif finding.outcome == "pass":
            verdicts[finding.case.name] = expected
        else:
            assert finding.outcome == "unsupported", finding
    return verdicts


def _call_ssl(endpoint: audit.Endpoint, *, strict: bool) -> None:
    context = ssl.create_default_context(cafile=str(endpoint.ca_file))
    # Said outright, because the default depends on the version: Python 3.13 made both flags so.
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
    if strict:
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    address = (endpoint.host, endpoint.port)
    with (
        socket.create_connection(address, SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=endpoint.name) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection.recv(1)


def _call_grpcio(endpoint: audit.Endpoint) -> None:
    credentials = grpc.ssl_channel_credentials(endpoint.ca_pem)
    options = [("grpc.ssl_target_name_override", endpoint.name), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(endpoint.target, credentials, options) as channel:
        channel.unary_unary("/limbo.Limbo/Call", bytes, bytes)(b"", timeout=SECONDS)


def _verify(test: TestCase) -> Verdict | None:
    """What the verifier of `cryptography` makes of a test case, None if it has no name to check."""
    name = test.expected_peer_name
    if name is None:
        return None
    subject: verification.Subject
    if name.kind == "IP":
        subject = x509.IPAddress(ipaddress.ip_address(name.value))
    else:
        subject = x509.DNSName(name.value)
    try:
        leaf, *others = _parsed((test.peer_certificate, *test.untrusted_intermediates))
        store = verification.Store(_parsed(test.trusted_certs))
        now = test.validation_time or datetime.now(UTC)
        builder = verification.PolicyBuilder().store(store).time(now)
        builder.build_server_verifier(subject).verify(leaf, others)
    except (verification.VerificationError, ValueError):
        return "reject"
    return "accept"


def _parsed(certificates: Sequence[str]) -> list[x509.Certificate]:
    with warnings.catch_warnings():
        # A serial number that is not positive is worth one; it is the verifier that is to judge it.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return [x509.load_pem_x509_certificate(pem.encode()) for pem in certificates]


def unexplained(rows: Sequence[Row], explanations: dict[str, Explanation]) -> list[str]:
    """What does not fit: differences without an explanation, explanations without a difference."""
    found = {row.name: row.differing for row in rows if row.differing}
    told = {name: explanation.differing for name, explanation in explanations.items()}
    return [
        f"{name}: {', '.join(found.get(name, ())) or 'nobody'} differs from limbo, "
        f"explained is {', '.join(told.get(name, ())) or 'nobody'}"
        for name in dict.fromkeys((*found, *told))
        if found.get(name) != told.get(name)
    ]


def tables(rows: Sequence[Row], explanations: dict[str, Explanation]) -> dict[str, str]:
    """What the page says of a comparison, by the name of the place where it stands."""
    live = [row for row in rows if not row.unplayable]
    differing = [row for row in rows if row.differing]
    return {
        "versions": (
            f"Python {platform.python_version()}, {' '.join(ssl.OPENSSL_VERSION.split()[:2])}, "
            f"grpcio {grpc.__version__} (which has BoringSSL in it), "
            f"cryptography {cryptography.__version__}."
        ),
        "count": (
            f"Of {len(rows)} test cases, {len(live)} were played live. In "
            f"{len(rows) - len(differing)} nobody differs from limbo; the {len(differing)} others "
            "are explained below."
        ),
        "results": _table(
            ["test case", "limbo", *VERIFIERS],
            [[row.name, row.expected, *(_cell(row, v) for v in VERIFIERS)] for row in rows],
        ),
        "differences": _table(
            ["test case", "who differs", "why"],
            [[r.name, ", ".join(r.differing), explanations[r.name].text] for r in differing],
        ),
        "unplayable": _table(
            ["test case", "reason"], [[r.name, r.unplayable] for r in rows if r.unplayable]
        ),
    }


def _cell(row: Row, verifier: str) -> str:
    verdict = row.verdicts.get(verifier, "—")
    return f"**{verdict}**" if verifier in row.differing else verdict


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(["", *(f"| {' | '.join(line)} |" for line in lines), ""])


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    rows = compare(SAMPLE)
    if problems := unexplained(rows, EXPLANATIONS):
        print("limbo: no page is written:", *problems, sep="\n  ", file=sys.stderr)
        return 1
    path.write_text(filled(PAGE.read_text(), tables(rows, EXPLANATIONS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
