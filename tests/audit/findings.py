"""Reports as an audit would make them, for tests of what is made of reports."""

from mitm.audit import Case, Finding, Report, Subject
from mitm.audit.finding import Outcome
from mitm.evidence import Act, Call, Ending, Evidence, Observation
from mitm.pki import load_recipe
from mitm.pki.recipe import Severity

SECRET = "s3cr3t-of-the-test"  # noqa: S105

EVIDENCE = Evidence(
    "messages",
    (Call("/a.B/C", {"authorization": "Bearer s3cr… (18 characters, masked)"}, ("deadbeef",)),),
    ("authorization",),
    (Ending(1, True, "client", "eof", "established", "", "messages"),),
)


SUBJECT = Subject("client", "Some language", "1.0", "ca-file", stack="grpc-python/1.85.3")


def observed(evidence: Evidence) -> Observation:
    return Observation("rejected" if evidence.reached == "nothing" else "sent", "", evidence)


def catalogued(name: str, outcome: Outcome, *, exposed: bool = False) -> Finding:
    """A finding about a certificate of the catalogue."""
    recipe = load_recipe(name)
    case = Case(
        name=recipe.name,
        title=recipe.title,
        expect=recipe.expect,
        severity=recipe.severity,
        cwe=recipe.cwe,
        rule=recipe.rule,
        fix=recipe.fix,
        lesson=recipe.lesson,
        chain=None,
        family=recipe.family,
    )
    evidence = EVIDENCE if outcome == "vulnerable" else Evidence("nothing")
    act: Act = "exposed" if exposed else "sent" if outcome == "vulnerable" else "rejected"
    return Finding(case, outcome, f"because of {outcome}", Observation(act, "", evidence))


def finding(name: str, outcome: Outcome, severity: Severity = "must") -> Finding:
    """A finding as the audit words it."""
    sound = outcome == "too-strict" or name == "genuine"
    read = outcome == "vulnerable" or name == "genuine"
    case = Case(
        name=name,
        title=f"The certificate {name} & <its> title",
        expect="accept" if sound else "reject",
        severity=severity,
        cwe=() if sound else (295, 79),
        rule="RFC 5280 section 6: a rule",
        fix="" if sound else f"Switch verification on for {name}",
        lesson=f"The lesson of {name}.\n\n**The rule.** It holds.\n",
        chain=None,
        unsupported="no such key here" if outcome == "unsupported" else "",
    )
    tried = outcome != "unsupported"
    return Finding(
        case,
        outcome,
        f"because of {outcome}",
        observed(EVIDENCE if read else Evidence("nothing")) if tried else None,
        "exit code 1: \x1b[31mred\x1b[0m & <bad> \x00" if tried else "",
    )


def report(*findings: Finding, first: Outcome = "pass", last: Outcome | None = "pass") -> Report:
    """A report with its controls."""
    controls = [finding("genuine", first)]
    if last:
        controls.append(finding("genuine", last))
    return Report(tuple(controls), findings, SUBJECT)


MIXED = report(
    finding("attacker-ca", "vulnerable"),
    finding("self-signed", "vulnerable"),
    finding("no-san", "vulnerable", "should"),
    finding("trailing-dot", "vulnerable", "info"),
    finding("rsa-leaf", "too-strict"),
    finding("tls-1.0", "unsupported"),
    finding("expired", "inconclusive"),
    finding("wrong-host", "pass"),
    finding("malformed-san:crash", "crashed", "should"),
)
