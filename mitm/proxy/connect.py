"""`--mode connect`: what a client asks of an HTTP proxy, and what it is answered.

RFC 9110 section 9.3.6: `CONNECT host:port` asks for a tunnel. The answer is a 2xx, after which the
connection is the client's own, or a refusal. No other method is served here.
"""

import ipaddress
import re
from http import HTTPStatus
from urllib.parse import urlsplit

from mitm.address import Address
from mitm.masking import plain, without_secrets

# Bytes of request line and header fields. h11 stops at 16,384, nginx takes 4 lines of 8,192.
HEAD_LIMIT = 16_384

# Characters of a malformed request that are quoted in its refusal: a target is 261 at the most, and
# what is wrong with one shows before that.
QUOTED_LIMIT = 100

# Bytes in which a method may end; the longest that is registered has 17.
_METHOD_LIMIT = 32

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_LINE_END = re.compile(rb"\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_VERSION = re.compile(rb"HTTP/1\.[0-9]")
# Authority-form (RFC 9112 section 3.2.3) with a port, which CONNECT has no default for. A host is
# an address in brackets, or a name as DNS knows them, which IPv4 addresses have the form of.
_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z._-]{1,255})):([0-9]{1,5})")


# The user's part of a URL, or of an authority that has none (RFC 3986 section 3.2.1).
_USER = re.compile(r"(?<![^\s/])[^\s/@]+(?=@)")
_MASK = "…"

_VALUE = re.compile(rb"(?s)[\s:=].*|(?<=.{32}).*")


class RefusedError(Exception):
    """The client does not get its tunnel; the text says why.

    Attributes:
        status: what it is answered.
        host: whom a request in plaintext is for, in lower case; "" if it is none, or says nobody.
    """

    def __init__(self, status: HTTPStatus, reason: str, host: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.host = host


def read_request(data: bytes | bytearray, seen: int = 0) -> tuple[Address, bytes] | None:
    """Parse the first bytes of a connection.

    Args:
        data: everything received so far, from the first byte.
        seen: how much of it was an incomplete request the last time, and is not searched again.

    Returns:
        Where the client wants to go, its host in lower case, and the bytes after the request; None
        while it is incomplete.

    Raises:
        RefusedError: it is no CONNECT request, or a malformed one.
    """
    # RFC 9112 section 2.2: an empty line before the request is to be ignored, and a line may end
    # without CR.
    begin = 2 if data.startswith(b"\r\n") else 0
    end = _HEAD_END.search(data, max(begin, seen - 3), begin + HEAD_LIMIT)
    if not end:
        _must_look_like_http(bytes(data[begin : begin + _METHOD_LIMIT]))
        if len(data) - begin >= HEAD_LIMIT:
            reason = f"the request's head is longer than {HEAD_LIMIT} bytes"
            raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, reason)
        return None
    request, *fields = _LINE_END.split(bytes(data[begin : end.start()]))
    method, *rest = request.split(b" ")
    if not _TOKEN.fullmatch(method) or len(rest) != 2 or not _VERSION.fullmatch(rest[1]):
        reason = f"not an HTTP/1.1 request line: {_quoted(request)}"
        raise RefusedError(HTTPStatus.BAD_REQUEST, reason)
    for field in fields:
        name, colon, _ = field.partition(b":")
        if not colon or not _TOKEN.fullmatch(name):
            # What stands behind a name may be a credential, whatever is wrong with the line.
            reason = f"a header line without a name: {_quoted(_VALUE.sub(b'', field))}…"
            raise RefusedError(HTTPStatus.BAD_REQUEST, reason)
    if method != b"CONNECT":
        reason = "this proxy knows CONNECT alone"
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, reason, _asked_for(rest[0]))
    return _target(rest[0]), bytes(data[end.end() :])


def _must_look_like_http(data: bytes) -> None:
    """Turn rubbish, a ClientHello say, away at once instead of waiting for the end of its head."""
    method = data.partition(b" ")[0]
    # A line may still be on its way; CR and LF are looked at when it is whole.
    if method and not _TOKEN.fullmatch(method) and method not in (b"\r", b"\n"):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "not an HTTP request")


def _target(target: bytes) -> Address:
    match = _AUTHORITY.fullmatch(target)
    if not match or not 0 < int(match[3]) <= 65_535:
        reason = f"CONNECT takes HOST:PORT, with a port from 1 to 65535, and not {_quoted(target)}"
        raise RefusedError(HTTPStatus.BAD_REQUEST, reason)
    try:
        host = str(ipaddress.IPv6Address(match[1].decode())) if match[1] else match[2].decode()
    except ValueError:
        reason = f"not an IPv6 address in brackets: {_quoted(target)}"
        raise RefusedError(HTTPStatus.BAD_REQUEST, reason) from None
    return Address(host.lower(), int(match[3]))


def _asked_for(target: bytes) -> str:
    """The host of a request for http:// (RFC 9112 section 3.2.2), "" if that cannot be told."""
    try:
        return urlsplit(target.decode("ascii")).hostname or ""
    except ValueError:
        return ""


def _quoted(line: bytes) -> str:
    """What a client has sent, fit to be shown to it and on a terminal; without credentials."""
    text = _USER.sub(_MASK, line.decode("utf-8", "backslashreplace"))
    text = plain(without_secrets(text, ()))
    cut = "…" if len(text) > QUOTED_LIMIT else ""
    return f"'{text[:QUOTED_LIMIT]}{cut}'"


def refusal(error: RefusedError) -> bytes:
    """The response that says so, with the reason as its one line of content."""
    content = f"mitm-demo: {error}\n".encode()
    # RFC 9110 section 15.5.6: a 405 names what is allowed.
    allow = "Allow: CONNECT\r\n" if error.status == HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {error.status.value} {error.status.phrase}\r\n"
        f"{allow}Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content
