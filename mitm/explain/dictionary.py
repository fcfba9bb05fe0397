"""The dictionary: what each stack says, and of which cases. Made by `python -m docs.errors`.

A pattern is the runs of words that a message has, whatever stands between them. A text means a
pattern if it has those of its runs that tell something; of several the one that says most. Runs
that are heard of nearly everything, such as *connection error*, say little: what a run is worth
depends on of how many causes it is heard.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

from mitm.explain.meaning import NAMES, Name
from mitm.explain.words import Run, runs

# Shorter words by themselves are in too many texts that are about something else.
_SHORTEST_WORD = 7

# Of so many causes out of all a run may be heard, and be worth something without the others.
_TELLING = 1 / 3
# What a pattern lacks counts half: a log may have cut it off.
_LACKING = 0.5

# Worth the same, but for rounding.
_ALIKE = 1e-6

# Said for more causes than so many, a text says that something is wrong, and not what. Which cause
# has most cases is then an accident of the catalogue; people meet an unknown issuer most.
VAGUE = 3
_MET_MOST: Name = "issuer"

# A run of so many words is no accident, whatever it is heard of.
_NO_ACCIDENT = 4

# Words that say nothing by themselves: gRPC's before a message, and those of any talk of TLS.
_SAY_NOTHING = {
    *("unavailable", "unauthenticated", "unknown", "internal", "deadline_exceeded", "message"),
    *(
        "certificate",
        "certificates",
        "handshake",
        "connection",
        "transport",
        "protocol",
        "property",
    ),
    *("credentials", "invalid", "openssl", "resolver", "ioexception", "exception", "subject"),
}

# Who says that has sent an alert, and not received one: Go, curl -v, OpenSSL's and Java's traces.
_SENT = re.compile(r"local error|\(OUT\)|alert write|sen[dt]\w* .{0,20}alert", re.IGNORECASE)
_RECEIVED: set[Name] = {"client-certificate", "client-refused"}

# What it is stands behind it, as a number.
_TELLS_BY_NUMBER = ("ssl", "alert", "number")

# Letters of a word by which a line is told to be worth a look.
_SHORTEST_SIGN = 5

# In lines of a log that are about anything.
_COMMON = {
    *("error", "name", "read", "server", "target", "address", "service", "number"),
    *("version", "unknown", "message", "current", "details", "after", "before", "because"),
    *("instead", "such", "failure", "remote", "domain", "connect", "connection", "cannot"),
    *("unable", "wanted", "dial", "resolve", "resolution", "established", "supported", "selected"),
    *("found", "check", "wrong", "length", "could"),
}


class Pattern(msgspec.Struct, frozen=True):
    """What one stack says.

    Attributes:
        says: its runs of words, in their order.
        cases: certificates and attacks of which it says that, by what is wrong with them.
        entire: whether a text must have all of it: no part of it is about TLS by itself.
    """

    says: tuple[str, ...]
    cases: dict[Name, tuple[str, ...]]
    entire: bool = False


class Known(msgspec.Struct, frozen=True):
    """What a text means.

    Attributes:
        says: what was recognised of it.
        stacks: that speak so.
        cases: of which they do, by what is wrong, the likeliest first.
        whole: whether the text has all of a pattern. If not, it was cut off, or is of another
            version.
        worth: to compare it with others.
    """

    says: tuple[str, ...]
    stacks: tuple[str, ...]
    cases: tuple[tuple[Name, tuple[str, ...]], ...]
    whole: bool
    worth: float

    @property
    def count(self) -> int:
        """Of how many cases it is said."""
        return sum(len(names) for _, names in self.cases)

    @property
    def words(self) -> int:
        """How much of the text was recognised."""
        return sum(len(run.split()) for run in self.says)


def said(message: str) -> tuple[str, ...]:
    """The runs of a message that belong into its pattern."""
    kept = (
        run
        for run in runs(message)
        if (len(run) > 1 or _is_telling(run[0])) and run != _TELLS_BY_NUMBER
    )
    return tuple(dict.fromkeys(" ".join(run) for run in kept))


def _is_telling(word: str) -> bool:
    return (len(word) >= _SHORTEST_WORD or "_" in word) and word not in _SAY_NOTHING


class Dictionary:
    """Looks texts up.

    Args:
        stacks: the patterns of each.
    """

    def __init__(self, stacks: Mapping[str, Sequence[Pattern]]) -> None:
        self.stacks = stacks
        self._patterns = [(stack, p) for stack, known in stacks.items() for p in known if p.says]
        heard: dict[str, set[Name]] = {}
        for _, pattern in self._patterns:
            for run in pattern.says:
                heard.setdefault(run, set()).update(pattern.cases)
        self._causes = len(set().union(*heard.values())) if heard else 1
        self._heard = {run: len(causes) for run, causes in heard.items()}
        self._by_first: dict[str, list[Run]] = {}
        for words in sorted((tuple(run.split()) for run in heard), key=len, reverse=True):
            self._by_first.setdefault(words[0], []).append(words)
        self._parts = {run for _, p in self._patterns if not p.entire for run in p.says}
        # What must be there in company shows by one of its runs.
        alone = {max(p.says, key=len) for _, p in self._patterns if self._parts.isdisjoint(p.says)}
        self.signs = _signs(self._parts | alone)

    def look_up(self, text: str) -> Known | None:
        """What a text means; None if nothing like it is known.

        Args:
            text: a line of a log, or a few.
        """
        found = self._found(runs(text))
        if not found:
            return None
        sent = _SENT.search(text)
        ranked = [
            (self._worth(pattern, found), found >= self._needed(pattern), stack, pattern)
            for stack, pattern in self._patterns
            if not found.isdisjoint(pattern.says)
            and not (sent and pattern.cases.keys() <= _RECEIVED)
            and (not pattern.entire or found.issuperset(pattern.says))
        ]
        best = max((worth for worth, whole, *_ in ranked if whole), default=0.0)
        partial = max((worth for worth, whole, *_ in ranked if not whole), default=0.0)
        if best > 0 and best >= partial:
            same = [(s, p) for worth, whole, s, p in ranked if whole and worth > best - _ALIKE]
            says = tuple(run for run in same[0][1].says if run in found)
            return self._known(same, says, whole=True, worth=best)
        # Not what is known only in company.
        found &= self._parts
        if not found:
            return None
        telling = max(found, key=lambda run: (self._value(run), len(run)))
        few = telling.count(" ") + 1 < _NO_ACCIDENT
        if few and not (self._is_telling(telling) and _signs_of(telling)):
            return None
        shared = [
            (sum(self._value(run) for run in found.intersection(p.says)), stack, p)
            for *_, stack, p in ranked
            if telling in p.says and not p.entire
        ]
        most = max(value for value, *_ in shared)
        who = {stack for value, stack, _ in shared if value > most - _ALIKE}
        same = [(stack, p) for _, stack, p in shared if stack in who]
        return self._known(same, (telling,), whole=False, worth=self._value(telling) / 2)

    def _found(self, text: Iterable[Run]) -> set[str]:
        """The known runs in a text; of one within another, the longer."""
        found: set[str] = set()
        for words in text:
            at = 0
            while at < len(words):
                match = next(
                    (r for r in self._by_first.get(words[at], ()) if words[at : at + len(r)] == r),
                    None,
                )
                if match:
                    found.add(" ".join(match))
                at += len(match) if match else 1
        return found

    def _value(self, run: str) -> float:
        length = min(run.count(" ") + 1, 4)
        return (math.log(self._causes / self._heard[run]) + 0.05) * (1 + length / 4)

    def _needed(self, pattern: Pattern) -> set[str]:
        """The runs that a text must have: those that tell something, or else the last.

        Of what is known in company only, all.

        A message goes from the general to the particular. `CERTIFICATE_VERIFY_FAILED` at its end is
        all that some versions say of a dozen causes, and all that people quote.
        """
        if pattern.entire:
            return set(pattern.says)
        return {run for run in pattern.says if self._is_telling(run)} or {pattern.says[-1]}

    def _is_telling(self, run: str) -> bool:
        return self._heard[run] <= self._causes * _TELLING

    def _worth(self, pattern: Pattern, found: set[str]) -> float:
        lacking = sum(map(self._value, self._needed(pattern) - found))
        return sum(map(self._value, found.intersection(pattern.says))) - _LACKING * lacking

    @staticmethod
    def _known(
        same: Sequence[tuple[str, Pattern]], says: tuple[str, ...], *, whole: bool, worth: float
    ) -> Known:
        cases: dict[Name, list[str]] = {}
        for _, pattern in same:
            for name, names in pattern.cases.items():
                cases.setdefault(name, []).extend(names)
        told = {name: tuple(dict.fromkeys(names)) for name, names in cases.items()}
        first = _MET_MOST if len(told) > VAGUE else None
        ordered = sorted(
            told.items(), key=lambda each: (each[0] != first, -len(each[1]), NAMES.index(each[0]))
        )
        stacks = tuple(dict.fromkeys(stack for stack, _ in same))
        return Known(says, stacks, tuple(ordered), whole, worth)


def _signs(heard: Iterable[str]) -> tuple[str, ...]:
    """Words of which each run has one, but for the most common: a text with none is about else."""
    telling = map(_signs_of, heard)
    longest = sorted({max(words, key=len) for words in telling if words}, key=lambda w: (len(w), w))
    signs: list[str] = []
    for word in longest:
        if not any(sign in word for sign in signs):
            signs.append(word)
    return tuple(signs)


def _signs_of(run: str) -> list[str]:
    """The words of a run that are not in texts about anything."""
    return [w for w in run.split() if w not in _COMMON and len(w) >= _SHORTEST_SIGN]


class _File(msgspec.Struct):
    versions: dict[str, list[str]]
    stacks: dict[str, list[Pattern]]


@cache
def load(path: Path) -> Dictionary:
    """Read the dictionary that comes with the project.

    Args:
        path: `content.ERRORS`, or another one.
    """
    return Dictionary(msgspec.json.decode(path.read_bytes(), type=_File).stacks)
