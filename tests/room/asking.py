"""Asks the page for things: its app by itself, or a room that runs."""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mitm.room.guard import App
from tests.programs import LIMIT, MITM_DEMO, running


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """Why it was not what was asked for."""
        text: str = json.loads(self.body)["reason"]
        return text


Header = tuple[str, str]


async def ask(
    app: App, method: str, path: str, headers: Sequence[Header] = (), *parts: bytes
) -> Answer:
    """Ask an app, in this process.

    Args:
        parts: of the body, as they come.
    """
    coming = [*parts] or [b""]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if coming:
            part = coming.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(coming)}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    start, *rest = sent
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], told, b"".join(each.get("body", b"") for each in rest))


class Page:
    """One seat of a room that runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.host = parts.netloc
        self._path = parts.path

    def request(
        self, method: str, what: str, body: object = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """Ask for something below the page's address."""
        connection = http.client.HTTPConnection(self.host, timeout=LIMIT)
        try:
            sent = None if body is None else json.dumps(body)
            told = {"Content-Type": "application/json"} if sent is not None else {}
            connection.request(method, self._path + what, sent, {**told, **headers})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def post(self, what: str, body: object = None) -> Answer:
        """Send something."""
        return self.request("POST", what, {} if body is None else body)

    @contextmanager
    def events(self, last: int = 0) -> Iterator[Iterator[dict[str, Any]]]:
        """What the page is told, as it comes."""
        connection = http.client.HTTPConnection(self.host, timeout=LIMIT)
        try:
            connection.request("GET", f"{self._path}events", headers={"Last-Event-ID": str(last)})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield (json.loads(line[5:]) for line in answer if line.startswith(b"data:"))
        finally:
            connection.close()

    def until(self, *kinds: str) -> list[dict[str, Any]]:
        """What the page is told up to a record of one of these kinds."""
        told = []
        with self.events() as events:
            for record in events:
                told.append(record)
                if record["kind"] in kinds:
                    return told
        raise AssertionError(f"no {' or '.join(kinds)} has come: {told}")


class Running(NamedTuple):
    """A room that runs."""

    process: "Popen[str]"
    pages: tuple[Page, ...]
    learners: str


@contextmanager
def room(*options: str | Path, **environment: str) -> Iterator[Running]:
    """Run `mitm-demo room`."""
    with running(MITM_DEMO, "room", *options, PYTHONUNBUFFERED="1", **environment) as process:
        assert process.stdout
        pages, learners = [], ""
        for line in process.stdout:
            if "/" not in line:
                break
            address = next(word for word in line.split() if "://" in word)
            if "learn" in line:
                learners = address
            else:
                pages.append(Page(address))
        assert pages, process.stderr and process.stderr.read()
        yield Running(process, tuple(pages), learners)
