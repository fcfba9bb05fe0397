"""Foreign text made harmless; stolen credentials shown to have been read, not left lying about."""

import base64
import json
import math
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl

from mitm.credentials import is_credential

_SHOWN = 4
_MASK = "…"

# Characters that are quoted of what a client said. grpcio's reason for a refused certificate begins
# with where it was going, and says after 200 what was wrong with it.
QUOTED = 500

# What stands between words, and in no token.
_BETWEEN = re.compile(r"[\s\"',;{}\[\]()<>]")

# What is shorter stands in many a sentence that has nothing to do with it.
_SHORTEST = 6

# Header lines that are remembered as they are shown, over all connections, and characters of one.
# The calls of a client repeat theirs, and to look for secrets in one costs more than all else.
_REMEMBERED = 1024
_LONGEST_REMEMBERED = 1024

# What the lab's clients have for a token. A theft is seen only if the loot is; and what says by its
# own text that it opens nothing is nobody's secret.
_OPENS_NOTHING = "opens-nothing-"
_HARMLESS = re.compile(rf"Bearer {_OPENS_NOTHING}[0-9a-f]{{8}}")

# Levels of JSON that are written. Protobuf's own parsers go as deep; readers of JSON differ.
DEEPEST = 100

# Letters and marks that show nothing, and are printable all the same: fillers, and what Unicode has
# as Default_Ignorable_Code_Point (but U+FE0E and U+FE0F, with which emoji are written).
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)

# What build servers obey where a line begins with it, and a line may be wrapped anywhere: GitHub's
# workflow commands, and those of Azure and TeamCity.
_COMMAND = re.compile(
    r"::(?=(?:add-mask|add-matcher|add-path|debug|echo|endgroup|error|group|notice|remove-matcher"
    r"|save-state|set-env|set-output|stop-commands|warning)\b[^:]*::)|#(?=#(?:\[|vso\[|teamcity\[))",
    re.IGNORECASE,
)

# RFC 9110 section 11.4: scheme and credentials; the user's part of a URL; a key in PEM; a JSON Web
# Token (RFC 7519); and tokens that say by their beginning whose they are.
_IN_TEXT = re.compile(
    r"(?i:\b(bearer|basic|digest)\s+(?:\w+=\"[^\r\n]*|[^\s\"',;]{6,})|(?<=://)[^\s/@]+(?=@))"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{6,}\.[\w-]+\.[\w-]*"
    r"|\b(?:gh[a-z]_|github_pat_|glpat-|xox[a-z]-|AKIA|AIza|sk-|ya29\.)[\w.-]{16,}"
    r"|\b(?:[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,})\b"
    r"|\bSG\.[\w-]{20,}\.[\w-]{20,}"
)
# Without one of these in it, a text has none of them.
_SIGNS = (
    *("bearer", "basic", "digest", "://", "private key", "eyj"),
    *("gh", "glpat-", "xox", "akia", "aiza", "sk-", "ya29."),
    *("k_live_", "k_test_", "npm_", "hf_", "sg."),
)

# `name=value`, `name: value`, `"name": "value"`, `('name', 'value')`, `--name value`.
_NAMED = re.compile(
    r"(?<![\w.-])(?P<dashes>--?)?(?P<name>[A-Za-z_][\w.-]{1,63})(?![\w.-])"
    r"(?P<between>[\"']?\s{0,4}(?:=>|[=:])\s{0,4}|[\"'],\s{0,4}(?:value=)?(?=[\"'])|(?(dashes)\s{1,4}|(?!)))"
)
_NAMED_SIGNS = ("=", ":", "',", '",', "--")
_VALUE = re.compile(r"\"[^\"\r\n]*|'[^'\r\n]*|[^\s\"'&;,)}\]>]+")
_SCHEME = re.compile(r"[\"']?[A-Za-z][\w-]*\s+(?=\S{6})")
# All of these are for one reader: what is in between is secret whatever it is called.
_COOKIES = re.compile(r"(?i)(\b(?:set-)?cookie2?[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']+")
_KEY_IN_QUERY = re.compile(r"(?<=[?&]key=)[^\s&\"'#]+")
_PASSWORD = re.compile(r"(?i)pass(?:word|wd|phrase)|pwd|secret")


