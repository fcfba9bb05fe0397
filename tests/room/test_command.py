"""`mitm-demo room`, as a program: it plays, records, and ends in order."""

import json
import shlex
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mitm.events import AnyEvent, LegEnded
from mitm.room.needs import missing
from mitm.room.seat import PAGES
from tests.programs import gone, mitm_demo, refused, run
from tests.room.asking import Answer, Page, Running, room

needed = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    """A room for whoever leaves it as it was."""
    with room("--seats", "3") as running_room:
        yield running_room


def played(page: Page, scenario: str) -> list[dict[str, Any]]:
    """Play a scenario to its end."""
    page.post("reset")
    assert page.post("play", {"scenario": scenario}).status == 204
    return page.until("over")


def said(records: list[dict[str, Any]], key: str = "lines") -> str:
    return "\n".join(line[1] for record in records for line in record.get(key, ()))


@needed
def test_a_scenario_is_played_told_and_recorded(shared: Running) -> None:
    page = shared.pages[0]
    records = played(page, "skip-verify")
    picture = records[-1]["picture"]
    assert (picture["verdict"], picture["mood"], picture["as_scripted"]) == (
        "compromised",
        "harm",
        True,
    )
    assert "authorization: Bearer opens-nothing-" in said(records, "reads")
    genuine, *_, forged = [r["chain"] for r in records if "chain" in r]
    assert genuine["subjects"] == ["CN=localhost"]
    assert genuine["issuer"] != forged["issuer"]
    packets = page.request("GET", "captures/packets.pcapng")
    assert packets.body.startswith(b"\x0a\x0d\x0d\x0a")
    assert "attachment" in packets.headers["content-disposition"]
    assert b"CLIENT_TRAFFIC_SECRET_0" in page.request("GET", "captures/secrets.keys").body
    lines = page.request("GET", "captures/events.jsonl").body.splitlines()
    events = [msgspec.json.decode(line, type=AnyEvent) for line in lines]
    assert [e.verdict for e in events if isinstance(e, LegEnded)] == ["connected", "compromised"]


@needed
def test_of_a_client_that_verifies_nothing_is_read(shared: Running) -> None:
    records = played(shared.pages[0], "ca-file")
    assert records[-1]["picture"]["verdict"] == "aborted"
    assert said(records, "reads") == ""
    assert "opens-nothing" not in json.dumps(records)


@needed
@pytest.mark.parametrize("below", ["captures", "own/captures"])
@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "..%2f..%2fsecrets.keys", "ca.pem", "play-1", "", "events.jsonl/"],
)
def test_no_other_file_is_given(shared: Running, below: str, name: str) -> None:
    assert shared.pages[0].request("GET", f"{below}/{name}").status in (404, 307)


@needed
def test_what_was_not_played_was_not_recorded(shared: Running) -> None:
    page = shared.pages[1]
    assert page.request("GET", "captures/events.jsonl").status == 404
    played(page, "insecure")
    assert page.request("GET", "captures/events.jsonl").status == 200
    page.post("reset")
    assert page.request("GET", "captures/events.jsonl").status == 404


@needed
@pytest.mark.parametrize(
    "asked",
    [
        {"scenario": "no-such"},
        {"scenario": "./mine.md"},
        {"scenario": "insecure", "client": "no-such"},
        {"scenario": "insecure", "client": "./mine"},
        {"scenario": "insecure", "client": "/bin/true"},
        {"scenario": "insecure", "command": ["true"]},
        {"client": "python"},
        {},
    ],
)
def test_nothing_is_started_that_the_project_does_not_name(
    tmp_path: Path, shared: Running, asked: dict[str, Any]
) -> None:
    page = shared.pages[2]
    assert page.post("play", asked).status == 400
    assert [record["kind"] for record in _kept(page)] == []


def _kept(page: Page) -> list[dict[str, Any]]:
    """What a page is told at once: what was kept for it, and what a reset adds."""
    page.post("reset")
    return [record for record in page.until("cleared") if record["kind"] != "cleared"]


