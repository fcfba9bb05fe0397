"""Events on disk: nothing lost on the way there and back, nothing for other eyes."""

import asyncio
import json
import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from mitm.capture import JsonLines
from mitm.errors import UserError
from mitm.events import AnyEvent, Event
from tests.capture.samples import SAMPLES
from tests.proxy.stage import LOOPS

_decode = msgspec.json.Decoder(AnyEvent).decode


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("event", SAMPLES, ids=[type(event).__name__ for event in SAMPLES])
def test_an_event_comes_back_as_it_was(event: Event, tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "events.jsonl")
    log(event)
    log.close()
    (line,) = (tmp_path / "events.jsonl").read_bytes().splitlines()
    assert _decode(line) == event


def test_there_is_a_sample_of_every_kind_of_event() -> None:
    assert {type(event) for event in SAMPLES} == set(AnyEvent.__args__)


def test_a_line_is_one_object_that_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = JsonLines(path)
    for event in SAMPLES:
        log(event)
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines][:3] == ["scenario-started", "issued", "renewed"]
    assert len(lines) == len(SAMPLES)


def test_a_line_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = JsonLines(path)
    for count, event in enumerate(SAMPLES, 1):
        log(event)
        lines = path.read_bytes().splitlines(keepends=True)
        assert len(lines) == count
        assert lines[-1].endswith(b"\n")
    log.close()


def test_the_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        JsonLines(tmp_path / "events.jsonl").close()
    finally:
        os.umask(before)
    assert _mode(tmp_path / "events.jsonl") == 0o600


def test_a_file_that_was_there_is_written_anew_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("old\n")
    path.chmod(0o644)
    JsonLines(path).close()
    assert path.read_text() == ""
    assert _mode(path) == 0o600


def test_a_device_keeps_its_mode_and_can_be_written_to() -> None:
    before = _mode(Path("/dev/null"))
    log = JsonLines(Path("/dev/null"))
    log(SAMPLES[0])
    log.close()
    assert log.lost == 0
    assert _mode(Path("/dev/null")) == before


def test_a_full_disk_loses_events_counts_them_and_stops_nothing() -> None:
    log = JsonLines(Path("/dev/full"))
    for event in SAMPLES:
        log(event)
    log.close()
    assert log.lost == len(SAMPLES)


@contextmanager
def _files_no_longer_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_half_line_stays_when_the_disk_fills_up_in_the_middle_of_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = JsonLines(path)
    log(SAMPLES[0])
    room = path.stat().st_size + 20
    with _files_no_longer_than(room):
        log(SAMPLES[1])
        assert log.lost == 1
    assert [_decode(line) for line in path.read_bytes().splitlines()] == [SAMPLES[0]]
    log(SAMPLES[2])  # there is room again
    log.close()
    assert log.lost == 1
    assert [_decode(line) for line in path.read_bytes().splitlines()] == [SAMPLES[0], SAMPLES[2]]


@pytest.mark.parametrize(
    ("where", "why"), [("nowhere/events.jsonl", "No such file"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_made_is_named(where: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=why) as refusal:
        JsonLines(tmp_path / where)
    assert str(tmp_path) in str(refusal.value)


@pytest.mark.parametrize("new_loop", LOOPS.values(), ids=LOOPS)
def test_in_a_loop_the_events_of_a_moment_are_on_disk_before_anybody_who_waits_goes_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    log = JsonLines(path)
    here, there = socket.socketpair()

    async def write() -> list[bytes]:
        loop = asyncio.get_running_loop()
        # Something that can be read already.
        readable = asyncio.Event()
        there.send(b"x")
        loop.add_reader(here, readable.set)
        for event in SAMPLES:
            log(event)
        await readable.wait()
        loop.remove_reader(here)
        return path.read_bytes().splitlines()

    with here, there, asyncio.Runner(loop_factory=new_loop) as runner:
        here.setblocking(False)
        lines = runner.run(write())
    log.close()
    assert [_decode(line) for line in lines] == SAMPLES
    assert log.lost == 0


def test_what_the_loop_had_not_come_to_is_written_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    async def write() -> None:
        log = JsonLines(path)
        for event in SAMPLES:
            log(event)
        log.close()
        await asyncio.sleep(0)

    asyncio.run(write())
    assert [_decode(line) for line in path.read_bytes().splitlines()] == SAMPLES


def test_each_event_that_is_lost_with_others_is_counted() -> None:
    log = JsonLines(Path("/dev/full"))

    async def write() -> None:
        for event in SAMPLES:
            log(event)

    asyncio.run(write())
    log.close()
    assert log.lost == len(SAMPLES)
    assert log.loss.startswith(f"{len(SAMPLES)} events could not be written to /dev/full")


def test_one_moment_may_be_longer_than_what_is_gathered(tmp_path: Path) -> None:
    """A moment of many events is written in pieces: no more is held than a piece."""
    path = tmp_path / "events.jsonl"
    held = []

    async def write() -> None:
        log = JsonLines(path)
        for _ in range(100):
            written = path.stat().st_size
            for event in SAMPLES:
                log(event)
            held.append(path.stat().st_size > written)
        log.close()

    asyncio.run(write())
    assert any(held)
    lines = path.read_bytes().splitlines()
    assert [_decode(line) for line in lines] == SAMPLES * 100
