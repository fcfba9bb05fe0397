"""What there is to play, and the lessons behind it, as `list` and `show` print them."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mitm import content
from mitm.audit import Attack, Entry, OfferRule, catalogue
from mitm.audit.case import loader_of, plain_name
from mitm.audit.servers.way import Way, all_ways, is_way, load_way
from mitm.cli import report
from mitm.lab.clients import all_clients
from mitm.lab.scenario import Scenario, in_order, load_scenario, scenarios
from mitm.masking import plain
from mitm.pki import load_recipe

_KINDS = {Attack: "attacks", OfferRule: "offers", Way: "ways"}

# What a client or a server can be tried with, by its kind.
_TRIED = {
    "certs": "Certificates",
    "attacks": "Attacks",
    "offers": "Rules about what is offered",
    "ways": "Ways into a server",
}

# Columns of a terminal from which on a table of five columns has room for space beside its lines.
_WIDE = 100


def print_list(kind: str | None, folders: Sequence[Path], *, as_json: bool) -> None:
    """Print what there is of a kind, or of all.

    Args:
        kind: which; None for an overview.
        folders: of further clients.
        as_json: one object a line, for programs.
    """
    if as_json:
        for about in _all(folders):
            if kind in (None, about["kind"]):
                click.echo(json.dumps(about, ensure_ascii=False))
        return
    console = report.console()
    match kind:
        case "scenarios":
            console.print(_scenarios())
        case "certs" | "attacks" | "offers" | "ways":
            console.print(_to_try(console, kind))
        case "clients":
            console.print(_clients(folders))
        case _:
            console.print(_overview(folders))


def _all(folders: Sequence[Path]) -> Iterator[dict[str, object]]:
    """What there is, for programs."""
    for scenario in in_order():
        yield {
            "kind": "scenarios",
            "name": scenario.name,
            "title": scenario.title,
            "cast": msgspec.to_builtins(scenario.cast),
            "legs": msgspec.to_builtins(scenario.script()),
            "point": scenario.point,
        }
    for recipe in [*_by_place(), *_ways_by_place()]:
        yield {
            "kind": _kind(recipe),
            "name": recipe.name,
            "title": recipe.title,
            "family": recipe.family,
            "severity": recipe.severity,
            "expect": recipe.expect,
            "cwe": recipe.cwe,
            "rule": recipe.rule,
            "fix": recipe.fix,
        }
    for client in all_clients(*folders):
        yield {
            "kind": "clients",
            "name": client.name,
            "title": client.title,
            "policies": client.policies,
            "requires": [each.program for each in client.requires],
        }


def _by_place() -> list[Entry]:
    return sorted(catalogue(), key=lambda recipe: recipe.place)


def _ways_by_place() -> list[Way]:
    return sorted(all_ways(), key=lambda way: way.place)


def _overview(folders: Sequence[Path]) -> Table:
    """All of it on one screen: certificates are too many to be named."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(Text("Scenarios", style="bold"), "mitm-demo list scenarios")
    grid.add_row("", "  ".join(scenario.name for scenario in in_order()))
    grid.add_row(
        Text("Certificates", style="bold"), "mitm-demo list certs | attacks | offers | ways"
    )
    families = itertools.groupby(_by_place(), key=lambda recipe: recipe.family)
    counts = ", ".join(f"{family} {sum(1 for _ in recipes)}" for family, recipes in families)
    grid.add_row("", counts)
    grid.add_row(Text("Clients", style="bold"), "mitm-demo list clients")
    for client in all_clients(*folders):
        grid.add_row(plain(f"  {client.name}"), plain(client.title))
    grid.add_row(Text("A lesson", style="bold"), "mitm-demo show NAME")
    first, *others = content.session_files()
    stacks = ", ".join(name.removeprefix("session/") for name in others)
    grid.add_row(Text("For your tests", style="bold"), f"mitm-demo show {first} ({stacks})")
    grid.add_row(Text("For programs", style="bold"), "mitm-demo list --json")
    return grid


