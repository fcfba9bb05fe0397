"""Robots in the seats of `mitm-demo room`: python -m bench.room [--seats 30] [--browser]

Each opens its page and what that loads, and looks at its stage by server-sent events. All of them
press play at once, and then again and reset in the middle. What it prints is for docs/room.md.
"""

import argparse
import asyncio
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median, quantiles
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bench import usage, ways
from mitm.errors import UserError

SCENARIO = "skip-verify"

# Seconds between two looks at the memory.
_EVERY = 0.05

# Seconds after which a robot gives up.
_LATE = 600.0


class Seen(NamedTuple):
    """A record that has come to a robot.

    Attributes:
        at: when it came, in seconds since the epoch.
        record: what it says.
    """

    at: float
    record: dict[str, Any]


class Robot:
    """Sits in one seat.

    Args:
        url: of its page.

    Attributes:
        seen: what its page was told, in order.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.seen: list[Seen] = []
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._path = parts.path
        self._news = asyncio.Event()

    async def ask(self, method: str, what: str, body: object = None) -> bytes:
        """Ask for something, and give what was answered.

        Raises:
            UserError: it was refused.
        """
        reader, writer = await asyncio.open_connection(self._host, self._port)
        sent = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {self._path}{what} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(sent)}\r\n\r\n"
        )
        writer.write(head.encode() + sent)
        answer = await reader.read()
        writer.close()
        status = int(answer.split(b" ", 2)[1])
        if status >= 400:
            raise UserError(f"{method} {what}: {answer.decode(errors='replace')}")
        return answer.partition(b"\r\n\r\n")[2]

    async def load(self) -> None:
        """Load the page as a browser does."""
        await self.ask("GET", "")
        for name in ("house.css", "room.css", "room.js", "choices"):
            await self.ask("GET", name)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look at the stage while the block lasts."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        head = f"GET {self._path}events HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n"
        writer.write(head.encode())
        task = asyncio.create_task(self._look(reader))
        try:
            yield
        finally:
            task.cancel()
            writer.close()

    async def _look(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line.startswith(b"data:"):
                self.seen.append(Seen(time.time(), json.loads(line[5:])))
                self._news.set()

    async def until(self, *kinds: str, after: int = 0) -> Seen:
        """Wait for a record of one of these kinds, and give it.

        Args:
            after: how many records are passed over.
        """
        async with asyncio.timeout(_LATE):
            while True:
                for seen in self.seen[after:]:
                    if seen.record["kind"] in kinds:
                        return seen
                self._news.clear()
                await self._news.wait()

    def delays(self) -> list[float]:
        """Seconds between what has happened and its coming here, of all events."""
        return [seen.at - seen.record["at"] for seen in self.seen if seen.record.get("at")]


async def measure(seats: int, browser: bool) -> int:
    """Fill a room with robots, and print what came of it."""
    began = time.monotonic()
    process = _started(seats)
    try:
        robots = [Robot(url) for url in _addresses(process)]
        printed = time.monotonic() - began
        await asyncio.gather(*(robot.load() for robot in robots))
        _print(f"{seats} pages are loaded after", time.monotonic() - began)
        _print("  of which the room itself has taken", printed)
        looking = [robot.looking() for robot in robots]
        for each in looking:
            await each.__aenter__()
        idle = usage.resident_mib(process.pid)
        print(f"resident with {seats} pages open: {idle:.0f} MiB, {idle / seats:.1f} MiB a seat")
        memory = asyncio.create_task(_most(process.pid))
        await _alone(robots[0])
        await _all_play(robots)
        await _all_reset(robots)
        memory.cancel()
        most = await asyncio.gather(memory, return_exceptions=True)
        peak = most[0] if isinstance(most[0], float) else 0.0
        print(
            f"at the most, with all that it started: {peak:.0f} MiB, {peak / seats:.1f} MiB a seat"
        )
        for each in looking:
            await each.__aexit__(None, None, None)
        if browser:
            await asyncio.to_thread(_in_a_browser, robots[0].url)
    finally:
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        process.wait(30)
        _print("Ctrl-C to the end", time.monotonic() - begun)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        _print("CPU of all that", used.ru_utime + used.ru_stime)
    return 0


def _started(seats: int) -> "subprocess.Popen[str]":
    command = [ways.program(), "room", "--seats", str(seats)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _addresses(process: "subprocess.Popen[str]") -> list[str]:
    assert process.stdout
    found: list[str] = []
    for line in process.stdout:
        if "://" not in line:
            return found
        found.append(line.split()[-1])
    raise UserError("mitm-demo room has not started")


async def _most(pid: int) -> float:
    """The most memory that is resident, until this is cancelled."""
    most = 0.0
    try:
        while True:
            most = max(most, usage.resident_mib(pid))
            await asyncio.sleep(_EVERY)
    except asyncio.CancelledError:
        return most


async def _alone(robot: Robot) -> None:
    """One plays, and all others look on."""
    pressed = time.time()
    await robot.ask("POST", "play", {"scenario": SCENARIO})
    first = await robot.until("leg")
    over = await robot.until("over")
    _print("one plays: its first leg begins after", first.at - pressed)
    _print("  it is over after", over.at - pressed)
    _delays("  an event is there after", robot.delays())
    robot.seen.clear()


async def _all_play(robots: list[Robot]) -> None:
    """All press play at once."""
    pressed = time.time()
    await asyncio.gather(*(robot.ask("POST", "play", {"scenario": SCENARIO}) for robot in robots))
    shown = [(await robot.until("begun")).at - pressed for robot in robots]
    _delays("all play: that it is begun is on the page after", shown)
    legs = [(await robot.until("leg")).at - pressed for robot in robots]
    _delays("  the first leg begins after", legs)
    over = [(await robot.until("over", "failed")) for robot in robots]
    if failed := [seen.record for seen in over if seen.record["kind"] == "failed"]:
        raise UserError(f"{len(failed)} could not be played: {failed[0]}")
    _delays("  it is over after", [seen.at - pressed for seen in over])
    _delays("  an event is there after", [d for robot in robots for d in robot.delays()])
    for robot in robots:
        robot.seen.clear()


async def _all_reset(robots: list[Robot]) -> None:
    """All press play, and then reset in the middle of that."""
    await asyncio.gather(*(robot.ask("POST", "play", {"scenario": SCENARIO}) for robot in robots))
    await robots[0].until("leg")
    pressed = time.time()
    await asyncio.gather(*(robot.ask("POST", "reset", {}) for robot in robots))
    cleared = [(await robot.until("cleared")).at - pressed for robot in robots]
    _delays("all reset in the middle: the stage is empty after", cleared)
    places = [len(robot.seen) for robot in robots]
    pressed = time.time()
    await robots[0].ask("POST", "play", {"scenario": SCENARIO})
    leg = await robots[0].until("leg", after=places[0])
    _print("  and the next one's first leg begins after", leg.at - pressed)
    await robots[0].until("over", after=places[0])


# Tells when each row of the stage has been painted, and when that happened that it tells of.
_WATCH = """() => {
  window.delays = [];
  window.seen = new Set();
  new MutationObserver((changes) => {
    const rows = changes.flatMap((each) => [...each.addedNodes]).filter((each) => each.dataset?.at);
    requestAnimationFrame(() => setTimeout(() => {
      const now = (performance.timeOrigin + performance.now()) / 1000;
      for (const { dataset } of rows) {
        // At the end of a leg they are drawn once more.
        if (window.seen.has(dataset.at)) continue;
        window.seen.add(dataset.at);
        window.delays.push(now - Number(dataset.at));
      }
    }));
  }).observe(document.getElementById('rows'), { childList: true });
}"""


def _in_a_browser(url: str) -> None:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(url)
        page.click("#reset")
        page.evaluate(_WATCH)
        page.select_option("#scenario", SCENARIO)
        page.click("#play:enabled")
        page.wait_for_selector("#captures:not([hidden])", timeout=_LATE * 1000)
        _delays("in Chromium, an event is painted after", page.evaluate("window.delays"))
        chromium.close()


def _print(what: str, seconds: float) -> None:
    print(f"{what} {seconds:.2f} s", flush=True)


def _delays(what: str, seconds: list[float]) -> None:
    """The middle, the 95th percentile and the most of many."""
    ninety_five = quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
    told = " / ".join(f"{each:.3f}" for each in (median(seconds), ninety_five, max(seconds)))
    print(f"{what} {told} s (median / 95 % / most)", flush=True)


def main() -> int:
    """Measure; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seats", type=int, default=30)
    parser.add_argument("--browser", action="store_true", help="look with a real Chromium, too")
    options = parser.parse_args()
    try:
        return asyncio.run(measure(options.seats, options.browser))
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
