"""What `run` shows: the cast, the evidence, the verdict and the lesson; and the same as JSON."""

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.markdown import Markdown
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from mitm.capture import plain
from mitm.events import Event, LegStarted
from mitm.lab import Client, Outcome, Scenario
from mitm.verdict import Call, LegResult

_STYLES = {
    "connected": "green",
    "aborted": "bold green",
    "exposed": "bold red",
    "compromised": "bold red",
}


def console() -> Console:
    """A console on stdout: coloured on a terminal, plain in a pipe; rich honours NO_COLOR."""
    return Console(highlight=False)


def cast(console: Console, scenario: Scenario, client: Client) -> None:
    """Print who takes part."""
    console.print(Rule(Text(f"{scenario.name}: {scenario.title}", style="bold"), align="left"))
    rows = Table.grid(padding=(0, 2))
    rows.add_row("client", f"{client.title}, policy {scenario.policy}")
    rows.add_row("attacker", f"presents the certificate {scenario.certificate.name!r}")
    mode = "TLS, a certificate from the lab's CA" if scenario.server == "tls" else "no TLS"
    rows.add_row("server", f"users.v1.UserService, {mode}")
    console.print(Padding(rows, (1, 0, 0, 2)))


def leg_heading(console: Console, event: Event) -> None:
    """Print a heading when a leg begins."""
    if not isinstance(event, LegStarted):
        return
    if event.leg == "genuine":
        heading = f"Control: client ──▶ server, at {event.target}"
    else:
        heading = f"Attack: client ──▶ attacker ──▶ server, client dials {event.target}"
    console.print()
    console.print(Text(heading, style="bold underline"))
    if event.leg == "genuine":
        console.print(Text("  the same client, undisturbed: without this an abort proves nothing"))


def outcome(console: Console, outcome: Outcome) -> None:
    """Print verdicts, evidence and lesson."""
    expected = outcome.scenario.expected
    console.print()
    console.print(Text("Verdict", style="bold underline"))
    console.print(_verdict_line("control", outcome.genuine, expected.genuine))
    console.print(_verdict_line("attack", outcome.intercepted, expected.intercepted))
    if not outcome.control_held:
        warning = (
            "the control did not do what the scenario says: the attack's verdict proves nothing"
        )
        console.print(Text(f"  {warning}", style="bold red"))
    evidence = outcome.intercepted.evidence
    assert evidence is not None
    for ending in evidence.connections:
        accepted = "handshake completed" if ending.accepted else "handshake not completed"
        how = f"alert {ending.alert}" if ending.alert else _HOW.get(ending.how, ending.how)
        text = f"  evidence   connection {ending.connection}: {accepted}; {ending.by}: {how}"
        console.print(Text(text))
    for call in evidence.calls:
        _call(console, call)
    if outcome.intercepted.server_calls:
        calls = ", ".join(f"{c.method} {c.status}" for c in outcome.intercepted.server_calls)
        console.print(Text(f"  the server  recorded {plain(calls)} from the attacker's address"))
    console.print(Padding(Text(outcome.scenario.point, style="bold"), (1, 2)))
    if outcome.scenario.fix:
        console.print(Text("How to fix it", style="bold underline"))
        console.print(Padding(Markdown(outcome.scenario.fix), (0, 2)))
        console.print()


_HOW = {
    "eof": "closed without an alert",
    "close-notify": "closed with close_notify",
    "reset": "reset the connection",
}


def _verdict_line(leg: str, result: LegResult, expected: str) -> Text:
    line = Text(f"  {leg:<9}")
    line.append(f"{result.verdict:<13}", style=_STYLES.get(result.verdict, "bold yellow"))
    if result.verdict == expected:
        line.append("as expected", style="green")
    else:
        line.append(f"expected {expected}", style="bold red")
    return line.append(f": {plain(result.reason)}")


def _call(console: Console, call: Call) -> None:
    console.print(Text(f"  read       {plain(call.method)}", style="red"))
    for name, value in call.metadata.items():
        if "masked" in value:
            console.print(Text(f"             {plain(name)}: {plain(value)}", style="red"))
    for way, messages in (("sent", call.requests), ("answered", call.responses)):
        for message in messages:
            console.print(Text(f"             {way} {plain(str(message))}", style="red"))


def summary(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print the table of all scenarios played."""
    table = Table(title="Summary", title_justify="left", title_style="bold")
    for column in ("scenario", "control", "under attack", "as expected"):
        table.add_column(column)
    for outcome in outcomes:
        table.add_row(
            outcome.scenario.name,
            Text(outcome.genuine.verdict, style=_STYLES.get(outcome.genuine.verdict, "yellow")),
            Text(
                outcome.intercepted.verdict,
                style=_STYLES.get(outcome.intercepted.verdict, "yellow"),
            ),
            Text("yes", style="green") if outcome.matched else Text("NO", style="bold red"),
        )
    console.print(table)
    matched = sum(outcome.matched for outcome in outcomes)
    console.print(f"{matched} of {len(outcomes)} scenarios came out as expected.")


def as_json(outcome: Outcome) -> dict[str, object]:
    """A scenario's outcome for programs; credentials are masked."""
    return {
        "scenario": outcome.scenario.name,
        "client": outcome.client.name,
        "policy": outcome.scenario.policy,
        "certificate": outcome.scenario.certificate.name,
        "legs": {
            "genuine": msgspec.to_builtins(outcome.genuine),
            "intercepted": msgspec.to_builtins(outcome.intercepted),
        },
        "expected": msgspec.to_builtins(outcome.scenario.expected),
        "control_held": outcome.control_held,
        "matched": outcome.matched,
    }
