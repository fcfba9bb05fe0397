"""Reads events back from a file."""

from collections.abc import Iterable, Iterator

import msgspec

from mitm.errors import UserError
from mitm.events import AnyEvent, Event


def read_events(lines: Iterable[bytes], name: str) -> Iterator[Event]:
    """Read events one by one, as their lines come.

    Args:
        lines: of a file of `--events`.
        name: of the file, for messages.

    Raises:
        UserError: a line is no event. Those before it were given.
    """
    decode = msgspec.json.Decoder(AnyEvent).decode
    count = 0
    try:
        for line in lines:
            count += 1
            yield decode(line)
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "no event" if line.endswith(b"\n") else "cut off"
        raise UserError(f"{name}: line {count} is {what}: {error}") from None
