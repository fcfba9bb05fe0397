"""`mitm-demo merge`: the reports of several hosts, made one."""

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from mitm.audit.merge import merge as merged
from mitm.audit.reports import Source, load_report
from mitm.cli import matrix_table
from mitm.cli.report import console
from mitm.cli.report_files import Reporting, report_options
from mitm.matrix.conclusion import conclude
from mitm.matrix.merge import merge as merge_matrices
from mitm.matrix.record import load_matrix


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

    Those of mitm-demo matrix are merged in the same way, in a table, with --json, or --html.

    Exit code: that of the whole audit; 3, inconclusive, also where a shard is missing. Reports
    that do not belong together are wrong input, 2.
    """
    if any(map(_is_matrix, reports)):
        return _merge_matrices(reports, reporting)
    told = [load_report(path) for path in reports]
    reporting.prepare({})
    report, source = merged(told)
    return reporting.tell(report, source or Source(report.subject.name), whole=True)


class _Rows(msgspec.Struct):
    rows: msgspec.Raw


def _is_matrix(path: Path) -> bool:
    """Whether it is the JSON of a matrix; whatever else it is, is told by who reads it."""
    try:
        msgspec.json.decode(path.read_bytes(), type=_Rows)
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
        return False
    return True


def _merge_matrices(reports: Sequence[Path], reporting: Reporting) -> int:
    page = reporting.of_matrix()
    merged = merge_matrices([(path, load_matrix("merge", path)) for path in reports])
    conclusion = conclude(merged, whole=True)
    if reporting.in_json:
        click.echo(merged.as_json(), nl=False)
    else:
        matrix_table.show(console(), merged, conclusion)
    if page:
        from mitm.html import matrix_page

        page.write(matrix_page(merged))
    return conclusion.exit_code
