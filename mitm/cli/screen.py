"""The end of a scenario on one screen of a projector: what is read from the back row."""

from collections.abc import Callable, Sequence
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

from mitm.capture.console import STYLES
from mitm.capture.wording import Mood
from mitm.cli.large_letters import in_large_letters
from mitm.lab.picture import LegPicture, Picture, Said

# A verdict has its own ground, so that the terminal's does not matter.
_BLOCKS: dict[Mood, str] = {
    "harm": "bold color(231) on color(160)",
    "good": "bold color(231) on color(28)",
    "caution": "bold black on color(214)",
}
_BLOCK = "bold black on color(252)"

# Columns of a wide screen that are used: longer lines are not read.
_WIDEST = 110

# Columns of a screen on which two texts stand side by side.
_SIDE_BY_SIDE = 72

# Lines of these texts, with their titles, at the least; and where nobody has to scroll.
_FEWEST = 5
_UNLIMITED = 200

_ARROW = " ──▶ "


def show(console: Console, picture: Picture, pause: Callable[[], None] = lambda: None) -> None:
    """Print a picture, so that it fits on the screen with a prompt below it.

    Args:
        console: where to. What is no terminal has no height, and nothing is left out there.
        picture: what there is to show.
        pause: is called between its parts, for a speaker.
    """
    width = min(console.width, _WIDEST)
    height = console.height - 1 if console.is_terminal else 0
    screen = _Screen(console, picture, width)
    for number, part in enumerate(screen.parts(height)):
        if number:
            pause()
        for line in part:
            console.print(line, soft_wrap=True)


class _Screen:
    """The parts of the picture, as lines that are no longer than the screen is wide."""

    def __init__(self, console: Console, picture: Picture, width: int) -> None:
        self._console = console
        self._picture = picture
        self._width = width
        self._leg = picture.legs[picture.shown]

    def parts(self, height: int) -> list[list[Text]]:
        """All of them.

        Args:
            height: lines that there are; 0 for as many as it takes. For want of them the space
                between the parts goes first, then the end of the columns, then what makes the
                verdict large.
        """
        blank = [Text()]
        whole = max(map(len, self._columns(_UNLIMITED)))
        for space, large, fewest in ((blank, True, whole), ([], True, _FEWEST), ([], False, 0)):
            begin = self._title() + space + self._paths() + blank
            around = blank if large else []
            verdict = around + self._verdict(large=large)
            lesson = around + self._lesson()
            room = height - len(begin) - len(verdict) - len(lesson) if height else whole
            if room >= min(whole, fewest):
                break
        return [begin, *self._columns(max(room, 2)), verdict, lesson]

    def _title(self) -> list[Text]:
        title = f"{self._picture.scenario}: {self._picture.title}"
        client = f"  {self._picture.client}"
        if len(title) + len(client) > self._width:
            return self._wrapped(title, "bold underline")
        return [Text.assemble((title, "bold underline"), client)]

    def _paths(self) -> list[Text]:
        """Who stood where, and what came of it: a line for each leg."""
        legs = self._picture.legs
        paths = [_ARROW.join(leg.path) for leg in legs]
        if len(legs) == 2 and len(legs[0].path) == 2 and legs[0].path[0] == legs[1].path[0]:
            # The attacker then stands in the middle of the same way.
            begin, end = f"{legs[0].path[0]} ", f" {legs[0].path[1]}"
            paths[0] = f"{begin}{'─' * (len(paths[1]) - len(begin) - len(end) - 1)}▶{end}"
        longest = max(map(len, paths))
        lines = []
        for leg, path in zip(legs, paths, strict=True):
            line = Text("control  " if leg.leg == "genuine" else "attack   ")
            line.append(path.ljust(longest), "bold")
            line.append("  ").append(*_verdict_of(leg))
            lines += self._hanging(line, 9)
        return lines

    def _columns(self, room: int) -> list[list[Text]]:
        """What the client believed, and what the attacker read: side by side, if there is room."""
        leg = self._leg
        sides = [(f"{leg.path[0]} believed", leg.believed)]
        if leg.leg == "intercepted":
            sides.append(("the attacker read", leg.read))
        if len(sides) == 1 or self._width < _SIDE_BY_SIDE:
            room = max(room // len(sides), 2)
            return [self._side(*side, self._width, room) for side in sides]
        left = self._width * 2 // 5
        widths = left - 2, self._width - left
        columns = [self._side(*side, w, room) for side, w in zip(sides, widths, strict=True)]
        beside = []
        for one, other in zip_longest(*columns, fillvalue=Text()):
            line = one.copy()
            line.pad_right(left - line.cell_len)
            line.append_text(other)
            line.rstrip()
            beside.append(line)
        return [beside]

    def _side(self, title: str, said: Sequence[Said], width: int, room: int) -> list[Text]:
        lines = [Text(title.upper(), "bold")]
        for each in said:
            lines += self._hanging(Text(each.text, STYLES[each.mood]), 2, width)
        return lines if len(lines) <= room else [*lines[: room - 1], Text("… more: --details")]

    def _verdict(self, *, large: bool) -> list[Text]:
        picture = self._picture
        word = picture.verdict.upper()
        if self._console.color_system and not self._console.no_color:
            style = _BLOCKS.get(picture.mood, _BLOCK)
            said = in_large_letters(word) if large else [" ".join(word)]
            lines = [Text(line.center(self._width), style) for line in said]
        else:
            edges = [Text("═" * self._width)] * large
            lines = [*edges, Text(" ".join(word).center(self._width), "bold"), *edges]
        if not self._leg.proved:
            what = "The control did not do what the scenario says, so the attack proves nothing: "
            return lines + self._wrapped(what + self._leg.reason, "bold")
        if not large:
            # Among many legs it is told by their paths.
            return lines
        return lines + self._wrapped(f"{self._leg.reason[:1].upper()}{self._leg.reason[1:]}.")

    def _lesson(self) -> list[Text]:
        picture = self._picture
        lines = []
        if picture.point:
            lines += self._wrapped(picture.point, "bold")
        if picture.fix:
            lines += self._hanging(Text.assemble(("Fix: ", "bold"), picture.fix), 5)
        if picture.as_scripted:
            said, style = "As scripted.", ""
        else:
            said, style = "Not as scripted: the scenario's lesson is left out.", "bold"
        onward = f" Next: mitm-demo run {picture.next}" if picture.next else ""
        return lines + self._wrapped(f"{said} More: --details.{onward}", style)

    def _wrapped(self, text: str, style: str = "") -> list[Text]:
        return self._hanging(Text(text, style), 0)

    def _hanging(self, text: Text, column: int, width: int = 0) -> list[Text]:
        """A text in lines, of which the further ones begin at a column."""
        width = width or self._width
        if text.cell_len <= width:
            return [text]
        first, *_ = text.wrap(self._console, width)
        rest = text[len(first) :]
        rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
        lines = rest.wrap(self._console, width - column)
        return [first, *(Text(" " * column).append_text(line) for line in lines)]


def _verdict_of(leg: LegPicture) -> tuple[str, str]:
    """What a leg came to, and how that is set off."""
    if leg.verdict is None:
        return "not played", ""
    text = leg.verdict if leg.verdict == leg.expected else f"{leg.verdict}, not {leg.expected}"
    return text, STYLES[leg.mood]
