"""What a matrix is made of, as it stands in its JSON: cells, rows, and the cases they are of."""

import functools
import textwrap
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from mitm import masking
from mitm.audit.finding import Outcome
from mitm.audit.scope import Number
from mitm.errors import UserError
from mitm.matrix.promise import Promised

# Of a cell. `crashed`: what was shown has ended the client's program, or hung it. `open`: nothing
# was promised of it. `untried`: it could not be presented, or does not apply. `undecided`: it was
# tried, and nothing is proved.
Kept = Literal["broken", "crashed", "undecided", "open", "kept", "untried"]

# Of a row. `no-control`: the client did not get through with the genuine certificate, so that
# nothing is proved. `unsupported`: the stack cannot express the policy. `missing`: the client
# cannot be started here.
State = Literal["tried", "no-control", "unsupported", "missing"]

Did = Literal["took", "refused", ""]


class ShownCase(msgspec.Struct, frozen=True):
    """What was presented, the same for all rows.

    Attributes:
        presented: the subjects of the chain, leaf first; of an attack, what it is played with.
        issuer: of the leaf.
    """

    name: str
    title: str
    family: str
    expect: str
    severity: str
    rule: str
    presented: tuple[str, ...] = ()
    issuer: str = ""


class Cell(msgspec.Struct, frozen=True):
    """What a client of a policy did with a case.

    Attributes:
        case: its name.
        promise: what the policy says of it.
        binding: see `Promise`.
        did: whether the client took what it was shown, or refused; "" if neither is proved.
        kept: the one held against the other.
        outcome: as an audit has it.
        reason: in one sentence.
        code, message: the client's own words, by the contract.
        crash: what ended the client in the place of its own code.
        evidence: as in an audit's JSON.
    """

    case: str
    promise: Promised
    binding: bool
    did: Did
    kept: Kept
    outcome: Outcome
    reason: str
    code: str = ""
    message: str = ""
    crash: str = ""
    evidence: dict[str, Any] | None = None


class Row(msgspec.Struct, frozen=True, dict=True):
    """A client of one policy.

    Attributes:
        client: its name; with a version, if several of its versions are tried: `grpcio 1.60.1`.
        title: what it is made of.
        version: of its library and its runtime, by its own word.
        stack: what it has called itself on the wire.
        reason: for a state other than `tried`, in one sentence.
        made_of: a digest of the client's files.
        named: whether its client was asked for by name, and not as one of all.
    """

    client: str
    title: str
    policy: str
    state: State
    version: str = ""
    stack: str = ""
    reason: str = ""
    made_of: str = ""
    named: bool = False
    cells: tuple[Cell, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """By which rows are told apart."""
        return self.client, self.policy

    def count(self, kept: Kept) -> int:
        """How many cells came to this."""
        return sum(cell.kept == kept for cell in self.cells)

    @property
    def differing(self) -> list[Cell]:
        """The cells that are not as the policy promises."""
        return [cell for cell in self.cells if cell.kept in ("broken", "crashed")]

    @functools.cached_property
    def as_json(self) -> str:
        """It alone; a matrix is written each time that a row is done, and has dozens."""
        return _as_json(self)


class Share(msgspec.Struct, frozen=True):
    """Which rows of a matrix these are, where several hosts share it.

    Attributes:
        shards: the parts that are here, by their numbers.
        of: into how many it was split.
        rows: that it has in all.
    """

    shards: Annotated[tuple[Number, ...], msgspec.Meta(min_length=1)]
    of: Number
    rows: Number

    @property
    def missing(self) -> list[int]:
        """The parts that are not here."""
        return sorted({*range(1, self.of + 1)} - {*self.shards})

    @property
    def expected(self) -> int:
        """How many rows these parts have."""
        return sum(len(range(number - 1, self.rows, self.of)) for number in self.shards)


class Matrix(msgspec.Struct, frozen=True):
    """Rows over the same cases.

    Attributes:
        tool: name and version of what has made it.
        name: that clients were to expect in a certificate.
        share: which rows these are; None for all of them.
        made_of: a digest of the files of all that was presented.
        to_try: how many rows are not here yet, because it was written before it was done.
    """

    tool: dict[str, str]
    name: str
    cases: tuple[ShownCase, ...]
    rows: tuple[Row, ...]
    share: Share | None = None
    made_of: str = ""
    to_try: int = 0

    def as_json(self) -> str:
        """For programs, and for `--against` and `--continue`."""
        empty = _as_json(msgspec.structs.replace(self, rows=()))
        if not self.rows:
            return empty + "\n"
        rows = ",\n".join(textwrap.indent(row.as_json, "  ") for row in self.rows)
        return empty.replace(_NO_ROWS, f'"rows": [\n{rows}\n ]') + "\n"


# In a text within JSON there is no such quotation mark.
_NO_ROWS = '"rows": []'


def _as_json(value: Row | Matrix) -> str:
    return masking.as_json(msgspec.to_builtins(value), indent=1)


def load_matrix(option: str, path: Path) -> Matrix:
    """Read what an earlier run has written.

    Args:
        option: that named it, for error messages.
        path: of its JSON.

    Raises:
        UserError: it cannot be read, or is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Matrix)
    except OSError as error:
        raise UserError(f"{option}: cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{option}: {path} is no JSON of 'mitm-demo matrix': {error}") from None
