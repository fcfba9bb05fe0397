"""Messages out of the content of DATA frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.messages.status import status_name
from mitm.wire.frames import ProtocolError
from mitm.wire.grpc import (
    MAX_IN_FRAME,
    MAX_MESSAGE_SIZE,
    TRUNCATED_SIZE,
    Budget,
    MessageReader,
    RawMessage,
    is_grpc,
)
from tests.cutting import cuts, pieces
from tests.wire.conversation import message

_MIB = 1024 * 1024


def _prefix(size: int) -> bytes:
    return b"\0" + size.to_bytes(4, "big")


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans())), cuts)
def test_messages_come_out_as_they_were_sent_however_frames_cut_them(
    sent: list[tuple[bytes, bool]], where: list[int]
) -> None:
    budget = Budget()
    reader = MessageReader(budget)
    wire = b"".join(message(data, compressed=compressed) for data, compressed in sent)
    read = [raw for piece in pieces(wire, where) for raw in reader.feed(piece)]
    assert read == [RawMessage(compressed, len(data), data, False) for data, compressed in sent]
    assert budget.used == 0


def test_an_empty_message_is_a_message() -> None:
    assert MessageReader(Budget()).feed(message(b"")) == [RawMessage(False, 0, b"", False)]


def test_a_message_is_kept_whole_up_to_the_limit() -> None:
    data = MAX_MESSAGE_SIZE * b"x"
    (raw,) = MessageReader(Budget()).feed(message(data))
    assert raw == RawMessage(False, len(data), data, False)


@pytest.mark.parametrize("chunk", [1000, _MIB, 8 * _MIB])
def test_a_longer_message_is_counted_and_its_beginning_kept(chunk: int) -> None:
    budget = Budget()
    reader = MessageReader(budget)
    data = bytes(range(256)) * (MAX_MESSAGE_SIZE // 256) + b"!"
    wire = message(data) + message(b"next")
    read: list[RawMessage] = []
    for start in range(0, len(wire), chunk):
        read += reader.feed(wire[start : start + chunk])
        assert budget.used <= TRUNCATED_SIZE
    long, following = read
    assert long == RawMessage(False, len(data), data[:TRUNCATED_SIZE], True)
    assert following.data == b"next"
    assert budget.used == 0


def test_half_received_messages_of_a_connection_share_one_budget() -> None:
    budget = Budget(100_000)
    readers = [MessageReader(budget) for _ in range(20)]
    for reader in readers:
        reader.feed(_prefix(10_000) + 9_000 * b"a")
        assert budget.used <= 100_000
    read = [raw for reader in readers for raw in reader.feed(1_000 * b"b")]
    assert [raw.size for raw in read] == 20 * [10_000]
    assert read[0].data == 9_000 * b"a" + 1_000 * b"b"
    cut = [raw for raw in read if raw.truncated]
    assert cut
    for raw in cut:
        assert len(raw.data) <= TRUNCATED_SIZE
    assert budget.used == 0


def test_of_a_cut_message_the_first_bytes_are_kept_even_when_room_comes_back() -> None:
    budget = Budget(100)
    other, reader = MessageReader(budget), MessageReader(budget)
    other.feed(_prefix(200) + 100 * b"o")
    reader.feed(_prefix(30) + 10 * b"1")  # no room for these
    other.close()
    reader.feed(10 * b"2")
    (raw,) = reader.feed(10 * b"3")
    assert raw.truncated
    assert raw.data == b""


def test_what_is_held_of_an_unfinished_message_is_given_back() -> None:
    budget = Budget()
    reader = MessageReader(budget)
    reader.feed(_prefix(1000) + 500 * b"x")
    assert budget.used == 500
    reader.close()
    assert budget.used == 0


def test_a_compressed_flag_that_is_none_is_refused() -> None:
    with pytest.raises(ProtocolError, match="unknown flags 0x02"):
        MessageReader(Budget()).feed(b"\x02\0\0\0\0")


def test_a_frame_may_not_become_millions_of_events() -> None:
    assert len(MessageReader(Budget()).feed(MAX_IN_FRAME * message(b""))) == MAX_IN_FRAME
    with pytest.raises(ProtocolError):
        MessageReader(Budget()).feed((MAX_IN_FRAME + 1) * message(b""))


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("0", "OK"),
        ("5", "NOT_FOUND"),
        ("16", "UNAUTHENTICATED"),
        ("17", "17"),
        ("-1", "-1"),
        ("", ""),
        ("²", "²"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_status_goes_by_its_name_if_it_has_one(number: str, name: str) -> None:
    assert status_name(number) == name


@pytest.mark.parametrize(
    ("content_type", "carries"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc;charset=utf-8", True),
        ("application/grpc-web", False),
        ("application/grpc-web+proto", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_grpc_is_told_by_its_content_type(content_type: str, carries: bool) -> None:
    assert is_grpc(content_type) == carries
