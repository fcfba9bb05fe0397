"""A client in another language, with a test of its own into which a file of session/ was copied.

The test is the one that session/README.md shows; the client stands in a folder beside this module.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from mitm import content
from tests.programs import Result, mitm_demo, run

HERE = Path(__file__).parent

# What takes long to build, and stays the same.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mitm-demo" / "session"

# Of each family one or two, and what must be accepted.
CHOSEN = (
    "attacker-ca,self-signed,wrong-host,wrong-san,expired,not-yet-valid,leaf-as-ca,"
    "plaintext-http2,second-connection,mixed-case,intermediate"
)
# What trusts everybody is caught by them, whatever else its stack looks at.
CAUGHT = ("attacker-ca", "self-signed", "wrong-host", "expired", "leaf-as-ca")


def needed(**programs: str) -> None:
    """Skip a test where a program is missing.

    Args:
        programs: each with how one comes by it.
    """
    for program, install in programs.items():
        if not shutil.which(program):
            pytest.skip(f"{program} is needed: {install}")


def fetched(*command: str | Path) -> None:
    """Run what fetches a client's packages; without them, the test is skipped."""
    result = run(*command)
    if result.code:
        said = " ".join((result.err or result.out).split())[-300:]
        pytest.skip(f"its packages cannot be fetched ({said}): {' '.join(map(str, command))}")


def built(*command: str | Path) -> None:
    """Run what builds a client and its test."""
    result = run(*command)
    assert result.code == 0, result


def project(folder: Path, stack: str, copied: str, shown: tuple[str, str]) -> Path:
    """Lay out the project of a client.

    Args:
        folder: in which.
        stack: its folder here, and in session/.
        copied: where the file of session/ goes.
        shown: the language of the test that session/README.md shows, and where that goes.

    Returns:
        The folder.
    """
    shutil.copytree(HERE / stack, folder, dirs_exist_ok=True)
    language, path = shown
    page = (content.SESSION / "README.md").read_text()
    example = re.search(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert example
    for name, text in (
        (path, example[1]),
        (copied, content.session_files()[f"session/{stack}"].read_text()),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def in_session(command: Sequence[str | Path], only: str = CHOSEN, **environment: str) -> Result:
    """Run the tests of a client in a session."""
    return mitm_demo("audit", "--session", "--only", only, "--", *command, **environment)


def assert_passes_a_careful_client(command: Sequence[str | Path]) -> None:
    result = in_session(command)
    assert result.code == 0, result
    assert "Exit code 0" in result.out


def assert_fails_a_careless_one(command: Sequence[str | Path]) -> Result:
    """What its framework prints is all that somebody sees who never heard of a session."""
    result = in_session(command, CARELESS="1")
    assert result.code == 1, result
    told, _, report = result.out.partition("Audited: ")
    told += result.err
    for name in CAUGHT:
        assert name in report
        # What it is, what the client did, and what is to be changed.
        title = next(
            line.removeprefix("title: ")
            for line in (content.CERTS / f"{name}.md").read_text().splitlines()
            if line.startswith("title: ")
        )
        assert f"{name}: your client accepted what it must refuse" in told
        assert title in " ".join(told.split())
    assert "This client does not check the name" in told
    assert "accepted; read: /users.v1.UserService/GetUser" in told
    for label in ("expected +a sound client leaves", r"fix +\w", "why +[A-Z]"):
        assert re.search(rf"^\W*{label}", told, re.MULTILINE)
    assert "mixed-case: your client accepted" not in told
    return result


def assert_skipped_without_a_session(command: Sequence[str | Path]) -> None:
    result = run(*command)
    assert result.code == 0, result
    assert "mitm-demo audit --session -- " in result.out + result.err


def assert_says_that_the_session_is_gone(command: Sequence[str | Path]) -> None:
    # The discard port (RFC 863), at which nobody listens.
    result = run(*command, MITM_SESSION="http://127.0.0.1:9/0123456789abcdef")
    assert result.code != 0, result
    assert "mitm-demo does not answer" in result.out + result.err
    assert "mitm-demo audit --session" in result.out + result.err
