"""The entry point: commands, and what becomes of errors."""

import os
import signal
import sys
import warnings
from types import FrameType
from typing import NoReturn

import click

from mitm.cli.audit import audit
from mitm.cli.by_hand import call, certs, serve
from mitm.cli.doctor import doctor
from mitm.cli.lessons import list_content, show
from mitm.cli.proxy import proxy
from mitm.cli.replay import replay
from mitm.cli.run import run
from mitm.errors import UserError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Read on: mitm-demo list, mitm-demo show skip-verify, mitm-demo COMMAND --help",
)
@click.version_option(package_name="mitm-demo")
def cli() -> None:
    """Show, and prove, whether a gRPC client checks who it talks to.

    \b
    mitm-demo run skip-verify        attack a client that trusts any issuer
    mitm-demo run                    all scenarios, then a summary
    mitm-demo show skip-verify       the lesson behind a scenario
    mitm-demo audit -- ./my-client {target} {ca}
                                     try every forged certificate on your own client
    """


for _command in (run, replay, audit, list_content, show, proxy, certs, serve, call, doctor):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line; exits with 2 and one line on stderr for what a user can mend."""
    # Programs that a script starts with & ignore SIGINT (POSIX, "Asynchronous Lists"): they could
    # be ended neither by that nor by what is made of SIGTERM below.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    # A library's warnings are for programmers, who ask for them (-W, PYTHONWARNINGS). To load odd
    # certificates, with a negative serial number say, is what this program is for.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        code = _complain(error.format_message())
    except UserError as error:
        code = _complain(str(error))
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except BrokenPipeError:
        # The reader of a pipe has left (`| head`). Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code or 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End on SIGTERM and SIGHUP as on Ctrl-C: in order."""
    signal.raise_signal(signal.SIGINT)


def _complain(message: str) -> int:
    line = " ".join(message.split())
    click.echo(f"mitm-demo: {line}", err=True)
    return 2
