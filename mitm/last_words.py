"""What a program has said last: the line that says why it ended, and the few before its end.

The last line seldom is that line: run-time libraries put stack frames, notes and links behind it,
and a client its log of how it comes to its end.
"""

import re
from collections.abc import Iterator, Sequence

from mitm.masking import without_secrets

# Bytes of an output that are looked through, from its end. The longest stack traces of a JVM are
# some hundred lines (-XX:MaxJavaStackTraceDepth is 1024).
_TAIL = 65_536

# Lines of meaning, from the end, in which an error is looked for. What a program logged long before
# is not what it ended of.
_NEAR = 12

# Lines that a report shows.
_LINES = 5

# What grpcio's errors say of themselves over several lines, the last of which is `>`.
_RPC_ERROR = re.compile(
    r"<\w+ of RPC that terminated with:\s+status = StatusCode\.(\w+)\s+"
    r'details = "(.{0,4096}?)"\s+debug_error_string = ".{0,4096}?"\s*>',
    re.DOTALL,
)

# Lines that say where, or where to read on, but not why.
_NOISE = re.compile(
    r"""
    [\W\d_]* $                                      # >, }, ^^^^, +---- 1 ----
    | (?:Node\.js|Bun|Deno) \s v[\d.]+
    | \s+ at \s                                     # frames of Java, Node, .NET, Rust
    | \s* \.\.\. \s \d+ \s (?:more|lines|common)
    | Emitted \s 'error' \s event
    | \s* --- \s End \s of
    | (?:Exception \s Group \s )? Traceback \s \(most | \s+ File \s "
    | (?:During \s handling \s of | The \s above \s exception) .* :$
    | goroutine \s \d+ | created \s by \s | \[signal \s | \t\S+:\d+
    | note: \s (?:run \s with|Some \s details) | stack \s backtrace: | \s\s+ \d+: \s \S
    | \t from \s | \#\d+ \s | Stack \s trace: | \s+ thrown \s in \s
    | exit \s status \s \d+$ | make(?:\[\d+\])?: \s \*\*\*
    | (?:collect2|clang\S*): \s error: \s (?:ld \s returned|linker \s command \s failed)
    | error: \s process \s didn't \s exit \s successfully
    | (?i:error:? \s (?:command|script) \b .* exit(?:ed)? \s (?:with \s)? code)
    | npm \s (?:ERR!|error) | info \s Visit \s
    | \[ERROR\] \s (?:\[Help|To \s see|Re-run|For \s more|->)
    | (?i:(?:see|more|for|visit|read|learn|docs|details|help|refer)\b .{0,80})? <?https?://\S+$
    """,
    re.VERBOSE,
)

# A line that says why, by itself: `KeyError: 1`, `java.lang.X: …`, `panic: …`, `curl: (60) …`.
_WHY = re.compile(
    r"""
    (?<![\w.$/])[\w.$/]*(?:Error|Exception|Failure)(?:\s\[\w+\])?(?::|\s*$)
    | ^(?:\S+\s+){0,6}?(?i:panic|fatal|error|failed)(?:\[\w+\])?:
    | ^[\w./-]+:\s\(\d+\)\s | panicked\sat\s'
    # Of a log: `10:00:39 ERROR …`, `[ERROR] …`, `level=error`, `"severity": "ERROR"`; pino's 50.
    | ^(?:\S+\s+){0,6}?[^\w\s]{0,3}(?:ERROR|FATAL|CRITICAL|SEVERE|PANIC)\b
    | \b(?:level|lvl|severity)="?(?i:err|fatal|crit|severe|panic)
    | "[@\w.]{0,20}(?:level|lvl|severity)\w{0,10}":\s*"?(?i:err|fatal|crit|severe|panic|[56]0\b)
    """,
    re.VERBOSE,
)
# What a log tells in passing, in the same forms.
_CHATTER = re.compile(
    r"""
    ^(?:\S+\s+){0,6}?[^\w\s]{0,3}(?:INFO|DEBUG|TRACE|NOTICE)\b
    | ^(?:info|debug|trace|dbug|trce):\s
    | \b(?:level|lvl|severity)="?(?i:info|debug|trace|notice)
    | "[@\w.]{0,20}(?:level|lvl|severity)\w{0,10}":\s*"?(?i:info|debug|trace|notice|[123]0\b)
    """,
    re.VERBOSE,
)
# Colours and the like (ECMA-48 section 5.4), in front of which nobody looks for a word.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_FRAME = re.compile(r"\s+at \S")
# Of Rust, which puts the reason into a line of its own since 1.73.
_PANICKED = re.compile(r"thread '.*' .*panicked at .*:\d+:\d+:$")
# Of Go: a function, and below it where it stands.
_PLACE = re.compile(r"\t\S+:\d+")
# Of a JVM that an option was planted for, by us say; it is nobody's word on anything.
_PICKED_UP = re.compile(r"Picked up (?:JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS):")
_TRACEBACK = "Traceback (most recent call last):"
# What an exception group draws in front of its parts.
_TREE = re.compile(r"^ +(?:\||\+) ")


