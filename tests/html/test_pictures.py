"""The pictures of docs/reports.md: of real reports, and small."""

import struct
import sys
from pathlib import Path

import pytest

from tests.programs import run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = ("report-run", "report-audit")


def size(picture: Path) -> tuple[int, ...]:
    """Width and height of a PNG (RFC 2083 section 11.2.1)."""
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", data[16:24])


@pytest.mark.usefixtures("chromium")
def test_the_pictures_are_made_of_real_reports(tmp_path: Path) -> None:
    result = run(sys.executable, "-m", "docs.report_pictures", tmp_path)
    assert result.code == 0, result.err
    for name in PICTURES:
        fresh, shown = tmp_path / f"{name}.png", DOCS / f"{name}.png"
        assert size(fresh) == size(shown), "take them anew: make reports"
        assert shown.stat().st_size < 200_000
        assert f"]({name}.png)" in (DOCS / "reports.md").read_text()
