"""How the command `matrix` goes on, once its options are read."""

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import click
import msgspec
from rich.console import Console

from mitm import content
from mitm.audit import catalogue, forge_suite, select, with_own
from mitm.audit.reports import ReportFile, write_all
from mitm.audit.scope import digest_of
from mitm.audit.setting import LONG_NAME
from mitm.audit.slots import WAITING, cores
from mitm.cli import building, matrix_table, streams
from mitm.cli.loop import in_loop
from mitm.cli.progress import progress
from mitm.cli.recording import must_differ
from mitm.cli.report import console
from mitm.errors import UserError
from mitm.html import matrix_page
from mitm.lab.clients import Client, clients, load_client
from mitm.lab.policies import POLICIES
from mitm.matrix.against import compare
from mitm.matrix.conclusion import conclude
from mitm.matrix.entries import entries_of, ladder_of
from mitm.matrix.record import Matrix, Row, Share, load_matrix
from mitm.matrix.run import Entry, Listeners, count_of, run_matrix
from mitm.matrix.trial import shown

_STDOUT = Path("-")


def run(
    client_names: Sequence[str],
    policies: Sequence[str],
    words: Sequence[str],
    *,
    jobs: int | None,
    timeout: float,
    json_file: Path | None,
    html_file: Path | None,
    go_on: bool,
    against: Path | None,
    versions: str | None,
    shard: tuple[int, int] | None,
) -> int:
    """Try the matrix, and tell of it; the exit code.

    Args:
        client_names: by name or folder; empty for all.
        policies: empty for all.
        words: what is presented, as for `audit --only`; empty for everything.
        jobs: how many runs of clients at once; None for one a core.
        timeout: seconds that a client is given for each run.
        json_file: to write; `-` for stdout.
        html_file: to write.
        go_on: whether rows are taken from the JSON that is there.
        against: the JSON of an earlier run, to compare with.
        versions: a stack and its versions, in place of clients; None for clients.
        shard: which part of the rows is tried, and of how many; None for all of them.

    Raises:
        UserError: there is no such client, policy or certificate, or a file cannot be read or
            written.
    """
    policies = list(dict.fromkeys(policies))
    for policy in policies:
        if policy not in POLICIES:
            raise UserError(f"no policy is called {policy!r}: {', '.join(POLICIES)}")
    if versions and client_names:
        raise UserError("--versions is in place of --clients: leave one of them out")
    to_try = [] if versions else _chosen(client_names or [*clients()])
    chosen = sorted(select(with_own(catalogue(), words), words), key=lambda each: each.place)
    suite = forge_suite(chosen, LONG_NAME)
    old = load_matrix("--against", against) if against else None
    files = _Files(json_file, html_file)
    if versions:
        with building.progress() as on_step:
            entries = in_loop(ladder_of(versions, policies, timeout, on_step))
    else:
        entries = in_loop(entries_of(to_try, policies, timeout, named=bool(client_names)))
    share = None
    if shard:
        entries, share = _shared(entries, *shard)
    begun = Matrix(
        tool={"name": "mitm-demo", "version": version("mitm-demo")},
        name=LONG_NAME,
        cases=tuple(shown(case) for case in (suite.control, *suite.cases)),
        rows=(),
        share=share,
        made_of=digest_of(*map(msgspec.to_builtins, chosen)),
    )
    known = _known(files.json_path, entries, begun) if go_on else []
    with progress("cells", count_of(entries, suite, known)) as on_finding:
        try:
            made = in_loop(
                run_matrix(
                    begun,
                    entries,
                    suite,
                    jobs=jobs or cores(),
                    waiting=0 if jobs else WAITING,
                    known=known,
                    listeners=Listeners(on_finding, files.keep),
                )
            )
        except KeyboardInterrupt:
            _tell_of_rest(files, len(entries))
            raise
    refusals = files.write(made)
    if json_file == _STDOUT:
        click.echo(made.as_json(), nl=False)
        told = Console(stderr=True)
    else:
        told = console()
    conclusion = conclude(made)
    if json_file != _STDOUT:
        matrix_table.show(told, made, conclusion)
        if versions:
            matrix_table.show_ladder(told, made)
    for refusal in refusals:
        raise refusal
    if old is None:
        return conclusion.exit_code
    comparison = compare(old, made, {case.name for case in made.cases})
    matrix_table.show_changes(told, comparison)
    return comparison.exit_code


