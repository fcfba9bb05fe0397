"""The index of a session over HTTP: which cases there are, and what came of one.

`http.server` in threads of its own: the loop of the session is for what it presents.
"""

import asyncio
import hmac
import secrets
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote

import msgspec

from mitm.audit.session.listing import cases_as_json, cases_as_lines
from mitm.audit.session.message import message
from mitm.audit.session.page import POLICY, page
from mitm.audit.session.presented import Judgement, Session
from mitm.evidence import ClientRun
from mitm.masking import as_json, without_secrets

T = TypeVar("T")

_HOST = "127.0.0.1"

# Bytes of an error text. What a test framework has to say of one call is far shorter.
MAX_BODY = 64 * 1024

# Seconds for a request to come, and for its answer to be taken.
_SECONDS = 10.0

# Requests that are answered at once; more wait to be accepted. A JVM runs some hundred tests in
# parallel at the most.
_AT_ONCE = 128

_JSON, _TEXT = "application/json", "text/plain; charset=utf-8"
_LINES, _HTML = "text/tab-separated-values; charset=utf-8", "text/html; charset=utf-8"

# The address of a page holds the token, which is nobody else's.
_OF_PAGES = (("Content-Security-Policy", POLICY), ("Referrer-Policy", "no-referrer"))


class _RequestError(Exception):
    """A request that is not answered as its sender wishes.

    Args:
        status: of HTTP.
        reason: in a line.
        allow: the methods that there are, where it is about that.
    """

    def __init__(self, status: HTTPStatus, reason: str, allow: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.allow = allow


class _Answer(msgspec.Struct, frozen=True):
    """What is sent back."""

    body: str
    type: str
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


class _Said(msgspec.Struct, frozen=True):
    """What a test says of a call.

    Attributes:
        error: None if it has succeeded.
    """

    error: str | None = None


class Index:
    """Answers requests about a session, for `async with` in the loop of that.

    Args:
        session: which.

    Attributes:
        asked: somebody has asked which cases there are.
    """

    def __init__(self, session: Session) -> None:
        self.asked = False
        self._session = session
        self._token = secrets.token_hex(16)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = _Server(self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="mitm-demo index", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.closing = True
        # It waits for the thread, which may wait for this loop.
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address, with the token, as it stands in MITM_SESSION."""
        return f"http://{_HOST}:{self.port}/{self._token}"

    def _handler(self) -> Callable[..., BaseHTTPRequestHandler]:
        index = self

        class Handler(_Handler):
            def answer(self, method: str, body: Callable[[], bytes]) -> _Answer:
                return index._answer(self, method, body)

        return Handler

    def _answer(self, request: "_Handler", method: str, body: Callable[[], bytes]) -> _Answer:
        """Answer a request, in its thread.

        Raises:
            _RequestError: it is none of ours, or makes no sense.
        """
        host = request.headers.get("Host", "")
        # Else a page on another site could have a name of its own resolved to this machine.
        if host not in (f"{_HOST}:{self.port}", f"localhost:{self.port}"):
            raise _RequestError(HTTPStatus.FORBIDDEN, f"no such host here: {host or '(none)'}")
        token, *path = request.path.partition("?")[0].removeprefix("/").split("/")
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise _RequestError(
                HTTPStatus.NOT_FOUND, "nothing here: is the token that of MITM_SESSION?"
            )
        self._session.ready.wait()
        match [unquote(part) for part in path]:
            case ["cases"]:
                _must_be(method, "GET")
                self.asked = True
                return _Answer(cases_as_json(self._session), _JSON)
            case ["cases.tsv"]:
                _must_be(method, "GET")
                self.asked = True
                return _Answer(cases_as_lines(self._session), _LINES)
            case ["cases", name, "judge"]:
                self._must_be_a_case(name)
                _must_be(method, "POST")
                return self._judge(request, name, body())
            case ["cases", name, "reset"]:
                self._must_be_a_case(name)
                _must_be(method, "POST")
                body()
                self._wait(self._session.reset(name))
                if "text/html" in request.headers.get("Accept", ""):
                    return _back_to(name)
                return _Answer(as_json({"name": name}), _JSON)
            case ["cases", name, "ca.pem"]:
                self._must_be_a_case(name)
                _must_be(method, "GET")
                return self._ca(name)
            case [] | [""]:
                _must_be(method, "GET")
                if not path:
                    # The page's links are relative to its folder.
                    return _elsewhere(f"/{token}/")
                return _Answer(page(self._session), _HTML, headers=_OF_PAGES)
        raise _RequestError(HTTPStatus.NOT_FOUND, "no such path: there are cases and cases.tsv")

    def _ca(self, name: str) -> _Answer:
        """What the client of a case is to trust; some cases are about a file that is amiss."""
        try:
            text = self._session.cases[name].endpoint.ca_pem.decode("ascii")
        except (OSError, UnicodeDecodeError):
            raise _RequestError(
                HTTPStatus.NOT_FOUND,
                f"the file with the CA of {name!r} cannot be read, as it should be",
            ) from None
        disposition = (("Content-Disposition", 'attachment; filename="ca.pem"'),)
        return _Answer(text, "application/x-pem-file", headers=disposition)

    def _must_be_a_case(self, name: str) -> None:
        if name not in self._session.cases:
            raise _RequestError(HTTPStatus.NOT_FOUND, f"no case of this session is called {name!r}")

    def _judge(self, request: "_Handler", name: str, body: bytes) -> _Answer:
        # What names no type is text by the rules of mail, of which `http.server` has this from.
        typed = "Content-Type" in request.headers
        plain = typed and request.headers.get_content_type() == "text/plain"
        error = _error_text(body) if plain else _error_in_json(body)
        said = without_secrets(" ".join((error or "").split()), ())
        run = ClientRun("returned", said=said, failed=error is not None)
        judgement = self._wait(self._session.judge(name, run))
        told = message(judgement)
        if "text/plain" in request.headers.get("Accept", ""):
            return _Answer(f"{judgement.word}\n{told}\n", _TEXT)
        return _Answer(as_json(_as_object(judgement, told)), _JSON)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the session's loop do something, and wait for that."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()


def _elsewhere(path: str) -> _Answer:
    return _Answer("", _TEXT, HTTPStatus.SEE_OTHER, (("Location", path),))


def _back_to(name: str) -> _Answer:
    """To the line of a case on the page, from where its form has come."""
    return _elsewhere(f"../../#case-{quote(quote(name))}")


def _as_object(judgement: Judgement, told: str) -> dict[str, object]:
    return {
        "name": judgement.case.name,
        "outcome": judgement.finding.outcome,
        "fails": judgement.word == "fail",
        "reason": judgement.finding.reason,
        "message": told,
    }


def _must_be(method: str, allowed: str) -> None:
    if method != allowed:
        raise _RequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"it takes {allowed}", allowed)


def _error_text(body: bytes) -> str | None:
    return body.decode(errors="replace") or None


def _error_in_json(body: bytes) -> str | None:
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body, type=_Said).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _RequestError(
            HTTPStatus.BAD_REQUEST,
            f'the body is to be {{"error": null}} or {{"error": "text"}}: {error}',
        ) from None


class _Handler(BaseHTTPRequestHandler):
    """Reads one request, and writes its answer."""

    protocol_version = "HTTP/1.1"
    timeout = _SECONDS

    def answer(self, method: str, body: Callable[[], bytes]) -> _Answer:
        raise NotImplementedError

    def do_GET(self) -> None:
        self._respond("GET")

    def do_POST(self) -> None:
        self._respond("POST")

    def _respond(self, method: str) -> None:
        try:
            answer = self.answer(method, self._body)
        except _RequestError as error:
            allow = (("Allow", error.allow),) if error.allow else ()
            answer = _Answer(f"{error}\n", _TEXT, error.status, allow)
        body = answer.body.encode()
        self.send_response(answer.status)
        for name, value in (
            ("Content-Type", answer.type),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *answer.headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _body(self) -> bytes:
        """The body of the request.

        Raises:
            _RequestError: it is too long, or does not say how long it is.
        """
        if self.headers.get("Transfer-Encoding"):
            raise _RequestError(HTTPStatus.LENGTH_REQUIRED, "give the body a Content-Length")
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            raise _RequestError(HTTPStatus.BAD_REQUEST, "Content-Length is no number")
        if len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
            raise _RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {MAX_BODY} bytes"
            )
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _RequestError(HTTPStatus.BAD_REQUEST, "the body is shorter than announced")
        return body

    def version_string(self) -> str:
        """What it calls itself: nothing that has to do with anybody's Python."""
        return "mitm-demo"

    def log_message(self, *words: object) -> None:
        """Say nothing: the terminal is the test framework's."""


class _Server(ThreadingHTTPServer):
    """Listens on loopback, and answers so many requests at once.

    Attributes:
        closing: nobody is waited for any more.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self.closing = False
        self._room = threading.Semaphore(_AT_ONCE)
        super().__init__((_HOST, 0), handler)

    def server_bind(self) -> None:
        """Take a port; the name of this machine, which may take seconds to find, is not needed."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        while not self._room.acquire(timeout=0.1):
            if self.closing:
                self.shutdown_request(request)
                return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that has gone is no error of ours."""
