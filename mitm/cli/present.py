"""`mitm-demo present`: what a client can be tried with, all at once, until Ctrl-C."""

import asyncio

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mitm.address import LOCALHOST, must_be_a_name
from mitm.audit import Suite, catalogue, forge_suite, select, stand_in, with_own, with_twins
from mitm.audit.session import Index, Session, as_object, left_out
from mitm.cli import completion
from mitm.cli.loop import in_loop
from mitm.cli.report import console
from mitm.cli.words import words_in
from mitm.masking import as_json, plain

_PAGE = """This page is from mitm-demo.

If your browser has warned you, you have gone past that. Somebody who stands between you and a
server could have sent you this in its place, and has read what you sent.

Nobody warns a program: what it accepts is all that it will ever know.
"""


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]...", shell_complete=completion.words)
@click.option("--name", default=LOCALHOST, show_default=True, help="The name that clients expect.")
@click.option("--json", "json_", is_flag=True, help="One JSON object in place of the table.")
def present(words: tuple[str, ...], name: str, json_: bool) -> None:
    """Present every forged certificate and attack on a port of its own, until Ctrl-C.

    \b
    mitm-demo present
    mitm-demo present expired wrong-host
    mitm-demo present must ./mine.md

    For browsers and for programs, without any network. Words are certificates and attacks, by name,
    severity (must), weakness (CWE-297) or file (./mine.md); all of them by default. The first line
    tells the address of an index: a page for the browser, and for programs what a test suite is
    given by audit --session.
    """
    chosen = words_in(words)
    known = with_own(catalogue(), chosen)
    if any(word.endswith(":tls-1.2") for word in chosen):
        known = with_twins(known)
    must_be_a_name(name)
    suite = forge_suite(select(known, chosen), name)
    in_loop(_present(suite, json_=json_))


async def _present(suite: Suite, *, json_: bool) -> None:
    async with (
        stand_in(page=_PAGE) as server,
        Session(suite, server) as session,
        Index(session) as index,
    ):
        if json_:
            cases = [as_object(case) for case in session.cases.values()]
            told = {"session": index.url, "cases": cases, "left_out": left_out(session)}
            click.echo(as_json(told))
        else:
            _show(console(), session, index)
        await asyncio.Event().wait()


def _show(console: Console, session: Session, index: Index) -> None:
    """The address of the index, and a line for each case; all of it at once."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for case in session.cases.values():
        does = f"{case.case.expect} ({case.case.severity})"
        row = (case.name, case.endpoint.target, does, case.title)
        table.add_row(*(Text(plain(cell)) for cell in row))
    with console.capture() as captured:
        console.print(table)
    ca = next(iter(session.cases.values())).endpoint.ca_file
    # Whoever reads the first line, a program, has it first; whoever looks at a terminal, last.
    last = f"The CA to trust is in {ca}. For your browser: {index.url}/ (Ctrl-C ends it)"
    absent = "".join(f"Not presented: {line}\n" for line in left_out(session))
    click.echo(f"{index.url}/\n{captured.get()}\n{absent}{last}")
