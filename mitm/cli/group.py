"""The commands, in one group. Each is loaded when it is called: all of them take half a second."""

import importlib
from typing import Any

import click

from mitm.cli.loading import loading

# Where each stands, and the first sentence of its help, which is what the group tells of it.
COMMANDS = {
    "run": ("mitm.cli.run:run", "Play scenarios against a real client and server, and judge them."),
    "replay": (
        "mitm.cli.replay:replay",
        "Show a run again that was recorded with --events, as it was, without any network.",
    ),
    "audit": (
        "mitm.cli.audit:audit",
        "Try every forged certificate on your own client, in whatever language it is written.",
    ),
    "probe": (
        "mitm.cli.probe:probe",
        "Try on your own server whom it lets in: clients without a certificate, or with a bad one.",
    ),
    "merge": (
        "mitm.cli.merge:merge",
        "Make one report of those of several hosts, each of which has tried a shard.",
    ),
    "matrix": (
        "mitm.cli.matrix:matrix",
        "Try everything on every client and policy, and hold it against what the policy promises.",
    ),
    "learn": (
        "mitm.cli.learn:learn",
        "Mend small flawed programs: predict, attack, mend, and see it turn green.",
    ),
    "present": (
        "mitm.cli.present:present",
        "Present every forged certificate and attack on a port of its own, until Ctrl-C.",
    ),
    "room": (
        "mitm.cli.room:room",
        "Serve a live page for a class: scenarios as they are played, and your own client.",
    ),
    "explain": (
        "mitm.cli.explain:explain",
        "Say what an error of a TLS client means: the likely causes, and what to do in its stack.",
    ),
    "list": (
        "mitm.cli.lessons:list_content",
        "List scenarios, certificates, attacks and clients, or those of one kind with more about "
        "each.",
    ),
    "clients": (
        "mitm.cli.clients:clients",
        "List the clients of the lab, with what each needs and whether that is here; or build "
        "them.",
    ),
    "show": (
        "mitm.cli.lessons:show",
        "Show the lesson of a scenario or certificate, or a file for your tests.",
    ),
    "proxy": (
        "mitm.cli.proxy:proxy",
        "Intercept between any client and its server, and log what is read, until Ctrl-C.",
    ),
    "certs": ("mitm.cli.certs:certs", "Write the lab's PKI as PEM files, for use by hand."),
    "serve": ("mitm.cli.by_hand:serve", "Start the victim server, until Ctrl-C."),
    "call": ("mitm.cli.by_hand:call", "Call the server once, as a client of some policy."),
    "doctor": (
        "mitm.cli.doctor:doctor",
        "Tell what is installed, what is missing or in the way, and what comes of it.",
    ),
}


def load(name: str) -> click.Command:
    """Load the command of a name."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


class _Group(click.Group):
    """Loads what is called, and takes Ctrl-C, which click would answer with an empty line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; of the others, names and helps are enough."""
        name, command, rest = super().resolve_command(ctx, args)
        with loading():
            return name, load(command.name) if command and command.name else command, rest

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
    mitm-demo learn                  in an empty folder: mend flawed clients yourself

    Exit code: 0 all is well, 1 it is not (see each command), 2 wrong input or output that could not
    be written, 3 nothing is proved, 70 a mistake of mitm-demo's own: MITM_DEBUG=1 shows where.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


for _name, (_, _help) in COMMANDS.items():
    cli.add_command(click.Command(_name, help=_help))
