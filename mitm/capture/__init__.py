"""Where events go: the console, JSON lines; and the packets they were read from: pcapng."""

from mitm.capture.console import EventPrinter
from mitm.capture.json_lines import JsonLines
from mitm.capture.recorder import Recorder
from mitm.capture.replay import read_events

__all__ = ["EventPrinter", "JsonLines", "Recorder", "read_events"]
