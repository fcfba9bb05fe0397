"""The end of `mitm-demo run`: one screen of a projector, from which nothing has scrolled away."""

import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from io import StringIO
from struct import pack
from termios import ICANON, TIOCSWINSZ, tcgetattr
from typing import cast

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from mitm.capture.wording import mood_of
from mitm.cli import report, screen
from mitm.cli.large_letters import in_large_letters
from mitm.lab.picture import LegPicture, Picture, Said
from mitm.lab.scenario import load_scenario, scenarios
from mitm.verdict import GENUINE_VERDICTS, INTERCEPTED_VERDICTS, Verdict
from tests.programs import LIMIT, MITM_DEMO, mitm_demo, refused

SIZES = [(80, 24), (100, 30)]

READ = (
    Said("/users.v1.UserService/GetUser", "harm"),
    Said("authorization: Bearer opens-nothing-0123abcd", "harm"),
    Said("asked: id: 1", "harm"),
    Said("answered: id: 1, name: Nicolas, email: nicolas@example.com", "harm"),
)
BELIEVED = (
    Said("that it has an encrypted connection to its server"),
    Said("that its server answered id: 1, name: Nicolas, email: nicolas@example.com"),
)


def scripted(name: str) -> Picture:
    """A scenario as it comes out where everything is as its script says."""
    scenario = load_scenario(name)
    legs = tuple(
        LegPicture(
            leg=leg.leg,
            path=leg.path,
            policy=leg.policy,
            verdict=cast("Verdict", leg.expected),
            mood=mood_of(leg.expected),
            reason="the client sent application data over the forged certificate, and it was "
            "decrypted; the client believed an altered answer",
            expected=leg.expected,
            believed=BELIEVED,
            read=READ if leg.expected in ("compromised", "exposed") else (Said("nothing", "good"),),
        )
        for leg in scenario.script()
    )
    order = (*INTERCEPTED_VERDICTS, *GENUINE_VERDICTS)
    shown = min(range(len(legs)), key=lambda n: order.index(cast("Verdict", legs[n].verdict)))
    return Picture(
        scenario=name,
        title=scenario.title,
        client="Node.js, @grpc/grpc-js",
        cast=(),
        legs=legs,
        shown=shown,
        verdict=cast("Verdict", legs[shown].verdict),
        mood=legs[shown].mood,
        as_scripted=True,
        point=scenario.point,
        fix=scenario.fix,
        how_to_fix="",
        next="mutual-tls-skip-verify",
    )


def shown(picture: Picture, width: int, height: int, *, no_color: bool = False) -> list[str]:
    """Its lines on a terminal, without colours."""
    out = StringIO()
    console = Console(
        file=out, width=width, height=height, force_terminal=True, highlight=False, markup=False,
        color_system="256", no_color=no_color,
    )  # fmt: skip
    screen.show(console, picture)
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()).splitlines()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_fits_on_a_screen_with_all_that_counts(
    name: str, width: int, height: int
) -> None:
    picture = scripted(name)
    lines = shown(picture, width, height)
    assert len(lines) < height
    assert all(cell_len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    for said in (picture.title, picture.point, picture.fix, "Next: mitm-demo run mutual-tls-skip"):
        assert said in text
    paths = [line for line in lines if line.startswith(("control  ", "attack  "))]
    assert len(paths) == len(picture.legs)
    for line, leg in zip(paths, picture.legs, strict=True):
        assert line.endswith(f"  {leg.verdict}")
    assert "THE ATTACKER READ" in text
    if picture.mood == "harm":
        assert "authorization: Bearer opens-nothing-0123abcd" in text
    # A block has the width of the screen: the verdict, in its letters or in large ones.
    word = picture.verdict.upper()
    (first, *_) = in_large_letters(word)
    large = any(first in line for line in lines)
    assert large or any(line.strip() == " ".join(word) for line in lines)
    if len(picture.legs) == 2:
        assert large


@pytest.mark.parametrize("word", [*GENUINE_VERDICTS, *INTERCEPTED_VERDICTS])
def test_every_verdict_can_be_written_large(word: str) -> None:
    lines = in_large_letters(word.upper())
    assert len({len(line) for line in lines}) == 1
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("width", "height"), [(40, 12), (20, 8), (72, 10), (60, 100)])
def test_on_a_small_terminal_less_is_read_and_nothing_breaks(width: int, height: int) -> None:
    lines = shown(scripted("skip-verify"), width, height)
    assert all(cell_len(line) <= max(width, 44) for line in lines)
    assert any("compromised" in line for line in lines)


def test_without_colours_the_verdict_stands_between_lines() -> None:
    lines = shown(scripted("skip-verify"), 80, 24, no_color=True)
    at = next(n for n, line in enumerate(lines) if line.strip() == "C O M P R O M I S E D")
    assert lines[at - 1] == lines[at + 1] == "═" * 80


