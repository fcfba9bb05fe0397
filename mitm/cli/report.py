"""What `run` shows: the cast, the evidence, the verdict and the lesson; and the same as JSON."""

from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from mitm.audit.fixes import fix_of
from mitm.audit.stack import kind_of_stack, user_agent
from mitm.capture.console import STYLES
from mitm.capture.wording import mood_of
from mitm.events import Leg, ScenarioStarted
from mitm.evidence import Altered
from mitm.lab.clients import Client
from mitm.lab.play import Played
from mitm.lab.scenario import Scenario
from mitm.masking import as_text, plain
from mitm.verdict import LegResult, told

# Causes, by the policy of a client that lets somebody in.
_LACKING = {"insecure": "no-tls", "skip-verify": "no-verification"}


def console() -> Console:
    """A console on stdout: coloured on a terminal, plain in a pipe; rich honours NO_COLOR."""
    # Brackets in foreign text are no markup of ours, nor :words: emoji.
    return Console(highlight=False, markup=False, emoji=False)


def markdown(text: str) -> Markdown:
    """A text in Markdown of whatever origin: its lines are its own, what is in them is not."""
    return Markdown("\n".join(map(plain, text.split("\n"))))


def cast(console: Console, script: ScenarioStarted) -> None:
    """Print who takes part."""
    title = plain(f"{script.scenario}: {script.title}")
    console.print(Rule(Text(title, style="bold"), align="left"))
    rows = Table.grid(padding=(0, 2))
    for member in script.cast:
        rows.add_row(Text(plain(member.name)), Text(plain(member.told)))
    console.print(Padding(rows, (1, 0, 0, 2)))


def outcome(console: Console, outcome: Played) -> None:
    """Print verdicts and evidence, and the lesson if this has shown it."""
    console.print()
    console.print(Text("Verdict", style="bold underline"))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    several = len({leg.script.path[0] for leg in outcome.legs}) > 1
    for number, leg in enumerate(outcome.legs):
        who = "control" if leg.script.leg == "genuine" else "attack"
        if several or len(outcome.legs) > 2:
            rows.add_row("", Text(plain(" ──▶ ".join(leg.script.path)), style="bold"))
        if leg.result is None:
            rows.add_row(f"  {who}", Text(plain(f"not played: {leg.left_out}")))
            continue
        rows.add_row(f"  {who}", _verdict(leg.result, leg.script.expected))
        rows.add_row("", Text(f"the client itself says: {plain(_said(leg.result))}", style="dim"))
        if leg.script.leg == "intercepted":
            if not outcome.control_held(number):
                warning = (
                    "the control did not do what the scenario says, so the attack proves nothing"
                )
                rows.add_row("", Text(warning, style="bold red"))
            for whose, what, style in _evidence(leg.result):
                rows.add_row(f"  {whose}", Text(what, style=style))
    console.print(rows)
    for leg in outcome.legs:
        for altered in leg.result.evidence.altered if leg.result and leg.result.evidence else ():
            console.print(Padding(_side_by_side(altered), (1, 0, 0, 2)))
    if not outcome.matched:
        # It tells what comes of this scenario, and something else has come.
        left_out = f"The lesson of {outcome.script.scenario} is left out: this run did not show it."
        console.print(Padding(Text(plain(left_out), style="bold yellow"), (1, 2)))
        return
    console.print(Padding(Text(plain(outcome.script.point), style="bold"), (1, 2)))
    if outcome.script.how_to_fix:
        console.print(Text("How to fix it", style="bold underline"))
        console.print(Padding(markdown(outcome.script.how_to_fix), (0, 2)))
        if own := _fix_of_its_stack(outcome):
            console.print(Padding(Text(own), (1, 2, 0, 2)))
        console.print()


