"""Events as lines for a person: time, connection, stream, who to whom, and what."""

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from rich.text import Text

from mitm import events
from mitm.capture.wording import (
    Mood,
    count_lines,
    describe,
    issuance,
    mood_of,
    one_line,
    renewal,
)
from mitm.events import FRAME_TYPES, Event, Wanted
from mitm.masking import plain

# Frames that Headers and Message events tell of, in full and with their meaning.
_CARRIERS = frozenset({"HEADERS", "CONTINUATION", "PUSH_PROMISE", "DATA"})

# Frames by which endpoints keep a connection going. They say nothing of a call, and would be most
# of what is shown.
_ROUTINE = frozenset({"SETTINGS", "WINDOW_UPDATE", "PING"})

# By mood, in rich's words; for a projector and for paper-white terminals too, where nobody can read
# faint text. Colours of the 256 (xterm's), since each palette has sixteen of its own: these have a
# contrast of 3.8 and more on white and on black.
STYLES: dict[Mood, str] = {
    "": "",
    "quiet": "",
    "strong": "bold",
    "good": "bold color(28)",
    "caution": "color(166)",
    "harm": "bold color(196)",
}

_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}

# Columns of who it is that says something.
_WHO = 16

# Columns that a text is given at the least, on however narrow a terminal.
_NARROWEST = 20


class EventLines:
    """Makes lines of events.

    Past rich's layout engine, by which a line costs thirty times what it does as text. Rich knows
    whether there are colours: of kinds of terminals, of NO_COLOR and FORCE_COLOR.

    Args:
        console: where they will go: a terminal that takes colour, or what does not.
        frames: whether control frames (GOAWAY, RST_STREAM, …) are shown too.
        routine: whether SETTINGS, WINDOW_UPDATE and PING are among them.
    """

    def __init__(self, console: Console, *, frames: bool, routine: bool = True) -> None:
        self._console = console
        self._frames = frames
        self._hidden = _CARRIERS if routine else _CARRIERS | _ROUTINE
        self._codes: dict[Mood, tuple[str, str]] = {}
        self._who: dict[str, str] = {}  # of the few that there are
        self._start: float | None = None
        # Of one that is dumb nobody knows the width.
        self._wraps = console.is_terminal and not console.is_dumb_terminal

    @property
    def wanted(self) -> Wanted:
        """The events that there are lines for."""
        return Wanted(frames_left_out=self._hidden if self._frames else FRAME_TYPES)

    def begin(self, time: float) -> None:
        """Count the time from here; without, it is counted from the first event.

        Args:
            time: seconds since the epoch.
        """
        self._start = time

    def of(self, event: Event) -> str:
        """The lines of an event, each with its end; "" if there are none."""
        if self._is_hidden(event):
            return ""
        if self._start is None:
            self._start = event.time
        lines = describe(event)
        if not lines:
            return ""
        stream = getattr(event, "stream", 0)
        begin = f"{event.time - self._start:8.3f}  #{event.connection:<3} {stream or '':>4}  "
        text = ""
        for who, what, mood in lines:
            before, after = self._codes.get(mood) or self._codes_of(mood)
            # Here, for all of them: in a recording, anything can be anybody's.
            shown = one_line(what)
            if self._wraps:
                shown = self._hanging(shown, len(begin) + max(len(who), _WHO) + 1)
            text += f"{begin}{self._whose(who)}{before}{shown}{after}\n"
        return text

    def count(self, event: Event) -> int:
        """How many lines an event has, without making them."""
        return 0 if self._is_hidden(event) else count_lines(event)

    def said(self, text: str, mood: Mood) -> str:
        """A line of our own.

        Args:
            text: of which foreign parts are made harmless.
            mood: how to set it off.
        """
        before, after = self._codes_of(mood)
        return f"{before}{one_line(text)}{after}\n"

    def _whose(self, who: str) -> str:
        whose = self._who.get(who)
        if whose is None:
            before, after = self._codes_of("strong")
            whose = self._who[who] = f"{before}{who:<{_WHO}} {after}"
        return whose

    def _hanging(self, text: str, column: int) -> str:
        """A text that is too long for a terminal's line: its further lines hang under its first."""
        room = max(self._console.width - column, _NARROWEST)
        if len(text) <= room and text.isascii():
            return text
        own = " " * (len(text) - len(text.lstrip()))
        lines = Text(text.lstrip()).wrap(self._console, room - len(own))
        return own + f"\n{' ' * column}{own}".join(line.plain.rstrip() for line in lines)

    def _is_hidden(self, event: Event) -> bool:
        return isinstance(event, events.Frame) and (not self._frames or event.type in self._hidden)

    def _codes_of(self, mood: Mood) -> tuple[str, str]:
        """What stands before and behind a text in a mood, here."""
        codes = self._codes.get(mood)
        if codes is None:
            style = Style.parse(STYLES[mood])
            if self._console.no_color:
                style = style.without_color
            system = _SYSTEMS.get(self._console.color_system or "")
            before, _, after = style.render(".", color_system=system).partition(".")
            codes = self._codes[mood] = before, after
        return codes


class EventPrinter:
    """Prints events as they happen, each in one piece; whoever calls waits for that.

    Args:
        console: where to.
        frames, routine: see `EventLines`.
    """

    def __init__(self, console: Console, *, frames: bool, routine: bool = True) -> None:
        self._console = console
        self._lines = EventLines(console, frames=frames, routine=routine)

    def __call__(self, event: Event) -> None:
        """Print one event, if it is one to print."""
        match event:
            case events.LegStarted():
                self._lines.begin(event.time)
                self._print_heading(event)
            case events.LegEnded():
                style = STYLES[mood_of(event.verdict)]
                self._console.print(
                    Text.assemble(
                        "  → ", (plain(event.verdict), style), one_line(f": {event.reason}")
                    )
                )
            case events.LegLeftOut():
                self._console.print(Text(one_line(f"  → not played: {event.reason}")))
            case events.Issued():
                self._console.print()
                self._console.print(Text(one_line(issuance(event)), style="bold"))
            case events.Renewed():
                self._console.print()
                self._console.print(Text(one_line(renewal(event)), style="bold"))
            case _:
                self._print(self._lines.of(event))

    def say(self, text: str, mood: Mood) -> None:
        """Print a line of our own, see `EventLines.said`."""
        self._print(self._lines.said(text, mood))

    def _print(self, text: str) -> None:
        if text:
            self._console.file.write(text)
            self._console.file.flush()

    def _print_heading(self, event: events.LegStarted) -> None:
        self._console.print()
        way = " ──▶ ".join(event.path)
        if event.leg == "genuine":
            heading = f"Control: {way}, at {event.target}"
        else:
            heading = f"Attack: {way}, {event.path[0]} dials {event.target}"
        self._console.print(Text(one_line(heading), style="bold underline"))
        if event.number == 0:
            why = "  the same client, undisturbed: without this, an abort would prove nothing"
            self._console.print(Text(why))