@needed
@pytest.mark.parametrize("name", ["./mine.md", "no-such", "../scenarios/insecure"])
def test_no_certificate_is_shown_that_the_catalogue_does_not_have(
    shared: Running, name: str
) -> None:
    assert shared.pages[2].post("own", {"certificate": name}).status == 400


@needed
def test_each_seat_has_a_stage_of_its_own() -> None:
    with room("--seats", "2") as running_room:
        one, two = running_room.pages
        assert one.url != two.url
        played(one, "insecure")
        assert _kept(two) == []
        assert two.request("GET", "captures/events.jsonl").status == 404
        assert one.request("GET", "captures/events.jsonl").status == 200


@needed
def test_a_seat_plays_one_at_a_time_and_a_reset_makes_room_at_once(shared: Running) -> None:
    page = shared.pages[1]
    page.post("reset")
    assert page.post("play", {"scenario": "skip-verify"}).status == 204
    busy = page.post("play", {"scenario": "insecure"})
    assert busy.status == 409
    assert "reset" in busy.reason
    begun = time.monotonic()
    assert page.post("reset").status == 204
    assert page.post("play", {"scenario": "insecure"}).status == 204
    assert time.monotonic() - begun < 1
    over = page.until("over")[-1]
    assert over["picture"]["scenario"] == "insecure"


@needed
def test_a_page_that_comes_back_is_told_what_it_has_missed(shared: Running) -> None:
    page = shared.pages[0]
    records = played(page, "insecure")
    with page.events(last=0) as events:
        assert [next(events)["kind"] for _ in records] == [each["kind"] for each in records]


@needed
def test_so_many_pages_look_at_a_seat_and_when_one_goes_another_may_come() -> None:
    with room() as running_room:
        page = running_room.pages[0]
        page.post("reset")
        opened = [page.events() for _ in range(PAGES)]
        streams = [each.__enter__() for each in opened]
        assert [next(each)["kind"] for each in streams] == ["cleared"] * PAGES
        refusal = page.request("GET", "events")
        assert refusal.status == 503
        assert "close one" in refusal.reason
        opened[0].__exit__(None, None, None)
        page.post("reset")
        deadline = time.monotonic() + 20
        while True:
            page.post("reset")
            try:
                with page.events() as events:
                    assert next(events)["kind"] == "cleared"
                break
            except AssertionError:
                assert time.monotonic() < deadline
        for each in opened[1:]:
            each.__exit__(None, None, None)


# ---- one's own client


def _called(page: Page, which: int) -> int:
    """Paste one of the commands."""
    listening = page.until("listening")[-1]
    return mitm_demo(*shlex.split(listening["commands"][which]["command"])[1:]).code


@needed
def test_a_client_of_ones_own_is_judged_by_its_worst_connection() -> None:
    with room() as running_room:
        page = running_room.pages[0]
        assert page.post("own", {"certificate": "attacker-ca"}).status == 204
        assert _called(page, 0) == 1
        assert page.until("judged")[-1]["so_far"] == "aborted"
        assert _called(page, 1) == 0
        told = []
        with page.events() as events:
            for record in events:
                told.append(record)
                if record.get("so_far") == "compromised":
                    break
        assert "for localhost" in said(told)
        assert "authorization: Bearer opens-nothing-" in said(told)
        assert {"client-hello", "certificate-presented", "handshake-completed"} <= {
            record["kind"] for record in told
        }
        # The twin: what every client may accept.
        assert page.post("own", {"certificate": "genuine"}).status == 204
        with page.events() as events:
            fresh = next(r for r in events if r.get("certificate") == "genuine")
            assert fresh["accepted"]
            assert mitm_demo(*shlex.split(fresh["commands"][0]["command"])[1:]).code == 0
            judged = next(r for r in events if r["kind"] == "judged")
        assert judged["so_far"] == "connected"