def _scenarios() -> Table:
    table = _table("Scenarios", "name", "title", "control", "under attack")
    for scenario in in_order():
        table.add_row(scenario.name, scenario.title, *expected(scenario))
    return table


def expected(scenario: Scenario) -> tuple[str, str]:
    """The verdicts that a scenario's controls and attacks are to come to, each once."""
    legs = scenario.script()
    told = (
        dict.fromkeys(leg.expected for leg in legs if leg.leg == kind)
        for kind in ("genuine", "intercepted")
    )
    control, attack = map(", ".join, told)
    return control, attack


def _kind(recipe: Entry | Way) -> str:
    return _KINDS.get(type(recipe), "certs")


def _to_try(console: Console, kind: str) -> Table:
    who = "server" if kind == "ways" else "client"
    heads = ("name", "severity", "CWE", f"a correct\n{who}", "title")
    table = _table(_TRIED[kind], *heads)
    every: list[Entry | Way] = [*_by_place(), *_ways_by_place()]
    entries = [entry for entry in every if _kind(entry) == kind]
    if console.width < _WIDE:
        table.padding = (0, 0)
    for family, recipes in itertools.groupby(entries, key=lambda recipe: recipe.family):
        table.add_section()
        table.add_row(family.title(), style="bold")
        for recipe in recipes:
            weaknesses = ", ".join(map(str, recipe.cwe))
            expected = f"{recipe.expect}s"
            table.add_row(recipe.name, recipe.severity, weaknesses, expected, recipe.title)
    return table


def _clients(folders: Sequence[Path]) -> Table:
    table = _table("Clients", "name", "title", "policies")
    for client in all_clients(*folders):
        table.add_row(plain(client.name), plain(client.title), ", ".join(client.policies))
    return table


def print_lesson(name: str) -> None:
    """Print the lesson of a scenario, certificate or attack, or a file to copy into one's tests.

    A scenario may have the name of the certificate, or the way, that it is about: then both are
    printed.

    Args:
        name: of one that comes with the project, or the path of one's own file.

    Raises:
        UserError: there is none, or it is not well-formed.
    """
    # Of both kinds, so that the nearest is suggested whichever was meant.
    path = content.find(
        "scenario, certificate or attack",
        content.to_try() | content.ways() | scenarios() | content.session_files(),
        plain_name(name),
    )
    if path in content.session_files().values():
        # As it is, to be kept in a file.
        click.echo(path.read_text(encoding="utf-8"), nl=False)
        return
    if path in content.ways().values() or is_way(path):
        _show_certificate(load_way(name))
        return
    # A script is what is nothing else.
    if load := loader_of(path):
        _show_certificate(load(str(path)))
    else:
        _show_scenario(load_scenario(str(path)))
    if path.parent == content.SCENARIOS and (also := content.to_try().get(path.stem)):
        _show_certificate(load_recipe(str(also)))
    if path.parent == content.SCENARIOS and path.stem in content.ways():
        _show_certificate(load_way(path.stem))


def _show_certificate(recipe: Entry | Way) -> None:
    console = report.console()
    console.print(report.markdown(f"# {recipe.title}\n\n{recipe.lesson}"))
    weaknesses = "".join(f", CWE-{number}" for number in recipe.cwe)
    who = "server" if isinstance(recipe, Way) else "client"
    facts = [
        (f"A correct {who}", f"{recipe.expect}s it ({recipe.severity}{weaknesses})"),
        ("Rule", recipe.rule),
        ("Fix", recipe.fix),
    ]
    for label, fact in facts:
        if fact:
            console.print(plain(f"{label}: {fact}"))


def _show_scenario(scenario: Scenario) -> None:
    console = report.console()
    console.print(report.markdown(f"# {scenario.title}\n\n{scenario.lesson}"))
    for leg in scenario.script():
        console.print(Text(plain(f"Expected: {' ──▶ '.join(leg.path)}: {leg.expected}.")))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        # Names are there to be typed: they are never cut.
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    return table
