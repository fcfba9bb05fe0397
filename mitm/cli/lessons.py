"""`mitm-demo list` and `mitm-demo show`: what there is to play, and the lessons behind it."""

import itertools

import click
from rich.markdown import Markdown
from rich.table import Table

from mitm import content, pki
from mitm.audit import catalogue
from mitm.cli import report
from mitm.lab import Scenario, clients, load_client, load_scenario, scenarios


@click.command(name="list")
@click.argument("kind", type=click.Choice(["scenarios", "certs", "clients"]), required=False)
def list_content(kind: str | None) -> None:
    """List scenarios, certificates and clients, or those of one kind.

    \b
    mitm-demo list
    mitm-demo list certs
    """
    console = report.console()
    for name, table in (
        ("scenarios", _scenarios),
        ("certs", _certificates),
        ("clients", _clients),
    ):
        if kind in (None, name):
            console.print(table())


def _scenarios() -> Table:
    table = _table("Scenarios", "name", "title", "control", "under attack")
    for scenario in sorted(map(load_scenario, scenarios()), key=lambda s: s.order):
        expected = scenario.expected
        table.add_row(scenario.name, scenario.title, expected.genuine, expected.intercepted)
    return table


def _certificates() -> Table:
    table = _table("Certificates", "name", "severity", "CWE", "a correct\nclient", "title")
    by_place = sorted(catalogue(), key=lambda recipe: recipe.place)
    for family, recipes in itertools.groupby(by_place, key=lambda recipe: recipe.family):
        table.add_section()
        table.add_row(family.title(), style="bold")
        for recipe in recipes:
            weaknesses = ", ".join(map(str, recipe.cwe))
            expected = f"{recipe.expect}s"
            table.add_row(recipe.name, recipe.severity, weaknesses, expected, recipe.title)
    return table


def _clients() -> Table:
    table = _table("Clients", "name", "title", "policies")
    for client in map(load_client, clients()):
        table.add_row(client.name, client.title, ", ".join(client.policies))
    return table


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Show the lesson of a scenario or a certificate.

    \b
    mitm-demo show skip-verify
    mitm-demo show attacker-ca
    mitm-demo show ./mine.md
    """
    # Of both kinds, so that the nearest is suggested whichever was meant.
    path = content.find(
        "scenario or certificate", content.markdown_files(content.CERTS) | scenarios(), name
    )
    # A recipe is told from a script by what makes it one.
    if "\nchain:" in path.read_text(encoding="utf-8", errors="replace"):
        _show_certificate(pki.load_recipe(str(path)))
    else:
        _show_scenario(load_scenario(str(path)))


def _show_certificate(recipe: pki.Recipe) -> None:
    console = report.console()
    console.print(Markdown(f"# {recipe.title}\n\n{recipe.lesson}"))
    weaknesses = "".join(f", CWE-{number}" for number in recipe.cwe)
    facts = [
        ("A correct client", f"{recipe.expect}s it ({recipe.severity}{weaknesses})"),
        ("Rule", recipe.rule),
        ("Fix", recipe.fix),
    ]
    for label, fact in facts:
        if fact:
            console.print(f"{label}: {fact}", markup=False, highlight=False)


def _show_scenario(scenario: Scenario) -> None:
    console = report.console()
    console.print(Markdown(f"# {scenario.title}\n\n{scenario.lesson}"))
    expected = scenario.expected
    console.print(f"Expected: control {expected.genuine}, under attack {expected.intercepted}.")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        # Names are there to be typed: they are never cut.
        table.add_column(column, no_wrap=number == 0)
    return table
