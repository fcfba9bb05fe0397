"""What is measured: calls of a kind, so many on so many connections."""

import struct
from dataclasses import dataclass, replace

SERVICE = "users.v1.UserService"

# GetUserRequest and User both read it: id = 1.
_SMALL = b"\x08\x01"
# A ChatMessage, 64 KiB in all: field 1, its length as a varint of three bytes, the text.
_LARGE = b"\x0a\xfc\xff\x03" + b"x" * (65_536 - 4)
# A User with id, name and email, as the lab's server sends.
_USER = b"\x08\x01\x12\x07Nicolas\x1a\x13nicolas@example.com"

MESSAGES_OF_A_STREAM = 1_000


def framed(message: bytes) -> bytes:
    """A message as it stands in DATA: not compressed, its length, itself (gRPC over HTTP/2)."""
    return struct.pack(">BL", 0, len(message)) + message


@dataclass(frozen=True)
class Workload:
    """Calls, and how they are made.

    Attributes:
        name: in tables, `4 x 32`.
        about: what it stands for, in a sentence.
        connections: how many at once.
        streams: calls at once on each.
        calls: how many in all.
        method: which is called.
        request: the client's message.
        answers: messages that the server streams in answer; 0 for an echo of the client's.
        anew: whether each call makes a connection of its own.
        fewest: calls that are made however few others make.
        server: a program that is run in nghttpd's place.
    """

    name: str
    about: str
    connections: int
    streams: int
    calls: int
    method: str = "GetUser"
    request: bytes = _SMALL
    answers: int = 0
    anew: bool = False
    fewest: int = 0
    server: str = ""

    @property
    def path(self) -> str:
        return f"/{SERVICE}/{self.method}"

    @property
    def body(self) -> bytes:
        """What a client sends in DATA."""
        return framed(self.request)

    @property
    def answer(self) -> bytes:
        """What the server sends in DATA."""
        return framed(_USER) * self.answers if self.answers else self.body

    @property
    def unit(self) -> str:
        """What rates and costs are counted in."""
        return "messages" if self.answers else "calls"

    @property
    def units(self) -> int:
        return self.calls * (self.answers or 1)

    @property
    def opened(self) -> int:
        """Connections in all."""
        return self.calls if self.anew else self.connections

    def share(self, divisor: int) -> "Workload":
        """The same with fewer calls: for a slow way, or a quick look."""
        return replace(self, calls=max(self.calls // divisor, self.connections, self.fewest))


# So many that a proxy's handshakes are little beside them: haproxy makes one for each call that is
# open at once.
BUSY = Workload(
    "4 x 32", "small unary calls, 32 at once on each of 4 connections", 4, 32, 20_000, fewest=200
)
LONE = Workload("1 x 1", "small unary calls, one after the other", 1, 1, 1_500)
LARGE = Workload("64 KiB", "64 KiB each way, 4 x 4", 4, 4, 400, method="Chat", request=_LARGE)
STREAM = Workload(
    "stream",
    f"{MESSAGES_OF_A_STREAM:,} small messages from the server a call, 4 x 4",
    4,
    4,
    40,
    method="ListUsers",
    request=b"",
    answers=MESSAGES_OF_A_STREAM,
)
ANEW = Workload(
    "new connection",
    "a TCP and TLS connection for each call, 4 at once",
    4,
    1,
    200,
    anew=True,
    fewest=40,
)
CROWD = Workload(
    "1,000 connections", "small unary calls, one at a time on each of them", 1_000, 1, 2_000
)

WORKLOADS = (BUSY, LONE, LARGE, STREAM, ANEW, CROWD)


def of_go(server: str) -> Workload:
    """The small unary calls once more, which a server in Go echoes.

    Args:
        server: the program.
    """
    return replace(
        BUSY,
        name="4 x 32, a server in Go",
        about="the same calls, answered with gRPC's content type by Go's net/http",
        server=server,
    )
