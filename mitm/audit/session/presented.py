"""The cases of a session: presented all at once, judged in any order, as often as is asked."""

import asyncio
import resource
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Literal, NamedTuple, Self

import msgspec

from mitm import pki
from mitm.audit.case import CONTROL, Case, Suite
from mitm.audit.finding import (
    TRY_EACH_POSITION,
    Finding,
    Report,
    Subject,
    judge,
    judge_offer,
    of_plays,
    with_crashes,
)
from mitm.audit.listener import Endpoint, Listener, Seen, Upstream
from mitm.audit.play import Play, plays_of
from mitm.audit.setting import USUAL
from mitm.audit.stack import stack_said
from mitm.audit.trial import with_untried
from mitm.errors import UserError
from mitm.evidence import ClientRun, Observation
from mitm.proxy.tap import Tap

# The control once more, at the end.
AGAIN = f"{CONTROL}-again"

# Why something is not played in a session.
ONE_ENVIRONMENT = (
    "all of a session is one command with one environment, in which no CA is planted for a single "
    "case: audit the client without --session"
)
_AS_CONTROL_SHOWS = (
    "it is made of what the control shows, which in a session is one case among the others: audit "
    "the client without --session"
)
_CALLED_BEFORE = (
    "it takes a client that is called twice, which a session does not ask for: a test that does so "
    "before it asks tries the same by second-connection and reconnect"
)
_NOT_ASKED = "the client was shown it, and its test ended before it asked what came of that"
NEVER_TRIED = "never tried: nothing has connected to it"

# Files of one play: a listener at each of two addresses, and a connection, which is one towards the
# client, and two between the interceptor and the stand-in. An attack has some plays; most cases are
# none.
_FILES, _PLAYS = 5, 2
_FILES_BESIDES = 128

# Runs that are kept of one case. Who asks more often has shown before what the client does.
_MOST = 50

Word = Literal["ok", "fail", "skip"]


class Judgement(NamedTuple):
    """What is answered to whoever asks what came of a case.

    Attributes:
        word: `fail` for what fails the audit, or leaves it without a result; `skip` for what could
            not be exercised.
        again: whether somebody has asked about the case before.
    """

    case: "PresentedCase"
    word: Word
    finding: Finding
    again: bool = False


class _Run(NamedTuple):
    """One run of the client against a case, as it was judged.

    Attributes:
        asked: whether somebody has asked for that.
    """

    seen: Seen
    client: ClientRun
    asked: bool


class PresentedCase:
    """A case, or one play of an attack, that is presented while a session lasts.

    Args:
        name: by which it is known in the session.
        case: which.
        play: of the case.
        title: of the case, with the number of the play if there are several.
        listener: presents it.

    Attributes:
        runs: of the client, in the order in which they were judged.
        asking: is held while a run is judged: nobody else's is meanwhile.
    """

    def __init__(self, name: str, case: Case, play: Play, title: str, listener: Listener) -> None:
        self.name = name
        self.case = case
        self.play = play
        self.title = title
        self.listener = listener
        self.runs: list[_Run] = []
        self.asking = asyncio.Lock()

    @property
    def endpoint(self) -> Endpoint:
        """What a client is to be told."""
        return self.listener.endpoint

    @property
    def is_control(self) -> bool:
        return self.case.name == CONTROL

    async def take(self, client: ClientRun, *, asked: bool) -> _Run:
        """See what came of a run of the client, and begin anew."""
        async with self.asking:
            await self.listener.settle(client)
            # What becomes of its connections from now on is not held against this run, but for
            # what it sends.
            client = msgspec.structs.replace(client, until=time.time())
            run = _Run(self.listener.begin_anew(), client, asked)
            self.runs.append(run)
            if len(self.runs) > _MOST:
                tame = (each for each in self.runs if not each.seen.observer.spoken)
                self.runs.remove(next(tame, self.runs[0]))
            return run

    def judged(self, run: _Run, control: Observation | None) -> Finding:
        """Judge a run.

        Args:
            run: which.
            control: what the client did with the genuine certificate, as far as that is known.
        """
        finding = judge(
            self.case,
            run.seen.observer,
            run.client,
            None if self.is_control else control,
            self.play,
            complete=run.seen.complete,
        )
        reason = finding.reason.replace(TRY_EACH_POSITION, "audit it without --session")
        return msgspec.structs.replace(finding, reason=reason)

    def finding(self, control: Observation | None) -> Finding:
        """What came of all runs together.

        Data that was read stays read, in whichever run it was. Otherwise the last one counts that
        somebody has asked for: a framework may have tried again what was undecided.
        """
        findings = [(run.asked, self.judged(run, control)) for run in self.runs]
        for worst in ("vulnerable", "too-strict"):
            found = [finding for _, finding in findings if finding.outcome == worst]
            if found:
                return max(found, key=lambda each: bool(each.evidence and each.evidence.calls))
        asked = [finding for was_asked, finding in findings if was_asked]
        if asked:
            return asked[-1]
        if findings:
            return findings[-1][1]
        return Finding(self.case, "inconclusive", NEVER_TRIED)


