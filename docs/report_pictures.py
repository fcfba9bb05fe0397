"""Takes the pictures of docs/reports.md, of real reports: python -m docs.report_pictures [FOLDER]

(make reports) It takes a Chromium of the system's, as the tests of pages do.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser import PROGRAM, SANDBOX

# What is pictured: the command behind `--html`, the exit code that it must have, and how much of
# the page is in the picture, in pixels from the top.
REPORTS = {
    "report-run": (("run", "skip-verify"), 0, 1150),
    "report-audit": (
        ("audit", "--client", "python", "--policy", "skip-verify", "--only", "must"),
        1,
        860,
    ),
}
_WIDTH = 900


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    if PROGRAM is None:
        print("report_pictures: no Chromium here: apt install chromium", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    with TemporaryDirectory() as made, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=SANDBOX)
        for name, (words, code, height) in REPORTS.items():
            page = Path(made) / f"{name}.html"
            command = [sys.executable, "-m", "mitm", *words, "--html", str(page)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != code:
                print(f"report_pictures: {' '.join(words)}: {done.stderr}", file=sys.stderr)
                return 1
            tab = browser.new_page(
                viewport={"width": _WIDTH, "height": height}, color_scheme="light"
            )
            tab.goto(page.as_uri())
            tab.screenshot(path=folder / f"{name}.png")
            tab.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
