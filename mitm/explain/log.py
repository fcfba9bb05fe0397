"""Errors in a log of any length: read once, a block at a time, and little of it kept."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from mitm.explain.dictionary import VAGUE, Dictionary, Known

# Characters of a line that are looked at together. Longer ones are cut: the message is in one part.
_LINE = 4096
# An error may be wrapped over so many lines.
_WRAPPED = 4
# Different lines that are looked at closely; a log repeats itself.
_LINES = 20_000
# Errors that are told apart.
_ERRORS = 200

_VARYING = re.compile(r"[\W\d_]+|\b[0-9a-f]{8,}\b")


class Reading(msgspec.Struct):
    """What was found in a log.

    Attributes:
        errors: what is known, with how often it was seen; the most telling first.
        cut: whether there was more than is looked at closely.
    """

    errors: list[tuple[Known, int]]
    cut: bool


def read(lines: Iterable[str], dictionary: Dictionary) -> Reading:
    """Look for known errors.

    Args:
        lines: of a log, or of the text that a user has pasted.
        dictionary: to look them up in.
    """
    reader = _Reader(dictionary)
    for line in lines:
        sign = reader.has_sign(line)
        for part in _parts(line) if sign else (line[:_LINE],):
            reader.take(part, sign=sign)
    return reader.reading()


def _parts(line: str) -> Iterator[str]:
    if len(line) <= _LINE:
        yield line
        return
    # They overlap, so that no message is cut in all of them.
    for at in range(0, len(line), _LINE // 2):
        yield line[at : at + _LINE]


class _Reader:
    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._signs = dictionary.signs
        self._seen: dict[int, Known | None] = {}
        self._found: dict[tuple[str, ...], tuple[Known, int]] = {}
        self._closely = 0
        self._cut = False
        # What the lines before have come to, which the next one may go on with.
        self._before: list[str] = []
        self._known: Known | None = None

    def has_sign(self, line: str) -> bool:
        """Whether there may be anything in a line that is known."""
        lowered = line.lower()
        return any(sign in lowered for sign in self._signs)

    def take(self, line: str, *, sign: bool) -> None:
        if not sign and not self._before:
            return
        known = self._look_up(line) if sign else None
        if self._before and not (known and known.whole and self._known and self._known.whole):
            together = self._look_up(" ".join([*self._before, line]))
            if together and _says_more(together, self._known) and _says_more(together, known):
                self._count(self._known, -1)
                self._count(together)
                self._before.append(line)
                self._known = together
                return
        if known or sign:
            self._count(known)
            self._before, self._known = [line], known
        elif len(self._before) < _WRAPPED:
            self._before.append(line)
        else:
            self._before, self._known = [], None

    def _look_up(self, text: str) -> Known | None:
        key = hash(_VARYING.sub(" ", text))
        if key in self._seen:
            return self._seen[key]
        if self._closely >= _LINES:
            self._cut = True
            return None
        self._closely += 1
        self._seen[key] = self._dictionary.look_up(text)
        return self._seen[key]

    def _count(self, known: Known | None, times: int = 1) -> None:
        if known is None:
            return
        _, before = self._found.get(known.says, (known, 0))
        if before + times == 0:
            del self._found[known.says]
        elif before or len(self._found) < _ERRORS:
            self._found[known.says] = (known, before + times)

    def reading(self) -> Reading:
        found = list(self._found.values())
        # What was recognised in part is of no interest beside the whole of it.
        told = {run for known, _ in found if known.whole for run in known.says}
        found = [
            (known, times)
            for known, times in found
            if known.whole or (told.isdisjoint(known.says) and not (told and _is_vague(known)))
        ]
        found.sort(key=lambda each: (not each[0].whole, -each[0].worth))
        return Reading(found, self._cut)


def _is_vague(known: Known) -> bool:
    """Whether it tells little beside an error that says what is wrong."""
    return len(known.cases) > VAGUE


def _says_more(known: Known, than: Known | None) -> bool:
    return than is None or (known.whole, known.words) > (than.whole, than.words)
