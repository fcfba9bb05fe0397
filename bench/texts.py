"""What a long text costs to decode without a schema, beside the same with one."""

import base64
import random
import time
from collections.abc import Mapping

from mitm import content
from mitm.descriptors import load_descriptor_set
from mitm.errors import UserError
from mitm.messages import Schema

SIZE = 64 * 1024

_METHOD = "/users.v1.UserService/Chat"
_REPEATS = 7


def texts() -> Mapping[str, str]:
    """Texts of 64 KiB, by what they are like; some look like messages from afar."""
    rng = random.Random(1)  # noqa: S311
    prose = "The client checks the name, and then it sends what it was asked to send. "
    record = '{"id": 1, "name": "Nicolas", "roles": ["admin", "user"]}\n'
    made = {
        "aaaa…": "a",
        "xxxx…": "x",
        "zeros": "0",
        "line feeds": "\n",
        "prose": prose,
        "JSON": record,
        "base64": base64.b64encode(rng.randbytes(SIZE)).decode(),
        "hexadecimal": rng.randbytes(SIZE).hex(),
        "Cyrillic": "Клиент проверяет имя. ",
        "lines with tabs": "\tone\n\ttwo\n",
        # `\n$` and 36 letters are a field 1 as well.
        "UUIDs": "\n$01234567-89ab-cdef-0123-456789abcdef",
    }
    return {name: (text * (SIZE // len(text) + 1))[: SIZE - 4] for name, text in made.items()}


def ratios() -> dict[str, tuple[float, float]]:
    """CPU milliseconds of each text, by its name: without a schema, and with one.

    Raises:
        UserError: a text was not shown as the text that it is.
    """
    known, unknown = Schema(load_descriptor_set(content.PROTO / "users.binpb")), Schema()
    return {
        name: (_cpu_ms(unknown, _field(text)), _cpu_ms(known, _field(text)))
        for name, text in texts().items()
    }


def _field(text: str) -> bytes:
    """A ChatMessage: field 1, its length, the text."""
    data, length = text.encode(), b""
    size = len(data)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return b"\x0a" + length + bytes([size]) + data


def _cpu_ms(schema: Schema, data: bytes) -> float:
    """The least of several, in which nothing else came between."""
    spent = []
    for _ in range(_REPEATS):
        start = time.process_time()
        told = schema.decode(_METHOD, "client", data)
        spent.append(1000 * (time.process_time() - start))
        if told.value is None:
            raise UserError(f"nothing is shown of {data[:20]!r}…")
    return min(spent)
