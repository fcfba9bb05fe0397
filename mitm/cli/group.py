"""The commands, in one group."""

from typing import Any

import click

from mitm.cli.audit import audit
from mitm.cli.by_hand import call, certs, serve
from mitm.cli.doctor import doctor
from mitm.cli.lessons import list_content, show
from mitm.cli.proxy import proxy
from mitm.cli.replay import replay
from mitm.cli.run import run


class _Group(click.Group):
    """Takes Ctrl-C, which click would answer with an empty line."""

    def make_context(self, *words: Any, **more: Any) -> click.Context:
        """Read the command line; `--help` is answered here."""
        try:
            return super().make_context(*words, **more)
        except KeyboardInterrupt:
            raise click.Abort from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None


@click.group(
    cls=_Group,
    # click 8.1 ends with 0 where no command is named, and later ones with 2: decided here.
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Read on: mitm-demo list, mitm-demo show skip-verify, mitm-demo COMMAND --help",
)
@click.version_option(package_name="mitm-demo")
@click.pass_context
def cli(context: click.Context) -> None:
    """Show, and prove, whether a gRPC client checks who it talks to.

    \b
    mitm-demo run skip-verify        attack a client that trusts any issuer
    mitm-demo run                    all scenarios, then a summary
    mitm-demo show skip-verify       the lesson behind a scenario
    mitm-demo audit -- ./my-client {target} {ca}
                                     try every forged certificate on your own client

    Exit code: 0 all is well, 1 it is not (see each command), 2 wrong input or output that could not
    be written, 3 nothing is proved, 70 a mistake of mitm-demo's own: MITM_DEBUG=1 shows where.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


for _command in (run, replay, audit, list_content, show, proxy, certs, serve, call, doctor):
    cli.add_command(_command)