@needed
def test_what_was_done_before_another_certificate_is_shown_is_not_forgiven() -> None:
    with room() as running_room:
        page = running_room.pages[0]
        page.post("own", {"certificate": "attacker-ca"})
        host, _, port = page.until("listening")[-1]["target"].rpartition(":")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((host, int(port))) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            page.until("application-data")
            page.post("own", {"certificate": "genuine"})
            judged = page.until("judged")[-1]
        assert judged["verdict"] == "compromised"


@needed
def test_nobody_listens_before_it_is_asked_for_or_after_it_was_stopped() -> None:
    with room() as running_room:
        page = running_room.pages[0]
        assert page.post("own/stop").status == 204
        page.post("own", {"certificate": "attacker-ca"})
        host, _, port = page.until("listening")[-1]["target"].rpartition(":")
        socket.create_connection((host, int(port))).close()
        assert page.post("own/stop").status == 204
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(port)))


@needed
def test_what_ones_own_client_said_can_be_taken_away_and_by_nobody_else(tmp_path: Path) -> None:
    with room("--class", "--seats", "2", TMPDIR=str(tmp_path)) as running_room:
        page, other = running_room.pages
        names = ("packets.pcapng", "secrets.keys", "events.jsonl")

        def taken(by: Page = page) -> dict[str, Answer]:
            return {name: by.request("GET", f"own/captures/{name}") for name in names}

        assert {answer.status for answer in taken().values()} == {404}
        page.post("own", {"certificate": "attacker-ca"})
        assert _called(page, 1) == 0
        with page.events() as events:
            assert any(record.get("so_far") == "compromised" for record in events)
        # While it is listened, and when that is over.
        for _ in range(2):
            given = taken()
            assert {answer.status for answer in given.values()} == {200}
            assert "attachment" in given["events.jsonl"].headers["content-disposition"]
            assert given["packets.pcapng"].body.startswith(b"\x0a\x0d\x0d\x0a")
            assert b"CLIENT_TRAFFIC_SECRET_0" in given["secrets.keys"].body
            assert b"CLIENT_TRAFFIC_SECRET_0" in given["packets.pcapng"].body
            recorded = tmp_path / "own.jsonl"
            recorded.write_bytes(given["events.jsonl"].body)
            replayed = mitm_demo("replay", recorded)
            assert "authorization: Bearer opens-nothing-" in replayed.out
            for stranger in (other, Page(f"{running_room.learners}/")):
                assert {answer.status for answer in taken(stranger).values()} == {404}
            page.post("own/stop")
        kept = [each for each in tmp_path.rglob("*") if each.name in names]
        assert len(kept) == 3
        assert {each.stat().st_mode & 0o077 for each in kept} == {0}
        assert {each.parent.stat().st_mode & 0o077 for each in kept} == {0}
        # Of another time to listen nothing is left.
        page.post("own", {"certificate": "genuine"})
        assert taken()["events.jsonl"].body == b""


# ---- the class


@needed
def test_learners_are_told_to_the_trainer_alone() -> None:
    with room("--class", "--seats", "2") as running_room:
        trainer, other = running_room.pages
        learner = Page(running_room.learners)
        report = {"seat": "Ada", "exercise": "02-skip-verify", "state": "red", "tries": 99}
        assert learner.post("", report).status == 204
        with trainer.events() as events:
            grid = next(each for each in events if each.get("rows"))
        assert grid["rows"][0]["seat"] == "Ada"
        assert grid["rows"][0]["cells"][0]["stuck"]
        assert _kept(other) == []
        assert json.loads(trainer.request("GET", "choices").body)["class"] is True
        assert json.loads(other.request("GET", "choices").body)["class"] is False


# ---- how it begins and ends


