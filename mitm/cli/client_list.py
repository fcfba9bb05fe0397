"""The clients of the lab, as `mitm-demo clients` lists and builds them."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.table import Table
from rich.text import Text

from mitm.cli import report
from mitm.cli.building import progress, tell_output
from mitm.cli.loop import in_loop
from mitm.cli.streams import tell
from mitm.errors import UserError
from mitm.lab.builds import BuildFailed, NotBuilt, ToolMissing, ready, version_of
from mitm.lab.clients import Client, all_clients, load_client
from mitm.lab.tools import Tool, tools_of
from mitm.masking import as_json, plain


class _Known(msgspec.Struct, frozen=True):
    """What is known of a client here.

    Attributes:
        state: `ready`, `not built` or `missing`.
        version: of its library and runtime, "" if it has not told.
    """

    client: Client
    tools: list[Tool]
    state: str
    version: str = ""


def print_clients(folders: Sequence[Path], *, as_json: bool) -> None:
    """Print the clients that there are.

    Args:
        folders: of further ones.
        as_json: one object a line, for programs.
    """
    known = in_loop(_all_known(all_clients(*folders)))
    if as_json:
        for each in known:
            click.echo(_as_json(each))
        return
    console = report.console()
    table = Table(title="Clients", title_justify="left", title_style="bold")
    table.add_column("name", no_wrap=True)
    for column in ("title", "needs", "here"):
        table.add_column(column, overflow="fold")
    for each in known:
        table.add_row(plain(each.client.name), plain(each.client.title), _needs(each), _here(each))
    console.print(table)


async def _all_known(described: Sequence[Client]) -> list[_Known]:
    return list(await asyncio.gather(*map(_known, described)))


async def _known(client: Client) -> _Known:
    tools = await tools_of(client)
    if any(tool.missing for tool in tools):
        return _Known(client, tools, "missing")
    try:
        version = await version_of(await ready(client, build=False))
    except NotBuilt:
        return _Known(client, tools, "not built")
    except UserError as error:
        return _Known(client, tools, "broken", str(error))
    return _Known(client, tools, "ready", version)


def _needs(each: _Known) -> Text:
    lines = [
        Text(plain(tool.missing), style="caution")
        if tool.missing
        else Text(plain(f"{tool.needed.program} {tool.found}"))
        for tool in each.tools
    ]
    return Text("\n").join(lines)


def _here(each: _Known) -> Text:
    if each.state == "ready":
        return Text(plain(each.version or "ready"), style="good")
    if each.state == "not built":
        build = f"not built: mitm-demo clients build {each.client.name}"
        return Text(plain(build), style="caution")
    return Text(plain(each.version or "something is missing"), style="caution")


def _as_json(each: _Known) -> str:
    return as_json(
        {
            "name": each.client.name,
            "title": each.client.title,
            "folder": str(each.client.folder),
            "policies": each.client.policies,
            "state": each.state,
            "version": each.version,
            "requires": [
                {
                    "program": tool.needed.program,
                    "version": tool.needed.version,
                    "found": tool.found,
                    "missing": tool.missing,
                }
                for tool in each.tools
            ],
        }
    )


def build_clients(names: Sequence[str], folders: Sequence[Path]) -> int:
    """Build clients, one after the other: their compilers take all cores.

    Args:
        names: which; none for all. Of those that were not named, what lacks something is left out.
        folders: of further clients.

    Returns:
        The exit code, as the command's help has it.

    Raises:
        UserError: there is no such client, or its manifest is not well-formed.
    """
    chosen = [load_client(name, *folders) for name in names] or all_clients(*folders)
    code = 0
    for client in chosen:
        try:
            click.echo(plain(_built(client)))
        except ToolMissing as error:
            tell(str(error) if names else f"left out: {error}")
            code = 2 if names else code
        except UserError as error:
            tell(str(error))
            code = 2
    return code


def _built(client: Client) -> str:
    """What has become of a client, in a line.

    Raises:
        UserError: it cannot be built.
    """
    steps: list[str] = []
    with progress() as on_step:

        def see(step: str) -> None:
            steps.append(step)
            on_step(step)

        begun = time.monotonic()
        try:
            made = in_loop(ready(client, see))
        except BuildFailed as error:
            tell_output(error)
            raise
        seconds = time.monotonic() - begun
        version = in_loop(version_of(made))
    if not client.build:
        how = "nothing to build"
    elif steps:
        how = f"built in {seconds:.0f} s"
    else:
        how = "built before"
    return ", ".join(filter(None, (f"{client.name}: {how}", version)))
