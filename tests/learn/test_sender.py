"""What a learner chooses to tell a class."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mitm.errors import UserError
from mitm.learn.course import begin
from mitm.learn.folder import Folder, Progress
from mitm.learn.sender import Sender
from tests.learn.test_command import NAME, learn, put
from tests.programs import NOWHERE, refused


class Class(HTTPServer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: list[dict[str, object]] = []
        self.paths: list[str] = []
        self.answer = 204

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/class/a-token"


class _Handler(BaseHTTPRequestHandler):
    server: Class

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.told.append(json.loads(body))
        self.server.paths.append(self.path)
        self.send_response(self.server.answer)
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def room() -> Iterator[Class]:
    with Class() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_class_is_told_each_step_and_nothing_of_the_source(room: Class, tmp_path: Path) -> None:
    learn(tmp_path, "start", "mitm")
    folder = tmp_path / "mitm"
    sending = ("--send", room.address, "--as", "Amina")
    # A class is in the room, whatever proxy there is.
    assert learn(folder, *sending, "hint", "2", http_proxy=NOWHERE).code == 0
    assert learn(folder, *sending, "check", "2").code == 1
    put(folder, "solution")
    assert learn(folder, *sending, "check", "2").code == 0
    told = {"seat": "Amina", "exercise": NAME}
    assert room.told == [
        told | {"state": "open", "tries": 0, "hints": 1},
        told | {"state": "red", "tries": 1, "hints": 1},
        told | {"state": "green", "tries": 2, "hints": 1},
    ]
    assert {*room.paths} == {"/class/a-token"}


def test_nobody_is_told_anything_unless_it_is_asked_for(room: Class, tmp_path: Path) -> None:
    learn(tmp_path, "start", "mitm")
    learn(tmp_path / "mitm", "hint", "2")
    assert room.told == []


@pytest.mark.parametrize("answer", [302, 307, 403, 500])
def test_a_class_that_refuses_is_one_line_and_followed_nowhere(
    room: Class, tmp_path: Path, answer: int
) -> None:
    room.answer = answer
    learn(tmp_path, "start", "mitm")
    sending = ("--send", room.address, "--as", "Amina")
    result = learn(tmp_path / "mitm", *sending, "hint", "2")
    assert result.code == 0
    assert result.out.count(f"the class was not told: it answers {answer}") == 1
    assert "a-token" not in result.out + result.err
    assert {*room.paths} == {"/class/a-token"}


def test_a_class_that_is_gone_is_one_line_and_stops_nobody(room: Class, tmp_path: Path) -> None:
    address = room.address
    room.server_close()
    course = begin(Folder(tmp_path / "mitm"), "python")
    told: list[str] = []
    course.on_problem = told.append
    course._sender = Sender.to(address, "Amina")

    async def hints() -> None:
        for _ in range(3):
            await course.hint(course.find("2"))
        await course.sent()

    asyncio.run(hints())
    assert told == ["the class was not told: [Errno 111] Connection refused"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--send", "http://127.0.0.1:1/"), "go together"),
        (("--as", "Amina"), "go together"),
        (("--send", "127.0.0.1:8000", "--as", "Amina"), "http://"),
        (("--send", "file:///etc/passwd", "--as", "Amina"), "http://"),
        (("--send", "http://127.0.0.1:1/", "--as", "A\x1b[31m"), "printable"),
        (("--send", "http://127.0.0.1:1/", "--as", "A" * 41), "40"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    assert says in refused(learn(tmp_path, *words, "list"))


def test_a_sender_is_none_unless_both_are_given() -> None:
    assert Sender.to(None, None) is None
    with pytest.raises(UserError):
        Sender.to("http://h/", None)
    assert Progress().state == "open"
