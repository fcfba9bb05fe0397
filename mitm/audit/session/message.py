"""What is told about one case to somebody whose test it has failed, and who knows nothing of us."""

from mitm.audit.cause import causes_of
from mitm.audit.explanation import describe_weight, first_paragraph, lesson_of, row, sentence
from mitm.audit.finding import Finding
from mitm.audit.session.presented import Judgement
from mitm.audit.stack import user_agent
from mitm.masking import plain

_NOTHING = "so that nothing is proved"


def message(judgement: Judgement) -> str:
    """Several lines that are complete in themselves."""
    case, finding = judgement.case, judgement.finding
    cause = next(iter(causes_of([finding], user_agent(finding.evidence))), None)
    where = f"by mitm-demo on {case.endpoint.target}, in the place of your server"
    rows = {"presented": f"{where}: {case.title}", "happened": finding.reason}
    if judgement.word == "fail" or finding.outcome not in ("pass", "not-exercised"):
        expected = "gets through" if case.case.expect == "accept" else "leaves, and sends nothing"
        said = finding.said if finding.said not in finding.reason else ""
        rows |= {
            "expected": f"a sound client {expected} ({describe_weight(case.case)})",
            "test said": said,
            "why": first_paragraph(case.case.lesson),
            "rule": case.case.rule,
            "fix": _fix(judgement, cause.fix if cause else finding.fix),
            "more": lesson_of(case.case),
        }
    lines = [plain(f"{case.name}: {_head(judgement)}")]
    if cause:
        lines.append(plain(f"{sentence(cause.says)}."))
    return "\n".join(lines + [row(label, text) for label, text in rows.items() if text])


def _head(judgement: Judgement) -> str:
    """What came of it, in a sentence."""
    finding, case = judgement.finding, judgement.case
    if finding.outcome == "inconclusive" and _is_unreached(finding):
        return f"your client did not connect to {case.endpoint.target}, {_NOTHING}."
    if case.is_control and finding.outcome != "pass":
        return f"your client does not get through with the genuine certificate, {_NOTHING}."
    match finding.outcome:
        case "vulnerable" if judgement.word == "fail":
            return "your client accepted what it must refuse, and sent its data to an impostor."
        case "vulnerable":
            return "your client accepted this; only stricter ones refuse it."
        case "too-strict":
            return "your client refused a certificate that is sound."
        case "pass" if case.case.expect == "accept":
            return "your client got through, as it should."
        case "pass":
            return "your client sent nothing to an impostor, as it should."
        case "not-exercised" | "unsupported":
            return "this does not apply to your client."
    return "it cannot be said what your client did, " + _NOTHING + "."


def _is_unreached(finding: Finding) -> bool:
    return finding.observation is not None and finding.observation.act == "unreached"


def _fix(judgement: Judgement, fix: str) -> str:
    """What to change: in the client, or in the test."""
    unreached = _is_unreached(judgement.finding)
    if unreached and judgement.again:
        return (
            "somebody has asked about this case before: where two tests try it at once, the one is "
            "told what both have done, so run them one after the other (packages: go test -p 1)"
        )
    amiss = unreached or judgement.case.is_control
    if amiss and judgement.word == "fail":
        return (
            "let the test give its client the target of the case to dial, and the file of its CA "
            "to trust, and make a call; then judge"
        )
    attack = judgement.case.case.attack
    if attack and attack.ca and judgement.word == "fail":
        # A program that has read its file once, for all tests, has not been given this one.
        return f"{fix}; let the test have it read the file of each case (ca) anew"
    return fix
