"""`audit --session`: what of the options goes with it, and how it is played."""

from collections.abc import Sequence

from mitm.audit.command import PLACEHOLDERS
from mitm.errors import UserError


def must_fit(command: Sequence[str], others: Sequence[str]) -> None:
    """Insist on options that make sense for a session.

    Args:
        command: that is run once.
        others: options that were given, and are not for it.

    Raises:
        UserError: there is no command, or one of the options was given.
    """
    for option in others:
        raise UserError(
            f"{option} is not for --session, in which one command is run once, with all cases "
            "before it: leave out one of the two"
        )
    if not command:
        raise UserError(
            "name the command of your tests: mitm-demo audit --session -- go test ./..."
        )
    for name in PLACEHOLDERS:
        if any(f"{{{name}}}" in word for word in command):
            raise UserError(
                f"--session fills in no {{{name}}}: the command is run once for all cases, and "
                "finds them by MITM_SESSION; see docs/sessions.md"
            )
