"""The cases of a session as others read them: JSON, and lines with tabs."""

from mitm.audit.explanation import unexercised, untried
from mitm.audit.session.presented import PresentedCase, Session
from mitm.audit.setting import LONG_NAME
from mitm.masking import as_json, plain


def as_object(case: PresentedCase) -> dict[str, object]:
    """What a program is told of a case."""
    endpoint = case.endpoint
    return {
        "name": case.name,
        "title": case.title,
        "target": endpoint.target,
        "host": endpoint.host,
        "port": endpoint.port,
        "ca": str(endpoint.ca_file),
        "pin": str(endpoint.pin_file),
        "server_name": endpoint.name,
        "expect": case.case.expect,
        "severity": case.case.severity,
        "family": case.case.family,
        "rule": case.case.rule,
        "lesson": case.case.lesson,
    }


def left_out(session: Session) -> list[str]:
    """What a session does not present, in a line for each reason."""
    cannot = untried(session.left_out, f"give a longer name, --name {LONG_NAME}")
    return cannot + unexercised(session.left_out)


def cases_as_json(session: Session) -> str:
    """All cases, as JSON."""
    return as_json({"cases": [as_object(case) for case in session.cases.values()]})


# In this order, so that whoever reads the first few need not know of the others.
_COLUMNS = ("name", "target", "ca", "expect", "severity", "title", "pin", "server_name")


def cases_as_lines(session: Session) -> str:
    """The same without JSON: a case a line, its fields between tabs."""
    lines = []
    for case in session.cases.values():
        about = as_object(case)
        about["title"] = plain(case.title)
        lines.append("\t".join(str(about[column]) for column in _COLUMNS))
    return "\n".join(lines) + "\n"
