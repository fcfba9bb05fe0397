"""The guard rails of the page: each lets those through that it is for, and nobody else."""

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="no starlette here: pip install '.[room]'")

from mitm.room.app import MAX_BODY, Room
from mitm.room.choices import Choices
from mitm.room.guard import Guard
from mitm.room.seat import Seat
from mitm.room.turns import Turns
from tests.room.asking import Answer, Header, ask

HERE = ("Host", "127.0.0.1:8000")
JSON = ("Content-Type", "application/json")
FIRST, SECOND, LEARNERS = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture(scope="module")
def choices() -> Choices:
    return Choices()


@pytest.fixture
def guard(choices: Choices, tmp_path: Path) -> Guard:
    guard = Guard(_room(choices, tmp_path).app, ["class.example", "192.0.2.7"])
    guard.port = 8000
    return guard


def _room(choices: Choices, folder: Path, class_token: str = LEARNERS) -> Room:
    turns = Turns(1)
    seats = [Seat(n + 1, token, folder, turns) for n, token in enumerate((FIRST, SECOND))]
    return Room(seats, choices, class_token)


def get(guard: Guard, *headers: Header, path: str = f"/{FIRST}/") -> Answer:
    return asyncio.run(ask(guard, "GET", path, headers))


def post(guard: Guard, what: str, body: bytes, *headers: Header, token: str = FIRST) -> Answer:
    return asyncio.run(ask(guard, "POST", f"/{token}/{what}", [HERE, JSON, *headers], body))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8000",
        "localhost:8000",
        "LOCALHOST:8000",
        "[::1]:8000",
        "class.example:8000",
        "192.0.2.7:8000",
    ],
)
def test_a_host_that_is_ours_is_answered(guard: Guard, host: str) -> None:
    assert get(guard, ("Host", host)).status == 200


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["evil.example:8000"],
        ["127.0.0.1.evil.example:8000"],
        ["localhost.evil.example:8000"],
        ["evil.example@127.0.0.1:8000"],
        ["127.0.0.1:8001"],
        ["127.0.0.1"],
        ["192.0.2.8:8000"],
        ["0.0.0.0:8000"],
        ["127.0.0.1:8000", "evil.example:8000"],
        ["127.0.0.1:8000, evil.example:8000"],
        [""],
    ],
)
def test_another_host_is_not_as_a_name_may_be_made_to_lead_here(
    guard: Guard, hosts: list[str]
) -> None:
    answer = get(guard, *(("Host", host) for host in hosts))
    assert answer.status == 403
    assert b"no such host" in answer.body


SAME = ("Origin", "http://127.0.0.1:8000")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [SAME],
        [("Sec-Fetch-Site", "same-origin")],
        [SAME, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")],
    ],
)
def test_the_page_itself_and_programs_may_send(guard: Guard, headers: list[Header]) -> None:
    assert post(guard, "reset", b"{}", *headers).status == 204


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", "http://evil.example")],
        [("Origin", "null")],
        [("Origin", "https://127.0.0.1:8000")],
        [("Origin", "http://127.0.0.1:8001")],
        [("Origin", "http://localhost:8000")],
        [SAME, ("Origin", "http://evil.example")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [SAME, ("Sec-Fetch-Site", "cross-site")],
        [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ],
    ],
)
def test_a_page_of_somebody_elses_may_not(guard: Guard, headers: list[Header]) -> None:
    assert post(guard, "reset", b"{}", *headers).status == 403


def test_a_link_to_the_page_may_be_followed_and_nothing_else_be_made_of_it(guard: Guard) -> None:
    site, mode = ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")
    assert get(guard, HERE, site, mode, ("Sec-Fetch-Dest", "document")).status == 200
    assert get(guard, HERE, site, mode, ("Sec-Fetch-Dest", "iframe")).status == 403
    assert get(guard, HERE, site, ("Sec-Fetch-Mode", "no-cors")).status == 403


