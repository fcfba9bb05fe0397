"""How much is told of messages: a few bytes on the wire can mean very many in an event.

And how long may be looked at one: whoever reads it holds up the relay, and all calls in it.
"""

import base64

# Bytes of JSON that are told of one message, at most: eight times what the longest one has
# (MAX_MESSAGE_SIZE in mitm/wire/grpc.py), enough for a list of small messages with their names.
MAX_TOLD = 32 * 1024 * 1024

# How many are told of the first messages of a connection, whatever came over the wire; and what
# each message adds to that, up to the limit above, for its bytes on the wire and for itself. gzip
# makes text some 10 times shorter, and nothing more than 1,032 times (zlib's own figure): what
# exceeds this in the long run is no traffic that anybody reads.
FOR_THE_FIRST = 1024 * 1024
FOR_EACH_BYTE = 16
FOR_EACH_MESSAGE = 4 * 1024

# What a number takes with what stands around it; and what is counted for a field and for a message,
# beside what they say, for the time that it takes to read them: one microsecond, and some five.
FOR_A_NUMBER = 12
FOR_A_FIELD = 4
FOR_A_MESSAGE = 24

# How much more is told of fields that a message has but once, where others have used up the room.
OVERDRAFT = 1024

# Under this name, which no field can have, it is told how much of a value is not shown: elements
# of a list, fields of a message, characters of a text, bytes.
LEFT_OUT = "@left_out"

# Under this name it is told how many bytes of a message have not been looked at, because it has
# more fields than can be read while the relay waits.
NOT_READ = "@left_out_bytes"

# What is done for one message, in steps of about half a microsecond: some 10 ms, and no more than
# 20. A clock would do as well, but of the same bytes it would have something else told each time.
# It takes some to find a field, more to tell what it says, and more again for a message, even for
# one that is only tried.
MAX_STEPS = 20_000
STEPS_FOR_A_FIELD = 2
STEPS_FOR_A_VALUE = 2
STEPS_FOR_A_MESSAGE = 8

# Kept for a field that the type does not have, until those that it has are read.
STEPS_FOR_AN_UNKNOWN = 6

# Bytes that are copied, decoded or searched in one step.
BYTES_A_STEP = 2048

# A short text is looked at in less time than it takes to write it.
_SHORT = 64

# The longest escape of a character in JSON (RFC 8259 section 7), `\u0000`, and those that have it.
_LONGEST_ESCAPE = 6
_ESCAPED = bytes({*range(0x20)} - {*b"\t\n\r"})


class Room:
    """How much may still be told, and done.

    Attributes:
        left: bytes of JSON; less than none once it is used up.
        steps: what may still be done for the message that is being read, see `MAX_STEPS`.
    """

    __slots__ = ("left", "steps")

    def __init__(self, left: int = MAX_TOLD) -> None:
        self.left = left
        self.steps = MAX_STEPS

    def add(self, size: int) -> None:
        """Make room for a message of so many bytes on the wire."""
        self.left = min(MAX_TOLD, max(0, self.left) + FOR_EACH_MESSAGE + FOR_EACH_BYTE * size)

    def text(self, text: str) -> object:
        """A text as it is; if there is no room, its beginning."""
        self.steps -= len(text) // BYTES_A_STEP
        if self._take(length_in_json(text)):
            return text
        shown = text[: max(0, self.left) // _LONGEST_ESCAPE]
        self.left = 0
        return {"string": shown, LEFT_OUT: len(text) - len(shown)}

    def base64(self, data: bytes) -> object:
        """Bytes in base64; if there is no room, the first ones."""
        self.steps -= len(data) // BYTES_A_STEP
        if self._take(length_in_base64(data)):
            return base64.b64encode(data).decode()
        shown = data[: max(0, self.left) * 3 // 4]
        self.left = 0
        return {"bytes": base64.b64encode(shown).decode(), LEFT_OUT: len(data) - len(shown)}

    def _take(self, cost: int) -> bool:
        # What is as short as a number fits always: to say that it is left out takes longer.
        if cost > self.left and cost > FOR_A_NUMBER:
            return False
        self.left -= cost
        return True


def length_in_json(text: str) -> int:
    """How long a text is in JSON, about."""
    if len(text) < _SHORT and text.isprintable():
        return len(text) + 2
    data = text.encode()
    escaped = len(data) - len(data.translate(None, _ESCAPED))
    return len(data) + (_LONGEST_ESCAPE - 1) * escaped + 2


def length_in_base64(data: bytes) -> int:
    """How long bytes are in base64, about, with quotes."""
    return len(data) * 4 // 3 + 4
