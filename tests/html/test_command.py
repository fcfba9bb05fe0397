"""`--html` on the command line: a page is written whole, or the command says why it is not."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import watch
from tests.programs import mitm_demo

if TYPE_CHECKING:
    from playwright.sync_api import Page

# It says who it is as nobody should be believed, and takes any certificate.
CLIENT = """
import ssl, socket, sys
host, _, port = sys.argv[1].rpartition(":")
context = ssl._create_unverified_context()
with context.wrap_socket(socket.create_connection((host, int(port)))) as tls:
    tls.sendall(b"GET /<img/src=x> HTTP/1.1\\r\\nHost: x\\r\\n"
        b"X-Evil: <script>alert(1)</script>\\r\\n"
        b"Authorization: Bearer 0123456789abcdef\\r\\n\\r\\n")
    tls.recv(100)
print("<script>alert(2)</script>\\u202e")
"""


def test_what_a_hostile_client_says_is_shown_and_not_obeyed(tab: "Page", tmp_path: Path) -> None:
    page = tmp_path / "<b>page.html"
    command = (sys.executable, "-c", CLIENT, "{target}", "--password", "it's swordfish")
    result = mitm_demo("audit", "--only", "attacker-ca,wrong-host", "--html", page, "--", *command)
    assert result.code == 1, result
    seen = watch(tab)
    tab.goto(page.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    told = tab.inner_text("main")
    assert "x-evil: <script>alert(1)</script>" in told.lower()
    assert "/<img/src=x>" in told
    assert "<script>alert(2)</script>\\u202e" in told
    assert not seen.dialogs + seen.errors + seen.opened
    assert seen.requests == [page.as_uri()]
    assert "masked" in told
    for secret in ("0123456789abcdef", "swordfish"):
        assert secret not in page.read_text()
    # In the command it stands as a shell takes it.
    again = tab.inner_text("pre.again >> nth=0")
    assert again.startswith("mitm-demo audit --only attacker-ca")
    assert again.endswith("'{target}' --password '…'")


@pytest.mark.parametrize("command", ["audit", "merge"])
def test_a_page_that_cannot_be_written_is_told_at_once(command: str, tmp_path: Path) -> None:
    rest = ("--", "false") if command == "audit" else (tmp_path / "none.json",)
    result = mitm_demo(command, "--html", "/nowhere/page.html", *rest)
    assert result.code == 2
    if command == "audit":
        assert result.err.strip() == (
            "mitm-demo: --html: cannot write /nowhere/page.html: No such file or directory"
        )


def test_two_reports_do_not_go_into_one_file(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = mitm_demo("audit", "--html", page, "--sarif", page, "--", "false")
    assert result.code == 2
    assert "go into one file" in result.err
    assert not page.exists()


def test_of_shards_that_are_merged_there_is_a_page_too(tmp_path: Path) -> None:
    client = (sys.executable, "-c", CLIENT, "{target}")
    told = mitm_demo("audit", "--only", "attacker-ca", "--json", "--", *client)
    shard, page = tmp_path / "1.json", tmp_path / "page.html"
    shard.write_text(told.out)
    result = mitm_demo("merge", "--html", page, shard)
    assert result.code == 1, result
    text = page.read_text()
    assert "attacker-ca" in text
    # Nobody knows its command.
    assert 'class="again"' not in text


def test_a_page_shows_no_file_of_half_a_report(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("what was there")
    assert mitm_demo("audit", "--html", page, "--only", "no-such", "--", "false").code == 2
    assert page.read_text() == "what was there"
    assert [*tmp_path.iterdir()] == [page]
