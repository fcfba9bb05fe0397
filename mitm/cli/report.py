"""What `run` shows: the cast, the evidence, the verdict and the lesson; and the same as JSON."""

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.rule import Rule
from rich.style import Style
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from mitm.capture.console import STYLES
from mitm.capture.wording import mood_of
from mitm.events import Leg, ScenarioStarted
from mitm.lab.clients import Client
from mitm.lab.picture import Changed, LegPicture, Picture, fix_of_its_stack
from mitm.lab.play import Played
from mitm.lab.scenario import Scenario
from mitm.masking import as_text, plain
from mitm.verdict import LegResult, told


def console() -> Console:
    """A console on stdout: coloured on a terminal, plain in a pipe; rich honours NO_COLOR."""
    moods: dict[str, str | Style] = {mood: style for mood, style in STYLES.items() if mood}
    # Brackets in foreign text are no markup of ours, nor :words: emoji.
    # Nor has code a black ground, which a projector's white screen shows as a box.
    theme = Theme({"markdown.code": "bold", "markdown.code_block": "", **moods})
    return Console(highlight=False, markup=False, emoji=False, theme=theme)


def markdown(text: str) -> Markdown:
    """A text in Markdown of whatever origin: its lines are its own, what is in them is not."""
    return Markdown("\n".join(map(plain, text.split("\n"))), code_theme="ansi_dark")


def cast(console: Console, script: ScenarioStarted) -> None:
    """Print who takes part."""
    title = plain(f"{script.scenario}: {script.title}")
    console.print(Rule(Text(title, style="bold"), align="left"))
    rows = Table.grid(padding=(0, 2))
    for member in script.cast:
        rows.add_row(Text(plain(member.name)), Text(plain(member.told)))
    console.print(Padding(rows, (1, 0, 0, 2)))


def evidence(console: Console, picture: Picture, outcome: Played) -> None:
    """Print what the verdicts rest on, leg by leg, and how to mend it at length."""
    console.print()
    console.print(Text("Evidence", style="bold underline"))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for leg, played in zip(picture.legs, outcome.legs, strict=True):
        who = "control" if leg.leg == "genuine" else "attack"
        rows.add_row(f"  {who}", Text(" ──▶ ".join(leg.path), style="bold"))
        if not played.result:
            rows.add_row("", Text(f"not played: {leg.reason}"))
            continue
        rows.add_row("", _verdict(leg))
        rows.add_row("", Text(f"the client itself says: {plain(_said(played.result))}"))
        for whose, said in (
            ("seen", leg.connections),
            ("read", leg.read if leg.leg == "intercepted" else ()),
            ("server", leg.server),
        ):
            for each in said:
                rows.add_row(f"  {whose}", Text(each.text, style=STYLES[each.mood]))
    console.print(rows)
    for leg in picture.legs:
        for changed in leg.changed:
            console.print(Padding(_side_by_side(changed), (1, 0, 0, 2)))
    if picture.how_to_fix:
        console.print()
        console.print(Text("How to fix it", style="bold underline"))
        console.print(Padding(markdown(picture.how_to_fix), (0, 2)))
        if own := fix_of_its_stack(outcome):
            console.print(Padding(Text(f"In this client: {own}"), (1, 2, 0, 2)))


def _verdict(leg: LegPicture) -> Text:
    line = Text(leg.verdict or "", style=STYLES[leg.mood])
    if leg.verdict != leg.expected:
        line.append(f", where the scenario has {leg.expected}", style=STYLES["caution"])
    if not leg.proved:
        line.append("; the control did not do what the scenario says", style=STYLES["caution"])
    return line.append(f": {leg.reason}", style="not bold")


def _said(result: LegResult) -> str:
    """What the client program printed, or what became of it."""
    answer = as_text(result.client.answer) if result.client.answer else ""
    return answer or told(result.client)


def _side_by_side(changed: Changed) -> Table:
    """Both versions of what was changed, field by field."""
    table = Table.grid(padding=(0, 3))
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_row(
        Text(changed.what, style="bold"),
        Text(f"the {changed.sender} sent", style="bold"),
        Text(f"the {changed.receiver} was given", style="bold"),
    )
    for name, before, after in changed.fields:
        style = STYLES["harm"] if before != after else ""
        table.add_row(name, Text(before), Text(after, style=style))
    return table


class Rows:
    """A line for each scenario, as it ends: many of them on one screen.

    Args:
        console: where to.
        names: of those that will be played.
    """

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._width = max(map(len, names), default=0)
        self._played: list[Played] = []

    def head(self) -> None:
        """Print what the columns are."""
        columns = f"{'scenario':<{self._width}}  {'control':<17}  under attack"
        self._console.print(Text(columns, style="bold underline"))

    def add(self, outcome: Played) -> None:
        """Print the line of a scenario."""
        self._played.append(outcome)
        line = Text(f"{plain(outcome.script.scenario):<{self._width}}  ")
        control = _verdicts(outcome, "genuine")
        control.pad_right(17 - control.cell_len)
        line.append_text(control).append("  ").append_text(_verdicts(outcome, "intercepted"))
        if not outcome.matched:
            line.append("  NOT AS SCRIPTED", style=STYLES["caution"])
        self._console.print(line)

    def end(self) -> None:
        """Print how many came out as they should."""
        matched = sum(outcome.matched for outcome in self._played)
        count = len(self._played)
        self._console.print(Text(f"{matched} of {count} scenarios came out as expected."))


def _verdicts(outcome: Played, kind: Leg) -> Text:
    """What its legs of a kind have come to, each verdict once, in their order."""
    verdicts = dict.fromkeys(
        leg.result.verdict for leg in outcome.legs if leg.result and leg.script.leg == kind
    )
    styled = [Text(verdict, style=STYLES[mood_of(verdict)]) for verdict in verdicts]
    return Text(", ").join(styled)


def not_played(console: Console, scenario: str, reason: str) -> None:
    """Print that a scenario was left out, and why."""
    console.print(Text(plain(f"{scenario} was not played: {reason}")))


def not_played_as_json(scenario: Scenario, client: Client, reason: str) -> dict[str, object]:
    """A scenario that was left out, for programs."""
    return {"scenario": scenario.name, "client": client.name, "not_played": reason}


def as_json(outcome: Played) -> dict[str, object]:
    """A scenario's outcome for programs; credentials are masked."""
    return {
        "scenario": outcome.script.scenario,
        "client": outcome.script.client,
        "cast": msgspec.to_builtins(outcome.script.cast),
        "legs": [_leg_as_json(outcome, number) for number in range(len(outcome.legs))],
        "matched": outcome.matched,
    }


def _leg_as_json(outcome: Played, number: int) -> dict[str, object]:
    leg = outcome.legs[number]
    told: dict[str, object] = msgspec.to_builtins(leg.script)
    if leg.result is None:
        return told | {"not_played": leg.left_out}
    told |= msgspec.to_builtins(leg.result)
    if leg.script.leg == "intercepted":
        told["control_held"] = outcome.control_held(number)
    return told
