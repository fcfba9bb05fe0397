"""The index of a session over HTTP: to whom it answers, and what."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import pytest

from mitm.audit import catalogue, forge_suite, select, stand_in, with_own, with_twins
from mitm.audit.background import Background
from mitm.audit.session import Index, Session
from mitm.audit.session.index import MAX_BODY

HOSTILE = "\u202e<script>alert(1)</script>"

# Of a user's own, whose name and title hold what HTML and URLs are made of.
OWN = """---
title: "{title}"
expect: reject
severity: must
rule: "{title}"
fix: none
cwe: [295]
chain:
  - {{subject: "CN={{name}}"}}
  - {{authority: attacker}}
---

{title} and `code`.
"""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asked:
    """A session with an index, and who asks it."""

    def __init__(self, session: Session, index: Index) -> None:
        self.session = session
        self.url = index.url
        self.port = index.port
        self.path = urlsplit(index.url).path

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        token: str | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        where = (self.path if token is None else token) + path
        connection.request(method, where, body, dict(headers))
        answer = connection.getresponse()
        told = Answer(answer.status, dict(answer.headers), answer.read().decode())
        assert answer.headers["Content-Length"] == str(len(told.body.encode()))
        assert answer.headers["Connection"] == "close"
        return told


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    own = tmp_path_factory.mktemp("own") / "<b> & ü.md"
    own.write_text(OWN.format(title=HOSTILE))
    words = ["attacker-ca", "mixed-case", "second-connection", "ca-missing", str(own)]
    known = with_twins(with_own(catalogue(), words))
    suite = forge_suite(select(known, words))
    with Background() as background:
        server = stand_in()
        session = Session(suite, background.run(server.__aenter__()))
        index = Index(session)
        background.run(session.__aenter__())
        background.run(index.__aenter__())
        try:
            yield Asked(session, index)
        finally:
            background.run(index.__aexit__(None, None, None))
            background.run(session.__aexit__(None, None, None))
            background.run(server.__aexit__(None, None, None))


def test_the_cases_are_listed_with_the_control_first_and_last(asked: Asked) -> None:
    answer = asked("GET", "/cases")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    cases = answer.json["cases"]
    assert [each["name"] for each in cases] == list(asked.session.cases)
    assert (cases[0]["name"], cases[-1]["name"]) == ("genuine", "genuine-again")
    case = cases[1]
    assert set(case) >= {
        *("name", "title", "target", "host", "port", "ca", "pin", "server_name"),
        *("expect", "severity", "family", "rule", "lesson"),
    }
    assert case["target"] == f"{case['host']}:{case['port']}"
    assert (case["expect"], case["severity"]) == ("reject", "must")


def test_and_the_same_without_json(asked: Asked) -> None:
    answer = asked("GET", "/cases.tsv")
    lines = [line.split("\t") for line in answer.body.splitlines()]
    columns = ("name", "target", "ca", "expect", "severity", "title", "pin", "server_name")
    for line, case in zip(lines, asked("GET", "/cases").json["cases"], strict=True):
        assert len(line) == len(columns)
        told = dict(zip(columns, line, strict=True))
        assert {key: told[key] for key in told if key != "title"} == {
            key: case[key] for key in told if key != "title"
        }


@pytest.mark.parametrize("name", ["attacker-ca", "attacker-ca:tls-1.2", "<b> & ü"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"error": "refused"}', {"Content-Type": "application/json"}),
        (b'{"error": "refused"}', {}),
        (b"refused", {"Content-Type": "text/plain"}),
        (b"refused", {"Content-Type": "text/plain; charset=utf-8"}),
    ],
    ids=["json", "untyped", "text", "text-with-charset"],
)
def test_a_case_is_judged(asked: Asked, name: str, body: bytes, headers: Mapping[str, str]) -> None:
    answer = asked("POST", f"/cases/{quote(name, safe='')}/judge", body, headers)
    assert answer.status == 200
    told = answer.json
    assert told["name"] == name
    assert told["outcome"] == "inconclusive"
    assert told["fails"] is True
    assert "did not connect" in told["message"]
    assert "refused" in told["message"]


@pytest.mark.parametrize("body", [b'{"error": null}', b"{}", b"", None])
def test_a_call_that_succeeded_has_no_error(asked: Asked, body: bytes | None) -> None:
    assert asked("POST", "/cases/genuine/judge", body).json["outcome"] == "inconclusive"


def test_whoever_has_no_json_is_answered_in_lines(asked: Asked) -> None:
    answer = asked("POST", "/cases/genuine/judge", b"", {"Accept": "text/plain"})
    assert answer.headers["Content-Type"].startswith("text/plain")
    word, _, message = answer.body.partition("\n")
    assert word == "fail"
    assert message.startswith("genuine: your client did not connect to ")


@pytest.mark.parametrize("token", ["", "/", "/" + "0" * 32, "/%00", "//", "/ü".encode("latin-1")])
@pytest.mark.parametrize("path", ["", "/", "/cases", "/cases/genuine/judge"])
def test_a_wrong_token_finds_nothing(asked: Asked, token: str | bytes, path: str) -> None:
    where = token if isinstance(token, str) else quote(token)
    assert asked("GET", path, token=where or "/").status == 404


@pytest.mark.parametrize("where", ["*", "cases", "http://[", "//[", "http://127.0.0.1/cases"])
def test_what_is_no_path_is_answered_as_well(asked: Asked, where: str) -> None:
    host = f"127.0.0.1:{asked.port}"
    with socket.create_connection(("127.0.0.1", asked.port), 10) as connection:
        connection.sendall(f"GET {where} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        with connection.makefile() as answer:
            assert answer.readline() == "HTTP/1.1 404 Not Found\n"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "[::1]:1", ""]
)
def test_a_page_of_somebody_elses_host_is_none(asked: Asked, host: str) -> None:
    """A name on the Internet may be resolved to this machine (DNS rebinding)."""
    headers = {"Host": host.format(port=asked.port)}
    assert asked("GET", "/cases", headers=headers).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}"])
def test_and_this_machine_is_one(asked: Asked, host: str) -> None:
    headers = {"Host": host.format(port=asked.port)}
    assert asked("GET", "/cases", headers=headers).status == 200


@pytest.mark.parametrize("what", ["judge", "reset", "ca.pem"])
@pytest.mark.parametrize("name", ["no-such-case", "", "..", "%2e%2e%2f", "genuine%00"])
def test_an_unknown_case_is_named(asked: Asked, name: str, what: str) -> None:
    method = "GET" if what == "ca.pem" else "POST"
    assert asked(method, f"/cases/{name}/{what}").status == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/cases", "GET"),
        ("POST", "/cases.tsv", "GET"),
        ("POST", "/", "GET"),
        ("GET", "/cases/genuine/judge", "POST"),
        ("GET", "/cases/genuine/reset", "POST"),
        ("POST", "/cases/genuine/ca.pem", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(
    asked: Asked, method: str, path: str, allowed: str
) -> None:
    answer = asked(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * (MAX_BODY + 1), {"Content-Type": "text/plain"}, 413),
        (b"", {"Content-Length": "9" * 5000}, 413),
        (b"", {"Content-Length": "-1"}, 400),
        (b"", {"Content-Length": "ten"}, 400),
        (b"", {"Transfer-Encoding": "chunked"}, 411),
        (b"{", {}, 400),
        (b'{"error": 7}', {}, 400),
        (b"[]", {}, 400),
        (b'{"error": "\xff"}', {}, 400),
        (b"[" * MAX_BODY, {}, 400),
    ],
    ids=[
        *("big", "announced-big", "negative", "no-number", "chunked"),
        *("half", "a-number", "a-list", "no-utf-8", "deep"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(
    asked: Asked, body: bytes, headers: Mapping[str, str], status: int
) -> None:
    answer = asked("POST", "/cases/genuine/judge", body, headers)
    assert answer.status == status
    assert len(answer.body.splitlines()) == 1


def test_an_error_text_may_be_as_long_as_is_allowed(asked: Asked) -> None:
    body = b"x" * MAX_BODY
    answer = asked("POST", "/cases/genuine/judge", body, {"Content-Type": "text/plain"})
    assert answer.status == 200
    assert len(answer.body) < 10_000


def test_a_secret_in_an_error_text_is_not_told(asked: Asked) -> None:
    body = b"call failed: authorization: Bearer abcdefghijklmnop"
    answer = asked("POST", "/cases/genuine/judge", body, {"Content-Type": "text/plain"})
    assert "abcdefghijklmnop" not in answer.body


def test_whoever_says_nothing_keeps_nobody_from_being_answered(asked: Asked) -> None:
    slow = [socket.create_connection(("127.0.0.1", asked.port)) for _ in range(20)]
    try:
        for each in slow[::2]:
            each.sendall(b"POST ")
        assert asked("GET", "/cases").status == 200
    finally:
        for each in slow:
            each.close()


def test_many_may_ask_at_once(asked: Asked) -> None:
    begin = threading.Barrier(40)

    def judge(number: int) -> int:
        begin.wait()
        name = list(asked.session.cases)[number % len(asked.session.cases)]
        return asked("POST", f"/cases/{quote(name, safe='')}/judge", b"{}").status

    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(judge, range(40))) == {200}


def test_a_reset_is_answered_to_programs_and_to_browsers(asked: Asked) -> None:
    path = "/cases/second-connection/reset"
    assert asked("POST", path).json == {"name": "second-connection"}
    answer = asked("POST", path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status == 303
    assert urljoin(asked.url + path, answer.headers["Location"]).startswith(f"{asked.url}/#")


def test_the_ca_is_there_to_be_downloaded(asked: Asked) -> None:
    answer = asked("GET", "/cases/genuine/ca.pem")
    assert answer.body == asked.session.cases["genuine"].endpoint.ca_file.read_text()
    assert "attachment" in answer.headers["Content-Disposition"]
    assert asked("GET", "/cases/ca-missing/ca.pem").status == 404


class _Page(HTMLParser):
    """What a browser makes of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.forms: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        self.tags.append(tag)
        self.links += [about["href"] or ""] if "href" in about else []
        self.forms += [about["action"] or ""] if "action" in about else []
        self.ids += [about["id"] or ""] if "id" in about else []
        assert not any(name.startswith("on") or name == "style" for name in about)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_all_of_them_and_needs_no_script(asked: Asked) -> None:
    answer = asked("GET", "/")
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    page = _Page()
    page.feed(answer.body)
    assert "script" not in page.tags
    assert "\u202e" not in answer.body
    assert "<script>alert(1)" in page.text  # as text
    genuine = asked.session.cases["genuine"].endpoint
    assert f"curl --cacert {genuine.ca_file} https://{genuine.target}/" in page.text
    for case in asked.session.cases.values():
        assert f"https://{case.endpoint.target}/" in page.links
        assert case.name in page.text
        assert str(case.endpoint.port) in page.text
    for link in [*page.links, *page.forms]:
        where = urljoin(f"{asked.url}/", link)
        if where.startswith("https://localhost:") or "#" in link:
            continue
        assert where.startswith(f"{asked.url}/")
        method = "POST" if link in page.forms else "GET"
        path = where.removeprefix(asked.url)
        assert asked(method, path).status == 200 or "ca-missing" in path


def test_after_a_reset_the_browser_is_at_the_line_that_it_came_from(asked: Asked) -> None:
    page = _Page()
    page.feed(asked("GET", "/").body)
    for form in page.forms:
        answer = asked("POST", f"/{form}", headers={"Accept": "text/html"})
        fragment = urlsplit(answer.headers["Location"]).fragment
        assert fragment.replace("%25", "%") in page.ids


def test_without_its_last_slash_the_page_is_elsewhere(asked: Asked) -> None:
    answer = asked("GET", "")
    assert answer.status == 303
    assert urljoin(asked.url, answer.headers["Location"]) == f"{asked.url}/"


def test_it_can_be_ended_while_somebody_is_slow() -> None:
    async def play() -> None:
        suite = forge_suite(select(catalogue(), ["attacker-ca"]))
        async with stand_in() as server, Session(suite, server) as session:
            async with Index(session) as index:
                slow = socket.create_connection(("127.0.0.1", index.port))
                slow.sendall(b"POST ")
            slow.close()

    asyncio.run(play())