def plain(text: str) -> str:
    """Foreign text, fit for a terminal, a log or XML: what is not seen is spelled out, not obeyed.

    Control characters, line breaks, bidirectional controls, spaces that are none, halves of
    surrogate pairs and whatever nobody has assigned are not printable (Unicode's categories C and
    Z). What is left is a line, and a subset of XML's characters (XML 1.0 section 2.2).
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _spelled(c) for c in text)
    if not text.isascii():
        text = _INVISIBLE.sub(lambda m: _spelled(m[0]), text)
    # Without one of these there is none, and most lines are without.
    if "::" in text or "##" in text:
        text = _COMMAND.sub(lambda m: _in_hexadecimal(m[0][0]) + m[0][1:], text)
    return text


# What Markdown (CommonMark, GitHub's tables, links, mentions and formulas) or HTML would obey.
_MARKUP = re.compile(r"[\\`*_~|<>&\[\]#$@!{}]|:(?=//)|(?<=www)\.|:(?=[\w+-]+:)", re.IGNORECASE)


def in_markdown(text: str) -> str:
    """Foreign text within a line of Markdown, or a cell of a table: nothing in it is markup.

    Characters are written as references, which stand for no structure (CommonMark 0.31 section
    2.5).
    """
    return _MARKUP.sub(lambda m: f"&#{ord(m[0])};", plain(text))


def as_code(text: str) -> str:
    """Foreign text as code within a line of Markdown: GitHub makes no links or mentions in it."""
    return f"<code>{in_markdown(text)}</code>" if text.strip() else ""


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _in_hexadecimal(character: str) -> str:
    return f"\\x{ord(character):02x}"


def as_json(value: object, *, indent: int | None = None) -> str:
    """Whatever there is to tell, as JSON that every parser takes, and no terminal obeys (RFC 8259).

    It is ASCII, so that no encoding of an output can spoil it. What JSON has not is told as text:
    NaN and the infinities by their names, as Protobuf does; half a surrogate pair spelled out.

    Args:
        value: of dicts, lists, tuples, text, numbers, truth values and None.
        indent: spaces of a level; None for one line.
    """
    return json.dumps(_sound(value, DEEPEST), indent=indent, allow_nan=False)


def as_text(value: object) -> str:
    """A value as a line of JSON for a person: other alphabets as they are, and nothing to obey."""
    return plain(_encode(_sound(value, DEEPEST)))


# An encoder of its own for each text costs as much as a short one.
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


def _sound(value: object, levels: int) -> object:
    # What messages are made of, first; and by type, since there are many of them.
    kind = type(value)
    if kind is dict and levels:
        sound = {}
        for name, each in value.items():  # type: ignore[attr-defined]
            if type(name) is not str or not name.isascii():
                name = str(_sound(str(name), 1))
            if type(each) is not str or not each.isascii():
                each = _sound(each, levels - 1)
            sound[name] = each
        return sound
    match value:
        case str():
            return value if value.isascii() else _without_surrogates(value)
        case None | bool() | int():
            return value
        case float():
            if math.isfinite(value):
                return value
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
    if levels == 0:
        return _MASK
    if isinstance(value, Mapping):
        return {str(_sound(str(k), 1)): _sound(each, levels - 1) for k, each in value.items()}
    if isinstance(value, Iterable):
        return [_sound(each, levels - 1) for each in value]
    return _sound(str(value), levels)


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def token_for_show() -> str:
    """A token for a client of the lab to lose, another one each time. It is never masked."""
    return f"{_OPENS_NOTHING}{secrets.token_hex(4)}"


def holds_secret(name: str, value: str) -> bool:
    """Whether a header holds a credential, masked or not: a token for show is one as well.

    Args:
        name: the header's name.
        value: its value.
    """
    return masked(name, value) != value or bool(_HARMLESS.fullmatch(value))


def masked(name: str, value: str) -> str:
    """The value of a header, fit to be shown: of a credential only its scheme and beginning.

    Args:
        name: the header's name.
        value: its value.
    """
    look = _masked_before if len(name) + len(value) <= _LONGEST_REMEMBERED else _masked
    return look(name, value)


def _masked(name: str, value: str) -> str:
    if _HARMLESS.fullmatch(value):
        return value
    if not is_credential(name):
        return without_secrets(value, ())
    scheme, space, secret = "", "", value
    if name.lower().replace("_", "-").endswith("authorization") and " " in value:
        # RFC 9110 section 11.4. In a cookie what stands before a space is as secret as the rest.
        scheme, space, secret = value.partition(" ")
    # A short secret would be given away by its beginning.
    shown = secret[:_SHOWN] if len(secret) >= 4 * _SHOWN else ""
    return f"{scheme}{space}{shown}… ({len(secret)} characters, masked)"


_masked_before = lru_cache(_REMEMBERED)(_masked)


def secrets_in(name: str, value: str) -> Iterator[str]:
    """The parts of a value that are secret: of a credential, or of a path with one in its query."""
    if is_credential(name):
        parts = re.split(r"[\s;=]+", value)
        if parts[0].lower() == "basic" and len(parts) > 1:
            parts += _decoded(parts[1])
        yield from (part for part in parts if len(part) >= _SHORTEST)
    elif "?" in value:
        for each, secret in parse_qsl(value.partition("?")[2]):
            yield from secrets_in("api-key" if each == "key" else each, secret)


def _decoded(credentials: str) -> list[str]:
    """The password of RFC 7617's user and password."""
    try:
        text = base64.b64decode(credentials + "==").decode()
    except ValueError:
        return []
    return [text.partition(":")[2]]