@pytest.mark.parametrize(
    "path",
    [f"/{FIRST}/", f"/{FIRST}", f"/{FIRST}/room.js", f"/{FIRST}/house.css", f"/{SECOND}/"],
)
def test_whoever_knows_a_token_is_answered(guard: Guard, path: str) -> None:
    assert get(guard, HERE, path=path).status in (200, 303)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/room.js",
        "/x/",
        f"/{FIRST[:-1]}/",
        f"/{FIRST}a/",
        f"/{FIRST.upper()}/",
        f"/{'d' * 32}/room.js",
        f"/{'d' * 32}/choices",
        f"/{'d' * 32}/events",
        f"/{'d' * 32}/captures/events.jsonl",
        f"/{'d' * 32}/own/captures/events.jsonl",
        "/ä/",
    ],
)
def test_nobody_else_is(guard: Guard, path: str) -> None:
    assert get(guard, HERE, path=path).status == 404


@pytest.mark.parametrize("what", ["play", "reset", "own", "own/stop"])
def test_nothing_is_done_for_whoever_has_no_token(guard: Guard, what: str) -> None:
    assert post(guard, what, b"{}", token="d" * 32).status == 404


def test_every_answer_says_what_a_browser_may_do(guard: Guard) -> None:
    for answer in (
        get(guard, HERE),
        get(guard, HERE, path="/nothing"),
        get(guard, ("Host", "evil.example")),
        post(guard, "reset", b"{}"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_has_nothing_inline() -> None:
    folder = Path(__file__).parents[2] / "mitm" / "room" / "static"
    page = (folder / "room.html").read_text()
    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == page.count("<script src=")
    assert "innerHTML" not in (folder / "room.js").read_text()


def test_a_body_that_is_no_json_or_too_long_is_refused(guard: Guard) -> None:
    assert post(guard, "reset", b"{}").status == 204
    assert post(guard, "reset", b"{").status == 400
    assert post(guard, "reset", b"[" * MAX_BODY).status == 400
    assert post(guard, "reset", b" " * MAX_BODY + b"{}").status == 413
    slowly = [b" " * 1000] * 10
    answer = asyncio.run(ask(guard, "POST", f"/{FIRST}/reset", [HERE, JSON], *slowly))
    assert answer.status == 413


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_what_a_form_can_send_is_not_taken(guard: Guard, kind: str) -> None:
    headers = [HERE, ("Content-Type", kind)] if kind else [HERE]
    answer = asyncio.run(ask(guard, "POST", f"/{FIRST}/reset", headers, b"{}"))
    assert answer.status == 415


REPORT = b'{"seat": "Ada", "exercise": "02-skip-verify", "state": "red", "tries": 3, "hints": 1}'


def test_a_learner_may_send_where_they_are_and_see_nothing(guard: Guard) -> None:
    for path in (f"/{LEARNERS}", f"/{LEARNERS}/"):
        assert asyncio.run(ask(guard, "POST", path, [HERE, JSON], REPORT)).status == 204
        assert get(guard, HERE, path=path).status == 405
    files = ("room.js", "captures/events.jsonl", "own/captures/events.jsonl")
    for what in ("choices", "events", *files):
        assert get(guard, HERE, path=f"/{LEARNERS}/{what}").status == 404
    for what in ("play", "reset", "own"):
        assert post(guard, what, b"{}", token=LEARNERS).status == 404


def test_without_a_class_there_is_nowhere_to_send(choices: Choices, tmp_path: Path) -> None:
    guard = Guard(_room(choices, tmp_path, "").app, [])
    for path in ("/", f"/{LEARNERS}", f"/{FIRST}", f"/{FIRST}/"):
        answer = asyncio.run(ask(guard, "POST", path, [HERE, JSON], REPORT))
        assert answer.status in (404, 405)


@pytest.mark.parametrize(
    "report",
    [
        b"{}",
        b'{"seat": "", "exercise": "a", "state": "red"}',
        b'{"seat": "%b", "exercise": "a", "state": "red"}' % (b"x" * 41),
        b'{"seat": "Ada", "exercise": "../a", "state": "red"}',
        b'{"seat": "Ada", "exercise": "a", "state": "blue"}',
        b'{"seat": "Ada", "exercise": "a", "state": "red", "tries": -1}',
        b'{"seat": "Ada", "exercise": "a", "state": "red", "tries": "many"}',
    ],
)
def test_what_is_no_report_is_not_taken(guard: Guard, report: bytes) -> None:
    answer = asyncio.run(ask(guard, "POST", f"/{LEARNERS}", [HERE, JSON], report))
    assert answer.status == 400
