"""What a user is told: the error that they can cause and mend, and what the system says."""

import os


class UserError(Exception):
    """Wrong input, or a missing piece of the surroundings.

    Its text is one line that says what is wrong, where, and how to mend it. The command line
    prints it on stderr and exits with 2; nothing else in the project prints it.
    """


def user_error_in(errors: ExceptionGroup) -> UserError | None:
    """The first error of a user's in a group, as a TaskGroup raises it; None if there is none.

    For `except ExceptionGroup`: what is raised within `except*` comes out in a group of its own in
    Python up to 3.11.3 (gh-103590).
    """
    found: BaseException | None = errors.subgroup(UserError)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, UserError) else None


def explain(error: OSError | UnicodeError) -> str:
    """What the system says, without the words that event loops put around it."""
    if isinstance(error, UnicodeError):
        return "not a host name"  # the idna codec has refused it
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
