"""Bytes come off a socket cut anywhere: the same bytes, in pieces."""

from collections.abc import Iterator

from hypothesis import strategies as st

# Where to cut; more cuts than bytes do no harm.
cuts = st.lists(st.integers(0, 2000), max_size=30)


def pieces(data: bytes, where: list[int]) -> Iterator[bytes]:
    """The bytes, cut at these places."""
    start = 0
    for place in sorted(where):
        if place > len(data):
            break
        yield data[start:place]
        start = place
    yield data[start:]
