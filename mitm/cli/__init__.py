"""The command line. One module a group of commands; what they print stands in `report`."""

from mitm.cli.main import main

__all__ = ["main"]