class Session:
    """Presents all cases of a suite, for `async with`.

    Args:
        suite: what is presented, and the control.
        upstream: the server behind the cases.
        tap: is shown what passes on the sockets.
        fails: whether a finding fails the audit.

    Attributes:
        cases: in order, by their names in the session; the control is the first, and once more the
            last.
        ready: is set once they are presented, for other threads to wait for.
    """

    def __init__(
        self,
        suite: Suite,
        upstream: Upstream,
        *,
        tap: Tap | None = None,
        fails: Callable[[Finding], bool] = Finding.fails,
    ) -> None:
        self.cases: dict[str, PresentedCase] = {}
        self.ready = threading.Event()
        self._suite = suite.unplanted(ONE_ENVIRONMENT)
        self._upstream = upstream
        self._tap = tap
        self._fails = fails
        self._untried: dict[str, Finding] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to present them.

        Raises:
            UserError: too few files may be open for all of them, or the genuine certificate cannot
                be presented.
        """
        _make_room(len(self._suite.cases))
        ready: dict[str, pki.Presentation] = {}
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="mitm-demo-")))
            control = self._suite.control
            for case in (control, *self._suite.cases, control):
                for play, title in self._plays(case):
                    listener = Listener(
                        case,
                        self._upstream,
                        self._suite.pin_pem,
                        self._tap,
                        play=play,
                        folder=folder,
                        ready=ready,
                    )
                    try:
                        await stack.enter_async_context(listener)
                    except pki.Unsupported as error:
                        if case is control:
                            raise UserError(f"the genuine certificate: {error}") from None
                        self._untried[case.name] = Finding(case, "unsupported", str(error))
                        continue
                    name = self._name(case.name)
                    self.cases[name] = PresentedCase(name, case, play, title, listener)
            self._stack = stack.pop_all()
        self.ready.set()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def left_out(self) -> list[Finding]:
        """What of the suite is not presented, and why; not what the control shows of the client."""
        presented = {each.case.name for each in self.cases.values()}
        left_out = (each for each in self._untried.values() if each.case.name not in presented)
        return [each for each in left_out if each.reason]

    def _plays(self, case: Case) -> list[tuple[Play, str]]:
        """The plays of a case that are presented, each with its title; none where it is not."""
        if case.unsupported:
            self._untried[case.name] = Finding(case, "unsupported", case.unsupported)
            return []
        if case.not_exercised or case.offer:
            # What is offered is judged by the control.
            self._untried[case.name] = Finding(case, "not-exercised", case.not_exercised)
            return []
        if case.attack and case.attack.each_position:
            self._untried[case.name] = Finding(case, "not-exercised", _AS_CONTROL_SHOWS)
            return []
        plays = [play for play in plays_of(case) if not play.calls_before]
        if not plays:
            self._untried[case.name] = Finding(case, "not-exercised", _CALLED_BEFORE)
        if len(plays) == 1:
            return [(plays[0], case.title)]
        return [
            (play, f"{case.title} ({number} of {len(plays)}: {in_words(play)})")
            for number, play in enumerate(plays, start=1)
        ]

    def _name(self, wanted: str) -> str:
        """A name of one line that is not taken yet: `reconnect`, `reconnect-2`, …"""
        wanted = "".join(each if each.isprintable() else "_" for each in wanted)
        if wanted not in self.cases:
            return wanted
        if wanted == CONTROL:
            return AGAIN
        number = 2
        while (name := f"{wanted}-{number}") in self.cases:
            number += 1
        return name

    @property
    def _control(self) -> Observation | None:
        """What the client did with the genuine certificate, where it got through."""
        for name in (CONTROL, AGAIN):
            case = self.cases[name]
            for run in case.runs:
                finding = case.judged(run, None)
                if finding.outcome == "pass":
                    return finding.observation
        return None

    async def judge(self, name: str, client: ClientRun) -> Judgement:
        """Judge what a client did with a case since this was last asked.

        Args:
            name: of the case, one of `cases`.
            client: what is known of its run, which is over.
        """
        case = self.cases[name]
        run = await case.take(client, asked=True)
        finding = case.judged(run, self._control)
        again = sum(each.asked for each in case.runs) > 1
        return Judgement(case, self._word(finding), finding, again)

    def _word(self, finding: Finding) -> Word:
        if finding.case.name == CONTROL:
            return "ok" if finding.outcome == "pass" else "fail"
        undecided = finding.outcome == "inconclusive"
        if self._fails(finding) or (undecided and finding.case.severity == "must"):
            return "fail"
        return "skip" if undecided or finding.outcome in ("unsupported", "not-exercised") else "ok"

    async def reset(self, name: str) -> None:
        """Play a case from its first step again; what was seen of it is kept.

        Args:
            name: of the case, one of `cases`.
        """
        case = self.cases[name]
        if case.listener.tried:
            await case.take(ClientRun("stopped", failed=True, until=time.time()), asked=False)
        else:
            case.listener.begin_anew()

    async def report(self, subject: Subject, problem: str = "", crash: str = "") -> Report:
        """What came of it all, once the client has ended.

        Args:
            subject: who that was; its stack, as far as that is known before it has made a call.
            problem: why its program counts for nothing, "" if it has ended well.
            crash: the signal of a fault that has ended it, "" if none has.
        """
        tried = [case for case in self.cases.values() if case.listener.tried]
        unasked = [case for case in tried if not case.runs]
        over = ended = ClientRun("ended", failed=True)
        if problem:
            ended = msgspec.structs.replace(over, problem=f"{_NOT_ASKED} ({problem})")
        if crash and len(unasked) == 1:
            ended = msgspec.structs.replace(over, crash=crash)
        await asyncio.gather(
            *(case.take(over if case.runs else ended, asked=False) for case in tried)
        )
        control = self._control
        controls = tuple(self.cases[name].finding(None) for name in (CONTROL, AGAIN))
        findings = tuple(with_crashes(self._finding(case, control) for case in self._suite.cases))
        subject = msgspec.structs.replace(subject, stack=stack_said(control, subject.stack))
        scope = self._suite.scope(USUAL.roots, USUAL.mode)
        return Report(controls, findings, subject, scope=scope, in_session=True)

    def _finding(self, case: Case, control: Observation | None) -> Finding:
        if case.offer and not (case.unsupported or case.not_exercised):
            if control is None:
                return Finding(case, "not-exercised", "the client did not get through")
            return judge_offer(case, case.offer, control)
        played = [
            (each.play, each.finding(control))
            for each in self.cases.values()
            if each.case.name == case.name
        ]
        if not played:
            return self._untried[case.name]
        if case.attack is None:
            return played[0][1]
        return with_untried(of_plays(case, played))


def _make_room(cases: int) -> None:
    """See to it that enough files may be open, as far as this is for us to say (setrlimit(2)).

    Raises:
        UserError: it is not.
    """
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_BESIDES + _FILES * _PLAYS * cases
    if allowed == resource.RLIM_INFINITY or allowed >= wanted:
        return
    given = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (given, most))
    if given < wanted // 2:
        raise UserError(
            f"no more than {given} files may be open, too few for {cases} cases at once: allow "
            f"{wanted}, with 'ulimit -n {wanted}' say, or choose fewer with --only"
        )


def in_words(play: Play) -> str:
    """What a client meets in a play, connection by connection."""
    told = []
    for stage in play.stages:
        step = stage.step
        what = (
            stage.chain.name if stage.chain else f"the handshake is {_HANDSHAKES[step.handshake]}"
        )
        if step.connections and step.connections > 1:
            what += f", {step.connections} times"
        told.append(what + (f", {_THEN[step.then]}" if step.then else ""))
    return "; then ".join(told)


_HANDSHAKES = {
    "complete": "completed",
    "reset": "reset",
    "closed": "closed",
    "refused": "refused in plaintext",
}
_THEN = {"goaway": "sent away by GOAWAY", "reset": "reset after a call", "cut": "cut in a call"}
