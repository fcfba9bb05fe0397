"""What the metadata of a call says: texts, times, bytes, and the details of an error."""

import base64
import re
from urllib.parse import unquote

from mitm.errors import UserError
from mitm.messages.schema import Schema

# An error's details, and bytes of them, beyond which they are not opened: a header that is in
# HPACK's table already takes a byte to send again. gRPC's implementations take 8 KiB of metadata
# by default (GRPC_ARG_MAX_METADATA_SIZE in the C core), and errors have a handful of details.
MAX_DETAILS = 32
MAX_DETAILS_SIZE = 16 * 1024

# Seconds in the units of `grpc-timeout` (gRPC over HTTP/2, "Requests").
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SHOWN_IN = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))

# https://grpc.github.io/grpc/core/md_doc_statuscodes.html
STATUS_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def status_name(grpc_status: str) -> str:
    """The name of a `grpc-status` trailer, `PERMISSION_DENIED` for "7"; unknown ones unchanged."""
    if grpc_status.isascii() and grpc_status.isdigit() and len(grpc_status) <= 2:
        code = int(grpc_status)
        if code < len(STATUS_NAMES):
            return STATUS_NAMES[code]
    return grpc_status


def status_code(text: str) -> int:
    """Read a gRPC status, by its name or number.

    Raises:
        UserError: there is none of that name.
    """
    name = text.upper()
    if name in STATUS_NAMES:
        return STATUS_NAMES.index(name)
    if text.isascii() and text.isdigit() and int(text) < len(STATUS_NAMES):
        return int(text)
    raise UserError(f"unknown gRPC status {text!r}: write UNAUTHENTICATED, say, or 16")


def percent_decoded(grpc_message: str) -> str:
    """The text of a `grpc-message`; bytes that are not UTF-8 become backslash escapes."""
    return unquote(grpc_message, errors="backslashreplace")


def timeout_in_words(grpc_timeout: str) -> str:
    """A `grpc-timeout`: `4960m` as `4.96 s`; what is no timeout unchanged."""
    matched = _TIMEOUT.fullmatch(grpc_timeout)
    if not matched:
        return grpc_timeout
    seconds = int(matched[1]) * _UNITS[matched[2]]
    for unit, size in _SHOWN_IN:
        # A rounding error below 1 s is no reason to say 1000 ms.
        if seconds >= size * (1 - 1e-9):
            return f"{seconds / size:.10g} {unit}"
    return "0 s"


def binary_metadata(value: str) -> list[bytes] | None:
    """The bytes in the value of a `-bin` header, with padding or without; None if it holds none.

    Several values of one name may have been joined by commas (gRPC over HTTP/2, "Requests").
    """
    try:
        return [_unbase64(each.strip()) for each in value.split(",")]
    except ValueError:  # binascii.Error is one
        return None


def _unbase64(text: str) -> bytes:
    bare = text.rstrip("=")
    return base64.b64decode(bare + -len(bare) % 4 * "=", validate=True)


def status_details(value: str, schema: Schema) -> dict[str, object] | None:
    """What a `grpc-status-details-bin` says: a `google.rpc.Status` as JSON, None if it is none.

    None also for one that is longer than `MAX_DETAILS_SIZE`, or has more than `MAX_DETAILS`.

    A detail has its type as `@type`, as in the JSON form of Protocol Buffers; its fields are read
    by the schema, as one of google/rpc/error_details.proto, or guessed.

    Args:
        value: of the header.
        schema: what is known of the services.
    """
    decoded = binary_metadata(value) if len(value) <= MAX_DETAILS_SIZE else None
    if decoded is None or len(decoded) != 1:
        return None
    told = schema.decode_status(decoded[0])
    if told is None:
        return None
    told = {"code": 0, "message": "", "details": []} | told
    details = told["details"]
    return told if isinstance(details, list) and len(details) <= MAX_DETAILS else None
