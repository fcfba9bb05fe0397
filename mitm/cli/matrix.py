"""`mitm-demo matrix`: every client and policy, and everything that can be presented."""

from pathlib import Path

import click

from mitm.cli import completion
from mitm.cli.loading import loading
from mitm.cli.seconds import Seconds
from mitm.cli.shard import shard_option
from mitm.cli.words import words_in

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--clients",
    multiple=True,
    metavar="NAME",
    help="Clients, by name or folder.  [all]",
    shell_complete=completion.list_of_clients,
)
@click.option(
    "--policies",
    multiple=True,
    metavar="POLICY",
    help="Policies.  [all]",
    shell_complete=completion.list_of_policies,
)
@click.option(
    "--certs",
    multiple=True,
    metavar="WORD",
    help="What is presented, by name, severity (must), weakness (CWE-297) or file.  [everything]",
    shell_complete=completion.words,
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many runs of clients at once.  [the cores]",
)
@click.option(
    "--timeout",
    type=Seconds(),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that a client is given for each run.",
)
@click.option(
    "--json", "json_", type=_FILE, help="Write it as JSON; - for stdout, in place of the table."
)
@click.option("--html", type=_FILE, help="Write it as a page, for any browser.")
@click.option("--continue", "go_on", is_flag=True, help="Try no row again that --json holds.")
@click.option(
    "--versions",
    metavar="STACK=FROM..TO",
    help="In place of clients: past versions of grpcio, grpc-go or grpc-js.",
)
@shard_option
@click.option("--against", type=_FILE, help="An earlier --json: tell what has changed since.")
def matrix(
    clients: tuple[str, ...],
    policies: tuple[str, ...],
    certs: tuple[str, ...],
    jobs: int | None,
    timeout: float,
    json_: Path | None,
    html: Path | None,
    go_on: bool,
    versions: str | None,
    against: Path | None,
    shard: tuple[int, int] | None,
) -> int:
    """Try everything on every client and policy, and hold it against what the policy promises.

    \b
    mitm-demo matrix                                  all clients, all policies
    mitm-demo matrix --clients go,java --policies ca-file,pinned
    mitm-demo matrix --certs must,no-san
    mitm-demo matrix --json matrix.json --html matrix.html
    mitm-demo matrix --json matrix.json --continue    after Ctrl-C
    mitm-demo matrix --shard 1/3 --json 1.json        on one of three hosts; then merge
    mitm-demo matrix --against matrix.json            what an update has changed
    mitm-demo matrix --versions grpcio=1.60..1.85     which version mended or broke what

    With --versions, each is installed in an environment of its own, by pip, Go or npm, and compared
    with the one before it; the policy is ca-file, if none is named.

    A client that is not built, or whose tools are missing, is told and not tried; nothing is proved
    then if it was named.

    Exit code: 0 as the policies promise, 1 something is not, 2 wrong input, 3 nothing is proved.
    With --against: 0 nothing got worse, 1 something did, 3 something is not proved any more.
    """
    # Completion, `--help` and mistakes do without.
    with loading():
        from mitm.cli.matrix_run import run

    return run(
        words_in(clients),
        words_in(policies),
        words_in(certs),
        jobs=jobs,
        timeout=timeout,
        json_file=json_,
        html_file=html,
        go_on=go_on,
        against=against,
        versions=versions,
        shard=shard,
    )
