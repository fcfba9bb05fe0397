"""Where events go: the console, and JSON lines."""

from mitm.capture.console import EventPrinter, plain
from mitm.capture.json_lines import JsonLines
from mitm.capture.masking import masked

__all__ = ["EventPrinter", "JsonLines", "masked", "plain"]