def without_secrets(text: str, read: Iterable[str]) -> str:
    """A text with these secrets, and whatever looks like one, left out."""
    for secret in sorted(read, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    # A header is looked at in the middle of a connection: most have nothing to look for.
    lowered = text.lower()
    if any(sign in lowered for sign in _SIGNS):
        text = _IN_TEXT.sub(lambda m: f"{m[1]} {_MASK}" if m[1] else _MASK, text)
    if "cookie" in lowered:
        text = _COOKIES.sub(rf"\g<1>{_MASK}", text)
    if "key=" in lowered:
        text = _KEY_IN_QUERY.sub(_MASK, text)
    if any(sign in lowered for sign in _NAMED_SIGNS):
        text = "".join(_without_named(text))
    return text


def _without_named(text: str) -> Iterator[str]:
    """The parts of a text between values that go with the name of a credential."""
    start = at = 0
    while match := _NAMED.search(text, at):
        at = match.end("name")
        value = _VALUE.match(text, match.end()) if is_credential(match["name"]) else None
        if value is None:
            continue
        begin = value.start()
        if "auth" in match["name"].lower() and (scheme := _SCHEME.match(text, begin)):
            begin = scheme.end()
            value = _VALUE.match(text, begin)
        if value and _is_told(match, value[0]):
            quote = value[0][0] if value[0][0] in "\"'" else ""
            yield f"{text[start:begin]}{quote}{_MASK}"
            start = at = value.end()
    yield text[start:]


def _is_told(match: re.Match[str], value: str) -> bool:
    """Whether what stands behind a credential's name is its value, and not a word about it."""
    if ":" not in match["between"] or value[0] in "\"'":
        return True
    # `Unexpected token: end` is no token; `password: swordfish` is a password.
    word = value.isalpha() and len(value) < 4 * _SHOWN
    return len(value) >= _SHORTEST and (not word or bool(_PASSWORD.search(match["name"])))


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
