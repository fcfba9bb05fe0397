"""The page of a program that cannot be told anything: its commands, on the program in it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.go import module_built
from tests.programs import LIMIT, MITM_DEMO, NOWHERE, Result, free_port

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "untold.md"
PORT = "50051"

_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT_CODE = re.compile(r"  # exit code (\d)")


def lines_of(text: str) -> list[str]:
    return [line for block in _BLOCK.findall(text) for line in block.splitlines()]


BEGINNING = lines_of(PAGE.read_text().partition("\n## ")[0])
SECTIONS = {title: lines_of(text) for title, text in _SECTION.findall(PAGE.read_text())}


def bash(line: str, folder: Path) -> Result:
    """Run a line of the page, as its reader does."""
    path = f"{Path(MITM_DEMO).parent}{os.pathsep}{os.environ['PATH']}"
    # As on a company's laptop, whose proxy knows nothing of what is dialled here.
    environment = os.environ | {"PATH": path, "COLUMNS": "250", "https_proxy": NOWHERE}
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def set_up(folder: Path, port: str) -> Path:
    """What the reader has: a repository with certificates, in which client and server are built."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed, for the certificates: apt install openssl")
    build, *others = BEGINNING
    assert build.startswith("go build ")
    shutil.copytree(ROOT / "docs" / "untold", folder)
    for source in folder.glob("*/main.go"):
        source.write_text(source.read_text().replace(PORT, port))
    module_built(folder, *build.split()[2:])
    for line in others:
        result = bash(line, folder)
        assert result.code == 0, result
    return folder


@pytest.fixture(scope="module")
def port() -> str:
    return free_port()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, port: str) -> Path:
    return set_up(tmp_path_factory.mktemp("untold") / "repository", port)


@pytest.mark.parametrize(
    "title", [title for title, lines in SECTIONS.items() if lines and title != "Redirected packets"]
)
def test_the_commands_of_a_section_do_what_it_says(title: str, repository: Path, port: str) -> None:
    for line in SECTIONS[title]:
        if (
            "unshare" in line
            and subprocess.run(["unshare", "--mount", "true"], check=False).returncode
        ):
            pytest.skip("a mount namespace takes root: sudo, or a container with --privileged")
        expected = _EXIT_CODE.search(line)
        result = bash(line.replace(PORT, port), repository)
        assert result.code == (int(expected[1]) if expected else 0), (line, result)
        # That a client is let off is worth something only if nearly all was tried on it.
        if not expected and "audit" in line:
            assert "Passed (" in result.out
            assert "expired" in result.out.partition("Passed (")[2]


def test_what_is_wrong_with_each_careless_way_is_told(repository: Path, port: str) -> None:
    command = f"mitm-demo audit --listen localhost:{port} "
    signed = "--authority cert/ca.cert --authority-key cert/ca.key "
    for options, mode, said in (
        ("", 1, "This client uses no TLS"),
        ("", 2, "This client does not verify at all"),
        (signed, 5, "This client does not check the name"),
    ):
        assert said in bash(f"{command}{options}-- bin/client -mode {mode}", repository).out


def test_a_client_that_dials_elsewhere_is_redirected(tmp_path: Path) -> None:
    (line,) = SECTIONS["Redirected packets"]
    script, played = line.split()
    if (tried := bash(f"{ROOT / script} true", tmp_path)).code == 2:
        pytest.skip(tried.err.strip())
    # Among hosts of its own every port is free, and the kernel redirects that of the page.
    repository = set_up(tmp_path / "repository", PORT)
    result = bash(f"{ROOT / script} {ROOT / played}", repository)
    assert result.code == 0, result
    genuine, wrong_host, attacker = re.split(
        r"^(?:wrong-host|attacker-ca):$", result.out, flags=re.M
    )
    assert "the server is SERVING" in genuine
    assert "CONNECTED" in genuine
    assert "authorization" in genuine
    for said, words in ((wrong_host, "not api.users.example"), (attacker, "unknown authority")):
        assert "ABORTED" in said
        assert "read:" not in said
        assert words in said
