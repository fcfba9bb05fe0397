"""The page in a real Chromium: what a class sees."""

import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright", reason="no playwright here: pip install '.[dev]'")
pytest.importorskip("starlette", reason="no starlette here: pip install '.[room]'")

from playwright.sync_api import expect

from mitm import content
from tests.browser import Seen, watch
from tests.programs import MITM_DEMO, run
from tests.room.asking import Page, Running, room

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

# Seconds that a scenario may take here, in milliseconds.
PLAYED = 90_000

# What somebody would have obeyed who takes it for markup.
HOSTILE = "<img src=x onerror=alert(1)><b id=planted>"


@pytest.fixture(scope="module")
def one_room() -> Iterator[Running]:
    with room("--class") as running_room:
        yield running_room


@pytest.fixture
def seen(one_room: Running) -> Iterator[list[Seen]]:
    """What the pages of a test have done: they complain of nothing, and ask nobody else."""
    page = one_room.pages[0]
    page.post("reset")
    page.post("own/stop")
    seen: list[Seen] = []
    yield seen
    assert seen
    for each in seen:
        assert each.errors == []
        assert each.dialogs == []
        asked = {urlsplit(address).netloc for address in each.requests if "://" in address}
        assert asked <= {page.host}


def opened(
    tab: "Tab", one_room: Running, seen: list[Seen], width: int = 1920, height: int = 1080
) -> None:
    """Open the page, and see what it does."""
    seen.append(watch(tab))
    tab.set_viewport_size({"width": width, "height": height})
    tab.goto(one_room.pages[0].url)
    expect(tab.locator("#listen")).to_be_enabled(timeout=PLAYED)


def play(tab: "Tab", scenario: str) -> None:
    tab.select_option("#scenario", scenario)
    tab.click("#play")
    expect(tab.locator("#captures")).to_be_visible(timeout=PLAYED)


