"""What it takes to play with a public CA, and whether that is here."""

import importlib.util
import shutil

from mitm.errors import UserError

PEBBLE = "pebble"
DNS = "pebble-challtestsrv"

# What is needed, whether it is here, and how one comes by it.
_LIBRARY = "the Python library acme"
_BY_APT = "apt install pebble"
_BY_PIP = "pip install 'mitm-demo[acme]'"


class NotPlayed(UserError):  # noqa: N818
    """Something that is to be played needs what is not here.

    Nothing that looks like it is played in its place: the command line exits with 4.
    """


def missing() -> str:
    """What of it is not here, and how one comes by it, in a line; "" if nothing is missing."""
    absent = {}
    for program in (PEBBLE, DNS):
        if not shutil.which(program):
            absent[program] = _BY_APT
    if not importlib.util.find_spec("acme"):
        absent[_LIBRARY] = _BY_PIP
    if not absent:
        return ""
    ways = dict.fromkeys(absent.values())
    return f"without {' and '.join(absent)}: {'; '.join(ways)}"


def must_be_here() -> None:
    """See that all of it is here.

    Raises:
        NotPlayed: something is not.
    """
    if reason := missing():
        raise NotPlayed(f"a public CA cannot be played {reason}")
