"""One's own client, watched: what it offered, what it was shown, what it did."""

import asyncio
import shlex
import shutil
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mitm import content, pki
from mitm.address import LOCALHOST, Address
from mitm.capture.wording import Mood, mood_of, one_line
from mitm.descriptors import load_descriptor_set
from mitm.errors import UserError
from mitm.events import FRAME_TYPES, Event, Wanted
from mitm.evidence import SingleVerdict, SingleVerdicts
from mitm.masking import token_for_show
from mitm.messages import Schema
from mitm.pki import Presentation
from mitm.proxy import Interceptor
from mitm.room.captures import NAMES, Captures, file_in
from mitm.room.feed import Feed
from mitm.room.shown import ShownChain, Where, encoded, shown

_WHERE = Where("own", 0, ("client", "attacker"), 1)

# What of several connections is told of the client: the worst. Some check only the first, or fetch
# the certificate by one connection to trust it on the next.
_WORST = ("compromised", "exposed", "inconclusive", "connected", "aborted")


class Command(msgspec.Struct, frozen=True):
    """A command to be pasted.

    Attributes:
        does: what its client does.
        command: the line.
    """

    does: str
    command: str


class Listening(msgspec.Struct, frozen=True, tag_field="kind", tag="listening", kw_only=True):
    """A client is awaited.

    Attributes:
        certificate: what it will be shown.
        title: the same in words.
        accepted: whether a correct client takes it.
        target: what to dial.
        ca: the file that it is to trust.
        commands: that may be pasted.
        genuine: what its server would show it.
        captures: files of what is recorded, of all since it is listened.
    """

    part: str = "own"
    certificate: str
    title: str
    accepted: bool
    target: str
    ca: str
    commands: tuple[Command, ...]
    genuine: ShownChain
    captures: tuple[str, ...] = NAMES


class Judged(msgspec.Struct, frozen=True, tag_field="kind", tag="judged", kw_only=True):
    """A connection has ended.

    Attributes:
        so_far: the worst that was seen since this certificate is shown.
        so_far_mood: what that means.
        worst: the connection that it was seen on.
        lost: what could not be recorded.
    """

    part: str = "own"
    connection: int
    verdict: str
    mood: Mood
    reason: str
    so_far: str
    so_far_mood: Mood
    worst: int
    lost: tuple[str, ...] = ()


class Stopped(msgspec.Struct, frozen=True, tag_field="kind", tag="stopped", kw_only=True):
    """Nobody listens any more.

    Attributes:
        captures: files of what was recorded.
        lost: what of that could not be written.
    """

    part: str = "own"
    captures: tuple[str, ...] = NAMES
    lost: tuple[str, ...] = ()


class OwnClient:
    """Listens on loopback for a client that somebody starts by hand, and answers it itself.

    Args:
        feed: of the seat.
        folder: for the CA that the client is to trust, and what is recorded; readable by its owner
            alone.
    """

    def __init__(self, feed: Feed, folder: Path) -> None:
        self._feed = feed
        self._folder = folder
        self._running: AsyncExitStack | None = None
        self._changing = asyncio.Lock()
        self._worst: SingleVerdict | None = None
        self._recorded: Path | None = None
        self._count = 0

    async def present(self, name: str) -> None:
        """Show clients a certificate from now on; begin to listen, if that was not done before.

        Args:
            name: of one of the catalogue.

        Raises:
            UserError: it cannot be presented here, or nothing can be listened on.
        """
        recipe = pki.load_recipe(name)
        async with self._changing:
            if self._running is None:
                await self._start()
            try:
                presented = await asyncio.to_thread(
                    pki.present, recipe, LOCALHOST, self._authorities
                )
            except pki.Unsupported as error:
                raise UserError(f"certificate {name!r} cannot be presented here: {error}") from None
            # What goes on was shown something else, and is judged by that.
            await self._interceptor.hang_up()
            self._presented = presented
            self._worst = None
            if recipe.expect == "accept":
                self._accepted.add(presented.chain.name)
            chain = presented.chain
            ca = self._folder / "ca.pem"
            pki.write_private(ca, chain.anchor_pem)
            target = str(Address(chain.host, self._port))
            listening = Listening(
                certificate=recipe.name,
                title=one_line(recipe.title),
                accepted=recipe.expect == "accept",
                target=target,
                ca=str(ca),
                commands=_commands(target, str(ca)),
                genuine=self._genuine,
            )
            self._feed.append("listening", encoded(listening))

    async def _start(self) -> None:
        self._authorities = pki.Authorities([LOCALHOST, "127.0.0.1", "::1"])
        genuine = pki.forge(
            pki.load_recipe("genuine"), LOCALHOST, self._authorities, datetime.now(UTC)
        )
        self._genuine = ShownChain.of(genuine)
        self._accepted: set[str] = set()
        self._verdicts = SingleVerdicts(self._accepted.__contains__)
        captures = Captures(self._new_folder())
        self._captures = captures
        self._interceptor = Interceptor(
            listen=Address(LOCALHOST, 0),
            upstream=None,
            choose=lambda _: self._presented,
            schema=Schema(load_descriptor_set(content.PROTO / "users.binpb")),
            on_event=self._see,
            wanted=Wanted(frames_left_out=FRAME_TYPES),
            impersonate=True,
            tap=captures.tap,
        )
        async with AsyncExitStack() as running:
            running.callback(captures.close)
            await running.enter_async_context(self._interceptor)
            self._running = running.pop_all()
        self._port = self._interceptor.address.port

    def _new_folder(self) -> Path:
        """A folder for what is recorded from now on; what was before is forgotten."""
        if self._recorded:
            shutil.rmtree(self._recorded, ignore_errors=True)
        self._count += 1
        self._recorded = self._folder / f"own-{self._count}"
        self._recorded.mkdir(mode=0o700)
        return self._recorded

    def capture(self, name: str) -> Path | None:
        """A file of what was recorded since it was last listened; None if there is none."""
        return file_in(self._recorded, name)

    async def stop(self) -> None:
        """Listen no longer."""
        async with self._changing:
            if self._running is None:
                return
            running, self._running = self._running, None
            await running.aclose()
            self._feed.begin("own")
            self._feed.append("listening", encoded(Stopped(lost=self._captures.losses)))

    def _see(self, event: Event) -> None:
        self._captures(event)
        if record := shown(event, _WHERE):
            self._feed.append("own", encoded(record))
        if verdict := self._verdicts(event):
            self._feed.append("own", encoded(self._judged(verdict)))

    def _judged(self, verdict: SingleVerdict) -> Judged:
        known = [each for each in (self._worst, verdict) if each]
        self._worst = worst = min(known, key=lambda each: _WORST.index(each.verdict))
        return Judged(
            connection=verdict.connection,
            verdict=verdict.verdict,
            mood=mood_of(verdict.verdict),
            reason=one_line(verdict.reason),
            so_far=worst.verdict,
            so_far_mood=mood_of(worst.verdict),
            worst=worst.connection,
            lost=self._captures.losses,
        )

    _presented: Presentation


def _commands(target: str, ca: str) -> tuple[Command, ...]:
    dialling = f"mitm-demo call --target {shlex.quote(target)} --token {token_for_show()}"
    return (
        Command("verifies", f"{dialling} --policy ca-file --ca {shlex.quote(ca)}"),
        Command("trusts any issuer", f"{dialling} --policy skip-verify"),
    )
