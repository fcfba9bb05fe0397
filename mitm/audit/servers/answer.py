"""What a server has answered to one client, and how far that client came."""

from typing import Literal

import msgspec

from mitm.messages.status import STATUS_NAMES

# In this order. `handshake`: it did not complete. `connection`: it did, and in TLS 1.3 a server
# judges the client only then (RFC 8446 section 4.4.2); no answer came. `reset`: the server has
# turned away the request at the level of HTTP/2. `call`: it has answered the call.
Reached = Literal["nothing", "handshake", "connection", "reset", "call"]


class Answer(msgspec.Struct, frozen=True):
    """An answer.

    Attributes:
        reached: how far the client came.
        how: what ended it, in words; the answer itself if there is one.
        status: the gRPC status by its name, or `HTTP 403`; "" if there was none.
        said: the server's words beside the status.
        alert: of the server, `certificate_required (116)`; "" if there was none.
        silent: whether the time was up with nothing decided.
        asked: whether the server has asked for a certificate; None if that is not known.
        shown: whether one was sent to it; None if that is not known.
        resumed: whether a session was resumed.
        version: of TLS; "" without.
        local: why this side could not go on; "" if it was not the one to stop.
    """

    reached: Reached
    how: str = ""
    status: str = ""
    said: str = ""
    alert: str = ""
    silent: bool = False
    asked: bool | None = None
    shown: bool | None = None
    resumed: bool = False
    version: str = ""
    local: str = ""

    @property
    def is_grpc(self) -> bool:
        """Whether it is gRPC that has answered."""
        return self.status in STATUS_NAMES
