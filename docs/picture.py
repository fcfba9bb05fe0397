"""Exports the README's picture from a real run: python docs/picture.py [FILE]    (make picture)"""

import sys
from pathlib import Path

from rich.console import Console

from mitm.cli.loop import in_loop
from mitm.cli.scenario_view import ScenarioView
from mitm.lab.clients import load_client
from mitm.lab.play import play
from mitm.lab.scenario import load_scenario

WIDTH = 100
HEIGHT = 30
SECONDS = 10.0


def main() -> int:
    default = Path(__file__).with_name("skip-verify.svg")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    console = Console(record=True, width=WIDTH, height=HEIGHT, highlight=False, force_terminal=True)
    scenario = load_scenario("skip-verify")
    view = ScenarioView(console, details=False)
    outcome = in_loop(play(scenario, load_client("python"), timeout=SECONDS, on_event=view))
    if not outcome.matched:
        print("picture: the run did not come out as expected; no picture of it", file=sys.stderr)
        return 1
    console.save_svg(str(path), title="mitm-demo run skip-verify")
    return 0


if __name__ == "__main__":
    sys.exit(main())
