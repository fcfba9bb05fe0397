"""How a connection ends, and who has ended it.

A reason is ours to word: it quotes no byte of a peer, which may be a secret, and no object of this
program, so that it is the same from run to run. The one exception is a malformed request for a
tunnel, which is quoted without its credentials.
"""

from typing import TYPE_CHECKING, Literal, Protocol

from mitm import events
from mitm.address import Address
from mitm.events import Direction, Event, Party

if TYPE_CHECKING:
    from mitm.proxy.peer import Peer

End = Literal["alert", "close-notify", "eof", "reset", "error"]
"""How a peer can end its direction."""

How = Literal[End, "time-limit", "not-tls"]
"""How a connection can end."""


class Emit(Protocol):
    """Tells an event of the connection."""

    def __call__(self, event: type[Event], **fields: object) -> None:
        """Tell it, with these fields beside `time` and `connection`."""


class EndError(Exception):
    """The connection is over; see `mitm.events.Closed`.

    Attributes:
        by: who ended it.
        how: in which way.
        reason: what went wrong, where that is not said by `how`.
    """

    def __init__(self, by: Party, how: How, reason: str = "") -> None:
        super().__init__(reason)
        self.by = by
        self.how = how
        self.reason = reason


def end_of(party: Direction, peer: "Peer", emit: Emit) -> EndError:
    """How a peer that says nothing more has ended; its alert, if that is how, is told."""
    assert peer.end is not None
    if peer.alert:
        emit(events.Alert, by=party, name=peer.alert.name, number=peer.alert.number)
    return EndError("attacker" if peer.end == "error" else party, peer.end, peer.reason)


def unreachable(client: "Peer", address: Address, reason: str, emit: Emit) -> EndError:
    """The server was not reached; the client may have gone before that was known."""
    emit(events.UpstreamFailed, address=str(address), reason=reason)
    if client.was_reset:
        return EndError("client", "reset")
    return EndError("attacker", "error", f"the server was not reached: {reason}")


def so_far(received: bytes | bytearray) -> str:
    """How much has come of what is not complete."""
    return f"received {len(received)} bytes"
