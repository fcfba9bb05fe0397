"""The error that a user can cause and mend."""


class UserError(Exception):
    """Wrong input, or a missing piece of the surroundings.

    Its text is one line that says what is wrong, where, and how to mend it. The command line
    prints it on stderr and exits with 2; nothing else in the project prints it.
    """
