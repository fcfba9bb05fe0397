"""Where events go: the console, JSON lines; and the packets they were read from: pcapng."""

from mitm.capture.console import EventLines, EventPrinter
from mitm.capture.json_lines import JsonLines
from mitm.capture.line_writer import LineWriter
from mitm.capture.live import LiveView
from mitm.capture.recorder import Recorder
from mitm.capture.replay import read_events

__all__ = [
    "EventLines",
    "EventPrinter",
    "JsonLines",
    "LineWriter",
    "LiveView",
    "Recorder",
    "read_events",
]
