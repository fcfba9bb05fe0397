"""Takes the picture of docs/room.md, of a real playing: python -m docs.room_picture [FILE]

(make stage) It takes a Chromium of the system's, as the tests of pages do.
"""

import signal
import subprocess
import sys
from pathlib import Path

from tests.browser import PROGRAM, SANDBOX

SIZE = 1280, 720
SCENARIO = "skip-verify"


def main() -> int:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("room.png")
    if PROGRAM is None:
        print("room_picture: no Chromium here: apt install chromium", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-u", "-m", "mitm", "room"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as room:
        try:
            assert room.stdout
            address = room.stdout.readline().split()[-1]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=PROGRAM, args=SANDBOX)
                width, height = SIZE
                tab = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme="light"
                )
                tab.goto(address)
                tab.select_option("#scenario", SCENARIO)
                tab.click("#play:enabled")
                tab.wait_for_selector("#captures:not([hidden])", timeout=120_000)
                tab.screenshot(path=file, animations="disabled")
                browser.close()
        finally:
            room.send_signal(signal.SIGINT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
