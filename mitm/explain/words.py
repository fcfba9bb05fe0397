"""The words of an error, in runs: what is told of one host, file or moment separates them.

`x509: certificate is valid for a.example, not b.example` has the runs *x509*, *certificate is valid
for* and *not*. So one pattern stands for whatever names, ports, times and versions there are.
"""

import re

Run = tuple[str, ...]

# Colours and the like (ECMA-48 section 5.4).
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
# What JSON and quotes within quotes have made of a text (RFC 8259 section 7).
_ESCAPED = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([nrt])|([\"'/]))")
# An address of a file or a page, and what is put together with dots: hosts, files, classes.
# Each is sought at the beginning of a word alone: a dump in hexadecimal is one of any length.
_PATH = re.compile(r"(?<!\w)\w+://[^\s\"'<>]+|(?<![\w.])\.{0,2}/[\w.+@~-]+(?:/[\w.+@~-]+)+")
_DOTTED = re.compile(r"(?<![\w*-])[\w*-]+(?:\.[\w*$-]+)+\.?")
_CLASS = re.compile(r"[A-Z]\w*[a-z]\w*")
_WORD = re.compile(r"[^\W\d_](?:\w|'(?=[a-z]\b))*|_\w+")
# x509, sha1, tlsv1, ssl3_get_record: but no serial number, and no code in hexadecimal.
_NAME_WITH_DIGITS = re.compile(r"[a-z]+(?:_[a-z]+)*\d{1,3}(?:_?[a-z_]+)?")

_SEPARATOR = "\0"
_SEPARATORS = re.compile(r"[:;,\"()\[\]{}<>=|…\0#]|[.?!](?=\s|$)|(?<!\w)'|'(?!\w)|\d")

# Neither says anything: how this machine is called.
_NO_WORDS = {"localhost"}


def runs(text: str) -> list[Run]:
    """The words of a text in small letters, run by run.

    Args:
        text: a line of a log, or several; a line break is a space.
    """
    text = _ESCAPED.sub(_plain, _CONTROL.sub("", text))
    text = _PATH.sub(_SEPARATOR, text)
    text = _DOTTED.sub(_last_of_class, text)
    found: list[Run] = []
    run: list[str] = []
    at = 0
    for match in _WORD.finditer(text):
        word = match[0].lower()
        between = text[at : match.start()]
        varies = word in _NO_WORDS or (
            any(c.isdigit() for c in word) and not _NAME_WITH_DIGITS.fullmatch(word)
        )
        if run and (varies or _SEPARATORS.search(between)):
            found.append(tuple(run))
            run = []
        if not varies:
            run.append(word)
        at = match.end()
    return [*found, tuple(run)] if run else found


def _plain(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code:
        return chr(int(code, 16))
    return " " if match[3] else match[4]


def _last_of_class(match: re.Match[str]) -> str:
    *_, last = match[0].rstrip(".").split(".")
    kept = f"{_SEPARATOR}{last}{_SEPARATOR}" if _CLASS.fullmatch(last) else _SEPARATOR
    return f"{kept}. " if match[0].endswith(".") else kept
