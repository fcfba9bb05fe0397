"""An audit's report in files: JSON, JUnit, SARIF, Markdown. None of them holds a credential."""

from mitm.audit.reports.as_json import as_json
from mitm.audit.reports.as_junit import as_junit
from mitm.audit.reports.as_markdown import LONGEST, as_markdown
from mitm.audit.reports.as_sarif import as_sarif
from mitm.audit.reports.files import AddedTo, ReportFile, write_all
from mitm.audit.reports.source import Source, source_at, source_of_command
from mitm.audit.reports.told import Told, load_report

__all__ = [
    "LONGEST",
    "AddedTo",
    "ReportFile",
    "Source",
    "Told",
    "as_json",
    "as_junit",
    "as_markdown",
    "as_sarif",
    "load_report",
    "source_at",
    "source_of_command",
    "write_all",
]
