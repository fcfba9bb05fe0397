"""Events on disk: nothing lost on the way there and back, nothing for other eyes."""

import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from mitm.capture import JsonLines
from mitm.errors import UserError
from mitm.events import AnyEvent, Event
from tests.capture.samples import SAMPLES

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
    assert [line["event"] for line in lines][:3] == ["scenario-started", "leg-started", "leg-ended"]
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
