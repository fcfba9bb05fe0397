"""From whom to whom goes what an event tells of. Decided once, for all who draw it."""

from mitm import events
from mitm.events import Event, Party


def way(event: Event, attacker: int, last: int) -> tuple[int, int] | None:
    """From whom to whom, by their places in the path; None if that is nobody's word to anybody.

    Args:
        event: of a connection to the attacker.
        attacker: its place in the path, from 0. Before it stands who dials it, the client or an
            ingress; behind it the server. If nobody does, it answers by itself.
        last: place of the last one.
    """
    parties = _parties(event)
    if parties is None:
        return None
    places: dict[Party, int] = {
        "client": max(attacker - 1, 0),
        "attacker": attacker,
        "server": min(attacker + 1, last),
    }
    if attacker == last and parties == ("server", "attacker"):
        # What it says in the server's place.
        parties = "attacker", "client"
    start, end = parties
    return places[start], places[end]


def _parties(event: Event) -> tuple[Party, Party] | None:
    match event:
        case events.ParseFailed() | events.NotRewritten():
            return None
        case events.Frame() | events.Headers() | events.Message():
            return ("client", "server") if event.direction == "client" else ("server", "client")
        case events.Rewritten():
            return "attacker", "server" if event.direction == "client" else "client"
        case events.UpstreamConnected() | events.UpstreamFailed():
            return "attacker", "server"
        case events.CertificatePresented() | events.Interrupted():
            return "attacker", "client"
        case events.ClientCertificateRefused():
            return "server", "attacker"
        case events.Alert() | events.Closed():
            return event.by, "client" if event.by == "attacker" else "attacker"
    return "client", "attacker"