def last_line(*outputs: bytes) -> str:
    """The line that says why a program ended; "" if it has printed nothing.

    Args:
        outputs: what it has printed, each apart. The first that says why is quoted, or else the
            first that says anything: a warning is no reason.
    """
    return _quoted(outputs)[1]


def last_lines(*outputs: bytes) -> tuple[str, ...]:
    """The last few lines that say something; the one that says why is among them.

    Args:
        outputs: as for `last_line`; the lines are of the one that is quoted.
    """
    lines, why = _quoted(outputs)
    last = [lines[number] for number in _of_meaning(lines)[-_LINES:]]
    if last and not any(why in line for line in last):
        last[0] = why
    return tuple(last)


def _quoted(outputs: Sequence[bytes]) -> tuple[list[str], str]:
    """The lines of the output to quote, and the one of them that says why."""
    said = [(lines, *_why(lines)) for lines in map(_lines, outputs)]
    said.sort(key=lambda each: (not each[2], not each[1]))
    lines, why, _ = said[0]
    return lines, why


def _why(lines: Sequence[str]) -> tuple[str, bool]:
    """The line that says why, and whether it looks like a reason."""
    near = _of_meaning(lines)[-_NEAR:]
    if not near:
        return lines[-1].strip() if lines else "", False
    reasons = set(_reasons(lines)).intersection(near)
    return lines[max(reasons, default=near[-1])].strip(), bool(reasons)


def _lines(output: bytes) -> list[str]:
    tail = output[-_TAIL:]
    if len(tail) < len(output):
        tail = tail.partition(b"\n")[2] or tail
    # Here already: a private key is told by its first line, which may not be among the last.
    text = without_secrets(tail.decode(errors="replace"), ())
    text = _RPC_ERROR.sub(_rpc_error, text)
    lines = (_TREE.sub("", line).rstrip() for row in text.split("\n") for line in _shown(row))
    return [line for line in lines if line.strip() and not _PICKED_UP.match(line)]


def _shown(row: str) -> Iterator[str]:
    """The lines of a row; of one that is written over, as progress bars do it, what remains."""
    *beneath, last = [part for part in row.split("\r") if part.strip()] or [""]
    for part in beneath:
        if _WHY.search(_CONTROL.sub("", part)):
            yield from part.splitlines()
    yield from last.splitlines()


def _rpc_error(match: re.Match[str]) -> str:
    return f"{match[1]}: {' '.join(match[2].split())}"


def _of_meaning(lines: Sequence[str]) -> list[int]:
    """The numbers of lines that are no noise; of a log that tells all in passing, all of it."""
    beneath = [*lines[1:], ""]
    numbers = [
        number
        for number, line in enumerate(lines)
        if not _NOISE.match(line) and not _PLACE.match(beneath[number])
    ]
    return [number for number in numbers if not _is_chatter(lines[number])] or numbers


def _is_chatter(line: str) -> bool:
    line = _CONTROL.sub("", line)
    return bool(_CHATTER.search(line)) and not _WHY.search(line)


def _reasons(lines: Sequence[str]) -> Iterator[int]:
    """The numbers of lines that look like a reason, or stand where one does."""
    traceback = False
    for number, line in enumerate(lines):
        if _WHY.search(_CONTROL.sub("", line)) or (number and _PANICKED.match(lines[number - 1])):
            yield number
        if number and _FRAME.match(line) and not _FRAME.match(lines[number - 1]):
            yield number - 1
        if line.endswith(_TRACEBACK):
            traceback = True
        elif traceback and not line[0].isspace():
            # What else an error says, its notes for example, stands below it.
            traceback = False
            yield number
