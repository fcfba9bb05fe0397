"""The line, drawn over all connections of a client: what it did, or why that cannot be said.

What holds whatever comes: data that was read is never taken back, by no number of events and by no
other witness; and nobody has rejected who could not have gone on. docs/verdicts.md has the rules
for readers.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mitm.evidence.connection import SeenConnection
from mitm.evidence.records import Act, ClientRun, Kind, Observation

# Rejections after which a client that goes on has made up its mind, and may be ended.
REJECTIONS_ENOUGH = 5

# The same for a client whose time is up. Fewer do: it was not ended, and so could have given in.
# gRPC's back-off (1 s, then 1.6 times as long each time) comes to three within four seconds.
REJECTIONS_IN_TIME = 3


class Conduct(NamedTuple):
    """What a client did in one run, connection by connection.

    Attributes:
        run: what is known of the run.
        control: what it did with the genuine certificate, if that was observed.
        noun: what it is, in a sentence.
        turned_away: those that it has made besides, and that were given no handshake.
        spared: how many it has made besides, on which it had nothing to judge.
    """

    connections: Sequence[SeenConnection]
    run: ClientRun
    control: Observation | None
    noun: str
    turned_away: Sequence[SeenConnection] = ()
    spared: int = 0

    @property
    def left(self) -> list[SeenConnection]:
        """The connections on which it has rejected what it was shown."""
        return [each for each in self.connections if each.was_left(self.run)]

    @property
    def remaining(self) -> list[SeenConnection]:
        """Those that had not ended when its time was up, or it came to its own end."""
        return [each for each in self.connections if not each.end(self.run.until)]

    @property
    def hangs(self) -> bool:
        """Whether it was shown something, and did nothing at all in the time it had."""
        return (
            self.run.end == "still-running"
            and len(self.remaining) == len(self.connections) > 0
            and all(each.presented and not each.accepted for each in self.connections)
        )

    def weigh(self) -> tuple[Act, str]:
        """What it did, and the reason for saying so, or for not saying it."""
        run, who = self.run, f"the {self.noun}"
        over = [each for each in self.connections if each.over_the_line]
        if any(each.encrypted for each in over):
            what = f"{who} sent application data over the forged certificate"
            return "sent", f"{what}, and it was decrypted"
        if over:
            return "exposed", "there is no TLS: everything was read with no certificate"
        if run.problem:
            return "undecided", run.problem
        if not self.connections and (self.turned_away or self.spared):
            return self._weigh_absence()
        if not self.connections and run.end == "still-running":
            return "undecided", f"{who} did not end within {run.seconds:g} s"
        if not self.connections:
            return "unreached", f"{who} never connected"
        for each in self.connections:
            if each.unreached:
                return "undecided", f"the server was not reached: {each.unreached}"
        if any(each.was_declined(run.until) for each in self.connections):
            return "declined", (
                f"OpenSSL declines to present it to this {self.noun}, which names the signatures "
                "that it takes in certificates; an attacker need not decline"
            )
        for each in self.connections:
            if others := each.ended_by_others(run.until):
                return "undecided", f"{who} did not decide: {others}"
        if run.left_behind:
            return "undecided", (
                f"something that {who} has started was still running when it had ended "
                f"({', '.join(run.left_behind)}): let that end as well"
            )
        if doubt := self._doubt():
            return "undecided", doubt
        return self._weigh_rejections()

    def _weigh_absence(self) -> tuple[Act, str]:
        """What it did, if it made no connection on which it was shown a forgery."""
        who, turned_away = f"the {self.noun}", len(self.turned_away)
        if self.run.end == "still-running" and turned_away < REJECTIONS_IN_TIME:
            # A service waits for its next call, which may be far.
            if not self._serves:
                return "undecided", (
                    f"{who} was still running when its time was up, and had not come again: give "
                    "it more time, or let it try again sooner"
                )
        elif turned_away and self.run.over:
            times = f"; {turned_away} times" if turned_away > 1 else ""
            return "rejected", f"it gave up when it was given no handshake{times}"
        count = turned_away + self.spared
        made = "1 connection" if count == 1 else f"{count} connections"
        return "untried", f"{who} made {made}, and none on which it could have been attacked"

    @property
    def _serves(self) -> bool:
        """Whether it goes on after the genuine certificate as well: that it does says nothing."""
        return self.control is not None and self.control.end == "still-running"

    def _doubt(self) -> str:
        """Why a client that was not kept from it may have gone on yet; "" if it has left."""
        left, who = self.left, f"the {self.noun}"
        remaining = [each for each in self.remaining if not each.was_left(self.run)]
        if left and not self.run.over:
            # After rejections, what has only just come is the next attempt of who goes on.
            often = len(left) >= REJECTIONS_ENOUGH
            remaining = [
                each
                for each in remaining
                if not each.is_looking(self.run.until) or (each.reached != "nothing" and not often)
            ]
        if any(each.reached == "preface" for each in remaining):
            return (
                f"{who} opened HTTP/2 and made no call, but has not left either: it may have been "
                "about to; let it end, or close its channel"
            )
        if any(each.presented for each in remaining):
            return f"{who} sent nothing, but has not left either"
        if not left:
            ends = [each.closed for each in self.connections if each.closed]
            why = next((end.reason for end in ends if end.by == "attacker"), "")
            said = f"{who} left before it was shown anything"
            return f"{said} ({why})" if why else said
        return ""

    def _weigh_rejections(self) -> tuple[Act, str]:
        left, run = self.left, self.run
        _, how = min(each.departure() for each in left)
        if len(left) > 1:
            how += f"; {len(left)} times"
        often = len(left) + len(self.turned_away) >= REJECTIONS_IN_TIME
        if run.end == "still-running" and not often and not self._serves:
            return "undecided", (
                f"the {self.noun} had rejected it ({how}), but was still running when its time was "
                "up: give it more time, or let it give up sooner"
            )
        if not run.over:
            how += "; it was still running" if self._serves else "; it was still trying"
        return "rejected", how


def not_attacked(control: Observation, attack: Observation) -> list[Kind]:
    """The connections that a client makes, and on which it was not shown a forgery.

    A client may check on the one and not on the other; where it stops at the first, nothing is
    known of the second. Of two that offer the same TLS, it is not known which one it was.

    Args:
        control: what it did with the genuine certificate.
        attack: what it did with the forged one.
    """
    # What was given up before the genuine certificate was looked at carries nothing.
    made = [kind for kind in control.made if kind.protocol]
    if len(made) < 2:
        return []
    shown = {kind.offer for kind in attack.left}
    alike = Counter(kind.offer for kind in made)
    missed = (k for k in made if k.offer not in shown or alike[k.offer] > 1)
    return list(dict.fromkeys(missed))