@needed
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_in_the_middle_of_what_is_played(
    tmp_path: Path, number: signal.Signals
) -> None:
    with room("--seats", "3", TMPDIR=str(tmp_path)) as running_room:
        for page in running_room.pages:
            page.post("play", {"scenario": "pin-rotation"})
            page.post("own", {"certificate": "attacker-ca"})
        running_room.pages[0].until("leg")
        with running_room.pages[1].events() as events:
            next(events)
            process = running_room.process
            tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
            children = [int(pid) for task in tasks for pid in task.read_text().split()]
            assert children
            assert list(tmp_path.iterdir())
            process.send_signal(number)
            _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == ""
    assert gone(*children)
    assert list(tmp_path.iterdir()) == []


@needed
def test_a_room_that_is_ended_by_force_leaves_no_process(tmp_path: Path) -> None:
    with room(TMPDIR=str(tmp_path)) as running_room:
        page = running_room.pages[0]
        page.post("play", {"scenario": "pin-rotation"})
        page.until("leg")
        process = running_room.process
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [int(pid) for task in tasks for pid in task.read_text().split()]
        process.kill()
        process.wait()
        assert gone(*children)


@needed
def test_what_was_recorded_is_its_owners_alone(tmp_path: Path) -> None:
    with room(TMPDIR=str(tmp_path)) as running_room:
        played(running_room.pages[0], "insecure")
        found = [each for each in tmp_path.rglob("*") if each.name.endswith((".jsonl", ".pcapng"))]
        assert found
        assert {each.stat().st_mode & 0o077 for each in found} == {0}
        assert {each.parent.stat().st_mode & 0o077 for each in found} == {0}


@needed
@pytest.mark.parametrize("listen", ["192.0.2.7:0", "0.0.0.0:0", "[::]:0", "class.example:8000"])
def test_another_address_than_this_machines_own_takes_an_option(listen: str) -> None:
    assert "--allow-host" in refused(mitm_demo("room", "--listen", listen))


@needed
def test_with_the_option_it_listens_there_and_answers_by_that_name_alone() -> None:
    any_address = "0.0.0.0"  # noqa: S104
    allowed = ("--allow-host", any_address, "--allow-host", "class.example")
    with room("--listen", f"{any_address}:0", *allowed) as running_room:
        url = running_room.pages[0].url
        assert url.startswith("http://class.example:")
        page = Page(url.replace("class.example", "127.0.0.1"))
        port = page.host.rpartition(":")[2]
        for host, status in (
            (f"class.example:{port}", 200),
            (page.host, 200),
            (f"0.0.0.0:{port}", 403),
            (f"evil.example:{port}", 403),
        ):
            assert page.request("GET", "", headers={"Host": host}).status == status


@needed
@pytest.mark.parametrize("listen", ["[::1]:0", "localhost:0", "127.0.0.2:0"])
def test_it_listens_on_whatever_address_is_this_machines_own(listen: str) -> None:
    if listen.startswith("[") and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with room("--listen", listen) as running_room:
        page = running_room.pages[0]
        assert page.request("GET", "").status == 200
        assert page.request("GET", "", headers={"Host": "evil.example"}).status == 403


@needed
def test_a_port_that_is_taken_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(mitm_demo("room", "--listen", address))
    assert "--listen" in line
    assert address in line


@pytest.mark.parametrize("absent", ["starlette", "uvicorn"])
def test_without_what_it_takes_it_says_so_in_a_line(absent: str) -> None:
    program = (
        f"import sys; sys.modules[{absent!r}] = None; sys.argv = ['mitm-demo', 'room']; "
        "from mitm.cli import main; main()"
    )
    result = run(sys.executable, "-c", program)
    assert result.code == 4
    (line,) = result.err.splitlines()
    assert absent in line
    assert "pip install 'mitm-demo[room]'" in line
    assert result.out == ""


def test_help_does_without(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['starlette'] = None; sys.argv = ['mitm-demo', 'room', '--help']; "
        "from mitm.cli import main; main()"
    )
    assert run(sys.executable, "-c", program).code == 0
