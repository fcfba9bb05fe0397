"""The guard rail in front of the page: who may ask, from where, and what the answer may do."""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http import HTTPStatus
from typing import Any

from mitm.address import LOCALHOST, is_loopback, normal, parse
from mitm.errors import UserError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What stands in the page is its own, and none of it is in the markup. Nobody may frame it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# The address holds the token, which is nobody else's; captures hold what was decrypted.
_HEADERS = (
    ("content-security-policy", POLICY),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
)

_READING = ("GET", "HEAD")
_OWN_SITES = ("same-origin", "none")


class Guard:
    """Turns away requests that no page of ours, and no program that knows the token, would make.

    A name on another site can be made to resolve to this machine (DNS rebinding); its requests then
    say that name as their `Host`. A page on another site can have a browser send requests here,
    which says so in `Origin` and `Sec-Fetch-Site` (Fetch standard). Programs send neither.

    Args:
        app: what answers the others.
        allowed: hosts besides this machine by which the page may be called.
        port: where it listens; 0 for any, as long as it is not known.
    """

    def __init__(self, app: App, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(map(normal, allowed))
        self.port = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            # There are no web sockets here, and no lifespan.
            return
        headers = _Headers(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in _HEADERS]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        if reason := self._refusal(scope["method"], headers):
            body = f"{reason}\n".encode()
            start = {
                "type": "http.response.start",
                "status": HTTPStatus.FORBIDDEN,
                "headers": [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", str(len(body)).encode()),
                ],
            }
            await guarded(start)
            await guarded({"type": "http.response.body", "body": body})
            return
        await self._app(scope, receive, guarded)

    def _refusal(self, method: str, headers: "_Headers") -> str:
        """Why a request is turned away; "" if it is not."""
        host = headers.only("host")
        if not self._is_ours(host):
            return (
                "no such host here: take the address that mitm-demo room has printed, or have this "
                "one allowed with --allow-host"
            )
        origin = headers.only("origin")
        if origin is not None and origin != f"http://{host}":
            return "this was asked for by a page of somebody else's"
        site = headers.only("sec-fetch-site")
        if site is None or site in _OWN_SITES:
            return ""
        # Somebody has followed a link to the page, token and all.
        followed = headers.only("sec-fetch-mode") == "navigate" and method in _READING
        if followed and headers.only("sec-fetch-dest") == "document":
            return ""
        return "this was asked for by a page of somebody else's"

    def _is_ours(self, host: str | None) -> bool:
        if not host:
            return False
        try:
            address = parse(host if _has_port(host) else f"{host}:80")
        except UserError:
            return False
        if self.port and address.port != self.port:
            return False
        name = normal(address.host)
        return name == LOCALHOST or is_loopback(name) or name in self._allowed


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


class _Headers:
    """The headers of a request."""

    def __init__(self, scope: Scope) -> None:
        self._headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            self._headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def only(self, name: str) -> str | None:
        """The value of a header, None if there is none; of several, one that fits nothing."""
        values = self._headers.get(name)
        if values is None:
            return None
        return values[0] if len(values) == 1 else "(several)"
