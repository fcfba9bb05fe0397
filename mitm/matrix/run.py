"""The whole matrix: all rows over one suite, which share the room for their runs."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from mitm.audit import Finding, Suite, stand_in
from mitm.audit.listener import Upstream
from mitm.audit.slots import Slots
from mitm.errors import user_error_in
from mitm.lab.batch import BatchClient
from mitm.lab.client_run import PolicyUnsupported
from mitm.matrix.record import Matrix, Row
from mitm.matrix.trial import fitted, try_row

# Rows that are begun before others are done. The last runs of a row are few, or wait.
_ROWS_AT_ONCE = 3


class Entry(NamedTuple):
    """A row that is to be tried, or the reason why not.

    Attributes:
        row: without cells.
        start: makes what runs the client; None if it cannot be run, as the row's reason says.
    """

    row: Row
    start: Callable[[], BatchClient] | None


class Listeners(NamedTuple):
    """Who is told how it goes.

    Attributes:
        on_finding: is called with each finding as it is made.
        on_rows: is called with all rows so far, in order, each time that one is done.
    """

    on_finding: Callable[[Finding], None] = lambda finding: None
    on_rows: Callable[[Matrix], None] = lambda matrix: None


_NOBODY = Listeners()


async def run_matrix(
    begun: Matrix,
    entries: Sequence[Entry],
    suite: Suite,
    *,
    jobs: int,
    waiting: int,
    known: Iterable[Row] = (),
    listeners: Listeners = _NOBODY,
) -> Matrix:
    """Try everything on every row.

    Args:
        begun: the matrix, without rows.
        entries: the rows.
        suite: what is presented, forged once for all.
        jobs: how many runs of clients there are at once.
        waiting: how many more that have been refused, and try again.
        known: rows that an earlier run has finished, which are not tried again.
        listeners: who is told how it goes.

    Raises:
        UserError: a client cannot be started.
    """
    slots = Slots(jobs, waiting)
    done = {row.key: row for row in known}
    done |= {entry.row.key: entry.row for entry in entries if entry.start is None}

    def so_far() -> Matrix:
        rows = tuple(done[e.row.key] for e in entries if e.row.key in done)
        return replace(begun, rows=rows, to_try=len(entries) - len(rows))

    to_try = iter([entry for entry in entries if entry.row.key not in done])

    async def work(upstream: Upstream) -> None:
        for row, start in to_try:
            assert start is not None
            try:
                async with start() as client:
                    tried = await try_row(row, suite, client, upstream, slots, listeners.on_finding)
            except PolicyUnsupported as error:
                tried = replace(row, state="unsupported", reason=error.reason)
            done[row.key] = tried
            listeners.on_rows(so_far())

    async with stand_in() as upstream:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_ROWS_AT_ONCE):
                    group.create_task(work(upstream))
        except ExceptionGroup as errors:
            raise user_error_in(errors) or errors from None
    return so_far()


def count_of(entries: Iterable[Entry], suite: Suite, known: Iterable[Row] = ()) -> int:
    """How many findings there will be, controls among them."""
    done = {row.key for row in known}
    return sum(
        len(fitted(suite, entry.row.policy).cases) + 2
        for entry in entries
        if entry.start and entry.row.key not in done
    )
