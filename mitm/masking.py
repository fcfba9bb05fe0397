"""Foreign text made harmless; stolen credentials shown to have been read, not left lying about."""

import re
from collections.abc import Iterable, Iterator

# Names under which credentials travel in HTTP and gRPC metadata, alone or as the last words of a
# longer name: `x-api-key`, `x-goog-iam-authorization-token`.
_SECRET = (
    "-authorization",
    "-cookie",
    "-token",
    "-secret",
    "-password",
    "-passwd",
    "-api-key",
    "-apikey",
    "-access-key",
    "-private-key",
    "-session",
    "-session-id",
    "-sessionid",
    "-jwt",
    "-credential",
    "-credentials",
)
_SHOWN = 4

# Characters that are quoted of what a client said. grpcio's reason for a refused certificate begins
# with where it was going, and says after 200 what was wrong with it.
QUOTED = 500

# What stands between words, and in no token.
_BETWEEN = re.compile(r"[\s\"',;{}\[\]()<>]")

_MASK = "…"

# What is shorter stands in many a sentence that has nothing to do with it.
_SHORTEST = 6

# RFC 9110 section 11.4: scheme and credentials; and the user's part of a URL.
_IN_TEXT = re.compile(
    r"(?i)\b(bearer|basic|digest)\s+[^\s\"',;]{6,}|(?<=://)[^\s/@]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)


def plain(text: str) -> str:
    """Text from a peer, fit for a terminal: control characters are spelled out, not obeyed."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def masked(name: str, value: str) -> str:
    """The value of a header, fit to be shown: of a credential only its scheme and beginning.

    Args:
        name: the header's name.
        value: its value.
    """
    # Metadata of bytes ends in -bin (gRPC over HTTP/2, "Requests").
    words = "-" + name.lower().replace("_", "-").removesuffix("-bin")
    if not words.endswith(_SECRET):
        return value
    scheme, space, secret = "", "", value
    if words.endswith("-authorization") and " " in value:
        # RFC 9110 section 11.4. In a cookie what stands before a space is as secret as the rest.
        scheme, space, secret = value.partition(" ")
    # A short secret would be given away by its beginning.
    shown = secret[:_SHOWN] if len(secret) >= 4 * _SHOWN else ""
    return f"{scheme}{space}{shown}… ({len(secret)} characters, masked)"


def secrets_in(name: str, value: str) -> Iterator[str]:
    """The parts of a value that are secret, if its name says that it is a credential."""
    if masked(name, value) != value:
        yield from (part for part in re.split(r"[\s;=]+", value) if len(part) >= _SHORTEST)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """A text with these secrets, and whatever looks like one, left out."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return _IN_TEXT.sub(lambda m: f"{m[1]} {_MASK}" if m[1] else _MASK, text)


def shortened(text: str, limit: int = QUOTED) -> str:
    """A text that fits a report: its beginning and, what its author looks up, its end.

    It is cut between words. Half of a secret is a secret that nobody recognises any more.

    Args:
        text: what is too long.
        limit: characters that are kept of it, at most.
    """
    if len(text) <= limit:
        return text
    end = limit * 3 // 5
    begin = limit - end
    first, last = text[:begin], text[-end:]
    if not _BETWEEN.match(text[begin]):
        first = first[: max((m.end() for m in _BETWEEN.finditer(first)), default=0)]
    if not _BETWEEN.match(text[-end - 1]):
        last = last[m.start() :] if (m := _BETWEEN.search(last)) else ""
    return " ".join(filter(None, (first.rstrip(), _MASK, last.lstrip())))
