"""From the events of a leg to one observation: what the client did. The line is drawn here."""

from mitm.evidence.line import REJECTIONS_ENOUGH, not_attacked
from mitm.evidence.observer import WANTED, Observer, observe
from mitm.evidence.records import (
    Act,
    Altered,
    Call,
    ClientRun,
    Ending,
    Evidence,
    Identity,
    Kind,
    Observation,
    Offer,
    describe,
    method_of,
)
from mitm.evidence.single import SingleVerdict, SingleVerdicts

__all__ = [
    "REJECTIONS_ENOUGH",
    "WANTED",
    "Act",
    "Altered",
    "Call",
    "ClientRun",
    "Ending",
    "Evidence",
    "Identity",
    "Kind",
    "Observation",
    "Observer",
    "Offer",
    "SingleVerdict",
    "SingleVerdicts",
    "describe",
    "method_of",
    "not_attacked",
    "observe",
]
