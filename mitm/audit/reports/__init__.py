"""An audit's report for programs: JSON, JUnit and SARIF. None of them holds a credential."""

from mitm.audit.reports.as_json import as_json
from mitm.audit.reports.as_junit import as_junit
from mitm.audit.reports.as_sarif import as_sarif
from mitm.audit.reports.files import ReportFile

__all__ = ["ReportFile", "as_json", "as_junit", "as_sarif"]
