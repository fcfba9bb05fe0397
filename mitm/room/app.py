"""The page over HTTP: what each address answers."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from mitm.errors import UserError
from mitm.room.choices import Choices, Offered
from mitm.room.classroom import Classroom, Full, Report
from mitm.room.feed import Feed
from mitm.room.seat import PAGES, Busy, Seat
from mitm.room.shown import encoded

T = TypeVar("T")

# Bytes of a request's body: a scenario and a client, or where a learner is.
MAX_BODY = 4096

# Seconds without news after which a page is sent a comment, so that it is known to be there.
_SILENCE_SECONDS = 15.0

# Seconds after which what is stuck is looked at again.
_LOOK_SECONDS = 10.0

_STATIC = Path(__file__).with_name("static")
_CSS, _JS = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_FILES = {
    "house.css": (_STATIC.parents[1] / "html" / "house.css", _CSS),
    "room.css": (_STATIC / "room.css", _CSS),
    "room.js": (_STATIC / "room.js", _JS),
}


class _Play(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scenario: str
    client: str = "python"


class _Own(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificate: str


class Room:
    """All seats, and the class.

    Args:
        seats: the first is the trainer's.
        choices: what can be played.
        class_token: by which learners send where they are; "" if there is no class.

    Attributes:
        app: answers requests (ASGI), behind a `Guard`.
    """

    def __init__(self, seats: Sequence[Seat], choices: Choices, class_token: str = "") -> None:
        self.seats = seats
        self.choices = choices
        self.class_token = class_token
        self.classroom = Classroom()
        self._offered: asyncio.Task[Offered] | None = None
        self._looking: asyncio.Task[None] | None = None
        seat = "/{token}"
        self.app = Starlette(
            routes=[
                Route(seat, self._seat_or_report, methods=["GET", "POST"]),
                Route(f"{seat}/", self._page_or_report, methods=["GET", "POST"]),
                Route(f"{seat}/choices", self._choices),
                Route(f"{seat}/events", self._events),
                Route(f"{seat}/play", self._play, methods=["POST"]),
                Route(f"{seat}/reset", self._reset, methods=["POST"]),
                Route(f"{seat}/own", self._own, methods=["POST"]),
                Route(f"{seat}/own/stop", self._own_stop, methods=["POST"]),
                Route(f"{seat}/own/captures/{{name}}", self._own_capture),
                Route(f"{seat}/captures/{{name}}", self._capture),
                Route(f"{seat}/{{name}}", self._static),
            ],
            exception_handlers={HTTPException: _refuse},
        )

    def begin(self) -> None:
        """Find out what can be played; in the loop that the app is served by."""
        self._offered = asyncio.create_task(self.choices.find())
        if self.class_token:
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """End all that goes on."""
        for task in filter(None, (self._offered, self._looking)):
            task.cancel()
        await asyncio.gather(
            *filter(None, (self._offered, self._looking)),
            *(seat.close() for seat in self.seats),
            return_exceptions=True,
        )

    def _seat(self, request: Request) -> Seat:
        """Whose page it is.

        Raises:
            HTTPException: nobody's.
        """
        token = request.path_params["token"].encode()
        # All of them are compared: how long that takes says nothing of any.
        found = [s for s in self.seats if hmac.compare_digest(s.token.encode(), token)]
        if not found:
            raise HTTPException(
                HTTPStatus.NOT_FOUND, "nothing here: is the address the whole one that was printed?"
            )
        return found[0]

    def _is_class(self, request: Request) -> bool:
        token = request.path_params["token"].encode()
        return bool(self.class_token) and hmac.compare_digest(self.class_token.encode(), token)

    async def _seat_or_report(self, request: Request) -> Response:
        if self._is_class(request):
            return await self._report(request)
        _must_be(request, "GET")
        # The page's addresses are relative to its folder.
        return RedirectResponse(f"/{self._seat(request).token}/", HTTPStatus.SEE_OTHER)

    async def _page_or_report(self, request: Request) -> Response:
        if self._is_class(request):
            return await self._report(request)
        _must_be(request, "GET")
        self._seat(request)
        page = (_STATIC / "room.html").read_bytes()
        return Response(page, media_type="text/html; charset=utf-8")

    async def _static(self, request: Request) -> Response:
        self._seat(request)
        name = request.path_params["name"]
        if name not in _FILES:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such file")
        path, kind = _FILES[name]
        return Response(path.read_bytes(), media_type=kind)

    async def _choices(self, request: Request) -> Response:
        seat = self._seat(request)
        assert self._offered
        offered = await asyncio.shield(self._offered)
        told = msgspec.to_builtins(offered)
        told["seat"] = seat.number
        told["class"] = bool(self.class_token) and seat is self.seats[0]
        return Response(encoded(told), media_type="application/json")

    async def _events(self, request: Request) -> Response:
        seat = self._seat(request)
        if seat.pages >= PAGES:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{PAGES} pages look at this seat already: close one of them",
            )
        last = request.headers.get("last-event-id", "0")
        seen = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else 0
        return StreamingResponse(_stream(seat, seen), media_type="text/event-stream")

    async def _play(self, request: Request) -> Response:
        seat = self._seat(request)
        asked = await _body(request, _Play)
        assert self._offered
        await asyncio.shield(self._offered)
        # By names that there are, never by a path: nothing else is started.
        scenario = self.choices.scenarios.get(asked.scenario)
        client = self.choices.clients.get(asked.client)
        if scenario is None or client is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "there is no such scenario or client here")
        if lacking := scenario.lacking(client.policies):
            raise HTTPException(
                HTTPStatus.CONFLICT,
                f"the client {client.name} does not know the policy {' or '.join(lacking)}",
            )
        try:
            seat.play(scenario, client)
        except Busy as error:
            raise HTTPException(HTTPStatus.CONFLICT, str(error)) from None
        return _done()

    async def _reset(self, request: Request) -> Response:
        seat = self._seat(request)
        await _body(request, _Nothing)
        seat.reset()
        return _done()

    async def _own(self, request: Request) -> Response:
        seat = self._seat(request)
        asked = await _body(request, _Own)
        if asked.certificate not in self.choices.certificates:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "there is no such certificate")
        try:
            await seat.own.present(asked.certificate)
        except UserError as error:
            raise HTTPException(HTTPStatus.CONFLICT, str(error)) from None
        return _done()

    async def _own_stop(self, request: Request) -> Response:
        seat = self._seat(request)
        await _body(request, _Nothing)
        await seat.own.stop()
        return _done()

    async def _capture(self, request: Request) -> Response:
        path = self._seat(request).capture(request.path_params["name"])
        return _taken_away(path, "play a scenario to its end first")

    async def _own_capture(self, request: Request) -> Response:
        path = self._seat(request).own.capture(request.path_params["name"])
        return _taken_away(path, "listen for your client first")

    async def _report(self, request: Request) -> Response:
        _must_be(request, "POST")
        report = await _body(request, Report)
        try:
            self.classroom.take(report)
        except Full as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
        self._show()
        return _done()

    async def _look(self) -> None:
        while True:
            self._show()
            await asyncio.sleep(_LOOK_SECONDS)

    def _show(self) -> None:
        self.seats[0].feed.append("class", encoded(self.classroom.grid()))


class _Nothing(msgspec.Struct, frozen=True):
    pass


async def _stream(seat: Seat, seen: int) -> AsyncIterator[bytes]:
    """Server-sent events (HTML standard, section 9.2): a record each, under its number."""
    seat.pages += 1
    feed: Feed = seat.feed
    try:
        yield b"retry: 1000\n\n"
        while not feed.closed:
            records = await feed.news(seen, _SILENCE_SECONDS)
            if records:
                seen = records[-1][0]
                yield b"".join(b"id: %d\ndata: %b\n\n" % record for record in records)
            else:
                yield b": still here\n\n"
    finally:
        seat.pages -= 1


async def _body(request: Request, kind: type[T]) -> T:
    """What a request says, which is JSON.

    A form of another site's can send no such type without asking (Fetch standard, CORS).

    Raises:
        HTTPException: it is something else, or too long.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON: application/json")
    data = b""
    try:
        async for part in request.stream():
            data += part
            if len(data) > MAX_BODY:
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"longer than {MAX_BODY} bytes"
                )
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"not what is sent here: {error}") from None
    except ClientDisconnect:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "cut short") from None


def _must_be(request: Request, method: str) -> None:
    if request.method != method:
        raise HTTPException(
            HTTPStatus.METHOD_NOT_ALLOWED, f"it takes {method}", headers={"Allow": method}
        )


def _taken_away(path: Path | None, before: str) -> Response:
    """A file of what was recorded.

    Raises:
        HTTPException: there is none.
    """
    if path is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"nothing was recorded: {before}")
    # All that is there at this moment: it may grow, and does so in this thread, by whole records.
    return Response(
        path.read_bytes(),
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{path.name}"'},
    )


def _done() -> Response:
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Response(
        encoded({"reason": error.detail}),
        status_code=error.status_code,
        headers=error.headers,
        media_type="application/json",
    )
