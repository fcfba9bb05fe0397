"""What `matrix` shows: the counts of each row, the cells that differ, and what has changed."""

from collections.abc import Callable, Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mitm.audit.conclusion import listed
from mitm.masking import plain
from mitm.matrix.against import Change, Comparison, compare_rows, steps_of
from mitm.matrix.conclusion import Conclusion
from mitm.matrix.record import Cell, Kept, Matrix, Row

_COLUMNS: dict[Kept, tuple[str, str]] = {
    "kept": ("kept", "good"),
    "open": ("open", "quiet"),
    "broken": ("broken", "harm"),
    "crashed": ("crashed", "caution"),
    "undecided": ("undecided", "caution"),
    "untried": ("untried", "quiet"),
}
_STYLES = {"worse": "harm", "unproved": "caution", "better": "good"}

_KEY = (
    "kept: as the policy promises; open: it promises nothing of that, or sound clients differ; "
    "untried: does not apply, or cannot be presented"
)

# Names of cases in one line.
_NAMES = 40


def show(console: Console, matrix: Matrix, conclusion: Conclusion) -> None:
    """Print what came of all rows."""
    _show_counts(console, matrix.rows)
    _show_differing(console, matrix.rows)
    console.print()
    style = "good" if conclusion.exit_code == 0 else "harm"
    line = Text(f"Exit code {conclusion.exit_code}: ", style=style)
    console.print(line.append(plain(conclusion.reason), style="not bold"))


def _show_counts(console: Console, rows: Iterable[Row]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("client")
    table.add_column("policy", no_wrap=True)
    for title, _ in _COLUMNS.values():
        table.add_column(title, justify="right", no_wrap=True)
    client = ""
    for row in rows:
        name = row.client if row.client != client else ""
        client = row.client
        words = [Text(plain(name), style="bold"), Text(plain(row.policy))]
        if row.state in ("tried", "no-control") and row.cells:
            for kept, (_, style) in _COLUMNS.items():
                count = row.count(kept)
                words.append(Text(str(count) if count else "·", style=style if count else "quiet"))
        table.add_row(*words)
    console.print(table)
    console.print(Text(_KEY, style="quiet"))
    for (state, reason), alike in _by_state(rows).items():
        whom = "; ".join(f"{client}: {', '.join(each)}" for client, each in alike.items())
        console.print()
        console.print(Text(_told(state), style="bold").append(f": {plain(whom)}", "not bold"))
        console.print(Text(f"  {plain(reason)}", style="quiet"))


def _told(state: str) -> str:
    told = {
        "no-control": "Nothing is proved",
        "unsupported": "Not to be had there",
        "missing": "Not here",
    }
    return told[state]


def _by_state(rows: Iterable[Row]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """Rows that came to nothing, by their reason: the policies of each client."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        if row.state != "tried":
            of_client = found.setdefault((row.state, row.reason), {})
            of_client.setdefault(row.client, []).append(row.policy)
    return found


_DIFFERING: tuple[tuple[str, str, Callable[[Cell], bool]], ...] = (
    ("Not as the policy promises", "harm", lambda c: c.kept == "broken" and c.binding),
    ("Crashed or hung", "caution", lambda c: c.kept == "crashed"),
    ("Not as good clients do", "bold", lambda c: c.kept == "broken" and not c.binding),
    ("Undecided", "caution", lambda c: c.kept == "undecided"),
)


def _show_differing(console: Console, rows: Iterable[Row]) -> None:
    rows = [row for row in rows if row.state == "tried" or row.differing]
    for title, style, wanted in _DIFFERING:
        found = [(row, [cell for cell in row.cells if wanted(cell)]) for row in rows]
        found = [(row, cells) for row, cells in found if cells]
        if not found:
            continue
        console.print()
        console.print(Text(title, style=style))
        grid = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(3):
            grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for row, cells in found:
            for did, names in _by_deed(cells).items():
                words = (row.client, row.policy, f"{did} {names}")
                grid.add_row("", *(Text(plain(each)) for each in words))
        console.print(grid)


def _by_deed(cells: Iterable[Cell]) -> dict[str, str]:
    deeds: dict[str, list[str]] = {}
    for cell in cells:
        crash = cell.crash if cell.kept == "crashed" else ""
        deeds.setdefault(crash or cell.did or cell.outcome, []).append(cell.case)
    return {did: listed(names, _NAMES) for did, names in deeds.items()}


def show_changes(console: Console, comparison: Comparison) -> None:
    """Print what has changed, the worst first."""
    console.print()
    for client, (before, after) in comparison.versions.items():
        console.print(Text(plain(f"{client}: {before} → {after}"), style="bold"))
    if not comparison.changes:
        console.print(Text("Nothing has changed.", style="good"))
        return
    kinds = ("worse", "unproved", "better", "other", "appeared", "vanished")
    for kind in kinds:
        found = [change for change in comparison.changes if change.kind == kind]
        if found:
            console.print(Text(f"{kind} ({len(found)})", style=_STYLES.get(kind, "bold")))
            for line in lines_of(found):
                console.print(Text(f"  {plain(line)}"))


def show_ladder(console: Console, matrix: Matrix) -> None:
    """Print what each version has changed against the one before it that was tried."""
    console.print()
    console.print(Text("What each version has changed", style="bold"))
    for before, after in steps_of(matrix):
        lines = lines_of(compare_rows(before, after))
        console.print(Text(plain(f"{before.client} → {after.client}, {after.policy}")))
        for line in lines or ["nothing"]:
            console.print(Text(f"  {plain(line.partition(': ')[2] or line)}"))


def lines_of(changes: Iterable[Change]) -> list[str]:
    """Changes in lines, those that are alike in one."""
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for change in changes:
        key = (change.client, change.policy, change.before, change.after)
        alike.setdefault(key, []).append(change.case)
    return [
        f"{client}, {policy}: {listed(names, _NAMES)}: {before} → {after}"
        if any(names)
        else f"{client}, {policy}: {before} → {after}"
        for (client, policy, before, after), names in alike.items()
    ]
