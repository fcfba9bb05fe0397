"""The report as JUnit XML, in the dialect that CI systems share: a test case a certificate."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mitm.audit.cause import Cause, find_causes
from mitm.audit.conclusion import Conclusion
from mitm.audit.explanation import further_lines
from mitm.audit.finding import Finding, Report
from mitm.audit.wording import words_for
from mitm.masking import plain
from mitm.pki.recipe import Severity


def as_junit(report: Report, conclusion: Conclusion) -> str:
    """The report as XML.

    A certificate for which the build fails is a failure; one of which nothing can be said an
    error; one that was not tried or does not apply, or is known from the baseline, is skipped.
    """
    command = words_for(report.subject).command
    suite = Element("testsuite", name=f"mitm-demo {command}: {plain(str(report.subject))}")
    causes = find_causes(report)
    _add_properties(suite, report, causes)
    why = {finding.case.name: cause for cause in causes for finding in cause.findings}
    for control, when in zip(report.controls, ("first", "last"), strict=False):
        test = _test(suite, report, control, f"control: {control.case.name}, {when}")
        if control.outcome != "pass":
            _say(test, "error", control, more=[*further_lines(control), *conclusion.advice])
    for finding in report.findings:
        test = _test(suite, report, finding, finding.case.name)
        if finding.case.name in conclusion.failing:
            _say(test, "failure", finding, why.get(finding.case.name))
        elif finding.case.name in conclusion.known:
            SubElement(test, "skipped", message=plain(f"known: {finding.reason}"))
        elif finding.outcome == "inconclusive":
            _say(test, "error", finding)
        elif finding.outcome == "unsupported":
            SubElement(test, "skipped", message=plain(finding.reason))
        elif finding.outcome == "not-exercised":
            SubElement(test, "skipped", message=plain(f"not exercised: {finding.reason}"))
        elif finding.outcome != "pass":
            text = f"{finding.outcome}, severity {finding.case.severity}: {finding.reason}"
            SubElement(test, "system-out").text = plain(text)
    if conclusion.exit_code == 3 and suite.find("testcase/error") is None:
        # A shard is missing, say: who reads nothing but this is not to take it for a pass.
        whole = SubElement(suite, "testcase", classname=_class(report, "must"), name="the whole")
        SubElement(whole, "error", type="inconclusive", message=plain(conclusion.reason))
    for counted, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{counted}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    root = Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _class(report: Report, severity: Severity) -> str:
    """By which services tell tests of one name apart: those of two clients, in one build."""
    parts = ("mitm-demo", report.subject.name, report.subject.policy, severity)
    return plain(".".join(part for part in parts if part))


def _test(suite: Element, report: Report, finding: Finding, name: str) -> Element:
    classname = _class(report, finding.case.severity)
    return SubElement(suite, "testcase", classname=classname, name=plain(name))


def _add_properties(suite: Element, report: Report, causes: Sequence[Cause]) -> None:
    told = [("stack", report.subject.stack)] if report.subject.stack else []
    told += [("cause", cause.says) for cause in causes if cause.severity == "must"]
    if told:
        properties = SubElement(suite, "properties")
        for name, value in told:
            SubElement(properties, "property", name=name, value=plain(value))


def _say(
    test: Element,
    kind: str,
    finding: Finding,
    cause: Cause | None = None,
    more: Sequence[str] = (),
) -> None:
    case = finding.case
    element = SubElement(
        test, kind, type=finding.outcome, message=plain(f"{case.title}: {finding.reason}")
    )
    lines = [f"Cause: {cause.says}"] if cause else []
    if case.rule:
        lines.append(f"Rule: {case.rule}")
    if fix := cause.fix if cause else finding.fix:
        lines.append(f"Fix: {fix}")
    if finding.said:
        lines.append(f"The {finding.noun} said: {finding.said}")
    element.text = "\n".join(plain(line) for line in [*lines, *more])
