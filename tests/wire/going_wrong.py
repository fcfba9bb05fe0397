"""What two sides say, gone wrong: bytes changed, lost and repeated, and frames of any kind."""

from collections.abc import Sequence

from hypothesis import strategies as st

from mitm.events import Direction

Part = tuple[Direction, bytes]

sides: st.SearchStrategy[Direction] = st.sampled_from(["client", "server"])

_MUTATIONS = ["change", "insert", "delete", "repeat", "drop", "turn"]


@st.composite
def mutated(draw: st.DrawFn, said: Sequence[Part], fewest: int = 1) -> list[Part]:
    """What was said, with up to four things wrong.

    Args:
        said: by whom, and what.
        fewest: things that are wrong, at least.
    """
    parts = list(said)
    for _ in range(draw(st.integers(fewest, 4))):
        number = draw(st.integers(0, len(parts) - 1))
        direction, data = parts[number]
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(_MUTATIONS)):
            case "change" if at < len(data):
                data = data[:at] + draw(st.binary(min_size=1, max_size=1)) + data[at + 1 :]
            case "insert":
                data = data[:at] + draw(st.binary(max_size=20)) + data[at:]
            case "delete":
                data = data[:at] + data[at + draw(st.integers(1, 20)) :]
            case "repeat":
                data += data
            case "drop":
                data = b""
            case "turn":
                direction = "server" if direction == "client" else "client"
        parts[number] = direction, data
    return parts


@st.composite
def any_frames(draw: st.DrawFn) -> bytes:
    """A frame of any type, any flags, on a stream that may exist."""
    payload = draw(st.one_of(st.binary(max_size=40), st.sampled_from([b"\x82\x87", 8 * b"\0"])))
    type_ = draw(st.integers(0, 11))
    flags = draw(st.one_of(st.sampled_from([0, 1, 4, 5]), st.integers(0, 255)))
    stream = draw(st.sampled_from([0, 1, 1, 2, 3]))
    return (
        len(payload).to_bytes(3, "big")
        + bytes([type_, flags])
        + stream.to_bytes(4, "big")
        + payload
    )
