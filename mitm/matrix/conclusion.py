"""What a matrix comes to: the exit code, and why."""

from typing import Literal, NamedTuple

from mitm.audit import CONTROL
from mitm.matrix.record import Matrix


class Conclusion(NamedTuple):
    """What a matrix comes to.

    Attributes:
        exit_code: 0 all is as the policies promise, 1 it is not, 3 nothing can be said.
        reason: in one sentence.
    """

    exit_code: Literal[0, 1, 3]
    reason: str


def conclude(matrix: Matrix, *, whole: bool = False) -> Conclusion:
    """Say what a matrix comes to.

    Args:
        matrix: its rows.
        whole: whether all shards are to be here; one by itself is judged by its own rows.
    """
    conclusion = _conclude(matrix)
    if not matrix.share:
        return conclusion
    of = matrix.share.of
    if not whole:
        own = ", ".join(map(str, matrix.share.shards))
        return conclusion._replace(reason=f"{conclusion.reason} (of shard {own} of {of} alone)")
    if conclusion.exit_code == 0:
        conclusion = Conclusion(3, "inconclusive: not all was tried")
    missing = ", ".join(map(str, matrix.share.missing))
    return conclusion._replace(reason=f"{conclusion.reason}; missing: shard {missing} of {of}")


def _conclude(matrix: Matrix) -> Conclusion:
    """Say what its rows come to.

    What was seen to be taken comes first. A client that is not here is told and no failure, but
    where it was named: somebody counts on it then. Nor is a policy that a stack cannot express, or
    `no-ca` without a control: where the roots are compiled in, there can be none.
    """
    broken = [
        sum(cell.kept == "broken" and cell.binding for cell in row.cells) for row in matrix.rows
    ]
    if number := sum(broken):
        rows = sum(map(bool, broken))
        return Conclusion(
            1, f"{_count(number, 'cell')} in {_count(rows, 'row')} not as the policy promises"
        )
    if matrix.to_try:
        return Conclusion(3, f"inconclusive: {_count(matrix.to_try, 'row')} still to be tried")
    if not any(row.state == "tried" for row in matrix.rows):
        return Conclusion(3, "inconclusive: no client was tried to its end")
    if absent := sorted({r.client for r in matrix.rows if r.state == "missing" and r.named}):
        return Conclusion(3, f"inconclusive: not here: {', '.join(absent)}")
    if failed := [r for r in matrix.rows if r.state == "no-control" and r.policy != "no-ca"]:
        names = ", ".join(f"{row.client} {row.policy}" for row in failed)
        return Conclusion(3, f"inconclusive: the control failed: {names}")
    undecided = [
        cell
        for row in matrix.rows
        if row.state == "tried"
        for cell in row.cells
        if cell.kept == "undecided" and cell.binding
    ]
    if undecided:
        return Conclusion(
            3, f"inconclusive: nothing can be said of {_count(len(undecided), 'cell')}"
        )
    applied = [
        cell.kept != "untried"
        for row in matrix.rows
        for cell in row.cells
        # That it gets through is the control, and no test of it.
        if cell.case != CONTROL or row.policy == "no-ca"
    ]
    if applied and not any(applied):
        return Conclusion(3, "inconclusive: nothing that was tried applies to any of the clients")
    reason = "every client keeps what its policy promises"
    if number := len({row.client for row in matrix.rows if row.state == "missing"}):
        told = _count(number, "client")
        reason = f"every client that is here keeps what its policy promises; {told} not here"
    if lesser := sum(len(row.differing) for row in matrix.rows):
        reason += f"; {_count(lesser, 'cell')} not as good clients do"
    return Conclusion(0, reason)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
