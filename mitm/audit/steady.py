"""What a client says without what is different each time, so that two audits can be compared."""

import re
import tempfile
from collections.abc import Iterable

from mitm.evidence import Call

# Told in place of what differs.
VARIES = "…"

_TIME = r"\d\d:\d\d(:\d\d([.,]\d+)?)?"
_DATE = r"(\d{4}[-/]\d\d[-/]\d\d|(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? [\w ]{5,12})"
_ZONE = r"( ?(Z|UTC|GMT|[+-]\d\d:?\d\d))?"

# In this order: what holds another comes first.
_VOLATILE = [
    re.compile(pattern)
    for pattern in (
        # A log of Google's: severity, date, time, thread, `I1126 17:27:40.321426   22026 file.cc`.
        r"\b[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+",
        rf"\b{_DATE}[T ,]+{_TIME}{_ZONE}",
        rf"\b{_TIME}\b{_ZONE}",
        r"\b\d{4}-\d\d-\d\d\b",
        # Seconds, milliseconds, … since the epoch, from 2001 on.
        r"\b1\d{9}(\d{3}|\d{6}|\d{9})?(\.\d+)?\b",
        # Durations.
        r"\b(\d+h)?(\d+m)?\d+([.,]\d+)? ?([nuµm]?s|secs?|(milli)?seconds?|minutes?)\b",
        # RFC 9562, and whatever else is as long: trace ids, session ids.
        r"\b[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b",
        r"\b0x[0-9a-fA-F]{9,}\b",
        r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{16,}\b",
        # Numbers of processes and threads.
        r"(?i)\b(pid|tid|process|thread|goroutine)[ =:#-]*\d+",
        r"(?<=\[)\d+(?=\])",
        r"(?i)\bport[ =:]+\d{2,5}\b",
        # Addresses of this machine, with the port; gRPC's C core tells either of both.
        r"\b(ipv[46]:)?(127\.\d+\.\d+\.\d+|localhost|(\[|%5B)::1(\]|%5D)):\d{4,5}\b",
        r"(\[|%5B)::1(\]|%5D):\d{4,5}\b",
        # Whatever else is as long as a port, or the number of a process.
        r"(?<![\w.:])\d{4,}(?![\w.])",
    )
]

# What our own reasons count, of a client that tries again and of one that goes on: by the clock.
_OURS = [
    (re.compile(r"; \d+ times|; it was still (trying|running)"), ""),
    (re.compile(r"\b\d+ messages"), "messages"),
]

# Metadata that is of one call, whatever its value looks like.
_OF_ONE_CALL = {
    "date",
    "grpc-timeout",
    "grpc-trace-bin",
    "grpc-tags-bin",
    "traceparent",
    "tracestate",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-request-id",
    "x-correlation-id",
    "idempotency-key",
}


def steady(text: str, values: Iterable[str] = ()) -> str:
    """A text without what is different each time: times, ports, paths of temporary files, ids.

    Args:
        text: that a client has said, or that quotes it.
        values: what the client was given for this run alone.
    """
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, VARIES)
    text = re.sub(re.escape(tempfile.gettempdir()) + r"(/[\w.+-]+)+", VARIES, text)
    for pattern in _VOLATILE:
        text = pattern.sub(VARIES, text)
    return text


def steady_reason(reason: str, said: str) -> str:
    """A reason of ours, which may quote what the client has said."""
    if said:
        reason = reason.replace(said, steady(said))
    for pattern, told in _OURS:
        reason = pattern.sub(told, reason)
    return reason


def steady_metadata(call: Call, varying: frozenset[str]) -> dict[str, str]:
    """The metadata of a call, without the values that are of this call alone.

    Args:
        call: which.
        varying: names of metadata of which that is known.
    """
    return {
        name: VARIES if name in _OF_ONE_CALL | varying else steady(value)
        for name, value in call.metadata.items()
    }
