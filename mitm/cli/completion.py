"""What the shell completes: scenarios, certificates, clients and policies, by name or path."""

import os
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from mitm import content
from mitm.lab.clients import clients
from mitm.lab.policies import POLICIES

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _names(known: Callable[[], Iterable[str]], path: str = "") -> Complete:
    """Complete by names, or what looks like a path as a `file` or `dir`."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in known() if name.startswith(incomplete)]
        if path and not found and (incomplete.startswith(".") or os.sep in incomplete):
            return [CompletionItem(incomplete, type=path)]
        return found

    return complete


def _certificates() -> list[str]:
    return list(content.markdown_files(content.CERTS))


def _scenarios() -> list[str]:
    return list(content.markdown_files(content.SCENARIOS))


def _to_try() -> list[str]:
    return list(content.to_try())


def _selectors() -> list[str]:
    """The words by which certificates are chosen: names, severities, weaknesses."""
    # It takes a moment to load, and other words are completed without it.
    from mitm.audit import catalogue

    recipes = catalogue()
    severities = dict.fromkeys(recipe.severity for recipe in recipes)
    weaknesses = sorted({number for recipe in recipes for number in recipe.cwe})
    return [*_to_try(), *severities, *(f"CWE-{number}" for number in weaknesses)]


def _way_selectors() -> list[str]:
    """The same of ways into a server."""
    from mitm.audit.servers.way import all_ways

    ways = all_ways()
    severities = dict.fromkeys(way.severity for way in ways)
    weaknesses = sorted({number for way in ways for number in way.cwe})
    return [*content.ways(), *severities, *(f"CWE-{number}" for number in weaknesses)]


def client_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a client, by those of `--clients` as well, or the path of its folder."""
    of_group = context.parent.params if context.parent else {}
    # Of a folder that is not there, click leaves nothing.
    given = (of_group.get("clients"), context.params.get("clients"))
    folders = [folder for each in given for folder in each or ()]
    return _names(lambda: clients(*folders), "dir")(context, parameter, incomplete)


def _in_list(complete: Complete) -> Complete:
    """Complete the last word of a list with commas."""

    def last(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, word = incomplete.rpartition(",")
        return [
            CompletionItem(f"{before}{comma}{each.value}", type=each.type)
            for each in complete(context, parameter, word)
        ]

    return last


def files(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Leave it to the shell: a program, and its arguments."""
    return [CompletionItem(incomplete, type="file")]


scenario_names = _names(_scenarios, "file")
certificate_names = _names(_certificates, "file")
policy_names = _names(lambda: POLICIES)
exercise_names = _names(content.exercise_folders)
stack_names = _names(lambda: content.markdown_files(content.STACKS))
words = _in_list(_names(_selectors))
ways = _in_list(_names(_way_selectors))
list_of_policies = _in_list(policy_names)
list_of_clients = _in_list(_names(clients, "dir"))
lesson_names = _names(
    lambda: [*_scenarios(), *_to_try(), *content.ways(), *content.session_files()], "file"
)
