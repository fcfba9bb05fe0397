"""Writes the outputs in docs/guide.md from real runs: python -m docs.guide [FILE]    (make guide)

A scenario is played with the client in Python, and with the one in Go where Python's stack cannot
play all of it. What cannot be played here keeps its output.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from docs.marked import filled
from mitm.errors import UserError
from mitm.lab.scenario import load_scenario, scenarios

PAGE = Path(__file__).with_name("guide.md")
WIDTH = "100"

# Of these grpcio can play a part alone.
WITH_GO = ("misissued", "pin-rotation", "wrong-host", "acme-hijack")

# Exit code of `run` where what a scenario needs is not here.
_NOT_PLAYED = 4

# Characters of a point by which it is known; no line is as short.
_POINT = 30

_SECTION = re.compile(r"<!-- (\w+) -->\n(.*?)\n<!-- end -->", re.DOTALL)


def output(name: str) -> str | None:
    """What `run` says of a scenario, without the lesson.

    Returns:
        A block of Markdown; None if the scenario cannot be played here.

    Raises:
        UserError: it has not come out as it should.
    """
    command = ["mitm-demo", "run", name, *(["--client", "go"] if name in WITH_GO else [])]
    ended = subprocess.run(
        [sys.executable, "-m", "mitm", *command[1:]],
        env=os.environ | {"COLUMNS": WIDTH},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode == _NOT_PLAYED:
        return None
    if ended.returncode != 0:
        raise UserError(f"{name} has not come out as it should: exit code {ended.returncode}")
    # The lesson, which the page tells at length, begins with its point.
    told, _, _ = ended.stdout.partition(f"\n{load_scenario(name).point[:_POINT]}")
    shown = [line.rstrip() for line in told.rstrip().split("\n")]
    return "\n".join(["```text", "$ " + " ".join(command), *shown, "```"])


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    page = PAGE.read_text()
    parts = dict(_SECTION.findall(page))
    for name in scenarios():
        parts[name.replace("-", "_")] = output(name) or parts[name.replace("-", "_")]
    path.write_text(filled(page, parts))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"guide: {error}")