def _fix_of_its_stack(outcome: Played) -> str:
    """What to change in a client of another stack than the lesson is in; "" if it is in that."""
    for leg in outcome.legs:
        lacking = _LACKING.get(leg.script.policy)
        if leg.script.leg == "intercepted" and leg.result and lacking:
            stack = kind_of_stack(user_agent(leg.result.evidence))
            fix = fix_of(lacking, stack)
            if fix and stack != "grpcio":
                return f"This client is made with {stack}. {fix}."
    return ""


def _verdict(result: LegResult, expected: str) -> Text:
    line = Text()
    line.append(plain(result.verdict), style=STYLES[mood_of(result.verdict)])
    if result.verdict == expected:
        line.append(", as expected", style="green")
    else:
        line.append(f", but expected was {plain(expected)}", style="bold red")
    return line.append(f": {plain(result.reason)}")


def _said(result: LegResult) -> str:
    """What the client program printed, or what became of it."""
    answer = as_text(result.client.answer) if result.client.answer else ""
    return answer or told(result.client)


def _evidence(result: LegResult) -> Iterator[tuple[str, str, str]]:
    """Lines of evidence: whose, what, and how to set it off."""
    assert result.evidence is not None
    for ending in result.evidence.connections:
        if ending.accepted:
            handshake = "TLS handshake completed"
        else:
            handshake = "TLS handshake refused" if ending.phase == "handshake" else "no TLS"
        how = f"alert {ending.alert}" if ending.alert else _HOW.get(ending.how, ending.how)
        yield "seen", plain(f"connection {ending.connection}: {handshake}; {ending.by} {how}"), ""
    if shown := result.evidence.client_certificate:
        names = f" ({', '.join(shown.names)})" if shown.names else ""
        what = f"the client's own certificate: {shown.subject}{names}, issued by {shown.issuer}"
        yield "read", plain(what), "red" if shown.proved else ""
    for call in result.evidence.calls:
        yield "read", plain(call.method), "red"
        for name, value in call.metadata.items():
            if name in result.evidence.credentials:
                yield "", f"{plain(name)}: {plain(value)}", "red"
        for way, messages in (("sent", call.requests), ("answered", call.responses)):
            for message in messages:
                yield "", f"{way} {as_text(message)}", "red"
    for served in result.server_calls:
        whose = f", a client with the certificate of {served.identity}" if served.identity else ""
        what = f"recorded {served.method} {served.status} from {served.peer}{whose}"
        yield "server", plain(what), ""


def _side_by_side(altered: Altered) -> Table:
    """Both versions of what was changed, field by field."""
    receiver = "client" if altered.sender == "server" else "server"
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    name = plain(altered.type.rpartition(".")[2] or altered.part)
    table.add_row(
        Text(name, style="bold"),
        Text(f"the {altered.sender} sent", style="bold"),
        Text(f"the {receiver} was given", style="bold"),
    )
    for field in altered.before | altered.after:
        before, after = (
            plain(_shown(each[field])) if field in each else ""
            for each in (altered.before, altered.after)
        )
        style = "bold red" if before != after else ""
        table.add_row(plain(field), Text(before), Text(after, style=style))
    return table


def _shown(value: object) -> str:
    return value if isinstance(value, str) else as_text(value)


_HOW = {
    "eof": "closed without an alert",
    "close-notify": "closed with close_notify",
    "reset": "reset the connection",
}


def summary(console: Console, outcomes: Sequence[Played]) -> None:
    """Print the table of all scenarios played."""
    table = Table(title="Summary", title_justify="left", title_style="bold")
    for column in ("scenario", "control", "under attack", "as expected"):
        table.add_column(column)
    for outcome in outcomes:
        table.add_row(
            Text(plain(outcome.script.scenario)),
            _verdicts(outcome, "genuine"),
            _verdicts(outcome, "intercepted"),
            Text("yes", style="green") if outcome.matched else Text("NO", style="bold red"),
        )
    console.print(table)
    matched = sum(outcome.matched for outcome in outcomes)
    console.print(f"{matched} of {len(outcomes)} scenarios came out as expected.")


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
