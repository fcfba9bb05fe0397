"""From the events of a leg to one observation: what the client did. The line is drawn here."""

from mitm.evidence.observer import Observer, not_attacked, observe
from mitm.evidence.records import (
    Act,
    Altered,
    Call,
    ClientRun,
    Ending,
    Evidence,
    Kind,
    Observation,
    describe,
    method_of,
)

__all__ = [
    "Act",
    "Altered",
    "Call",
    "ClientRun",
    "Ending",
    "Evidence",
    "Kind",
    "Observation",
    "Observer",
    "describe",
    "method_of",
    "not_attacked",
    "observe",
]
