"""How much is told of messages: a few bytes on the wire can mean very many in an event."""

import base64
import json

# Characters of JSON that are told of one message, at most: eight times what the longest one has
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

# The longest escape of a character in JSON (RFC 8259 section 7), `\u0000`.
_LONGEST_ESCAPE = 6


class Room:
    """How much may still be told.

    Attributes:
        left: characters of JSON; less than none once it is used up.
    """

    def __init__(self, left: int = MAX_TOLD) -> None:
        self.left = left

    def add(self, size: int) -> None:
        """Make room for a message of so many bytes on the wire."""
        self.left = min(MAX_TOLD, max(0, self.left) + FOR_EACH_MESSAGE + FOR_EACH_BYTE * size)

    def text(self, text: str) -> object:
        """A text as it is; if there is no room, its beginning."""
        # To write it takes longer; a printable one has but quotes and backslashes to escape.
        cost = len(text) + 2 if text.isprintable() else len(json.dumps(text, ensure_ascii=False))
        if self._take(cost):
            return text
        shown = text[: max(0, self.left) // _LONGEST_ESCAPE]
        self.left = 0
        return {"string": shown, LEFT_OUT: len(text) - len(shown)}

    def base64(self, data: bytes) -> object:
        """Bytes in base64; if there is no room, the first ones."""
        if self._take(len(data) * 4 // 3 + 4):
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
