"""What is recorded: whole, bounded, and nothing else is given."""

from pathlib import Path

import pytest

from mitm.events import Connected
from mitm.room.captures import EVENTS, NAMES, Captures, file_in
from mitm.room.feed import Feed
from mitm.room.own import OwnClient


def test_a_client_in_a_loop_fills_no_disk_and_that_is_told(tmp_path: Path) -> None:
    captures = Captures(tmp_path, limit=1000)
    for number in range(1000):
        captures(Connected(time=1.0, connection=number, client="127.0.0.1:1"))
    captures.close()
    recorded = (tmp_path / EVENTS).read_bytes()
    assert 900 < len(recorded) <= 1000
    assert recorded.endswith(b"}\n")
    (told,) = captures.losses
    assert "it may have 1000 bytes" in told


def test_what_fits_is_all_there(tmp_path: Path) -> None:
    captures = Captures(tmp_path)
    captures(Connected(time=1.0, connection=1, client="127.0.0.1:1"))
    captures.close()
    assert captures.losses == ()
    assert {path.name for path in tmp_path.iterdir()} == {*NAMES}


@pytest.mark.parametrize("name", ["", ".", "..", "ca.pem", "../ca.pem", "events.jsonl/"])
def test_no_other_file_is_given(tmp_path: Path, name: str) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / EVENTS).touch()
    assert file_in(tmp_path, name) is None
    assert file_in(tmp_path, EVENTS) == tmp_path / EVENTS


def test_what_was_never_recorded_or_was_removed_is_none(tmp_path: Path) -> None:
    assert OwnClient(Feed(), tmp_path).capture(EVENTS) is None
    assert file_in(tmp_path, EVENTS) is None
