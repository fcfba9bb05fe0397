"""How a case is played: what each connection of the client meets, decided as they come."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from mitm import pki
from mitm.audit.attack import FORGED, Attack, Step
from mitm.audit.case import CONTROL, Case
from mitm.evidence import Observation
from mitm.proxy import Treatment
from mitm.tls import Hello

# Connections of a client that are attacked one by one. A client that makes more makes them in a
# loop.
MAX_POSITIONS = 8

Offer = tuple[tuple[str, ...], ...]


class Position(NamedTuple):
    """One of the connections that a client makes.

    Connections that come at once may come in another order the next time: so it is counted among
    those that offer the same.

    Attributes:
        number: from 1, among all that the client makes.
        total: how many that are; 0 of a client that goes on, where only the clock says.
        offer: what its ClientHello offers, see `Kind`.
        nth: from 1, among those that offer the same.
        carries_data: whether all that offer the same do, or may.
        addresses: of the host that the client may try for it, each on a connection of its own.
    """

    number: int
    total: int
    offer: Offer
    nth: int
    carries_data: bool
    addresses: int = 1

    def __str__(self) -> str:
        return f"connection {self.number}" + (f" of {self.total}" if self.total else "")


class Stage(NamedTuple):
    """A step, and the chain that it shows; None where it shows none."""

    step: Step
    chain: pki.Chain | None


class Play(NamedTuple):
    """What is done in one run of the client.

    Attributes:
        stages: in order.
        forgery: the name of what is forged, "" if that goes without saying.
        position: the one connection that is attacked, None if the stages say which.
        group: plays of one group differ in the forgery alone.
    """

    stages: tuple[Stage, ...]
    forgery: str = ""
    position: Position | None = None
    group: int = 0

    @property
    def system_pem(self) -> bytes:
        """The CA that the client's machine is to trust; b"" for none."""
        chains = (stage.chain for stage in self.stages if stage.chain)
        return next((chain.system_pem for chain in chains if chain.system_pem), b"")

    def at_both_addresses(self) -> "Play":
        """The same, where the connection that is attacked may come at two addresses at once.

        gRPC's C core sends no alert for a name that it refuses, and tries the other address at
        once: that looks as if the other one had been faster. Where both are attacked, it does not.
        """
        if self.position is None:
            return self
        return self._replace(position=self.position._replace(addresses=2))

    @property
    def calls_before(self) -> int:
        """How often the client is called before the call by which it is judged."""
        return sum(stage.step.calls or 0 for stage in self.stages)

    @property
    def turns_away(self) -> bool:
        """Whether some connections are given no handshake."""
        return any(stage.chain is None for stage in self.stages)

    @property
    def ends_genuine(self) -> bool:
        """Whether the client is to get through in the end."""
        last = self.stages[-1]
        return self.position is None and len(self.stages) > 1 and last.step.present == CONTROL


def plays_of(case: Case, control: Observation | None = None) -> list[Play]:
    """How a case is to be played, in order.

    Args:
        case: which.
        control: what the client did with the genuine certificate, where that is known.
    """
    if case.attack is None:
        return [Play((Stage(Step(case.name), case.chain),))]
    if case.attack.each_position:
        return list(_at_positions(case, case.attack, control))
    return [
        Play(stages, forgery, group=group)
        for group, steps in enumerate(case.attack.plays)
        for forgery in _forgeries(case.attack, steps)
        if (stages := _stages(case, steps, forgery))
    ]


def _forgeries(attack: Attack, steps: tuple[Step, ...]) -> tuple[str, ...]:
    return attack.forgeries if any(step.present == FORGED for step in steps) else ("",)


def _stages(case: Case, steps: tuple[Step, ...], forgery: str) -> tuple[Stage, ...]:
    """The stages of a play; () if one of its certificates cannot be made."""
    stages = []
    for step in steps:
        name = forgery if step.present == FORGED else step.present
        if name and name not in case.chains:
            return ()
        stages.append(Stage(step, case.chains[name] if name else None))
    return tuple(stages)