def test_a_theft_is_played_and_all_of_it_is_in_sight(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    play(tab, "skip-verify")
    expect(tab.locator("#word")).to_have_text("compromised")
    expect(tab.locator("#fix")).to_contain_text("Fix: ")
    expect(tab.locator("#heads")).to_have_text("clientattackerserver")
    expect(tab.locator("#believes")).to_contain_text("an encrypted connection to its server")
    expect(tab.locator("#reads")).to_contain_text("Bearer opens-nothing-")
    expect(tab.locator("#reads")).to_contain_text("nicolas@example.com")
    expect(tab.locator("#genuine")).to_contain_text("Lab CA")
    expect(tab.locator("#forged .differs").first).to_contain_text("Attacker CA")
    # The other leg, by its button: of the control nobody reads anything.
    tab.locator("#legs button").first.click()
    expect(tab.locator("#reads")).to_have_text("nobody stands in between")
    expect(tab.locator("#heads")).to_have_text("clientserver")
    # All of that without scrolling the page.
    assert _bottom(tab, "#point") <= 1080


def _bottom(tab: "Tab", selector: str) -> float:
    box = tab.locator(selector).bounding_box()
    assert box
    return box["y"] + box["height"]


def test_a_defence_is_played_and_nothing_is_read(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    play(tab, "ca-file")
    expect(tab.locator("#word")).to_have_text("aborted")
    expect(tab.locator("#verdict")).to_have_class(re.compile(r"\bgood\b"))
    expect(tab.locator("#reads")).to_have_text("nothing")
    expect(tab.locator("body")).not_to_contain_text("opens-nothing-")


def test_the_lesson_leads_on_to_the_next(tab: "Tab", one_room: Running, seen: list[Seen]) -> None:
    opened(tab, one_room, seen)
    play(tab, "insecure")
    tab.click("#go-on")
    assert tab.input_value("#scenario") == "skip-verify"


def test_space_goes_one_step_on_and_the_verdict_comes_last(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    tab.check("#stepping")
    tab.select_option("#scenario", "insecure")
    tab.click("#play")
    # All of it has come before the first of it is shown.
    one_room.pages[0].until("over")
    expect(tab.locator("#scene")).to_be_hidden()
    tab.locator("#stage").click(position={"x": 1, "y": 1})
    rows = tab.locator("#rows li")
    waiting = tab.locator("#waiting")
    left = int(re.sub(r"\D", "", waiting.inner_text()))
    most = 0
    for step in range(left):
        expect(tab.locator("#verdict")).to_be_hidden()
        before = rows.count()
        tab.keyboard.press("Space")
        if step + 1 < left:
            expect(waiting).to_have_text(f"({left - step - 1} waiting)")
        assert rows.count() <= before + 2
        most = max(most, rows.count())
    expect(tab.locator("#word")).to_have_text("exposed")
    assert most > 5


def test_a_page_that_is_loaded_anew_gives_nothing_away(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    tab.check("#stepping")
    tab.select_option("#scenario", "insecure")
    tab.click("#play")
    one_room.pages[0].until("over")
    tab.reload()
    expect(tab.locator("#waiting")).to_contain_text("waiting")
    expect(tab.locator("#scenario")).to_have_value("insecure")
    expect(tab.locator("#stepping")).to_be_checked()
    expect(tab.locator("#verdict")).to_be_hidden()
    # Without steps, all of it is shown.
    tab.uncheck("#stepping")
    expect(tab.locator("#word")).to_have_text("exposed")
    tab.reload()
    expect(tab.locator("#word")).to_have_text("exposed")


def test_without_steps_space_is_none(tab: "Tab", one_room: Running, seen: list[Seen]) -> None:
    opened(tab, one_room, seen)
    play(tab, "insecure")
    rows = tab.locator("#rows li").count()
    tab.keyboard.press("Space")
    assert tab.locator("#rows li").count() == rows
    expect(tab.locator("#next")).to_be_hidden()


def test_a_page_that_is_opened_later_shows_the_same(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    play(tab, "insecure")
    rows = tab.locator("#rows li").all_inner_texts()
    tab.reload()
    expect(tab.locator("#word")).to_have_text("exposed")
    assert tab.locator("#rows li").all_inner_texts() == rows
    assert tab.input_value("#scenario") == "insecure"


def test_a_reset_empties_the_stage_within_a_second(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    tab.select_option("#scenario", "skip-verify")
    tab.click("#play")
    expect(tab.locator("#scene")).to_be_visible(timeout=PLAYED)
    expect(tab.locator("#play")).to_be_disabled()
    tab.click("#reset")
    expect(tab.locator("#scene")).to_be_hidden(timeout=1000)
    expect(tab.locator("#play")).to_be_enabled(timeout=1000)


def test_what_was_recorded_can_be_taken_away(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    play(tab, "insecure")
    for name, begin in (("pcapng", b"\x0a\x0d\x0d\x0a"), ("events", b'{"event":')):
        with tab.expect_download() as download:
            tab.click(f"#captures a:text-is('{name}')")
        assert download.value.path().read_bytes().startswith(begin)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720)])
def test_the_back_row_can_read_it(
    tab: "Tab", one_room: Running, seen: list[Seen], width: int, height: int
) -> None:
    """24 pt are 32 pixels of 1920, and the same part of a picture with fewer of them."""
    opened(tab, one_room, seen, width, height)
    play(tab, "insecure")
    wanted = 32 * width / 1920
    for selector in ("#rows p", "#reads li", "#believes li", "#point"):
        assert _font(tab, selector) >= wanted - 0.1, selector
    assert _font(tab, "#word") >= 2.5 * wanted


# Where each part of the stage is at the end, and what lies over something else: those below each
# other first, then those of the scene. Of the columns the beginning is in sight.
_LAID_OUT = """() => {
  const at = (id) => document.getElementById(id);
  const box = (each) => each.getBoundingClientRect();
  const faults = [];
  const column = ["controls", "legs", "verdict", "scene", "point"].map(at);
  const scene = [...at("scene").children];
  for (const group of [[document.querySelector("header"), ...column], scene]) {
    for (const one of group) {
      const { left, top, right, bottom } = box(one);
      const name = one.id || one.className || one.tagName;
      if (top < 0 || left < 0 || bottom > innerHeight || right > innerWidth) {
        faults.push(`${name} is not in the window`);
      }
      if (one.scrollWidth > one.clientWidth + 1) faults.push(`${name} is cut at its side`);
      for (const other of group) {
        const o = box(other);
        const beside = left > o.right - 1 || o.left > right - 1;
        if (one !== other && !beside && top < o.bottom - 1 && o.top < bottom - 1) {
          faults.push(`${name} lies over ${other.id || other.className || other.tagName}`);
        }
      }
    }
  }
  const [word, said] = [box(at("word")), box(at("reason"))];
  if (word.right > said.left && word.bottom > said.top) faults.push("the verdict is lain over");
  for (const list of ["believes", "reads"]) {
    const most = box(at(`${list}-box`)).bottom;
    const [first, ...others] = at(list).children;
    const stolen = others.filter((each) => each.textContent.startsWith("authorization"));
    if ([first, ...stolen].some((each) => box(each).bottom > most)) {
      faults.push(`${list} is not in sight`);
    }
  }
  return faults;
}"""


def test_at_the_end_of_each_scenario_verdict_and_point_are_in_sight(tab: "Tab") -> None:
    """Each in a seat of its own, so that none waits to be looked at before the next is played."""
    names = sorted(path.stem for path in content.SCENARIOS.glob("*.md"))
    faults: dict[str, list[str]] = {}
    with room("--seats", str(len(names))) as running_room:
        for name, page in zip(names, running_room.pages, strict=True):
            assert page.post("play", {"scenario": name}).status == 204
        played = []
        for name, page in zip(names, running_room.pages, strict=True):
            if page.until("over", "failed")[-1]["kind"] == "failed":
                continue
            played.append(name)
            tab.goto(page.url)
            expect(tab.locator("#verdict")).to_be_visible()
            expect(tab.locator("#point")).to_be_visible()
            # All of the screen, and what the bars of a browser leave of it.
            for height in (620, 720):
                tab.set_viewport_size({"width": 1280, "height": height})
                if found := tab.evaluate(_LAID_OUT):
                    faults[f"{name}, {height}"] = found
            for selector in ("#fix", "#reason", "#point", "#believes li", ".chain li"):
                if tab.locator(selector).first.is_visible():
                    assert _font(tab, selector) >= 32 * 1280 / 1920 - 0.1, (name, selector)
    assert faults == {}
    # Some need what is not on every machine: a public CA of their own.
    assert {*names} - {*played} <= {"acme", "acme-hijack"}


def _font(tab: "Tab", selector: str) -> float:
    size = tab.locator(selector).first.evaluate("each => getComputedStyle(each).fontSize")
    return float(size.removesuffix("px"))


@pytest.mark.parametrize("view", ["stage", "own", "class"])
def test_on_a_phone_nothing_is_beside_the_screen(
    tab: "Tab", one_room: Running, seen: list[Seen], view: str
) -> None:
    _report(one_room, "Ada")
    opened(tab, one_room, seen, 390, 844)
    if view == "stage":
        play(tab, "insecure")
    tab.click(f"[data-view={view}]")
    if view == "own":
        tab.click("#listen")
        expect(tab.locator("#commands code").first).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


# ---- one's own client


def _paste(tab: "Tab", which: int, *more: str) -> None:
    command = tab.locator("#commands code").nth(which).inner_text()
    words = [MITM_DEMO, *shlex.split(command)[1:], *more]
    subprocess.run(words, capture_output=True, check=False, timeout=60)


def test_ones_own_client_is_watched(tab: "Tab", one_room: Running, seen: list[Seen]) -> None:
    opened(tab, one_room, seen)
    tab.click("[data-view=own]")
    expect(tab.locator("#certificate")).to_have_value("attacker-ca")
    tab.click("#listen")
    expect(tab.locator("#commands code")).to_have_count(2)
    _paste(tab, 0)
    verdict = tab.locator("#own-verdict strong")
    expect(verdict).to_have_text("aborted")
    _paste(tab, 1)
    expect(verdict).to_have_text("compromised")
    latest = tab.locator("#connections > li").first
    expect(latest).to_contain_text("It offered")
    expect(latest).to_contain_text("ClientHello: for localhost")
    expect(latest).to_contain_text("presents attacker-ca")
    expect(latest).to_contain_text("opens-nothing-")
    for name, begin in (("pcapng", b"\x0a\x0d\x0d\x0a"), ("events", b'{"event":')):
        with tab.expect_download() as download:
            tab.click(f"#own-captures a:text-is('{name}')")
        assert download.value.path().read_bytes().startswith(begin)
    # That the next one is refused takes nothing back.
    _paste(tab, 0)
    expect(tab.locator("#connections > li").first).to_contain_text("aborted")
    expect(verdict).to_have_text("compromised")
    tab.click("#stop")
    expect(tab.locator("#own-verdict")).to_be_hidden()
    expect(tab.locator("#connections > li")).to_have_count(0)
    # What was recorded is there until the next time.
    expect(tab.locator("#own-captures a")).to_have_count(3)


# Has what it is given in its metadata and its message.
_HOSTILE_CLIENT = """
import sys, grpc
target, text = sys.argv[1:]
with grpc.insecure_channel(target) as channel:
    call = channel.unary_unary("/shop.v1.Shop/<i>Order")
    metadata = [("x-note", text), ("authorization", "Bearer secret-of-mine")]
    try:
        call(text.encode(), timeout=10, metadata=metadata)
    except grpc.RpcError:
        pass
"""


def test_what_a_client_says_is_no_markup_and_its_secrets_are_masked(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    tab.click("[data-view=own]")
    tab.click("#listen")
    expect(tab.locator("#target")).to_be_visible()
    target = tab.locator("#target").inner_text()
    hostile = [sys.executable, "-c", _HOSTILE_CLIENT, target, HOSTILE]
    subprocess.run(hostile, check=True, capture_output=True, timeout=60)
    expect(tab.locator("#own-verdict strong")).to_have_text("exposed")
    expect(tab.locator("#connections")).to_contain_text(f"x-note: {HOSTILE}")
    expect(tab.locator("#planted")).to_have_count(0)
    expect(tab.locator("img")).to_have_count(0)
    expect(tab.locator("#connections")).to_contain_text("masked")
    expect(tab.locator("body")).not_to_contain_text("secret-of-mine")


# ---- the class


def _report(one_room: Running, seat: str, **more: object) -> None:
    report = {"seat": seat, "exercise": "02-skip-verify", "state": "red", "tries": 1} | more
    assert Page(one_room.learners).post("", report).status == 204


def test_the_trainer_sees_who_is_stuck_as_it_happens(
    tab: "Tab", one_room: Running, seen: list[Seen]
) -> None:
    opened(tab, one_room, seen)
    tab.click("[data-view=class]")
    _report(one_room, "Ben")
    expect(tab.locator("#grid")).to_contain_text("Ben")
    expect(tab.locator("#stuck")).not_to_contain_text("Ben")
    _report(one_room, "Ben", tries=20, hints=2)
    expect(tab.locator("#stuck")).to_contain_text("Ben is stuck at 02-skip-verify")
    _report(one_room, "Ben", tries=21, state="green")
    expect(tab.locator("#stuck")).not_to_contain_text("Ben")
    _report(one_room, HOSTILE[:40])
    expect(tab.locator("#grid")).to_contain_text(HOSTILE[:40])
    expect(tab.locator("img")).to_have_count(0)


def test_without_a_class_there_is_no_view_of_it(tab: "Tab") -> None:
    with room() as running_room:
        opened(tab, running_room, [])
        expect(tab.locator("[data-view=own]")).to_be_visible()
        expect(tab.locator("[data-view=class]")).to_be_hidden()


# ---- pages of somebody else's


_PAGE_OF_ANOTHER = """<!doctype html><iframe src='URL' id=frame></iframe>
<script src='URLroom.js'></script>
<script>
const send = (mode, type) => ['play', 'reset'].map((what) => fetch('URL' + what, {
  method: 'POST', mode, headers: {'Content-Type': type}, body: '{"scenario": "insecure"}',
}));
Promise.allSettled([...send('no-cors', 'text/plain'), ...send('cors', 'application/json')])
  .finally(() => { document.title = 'done'; });
</script>
"""


@pytest.fixture
def another(one_room: Running) -> Iterator[str]:
    """The address of a page on another port of this machine, which knows the token, even."""
    document = _PAGE_OF_ANOTHER.replace("URL", one_room.pages[0].url).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_page_of_somebody_elses_can_neither_frame_nor_ask_nor_send(
    tab: "Tab", one_room: Running, another: str
) -> None:
    page = one_room.pages[0]
    page.post("reset")
    answers = []
    tab.on("response", lambda answer: answers.append((answer.url, answer.status)))
    tab.goto(another)
    expect(tab).to_have_title("done")
    told = {status for each, status in answers if each.startswith(page.url)}
    assert told <= {403}
    assert told
    assert tab.frame_locator("#frame").locator("#stage").count() == 0
    page.post("reset")
    assert "begun" not in [each["kind"] for each in page.until("cleared")]


@pytest.mark.usefixtures("chromium")
def test_the_picture_is_made_of_a_real_playing(tmp_path: Path) -> None:
    file = tmp_path / "room.png"
    result = run(sys.executable, "-m", "docs.room_picture", file)
    assert result.code == 0, result.err
    shown = Path(__file__).parents[2] / "docs" / "room.png"
    # Width and height of a PNG (RFC 2083 section 4.1.1).
    assert file.read_bytes()[16:24] == shown.read_bytes()[16:24]
