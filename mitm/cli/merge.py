"""`mitm-demo merge`: the reports of several hosts, made one."""

from pathlib import Path

import click

from mitm.audit.merge import merge as merged
from mitm.audit.reports import Source, load_report
from mitm.cli.report_files import Reporting, report_options


@click.command()
@click.argument(
    "reports",
    nargs=-1,
    required=True,
    metavar="REPORT...",
    type=click.Path(path_type=Path, dir_okay=False),
)
@report_options
def merge(reports: tuple[Path, ...], reporting: Reporting) -> int:
    """Make one report of those of several hosts, each of which has tried a shard.

    \b
    mitm-demo audit --shard 1/2 --json -- ./my-client {target} {ca} > 1.json    on one host
    mitm-demo audit --shard 2/2 --json -- ./my-client {target} {ca} > 2.json    on another
    mitm-demo merge --junit audit.xml 1.json 2.json

    Exit code: that of the whole audit; 3, inconclusive, also where a shard is missing. Reports
    that do not belong together are wrong input, 2.
    """
    told = [load_report(path) for path in reports]
    reporting.prepare({})
    report, source = merged(told)
    return reporting.tell(report, source or Source(report.subject.name), whole=True)
