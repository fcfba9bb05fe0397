"""What a client meets on one connection: what it is shown, and how it is interrupted."""

from typing import Literal, NamedTuple

from mitm.pki import Presentation
from mitm.wire.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_MAX_FRAME_SIZE,
    FrameReader,
    RawFrame,
)

# GOAWAY (RFC 9113 section 6.8) without an error, after which the client opens no new stream here.
_GOAWAY = bytes.fromhex("000008070000000000" + "7fffffff" + "00000000")

_FRAME_HEADER = 9  # RFC 9113 section 4.1

Handshake = Literal["complete", "reset", "closed", "refused"]
Then = Literal["", "goaway", "reset", "cut"]


class Treatment(NamedTuple):
    """What is done with one connection.

    Attributes:
        presented: what the client is shown; None where there is no handshake.
        handshake: `reset`: the socket is reset at the ClientHello. `closed`: it is closed in good
            order. `refused`: it is answered in plaintext that there is no TLS, and closed.
        then: what becomes of the connection once it is established. `goaway`: after its first
            answer it takes no more calls. `reset`: after that it is reset. `cut`: it is reset in
            the middle of its first answer, behind a message.
    """

    presented: Presentation | None
    handshake: Handshake = "complete"
    then: Then = ""


class Interruption:
    """Finds the moment at which a connection is interrupted, in what the server sends.

    Args:
        how: see `Treatment.then`.
        http2: whether it is HTTP/2; of anything else, the first bytes are the moment.

    Attributes:
        due: the moment has come.
    """

    def __init__(self, how: Literal["goaway", "reset", "cut"], *, http2: bool) -> None:
        self.how = how
        self.due = False
        self._reader = FrameReader() if http2 else None
        self._ending = False  # the header block that ends a stream has begun
        if self._reader:
            self._reader.max_frame_size = LARGEST_MAX_FRAME_SIZE

    def passes(self, data: bytes) -> bytes:
        """Say what the client is given of the server's bytes.

        Args:
            data: the next of them, cut anywhere.
        """
        if self.due:
            return b"" if self.how == "cut" else data
        if self._reader is None:
            self.due = True
            return data
        at, end = -self._reader.buffered, 0
        for frame in self._reader.feed(data):
            at += _FRAME_HEADER + len(frame.payload)
            if not self.due and self._is_moment(frame):
                self.due, end = True, at
        if not self.due:
            return data
        if self.how == "cut":
            return data[:end]
        return data[:end] + (_GOAWAY if self.how == "goaway" else b"") + data[end:]

    def _is_moment(self, frame: RawFrame) -> bool:
        """Whether the connection is interrupted behind this frame."""
        ends = frame.type in (DATA, HEADERS) and bool(frame.flags & END_STREAM)
        if self.how == "cut":
            return frame.type == DATA and not ends
        # Nothing stands between HEADERS and their CONTINUATION (RFC 9113 section 6.10).
        self._ending |= ends
        return self._ending and (frame.type == DATA or bool(frame.flags & END_HEADERS))
