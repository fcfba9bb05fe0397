"""What of a suite an audit has tried, so that the parts of it become one report again."""

import functools
import hashlib
import json
from collections.abc import Iterable
from typing import Annotated

import msgspec

from mitm import content

# More shards than there are certificates are refused; a file that somebody else wrote is read, too.
Number = Annotated[int, msgspec.Meta(ge=1, le=100_000)]


class Scope(msgspec.Struct, frozen=True):
    """What a report is about.

    Attributes:
        name: under test; of x509-limbo's test cases, that of the control.
        roots: where the client's CA stands, see `Setting`.
        mode: how it comes to what is presented.
        catalogue: a digest of what comes with the project.
        suite: a digest of what was chosen to be tried, by all shards together.
        certificates: how many that are.
        shards: which of them were tried here, by their numbers.
        of: into how many the suite was split.
    """

    name: str
    roots: str
    mode: str
    catalogue: str
    suite: str
    certificates: int
    shards: Annotated[tuple[Number, ...], msgspec.Meta(min_length=1)] = (1,)
    of: Number = 1

    @property
    def missing(self) -> list[int]:
        """The shards that are not here."""
        return sorted({*range(1, self.of + 1)} - {*self.shards})

    @property
    def expected(self) -> int:
        """How many certificates these shards have."""
        return sum(len(range(number - 1, self.certificates, self.of)) for number in self.shards)


def shard(names: Iterable[str], number: int, of: int) -> set[str]:
    """Which of these are a shard's: the same on every host, in whatever order they are told.

    Args:
        names: of all that is tried; no two are the same.
        number: of the shard, from 1.
        of: how many shards there are.
    """
    return {*sorted(names)[number - 1 :: of]}


def digest_of(*told: object) -> str:
    """A short digest of values that JSON has."""
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@functools.cache
def catalogue_digest() -> str:
    """A digest of all files that a client can be tried with: two that differ try different things.

    Line ends are not looked at, which a checkout may have changed.
    """
    return digest_of(
        sorted((name, path.read_text(encoding="utf-8")) for name, path in content.to_try().items())
    )
