"""Events are read back as they were written, and damage is named by its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.capture import JsonLines, read_events
from mitm.errors import UserError
from mitm.events import Event
from tests.capture.samples import SAMPLES


@pytest.fixture
def lines(tmp_path: Path) -> list[bytes]:
    log = JsonLines(tmp_path / "events.jsonl")
    for event in SAMPLES:
        log(event)
    log.close()
    return (tmp_path / "events.jsonl").read_bytes().splitlines(keepends=True)


def _read(lines: list[bytes]) -> tuple[list[Event], str]:
    """The events that could be read, and what was wrong with the rest."""
    found = []
    try:
        for event in read_events(lines, "the file"):
            found.append(event)
    except UserError as error:
        return found, str(error)
    return found, ""


def test_what_was_written_is_read_back(lines: list[bytes]) -> None:
    assert _read(lines) == (SAMPLES, "")
    assert _read([]) == ([], "")


def test_a_last_line_that_is_whole_but_for_its_end_is_read(lines: list[bytes]) -> None:
    assert _read([*lines[:-1], lines[-1].rstrip(b"\n")]) == (SAMPLES, "")


def test_a_last_line_that_is_cut_is_told_after_the_others(lines: list[bytes]) -> None:
    found, problem = _read([*lines[:-1], lines[-1][:-10]])
    assert found == SAMPLES[:-1]
    assert problem.startswith(f"the file: line {len(lines)} is cut off: ")


@pytest.mark.parametrize(
    "line",
    [b"\n", b"not JSON\n", b"{}\n", b'{"event": "made-up", "time": 0}\n', b"\xff\xfe\n", b"[]\n"],
)
def test_a_line_that_is_no_event_is_named_and_ends_the_reading(
    lines: list[bytes], line: bytes
) -> None:
    found, problem = _read([lines[0], line, *lines[1:]])
    assert found == SAMPLES[:1]
    assert problem.startswith("the file: line 2 is no event: ")
    assert "\n" not in problem


@given(st.lists(st.binary(max_size=60).map(lambda line: line + b"\n"), max_size=4))
def test_whatever_a_file_holds_is_read_or_refused_in_words(lines: list[bytes]) -> None:
    _read(lines)


def test_an_event_is_given_before_the_next_line_is_asked_for(lines: list[bytes]) -> None:
    source = iter(lines)
    reader = read_events(source, "the file")
    assert next(reader) == SAMPLES[0]
    assert next(source) == lines[1]


def test_a_file_that_cannot_be_read_any_more_is_told() -> None:
    class Broken:
        def __iter__(self) -> "Broken":
            return self

        def __next__(self) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(UserError, match="cannot read the file: Input/output error"):
        list(read_events(Broken(), "the file"))