def _shared(entries: Sequence[Entry], number: int, of: int) -> tuple[list[Entry], Share]:
    """The rows of one part, the same on every host; a client that is not here has rows as well."""
    if of > len(entries):
        raise UserError(
            f"--shard {number}/{of}: there is nothing in some of these, as there are only "
            f"{len(entries)} rows: make no more shards than that"
        )
    keys = sorted(entry.row.key for entry in entries)[number - 1 :: of]
    return [e for e in entries if e.row.key in keys], Share((number,), of, len(entries))


def _chosen(names: Sequence[str]) -> list[Client]:
    """The clients of these names, each once.

    Raises:
        UserError: there is none, its README is not well-formed, or two have one name: rows are told
            apart by that.
    """
    found: dict[str, Client] = {}
    for client in (client for name in names for client in _load(name)):
        other = found.setdefault(client.name, client)
        if not other.folder.samefile(client.folder):
            raise UserError(
                f"two clients are called {client.name!r}: {other.folder} and {client.folder}"
            )
    return list(found.values())


def _load(name: str) -> list[Client]:
    """A client, or all of those in a folder of such.

    Raises:
        UserError: there is none, or its README is not well-formed.
    """
    found = sorted(Path(name).glob("*/README.md")) if content.is_path(name) else []
    if found and not Path(name, "README.md").exists():
        return [load_client(str(readme.parent)) for readme in found]
    return [load_client(name)]


class _Files:
    """Where it is written: JSON each time that a row is done, the page in the end.

    Args:
        json_file: `-` for stdout, which is written by somebody else; None for none.
        html_file: None for none.

    Raises:
        UserError: one of them cannot be written, or they are one.
    """

    def __init__(self, json_file: Path | None, html_file: Path | None) -> None:
        self.json_path = None if json_file == _STDOUT else json_file
        must_differ({"--json": self.json_path, "--html": html_file})
        self._json = ReportFile("--json", self.json_path) if self.json_path else None
        self._html = ReportFile("--html", html_file) if html_file else None
        # What is no file takes it once, whole.
        self._grows = self.json_path is not None and (
            self.json_path.is_file() or not self.json_path.exists()
        )
        self.rows_kept = 0

    def keep(self, matrix: Matrix) -> None:
        """Write what there is, so that it can be gone on with, whatever happens."""
        if self._json and self._grows:
            self._json.write(matrix.as_json())
            self.rows_kept = len(matrix.rows)

    def write(self, matrix: Matrix) -> list[UserError]:
        """Write all of it; why what could not be written was not."""
        return write_all([(self._json, matrix.as_json), (self._html, partial(matrix_page, matrix))])


def _known(path: Path | None, entries: Sequence[Entry], begun: Matrix) -> list[Row]:
    """The rows that an earlier run has finished, and that would come to the same now."""
    if path is None:
        raise UserError("--continue goes on with a file: name it with --json FILE")
    if not path.exists():
        return []
    earlier = load_matrix("--json", path)
    if (earlier.cases, earlier.made_of) != (begun.cases, begun.made_of):
        raise UserError(
            f"--continue: {path} is of other certificates: give the same --certs, or another file"
        )
    if earlier.tool != begun.tool:
        raise UserError(f"--continue: {path} is of another version of mitm-demo: name another file")
    same = {(entry.row.key, entry.row.version, entry.row.made_of) for entry in entries}
    return [
        row
        for row in earlier.rows
        if row.state in ("tried", "unsupported") and (row.key, row.version, row.made_of) in same
    ]


def _tell_of_rest(files: _Files, rows: int) -> None:
    if files.json_path:
        streams.tell(
            f"interrupted: {files.rows_kept} of {rows} rows are in {files.json_path}; "
            "the same command goes on with --continue"
        )
