"""Why a server lets in whom it must not: findings → causes, each with one fix. Pure functions."""

from collections.abc import Sequence

from mitm.audit.case import SEVERITIES
from mitm.audit.finding import Finding

# In a sentence whose subject is the server, the worst first.
SAYS = {
    "plaintext": "answers without TLS as well",
    "no-client-certificate": "lets in clients that show no certificate",
    "trusts-headers": "believes what a client says of its own certificate in a header",
    "by-server-name": "checks certificates under one name alone",
    "any-issuer": "takes any issuer: no trust in a CA is checked",
    "no-possession": "does not see to it that the client holds the certificate's key",
    "no-signature-check": "does not verify signatures as it should",
    "leaf-as-ca": "takes certificates that its own clients have issued",
    "ca-limits": "does not hold a CA to all of its limits",
    "dates": "does not check the dates",
    "purpose": "does not check what a certificate is for",
    "not-understood": "takes what it cannot have understood",
    "lookup": "takes a certificate for another that it knows, by what anybody can copy",
    "lenient-identity": "does not compare identities as it should",
    "any-identity": "lets in whoever has a certificate of its CA, for whatever role",
    "resumption": "takes a resumed session for more than it was",
    "lenient-path": "takes a path that rules about paths do not match",
    "old-protocol": "takes an old protocol",
    "other": "lets in whom it should turn away",
}
_ORDER = list(SAYS)

# All that verification is made of. Where a client may show nothing, or anything, it protects
# nobody.
_OF_THE_PATH = (
    *("any-issuer", "no-signature-check", "leaf-as-ca", "ca-limits", "dates", "purpose"),
    *("not-understood", "lookup"),
)
_OF_THE_IDENTITY = ("lenient-identity", "any-identity")
# It leads to nobody, and names nobody that the server knows.
_UNKNOWN = "client-unknown-ca"


def sorted_by_cause(
    findings: Sequence[Finding],
) -> list[tuple[str, list[Finding], list[Finding]]]:
    """The causes of what got in: name, what proves it, and what follows.

    What binds every server is told apart from what binds good ones.
    """
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.outcome == "vulnerable":
            groups.setdefault(finding.case.cause or "other", []).append(finding)
    causes = []
    for whole, needs in (("no-client-certificate", ""), ("any-issuer", _UNKNOWN)):
        proof = groups.get(whole, [])
        if not proof or (needs and needs not in {each.case.name for each in proof}):
            continue
        del groups[whole]
        follows = [
            each
            for name in (*_OF_THE_PATH, "no-possession", *_OF_THE_IDENTITY)
            if name != "no-possession" or whole == "no-client-certificate"
            for each in groups.pop(name, [])
        ]
        causes.append((whole, _weightiest_first(proof), follows))
    for name, group in groups.items():
        for severity in SEVERITIES:
            if part := [each for each in group if each.case.severity == severity]:
                causes.append((name, part, []))
    return sorted(causes, key=lambda c: (SEVERITIES.index(c[1][0].case.severity), _place(c[0])))


def _place(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _weightiest_first(findings: Sequence[Finding]) -> list[Finding]:
    plain = ("no-certificate", _UNKNOWN)
    return sorted(
        findings,
        key=lambda f: (SEVERITIES.index(f.case.severity), f.case.name not in plain, f.case.name),
    )
