"""How a report of an audit is told: in a table or as JSON, and in files."""

import os
from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from mitm.audit import Finding, Report
from mitm.audit.baseline import load_baseline
from mitm.audit.conclusion import Conclusion, conclude
from mitm.audit.reports import (
    LONGEST,
    AddedTo,
    ReportFile,
    Source,
    as_json,
    as_junit,
    as_markdown,
    as_sarif,
    source_at,
    write_all,
)
from mitm.cli import audit_table, completion
from mitm.cli.again import Invocation
from mitm.cli.recording import must_differ
from mitm.cli.report import console
from mitm.cli.streams import tell
from mitm.errors import UserError

# The file of a job's summary, by which GitHub's runner is told of it.
_JOB = "GITHUB_STEP_SUMMARY"

_FILE = click.Path(path_type=Path, dir_okay=False)

_OPTIONS = (
    click.option("--strict", is_flag=True, help="Count what good clients do, and too strict ones."),
    click.option("--json", "json_", is_flag=True, help="One JSON object in place of the table."),
    click.option("--junit", type=_FILE, help="Write a JUnit report."),
    click.option("--sarif", type=_FILE, help="Write a SARIF 2.1.0 report."),
    click.option("--html", type=_FILE, help="Write a page for any browser, or for paper."),
    click.option(
        "--summary",
        type=_FILE,
        help="Add a summary in Markdown to a file.  [on GitHub also to that of the job]",
    ),
    click.option(
        "--source",
        metavar="FILE[:LINE]",
        help="Where the client's code stands, for SARIF.  [the client's program]",
        shell_complete=completion.files,
    ),
    click.option(
        "--baseline",
        type=_FILE,
        help="The JSON report of an earlier audit: only what is new fails.",
    ),
)


def report_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a report; it is called with a `Reporting` of them."""

    @wraps(command)
    def told(
        *words: Any,
        strict: bool,
        json_: bool,
        junit: Path | None,
        sarif: Path | None,
        html: Path | None,
        summary: Path | None,
        source: str | None,
        baseline: Path | None,
        **options: Any,
    ) -> int:
        reporting = Reporting(
            strict=strict,
            json_=json_,
            junit=junit,
            sarif=sarif,
            html=html,
            summary=summary,
            source=source,
            baseline=baseline,
            again=Invocation(click.get_current_context()),
        )
        return command(*words, reporting=reporting, **options)

    for option in reversed(_OPTIONS):
        told = option(told)
    return told


class Reporting:
    """How the report is to be told, by the options of a command.

    Args:
        strict: what counts, see `Finding.fails`.
        json_: whether JSON is printed in place of the table.
        junit, sarif, html: files to write; None for none.
        summary: a file to add to; None for none.
        source: where the client's code stands, as the user says; None if they do not.
        baseline: the JSON report of an earlier audit; None for none.
        again: how the command was called.

    Attributes:
        in_json: the same as `json_`.
    """

    def __init__(
        self,
        *,
        strict: bool,
        json_: bool,
        junit: Path | None,
        sarif: Path | None,
        html: Path | None,
        summary: Path | None,
        source: str | None,
        baseline: Path | None,
        again: Invocation,
    ) -> None:
        self._strict = strict
        self.in_json = json_
        self._junit = junit
        self._sarif = sarif
        self._html = html
        self._again = again
        self._summary = summary
        self._source = source
        self._baseline = baseline

    def prepare(self, others: Mapping[str, Path | None]) -> None:
        """Make sure that all can be told in the end, before anything begins that takes its time.

        Args:
            others: files that the command writes besides, by their options.

        Raises:
            UserError: a file cannot be written, or is two of them; the baseline is none, or there
                is no such source.
        """
        self._place = None if self._source is None else source_at(self._source)
        self._known = load_baseline(self._baseline) if self._baseline else None
        files = {"--junit": self._junit, "--sarif": self._sarif, "--html": self._html}
        must_differ({**files, "--summary": self._summary, **others})
        self._junit_file = ReportFile("--junit", self._junit) if self._junit else None
        self._sarif_file = ReportFile("--sarif", self._sarif) if self._sarif else None
        self._html_file = ReportFile("--html", self._html) if self._html else None
        self._summary_file = AddedTo("--summary", self._summary) if self._summary else None

    def of_matrix(self) -> ReportFile | None:
        """Insist that nothing was asked for that is of an audit alone.

        Returns:
            The file for the page; None if none was asked for.

        Raises:
            UserError: it was; or the page cannot be written.
        """
        asked = {
            "--strict": self._strict,
            "--junit": self._junit,
            "--sarif": self._sarif,
            "--summary": self._summary,
            "--source": self._source,
            "--baseline": self._baseline,
        }
        for option, value in asked.items():
            if value:
                raise UserError(f"{option} is for the reports of an audit, and this is of a matrix")
        must_differ({"--html": self._html})
        return ReportFile("--html", self._html) if self._html else None

    def counts(self, finding: Finding) -> bool:
        """Whether a finding is one that a build fails for, and new."""
        if self._known and self._known.knows(finding):
            return False
        return finding.fails(strict=self._strict)

    def tell(self, report: Report, source: Source, *, whole: bool = False) -> int:
        """Say what a report comes to, write its files and print it.

        Args:
            report: of the audit.
            source: where the client's code stands, if the user does not say.
            whole: see `conclude`.

        Returns:
            The exit code that it comes to.

        Raises:
            UserError: a file could not be written. All else has been told.
        """
        known = {"baseline": self._known} if self._known else {}
        conclusion = conclude(report, strict=self._strict, whole=whole, **known)
        source = self._place or source
        sarif = partial(as_sarif, report, conclusion, source, strict=self._strict)
        refusals = write_all(
            [
                (self._junit_file, partial(as_junit, report, conclusion)),
                (self._sarif_file, sarif),
                (self._html_file, partial(self._page, report, conclusion, whole=whole)),
                (self._summary_file, partial(as_markdown, report, conclusion)),
            ]
        )
        if self.in_json:
            click.echo(as_json(report, conclusion, source))
        else:
            audit_table.show(console(), report, conclusion)
        self._add_to_job(report, conclusion)
        for refusal in refusals:
            raise refusal
        return conclusion.exit_code

    def _page(self, report: Report, conclusion: Conclusion, *, whole: bool) -> str:
        # Whoever asks for no page does without what makes them.
        from mitm.html import audit_page

        # Of several reports made one, none of them has the command.
        return audit_page(report, conclusion, None if whole else self._again)

    def _add_to_job(self, report: Report, conclusion: Conclusion) -> None:
        """Add to the summary of a job on GitHub, if this is one; nobody has asked for it."""
        path = os.environ.get(_JOB)
        if not path or (
            self._summary and os.path.realpath(path) == os.path.realpath(self._summary)
        ):
            return
        try:
            file = AddedTo(_JOB, Path(path))
            # What is there already counts: GitHub refuses all of it if it is too long together.
            file.write(as_markdown(report, conclusion, LONGEST - file.size))
        except UserError as error:
            tell(f"{error}; the job is without a summary")
