"""One seat: a stage of its own, a client of its own, and the pages that look at them."""

import asyncio
import contextlib
import shutil
from pathlib import Path

from mitm.capture.wording import one_line
from mitm.errors import UserError
from mitm.events import Event
from mitm.lab.builds import ready
from mitm.lab.clients import Client
from mitm.lab.picture import picture
from mitm.lab.play import play
from mitm.lab.scenario import Scenario
from mitm.masking import without_secrets
from mitm.room.captures import NAMES, Captures, file_in
from mitm.room.feed import Feed
from mitm.room.own import OwnClient
from mitm.room.shown import encoded
from mitm.room.stage import Begun, Cleared, Failed, Over, StageView, Waiting
from mitm.room.turns import Turns

# Seconds that a client is given for each leg.
LEG_SECONDS = 10.0

# Pages of one seat that look at it at once: its own, a projector's, and some left open.
PAGES = 4


class Busy(Exception):  # noqa: N818
    """There is no room for one more."""


class Seat:
    """What one of a class has to itself.

    Args:
        number: from 1.
        token: by which its pages are known.
        folder: for what is recorded; it is there, readable by its owner alone.
        turns: whose it is to play; one for the whole room.

    Attributes:
        feed: what its pages are told.
        own: its own client.
        pages: how many look at it.
    """

    def __init__(self, number: int, token: str, folder: Path, turns: Turns) -> None:
        self.number = number
        self.token = token
        self.feed = Feed()
        self.own = OwnClient(self.feed, folder)
        self.pages = 0
        self._folder = folder
        self._turns = turns
        self._playing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._recorded: Path | None = None
        self._count = 0

    @property
    def playing(self) -> bool:
        """Whether a scenario is being played, or waits for its turn."""
        return self._playing is not None

    def play(self, scenario: Scenario, client: Client) -> None:
        """Play a scenario, when it is its turn.

        Raises:
            Busy: one is being played here.
        """
        if self._playing:
            raise Busy("a scenario is being played here: wait for its end, or reset the stage")
        self._forget()
        begun = Begun(
            scenario=one_line(scenario.name),
            title=one_line(scenario.title),
            client=one_line(client.title),
        )
        self.feed.append("stage", encoded(begun))
        self._playing = task = asyncio.create_task(self._play(scenario, client))
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def reset(self) -> None:
        """Empty the stage; what is being played is ended, and nobody waits for that."""
        if task := self._playing:
            self._playing = None
            task.cancel()
        self._forget()
        self.feed.append("stage", encoded(Cleared()))

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._playing is task:
            self._playing = None

    def _forget(self) -> None:
        self.feed.begin("stage")
        if self._recorded:
            shutil.rmtree(self._recorded, ignore_errors=True)
            self._recorded = None

    async def _play(self, scenario: Scenario, client: Client) -> None:
        self._count += 1
        folder = self._folder / f"play-{self._count}"
        try:
            async with self._turns.taken(self._tell_place):
                folder.mkdir(mode=0o700)
                over = await self._recorded_play(scenario, client, folder)
            record: Over | Failed = over
        except asyncio.CancelledError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        except UserError as error:
            record = Failed(reason=one_line(str(error)))
        except Exception as error:
            # One seat's misfortune is not the room's.
            said = without_secrets(f"{type(error).__name__}: {error}", ())
            record = Failed(reason=one_line(f"unforeseen: {said}"))
        if self._playing is asyncio.current_task():
            self._recorded = folder
            self.feed.append("stage", encoded(record))

    def _tell_place(self, before: int) -> None:
        self.feed.append("stage", encoded(Waiting(before=before)))

    async def _recorded_play(self, scenario: Scenario, client: Client, folder: Path) -> Over:
        view = StageView(self.feed)
        with contextlib.closing(Captures(folder)) as captures:

            def see(event: Event) -> None:
                captures(event)
                if self._playing is current:
                    view(event)

            current = asyncio.current_task()
            outcome = await play(
                scenario,
                await ready(client, build=False),
                timeout=LEG_SECONDS,
                on_event=see,
                tap=captures.tap,
            )
        return Over(picture=picture(outcome), captures=NAMES, lost=captures.losses)

    def capture(self, name: str) -> Path | None:
        """A file of what was played last; None if there is none."""
        return file_in(self._recorded, name)

    async def close(self) -> None:
        """End everything, in order: no process stays behind."""
        self.reset()
        self.feed.close()
        await self.own.stop()
        if self._tasks:
            await asyncio.wait(self._tasks)