def _at_positions(case: Case, attack: Attack, control: Observation | None) -> Iterator[Play]:
    """Each connection attacked by itself, and then together with all that come after it.

    A client may fetch a certificate on one connection, and trust it on the next: alone, neither of
    the two gives it away.
    """
    genuine = Stage(Step(CONTROL), case.chains[CONTROL])
    found = positions(control)
    # From the first on: that is what each certificate is presented for by itself.
    earlier = sorted({position.number - 1 for position in found} - {0})
    forged = [
        Stage(Step(name), case.chains[name]) for name in attack.forgeries if name in case.chains
    ]
    for group, position in enumerate(found):
        for stage in forged:
            yield Play((stage, genuine), stage.step.present, position, group)
    for group, count in enumerate(earlier, start=len(found)):
        before = Stage(Step(CONTROL, connections=count), genuine.chain)
        for stage in forged:
            yield Play((before, stage), stage.step.present, group=group)


def positions(control: Observation | None) -> list[Position]:
    """The connections of a client that makes several, as the control has shown them."""
    made = control.made if control else ()
    if control is None or len([kind for kind in made if kind.protocol]) < 2:
        return []
    seen: Counter[Offer] = Counter()
    found = []
    goes_on = control.end == "still-running"
    total = 0 if goes_on else len(made)
    for number, kind in enumerate(made, start=1):
        seen[kind.offer] += 1
        # With a handshake that it does not complete, a client gives nothing away.
        if kind.protocol:
            carries = any(each.offer == kind.offer for each in control.kinds)
            found.append(Position(number, total, kind.offer, seen[kind.offer], carries))
    # What there is one of comes before what is alike: the first of each kind, the last of all.
    last = 0 if goes_on else found[-1].number
    by_weight = sorted(found, key=lambda each: (each.nth > 1 and each.number != last, each.number))
    return sorted(by_weight[:MAX_POSITIONS])


class Script:
    """Decides what each connection meets, in the order of their ClientHellos.

    Args:
        play: what is played.
        resumable: whether sessions may be resumed.
        ready: what is ready to be presented, by the names of the chains; see `Listener`.

    Attributes:
        complete: a connection has come to the last stage.

    Raises:
        pki.Unsupported: OpenSSL refuses to present one of the chains.
    """

    def __init__(
        self,
        play: Play,
        *,
        resumable: bool = False,
        ready: dict[str, pki.Presentation] | None = None,
    ) -> None:
        self._play = play
        self._ready = {} if ready is None else ready
        self._resumable: pki.Presentation | None = None
        self.rewind()
        chains = [stage.chain for stage in play.stages if stage.chain]
        for chain in chains:
            self._presentation(chain)
        if resumable:
            if len({chain.key_kind for chain in chains}) > 1:
                raise pki.Unsupported("sessions are resumed between keys of one kind alone")
            self._resumable = pki.Presentation(chains[0], resumable=True)

    def rewind(self) -> None:
        """Begin with the first stage again."""
        self._at = 0
        self._count = 0
        self._seen: Counter[Offer] = Counter()
        self.complete = len(self._play.stages) == 1 or self._play.position is not None

    @property
    def step(self) -> int:
        """The stage that the next connection comes to, from 1."""
        return self._at + 1

    def treat(self, hello: Hello) -> Treatment:
        """Say what the next connection meets."""
        stage = self._stage(hello)
        self.complete |= stage is self._play.stages[-1]
        presented = self._presentation(stage.chain) if stage.chain else None
        return Treatment(presented, stage.step.handshake, stage.step.then)

    @property
    def genuine(self) -> bool:
        """Whether the next connection has nothing to fear."""
        return self._play.stages[self._at].step.present == CONTROL

    def called(self) -> None:
        """The client has been called once, and has come back."""
        step = self._play.stages[self._at].step
        if step.calls:
            self._next(step.calls)

    def _stage(self, hello: Hello) -> Stage:
        if position := self._play.position:
            offer = (hello.versions, hello.alpn, hello.cipher_suites)
            self._seen[offer] += 1
            beyond = self._seen[offer] - position.nth
            here = offer == position.offer and 0 <= beyond < position.addresses
            return self._play.stages[0 if here else 1]
        stage = self._play.stages[self._at]
        if stage.step.connections:
            self._next(stage.step.connections)
        return stage

    def _next(self, lasts: int) -> None:
        """Count, and go on to the next stage once that is due."""
        self._count += 1
        if self._count == lasts:
            self._at, self._count = self._at + 1, 0

    def _presentation(self, chain: pki.Chain) -> pki.Presentation:
        if self._resumable:
            if chain is not self._resumable.chain:
                self._resumable.replace(chain)
            return self._resumable
        if chain.name not in self._ready:
            self._ready[chain.name] = pki.Presentation(chain)
        return self._ready[chain.name]