def test_what_a_control_does_not_bear_out_is_nothing_good() -> None:
    picture = scripted("ca-file")
    assert "\x1b[1;38;5;231;48;5;28m" in _coloured(picture)
    legs = (
        picture.legs[0],
        msgspec.structs.replace(picture.legs[1], proved=False, mood="caution"),
    )
    unproved = msgspec.structs.replace(
        picture, legs=legs, mood="caution", as_scripted=False, point="", fix=""
    )
    told = _coloured(unproved)
    assert "48;5;28m" not in told
    assert "the attack proves nothing" in " ".join(told.split())


def _coloured(picture: Picture) -> str:
    out = StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=True, color_system="256")
    screen.show(console, picture)
    return out.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_a_run_ends_with_one_screen(size: tuple[int, int]) -> None:
    width, height = size
    with _on_a_terminal(size, "run", "skip-verify") as (terminal, process):
        said = _until_it_ends(terminal)
        assert process.wait(LIMIT) == 0
    lines = _plain(said).split("\r\n")
    assert len(lines) <= height
    assert in_large_letters("COMPROMISED")[0] in _plain(said)
    assert max(map(cell_len, lines)) <= width


def test_details_come_before_the_screen() -> None:
    told = mitm_demo("run", "skip-verify", "--details").out
    brief = mitm_demo("run", "skip-verify").out
    order = ["presents attacker-ca", "Evidence", "How to fix it", "CLIENT BELIEVED"]
    places = [told.index(words) for words in order]
    assert places == sorted(places)
    assert len(brief.splitlines()) < 30 < len(told.splitlines())
    assert "presents attacker-ca" not in brief
    for out in (told, brief):
        assert "C O M P R O M I S E D" in out
        assert "Fix: Give the client the CA's certificate beforehand" in out
        assert out.endswith("Next: mitm-demo run no-ca\n")


def test_a_speaker_goes_on_at_a_key() -> None:
    verdict = in_large_letters("COMPROMISED")[0]
    with _on_a_terminal((100, 30), "run", "skip-verify", "--step") as (terminal, process):
        said = _until(terminal, "attacker ──▶ server")
        assert "THE ATTACKER READ" not in said
        _press(terminal, b" ")
        said += _until(terminal, "Nicolas")
        assert verdict not in said
        _press(terminal, b" ")
        said += _until(terminal, verdict)
        assert "Fix:" not in said
        _press(terminal, b" ")
        assert "Fix:" in _until_it_ends(terminal)
        assert process.wait(LIMIT) == 0


def test_a_speaker_can_leave() -> None:
    with _on_a_terminal((100, 30), "run", "skip-verify", "--step") as (terminal, process):
        _until(terminal, "attacker ──▶ server")
        _press(terminal, b"\x03")
        assert "Traceback" not in _until_it_ends(terminal)
        assert process.wait(LIMIT) in (130, -signal.SIGINT)


def test_a_key_takes_a_terminal() -> None:
    assert "--step waits for a key" in refused(mitm_demo("run", "skip-verify", "--step"))


def test_code_in_a_lesson_has_no_box_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    console = report.console()
    with console.capture() as captured:
        console.print(report.markdown(load_scenario("skip-verify").lesson))
    grounds = re.findall(r"\x1b\[(?:[\d;]*;)?(?:4[0-7]|48;[\d;]+|10[0-7])m", captured.get())
    assert not grounds


@contextmanager
def _on_a_terminal(
    size: tuple[int, int], *words: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    width, height = size
    leader, follower = pty.openpty()
    ioctl(follower, TIOCSWINSZ, pack("HHHH", height, width, 0, 0))
    environment = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")
    } | {"TERM": "xterm-256color"}
    process = subprocess.Popen(
        [MITM_DEMO, *words], stdin=follower, stdout=follower, stderr=subprocess.DEVNULL,
        env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    try:
        yield leader, process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(leader)


def _press(terminal: int, key: bytes) -> None:
    """Press a key, once one is waited for: what is typed before that is thrown away."""
    end = time.monotonic() + LIMIT
    while tcgetattr(terminal)[3] & ICANON and time.monotonic() < end:
        os.sched_yield()
    os.write(terminal, key)


def _until(terminal: int, words: str) -> str:
    """What is said up to these words, and with them."""
    said = b""
    end = time.monotonic() + LIMIT
    while words not in _plain(said.decode(errors="replace")) and time.monotonic() < end:
        said += os.read(terminal, 65536)
    return _plain(said.decode(errors="replace"))


def _until_it_ends(terminal: int) -> str:
    said = b""
    with suppress(OSError):
        while more := os.read(terminal, 65536):
            said += more
    return said.decode(errors="replace").removesuffix("\r\n")


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)
