"""The client's last words, fit for a report: what it holds as a secret is not repeated."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from mitm.capture import masked

_LIMIT = 200
_MASK = "…"

# What is shorter stands in many a sentence that has nothing to do with it.
_SHORTEST = 6

# RFC 9110 section 11.4: scheme and credentials; and the user's part of a URL.
_IN_TEXT = re.compile(r"(?i)\b(bearer|basic|digest)\s+[^\s\"',;]{6,}|(?<=://)[^\s/@]+(?=@)")


def last_line(output: bytes) -> str:
    """The last line of what a program printed, cut at a length that fits a report."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:_LIMIT] if lines else ""


def secrets_of(words: Sequence[str], environment: Mapping[str, str]) -> set[str]:
    """What a program was given as a secret, judged by the names that go with it.

    Args:
        words: its command line: `--token T`, `--api-key=T`, `-H 'authorization: Bearer T'`.
        environment: its variables: `API_TOKEN=T`.
    """
    named = list(environment.items())
    named += pairwise(words)
    for word in words:
        name, separator, value = re.sub(r"[:=]", "\0", word, count=1).partition("\0")
        if separator:
            named.append((name, value.strip()))
    return {secret for name, value in named for secret in secrets_in(name, value)}


def secrets_in(name: str, value: str) -> Iterator[str]:
    """The parts of a value that are secret, if its name says that it is a credential."""
    if masked(name, value) != value:
        yield from (part for part in re.split(r"[\s;=]+", value) if len(part) >= _SHORTEST)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """A text with these secrets, and whatever looks like one, left out."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return _IN_TEXT.sub(lambda m: f"{m[1]} {_MASK}" if m[1] else _MASK, text)
