"""The wheel, as a user installs it: outside the checkout, into an environment of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.programs import Result, leg_of, run

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = build(ROOT, tmp_path_factory.mktemp("dist"))
    return path


def build(source: Path, directory: Path) -> list[Path]:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    return [*directory.glob("*.whl")]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, and the test run's own dependencies beside it.

    Those are not fetched again, for tests need no network; `.ci/run` installs them as a user does.
    """
    directory = tmp_path_factory.mktemp("installed")
    venv.create(directory, with_pip=False, symlinks=True)
    library = Path(sysconfig.get_path("purelib", vars={"base": str(directory)}))
    pip = (sys.executable, "-m", "pip", "--python", str(directory))
    subprocess.run(
        [*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)],
        check=True,
    )
    # Beside it, but without the checkout, which the test run has installed in place.
    (library / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return directory


def mitm_demo(installed: Path, *arguments: str, cwd: Path) -> Result:
    done = subprocess.run(
        [str(installed / "bin" / "mitm-demo"), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_only_mitm_is_importable(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"mitm"}


def test_the_wheel_holds_content_and_no_rubbish(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name in (
        "certs/genuine.md",
        "scenarios/pinned.md",
        "server/ingress.py",
        "server/server.py",
        "py.typed",
        "session/go/mitm.go",
    ):
        assert any(n.endswith(name) for n in names)
    assert not [n for n in names if "__pycache__" in n or n.startswith("tests/")]


PRODUCTS = ("node_modules", "target", "build", "__pycache__", ".mypy_cache")


def sources(folder: Path) -> set[str]:
    """What a folder of clients holds, but for what their tools have left there."""
    paths = (path.relative_to(folder.parent) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if not {*PRODUCTS} & {*path.parts}}


def test_the_wheel_holds_the_sources_of_all_clients_and_what_is_to_be_copied(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name.removeprefix("mitm/content/") for name in archive.namelist()}
    assert sources(ROOT / "client") | sources(ROOT / "session") <= held


def test_what_is_built_beside_the_sources_stays_out_of_the_wheel(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    leave = shutil.ignore_patterns(".*", "tests", "bench", "docs", *PRODUCTS)
    shutil.copytree(ROOT, copy, ignore=leave)
    for product in PRODUCTS:
        for where in ("client/node", "client/java/src", "session"):
            (copy / where / product / "deep").mkdir(parents=True)
            (copy / where / product / "deep" / "left.txt").touch()
    (path,) = build(copy, tmp_path / "dist")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert "mitm/content/client/node/client.js" in names
    assert not [name for name in names if name.endswith("left.txt")]


def test_the_installed_wheel_plays_skip_verify_outside_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    result = mitm_demo(
        installed, "run", "skip-verify", "--json", "--html", "run.html", cwd=tmp_path
    )
    assert result.code == 0, result.err
    assert "COMPROMISED" in (tmp_path / "run.html").read_text()
    assert leg_of(result.json_lines[0])["verdict"] == "compromised"
    # And it is the wheel that was played: the checkout is not in reach.
    python = installed / "bin" / "python"
    where = run(python, "-I", "-c", "import mitm.content; print(mitm.content.ROOT)")
    assert where.out.startswith(str(installed))
