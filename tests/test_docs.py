"""Every command that the documentation shows does what it says."""

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from mitm.cli.contents import expected
from mitm.lab.scenario import load_scenario, scenarios
from mitm.proxy.greeting import HANDSHAKE_SECONDS
from mitm.wire.grpc import MAX_MESSAGE_SIZE
from mitm.wire.http2 import MAX_STREAMS
from tests.programs import LIMIT, MITM_DEMO, NOWHERE, free_port, mitm_demo, run, running

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "client/**/*.md",
        "certs/README.md",
        "exercises/README.md",
        "session/README.md",
    )
    for path in ROOT.glob(pattern)
)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")
_ANCHOR = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")
_EXIT_CODE = re.compile(r"exit code (\d)")

# These go on until they are told to end.
_SERVICES = ("serve", "proxy", "present", "room")


BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, (kind, block) in enumerate(_BLOCK.findall(page.read_text()))
    if kind == "sh"
]


# The reader's own client, that some commands name: it knows where to connect from its environment.
MY_CLIENT = f"""#!{sys.executable}
import os, pathlib, grpc
roots = pathlib.Path(os.environ["MITM_CA"]).read_bytes()
if b"CERTIFICATE" not in roots:
    raise SystemExit("no CA in MITM_CA")
credentials = grpc.ssl_channel_credentials(roots)
with grpc.secure_channel(os.environ["MITM_TARGET"], credentials) as channel:
    channel.unary_unary("/shop.v1.Shop/Order")(b"", timeout=10)
"""


@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_of_a_block_work_one_after_the_other(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-client").write_text(MY_CLIENT)
    (tmp_path / "my-client").chmod(0o755)
    suite = f"#!{sys.executable}\n{(ROOT / 'tests' / 'cli' / 'suite.py').read_text()}"
    (tmp_path / "my-tests").write_text(suite)
    (tmp_path / "my-tests").chmod(0o755)
    # As on a company's laptop, whose proxy knows nothing of what is dialled here.
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.delenv("no_proxy", raising=False)
    # A client under audit may be mitm-demo itself.
    monkeypatch.setenv("PATH", f"{Path(MITM_DEMO).parent}{os.pathsep}{os.environ['PATH']}")
    ports = {"50051", *re.findall(r"\b50\d\d\d\b", block)}
    free = {port: free_port() for port in ports}
    with ExitStack() as stack:
        for line in filter(str.strip, block.splitlines()):
            command, _, comment = line.partition(" #")
            expected = _EXIT_CODE.search(comment)
            for port, other in free.items():
                command = command.replace(port, other)
            words = shlex.split(command)
            if words[0] == "make":
                _assert_target(words[1])
            elif words[0] == "mitm-demo" and words[1] in _SERVICES:
                listen = ["--listen", f"127.0.0.1:{free['50051']}"]
                if "--listen" in words or words[1] in ("present", "room"):
                    listen = []
                service = running(
                    MITM_DEMO, *words[1:], *listen, PYTHONUNBUFFERED="1", COLUMNS="250"
                )
                process = stack.enter_context(service)
                stack.callback(_end, process)
                assert process.stdout
                assert process.stdout.readline(), process.stderr and process.stderr.read()
            else:
                program = MITM_DEMO if words[0] == "mitm-demo" else words[0]
                result = run(program, *words[1:])
                assert result.code == (int(expected[1]) if expected else 0), result


def _end(process: "subprocess.Popen[str]") -> None:
    """End a service as a reader does, before anything is killed."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode in (0, 130), err


def _assert_target(target: str) -> None:
    # Run for real they would install, or run this test: that they are there must do.
    subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_make_commands_that_are_only_named_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", page.read_text(), re.MULTILINE):
            _assert_target("".join(target))


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_a_heading_find_it(page: Path) -> None:
    for link, anchor in _ANCHOR.findall(page.read_text()):
        target = page.parent / link if link else page
        if target.suffix == ".md" and not link.startswith("http"):
            assert anchor in _anchors(target), f"{link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if not link.startswith(("http://", "https://")):
            assert (page.parent / link).exists(), link


def test_the_limits_are_those_of_the_code(tmp_path: Path) -> None:
    fresh = tmp_path / "transparency.md"
    result = run(sys.executable, "-m", "docs.limits", fresh)
    assert result.code == 0, result.err
    page = (ROOT / "docs" / "transparency.md").read_text()
    assert fresh.read_text() == page, "write it anew: make limits"
    _, _, limits = page.partition("## Known limits")
    for figure in (f"{MAX_MESSAGE_SIZE // 2**20} MiB", f"{MAX_STREAMS:,} open streams"):
        assert figure in limits
    assert f"{HANDSHAKE_SECONDS:g} seconds" in limits


def test_the_page_of_scenarios_tells_their_verdicts() -> None:
    text = (ROOT / "docs" / "scenarios.md").read_text()
    for name in scenarios():
        told = list(expected(load_scenario(name)))
        rows = [line for line in text.splitlines() if line.startswith(f"| [{name}]")]
        row = f"| [{name}](../scenarios/{name}.md) | … | {' | '.join(told)} |"
        assert len(rows) == 1, f"give it a row in docs/scenarios.md: {row}"
        cells = [cell.replace("*", "").strip() for cell in rows[0].split("|")]
        assert cells[3:5] == told, f"its row in docs/scenarios.md is to end so: {row}"


# grpcio's skip-verify asks a certificate for name and dates; these switches ask for nothing, and
# who pins a key asks for that alone.
_SWITCHES = re.compile(
    r"InsecureSkipVerify|rejectUnauthorized|CERT_NONE|InsecureTrustManagerFactory"
    r"|NoOpCertificateVerifier|ServerCertVerifier|def pinned_key"
)
_TOO_MUCH = re.compile(
    r"(any|every|whatever|anybody's) certificate|does not verify|no verification", re.IGNORECASE
)


@pytest.mark.parametrize(
    "pattern",
    ["README.md", "docs/scenarios.md", "scenarios/*.md", "client/**/*.*", "scripts/*"],
)
def test_no_more_is_said_of_a_client_that_trusts_any_issuer(pattern: str) -> None:
    for page in ROOT.glob(pattern):
        if page.suffix in (".md", ".py", ".sh"):
            for paragraph in page.read_text().split("\n\n"):
                too_much = _TOO_MUCH.search(" ".join(paragraph.split()))
                assert not too_much or _SWITCHES.search(paragraph), (page, paragraph)


def test_what_is_said_of_it_is_true() -> None:
    trusting = ("audit", "--client", "python", "--policy", "skip-verify", "--only")
    assert mitm_demo(*trusting, "attacker-ca").code == 1
    assert mitm_demo(*trusting, "wrong-host,expired,not-yet-valid").code == 0


def test_the_picture_is_made_of_a_real_run(tmp_path: Path) -> None:
    result = run(sys.executable, ROOT / "docs" / "picture.py", tmp_path / "picture.svg")
    assert result.code == 0, result.err
    fresh = (tmp_path / "picture.svg").read_text()
    shown = (ROOT / "docs" / "skip-verify.svg").read_text()
    for text in ("compromised", "nicolas@example.com", "opens-nothing-"):
        assert text in fresh
        assert text in shown


def test_every_page_is_in_the_list() -> None:
    listed = (ROOT / "docs" / "README.md").read_text()
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page.name == "README.md" or f"]({page.name})" in listed, page.name
