"""How much is told of messages: a few bytes on the wire can mean very many in an event."""

import base64
import json

# Characters of JSON that are told of one message, at most, and of the first ones of a connection
# together: four times what the longest message has (MAX_MESSAGE_SIZE in mitm/wire/grpc.py), so that
# one of nothing but bytes has room in base64, twice.
MAX_TOLD = 16 * 1024 * 1024

# What each message adds to that, up to the same limit, for its bytes on the wire and for itself.
# gzip makes text some 10 times shorter, and nothing more than 1,032 times (zlib's own figure); of a
# list of enums, each byte becomes the name of a value, some 25 characters.
FOR_EACH_BYTE = 32
FOR_EACH_MESSAGE = 4 * 1024

# What a number takes with what stands around it, and about what it costs to read a field.
FOR_A_NUMBER = 12

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
