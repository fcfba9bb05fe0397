"""Clients that are built: once, anew when something has changed, and nothing by halves."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mitm.errors import UserError
from mitm.lab.builds import cache, ready
from mitm.lab.clients import load_client
from tests.programs import MITM_DEMO, Result, client_folder, gone, mitm_demo, refused, running

# A program that is built of `words`, and of what it says of itself by --version.
BUILT = 'echo "#!/bin/sh" > program && echo "echo $(cat words)" >> program && chmod +x program'


class Built:
    """A client of the test's own that is to be built, and a cache for it.

    Attributes:
        log: has a line for each time that it was built.
    """

    def __init__(self, place: Path) -> None:
        self.folder = place / "mine"
        self.cache = place / "cache"
        self.log = place / "log"
        self.folder.mkdir()
        (self.folder / "words").write_text("mine 1.0, sh\n")
        self.describe()

    def describe(self, build: str = BUILT, requires: str = "[sh]", text: str = "") -> None:
        command = f"echo built >> {self.log}; {build}"
        (self.folder / "README.md").write_text(
            f"---\ntitle: Of a test\nrequires: {requires}\nbuild:\n  - [sh, -c, '{command}']\n"
            'command: ["{build}/program"]\nversion: ["{build}/program", --version]\n'
            f"policies: [insecure]\n---\n{text}\n"
        )

    def demo(self, *words: str | Path, **environment: str) -> Result:
        return mitm_demo(*words, XDG_CACHE_HOME=str(self.cache), **environment)

    def build(self, **environment: str) -> Result:
        return self.demo("clients", "build", self.folder, **environment)

    @property
    def times(self) -> int:
        return self.log.read_text().count("built")

    @property
    def left(self) -> list[str]:
        """What is in the cache, but for locks."""
        found = (self.cache / "mitm-demo" / "clients").glob("*")
        return [path.name for path in found if path.suffix != ".lock"]


@pytest.fixture
def mine(tmp_path: Path) -> Built:
    return Built(tmp_path)


def test_a_client_is_built_once_and_outside_its_folder(mine: Built) -> None:
    before = sorted(mine.folder.iterdir())
    first, second = mine.build(), mine.build()
    assert (first.code, second.code) == (0, 0), (first, second)
    assert "built in" in first.out
    assert "mine 1.0, sh" in first.out
    assert second.out == "mine: built before, mine 1.0, sh\n"
    assert mine.times == 1
    assert sorted(mine.folder.iterdir()) == before


def test_it_is_built_anew_if_a_source_has_changed_and_the_one_before_is_removed(
    mine: Built,
) -> None:
    mine.build()
    (mine.folder / "words").write_text("mine 1.1, sh\n")
    assert "mine 1.1, sh" in mine.build().out
    assert mine.times == 2
    assert len(mine.left) == 1


@pytest.mark.parametrize("name", ["sub/more", ".config", "words.lock"])
def test_every_file_of_the_folder_counts(mine: Built, name: str) -> None:
    mine.build()
    (mine.folder / name).parent.mkdir(exist_ok=True)
    (mine.folder / name).write_text("")
    mine.build()
    assert mine.times == 2


@pytest.mark.parametrize("name", ["node_modules/left", "target/debug", "sub/__pycache__/x.pyc"])
def test_what_tools_have_left_there_does_not(mine: Built, name: str) -> None:
    mine.build()
    (mine.folder / name).parent.mkdir(parents=True)
    (mine.folder / name).write_text("")
    mine.build()
    assert mine.times == 1


@pytest.mark.parametrize("name", [b"sp ace", "ünï".encode(), b"no-utf8-\xff", b"a[1]", b"-o"])
def test_whatever_a_folder_and_what_is_in_it_are_called_it_is_built(
    tmp_path: Path, name: bytes
) -> None:
    mine = Built(tmp_path)
    mine.folder = mine.folder.rename(tmp_path / os.fsdecode(name))
    for words in ("mine 1", "mine 2"):
        (mine.folder / os.fsdecode(name)).write_text(words)
        assert mine.build().code == 0
    # And the one before is removed.
    assert len(mine.left) == 1
    assert mine.times == 2


def test_a_link_goes_by_its_own_name(mine: Built, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(mine.folder)
    assert mine.demo("clients", "build", tmp_path / "link").out.startswith("link: built in")
    among = ("clients", "--clients", tmp_path)
    assert mine.demo(*among, "build", "link").out == "link: built before, mine 1.0, sh\n"
    names = {line["name"] for line in mine.demo(*among, "--json").json_lines}
    assert {"link", "mine"} <= names


def test_a_source_that_cannot_be_read_is_told(mine: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever runs this test may be root, who may read anything.
    def read(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    client = load_client(str(mine.folder))
    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(UserError, match=r"cannot read .*words: Permission denied"):
        asyncio.run(ready(client))


def test_where_there_is_no_home_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        cache("clients")


def test_nor_does_the_text_that_describes_it(mine: Built) -> None:
    mine.build()
    mine.describe(text="# More about it")
    mine.build()
    assert mine.times == 1


def test_other_commands_build_something_else(mine: Built) -> None:
    mine.build()
    mine.describe(BUILT + " && true")
    mine.build()
    assert mine.times == 2


def tool(place: Path, version: str) -> str:
    """A tool of a version, and a PATH on which it is."""
    place.mkdir(exist_ok=True)
    (place / "smith").write_text(f"#!/bin/sh\necho smith version {version} >&2\n")
    (place / "smith").chmod(0o755)
    return f"{place}{os.pathsep}{os.environ['PATH']}"


NEEDS_SMITH = '[{program: smith, version: "2.9", ask: [smith, --version], install: apt install it}]'


def test_an_environment_builds_it_once_by_whatever_name_of_its_interpreter(
    mine: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.describe(build=f"{BUILT} && : {{python}}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(mine.cache))
    place = Path(sys.executable)
    for name in ("python", "python3"):
        monkeypatch.setattr(sys, "executable", str(place.with_name(name)))
        asyncio.run(ready(load_client(str(mine.folder))))
    assert mine.times == 1
    # Another environment may have other tools.
    monkeypatch.setattr(sys, "prefix", str(place.parent))
    asyncio.run(ready(load_client(str(mine.folder))))
    assert mine.times == 2


def test_another_version_of_a_tool_builds_something_else(mine: Built, tmp_path: Path) -> None:
    mine.describe(requires=NEEDS_SMITH)
    for version in ("2.10", "2.10", "3"):
        assert mine.build(PATH=tool(tmp_path / "bin", version)).code == 0
    assert mine.times == 2


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("2.8.9", "smith 2.8.9 is here, 2.9 is needed: apt install it"),
        ("1", "smith 1 is here, 2.9 is needed: apt install it"),
        ("²", "smith smith version ² is here, 2.9 is needed: apt install it"),
        ("", "smith 2.9 is not installed: apt install it"),
    ],
)
def test_what_is_missing_is_one_line_with_the_hint(
    mine: Built, tmp_path: Path, version: str, said: str
) -> None:
    mine.describe(requires=NEEDS_SMITH)
    path = tool(tmp_path / "bin", version) if version else os.environ["PATH"]
    commands: list[tuple[str | Path, ...]] = [
        ("clients", "build", mine.folder),
        ("run", "--client", mine.folder),
        ("audit", "--client", mine.folder, "--policy", "insecure"),
        ("call", "--client", mine.folder, "--policy", "insecure", "--target", "localhost:1"),
    ]
    for command in commands:
        line = refused(mine.demo(*command, PATH=path))
        assert line == f"mitm-demo: the client mine cannot be run here: {said}"
    listed = mine.demo("clients", "--clients", tmp_path, PATH=path)
    assert listed.code == 0
    assert said in listed.out
    assert not mine.log.exists()


def test_what_one_command_brings_is_told_with_one_command(mine: Built) -> None:
    needs = ", ".join(
        f"{{program: a-{name}-that-nobody-has, install: {hint}}}"
        for name, hint in {
            "smith": "apt install a-smith",
            "wright": "apt install a-wright",
            "mason": "https://mason.example",
        }.items()
    )
    mine.describe(requires=f"[{needs}]")
    assert refused(mine.build()) == (
        "mitm-demo: the client mine cannot be run here: a-mason-that-nobody-has is not installed: "
        "https://mason.example; a-smith-that-nobody-has, a-wright-that-nobody-has are not "
        "installed: apt install a-smith a-wright"
    )


def test_where_all_are_built_what_lacks_something_is_left_out_and_told(mine: Built) -> None:
    mine.describe(requires="[a-tool-that-nobody-has]")
    # Nor are the tools of those that come with the project, which take minutes.
    result = mine.demo("clients", "--clients", mine.folder.parent, "build", PATH="/nowhere")
    assert result.code == 0, result
    assert "left out: the client mine cannot be run here: a-tool-that-nobody-has" in result.err
    assert "python: nothing to build" in result.out


def test_a_build_that_fails_says_what_the_tool_said_and_leaves_nothing(mine: Built) -> None:
    mine.describe("seq 100; echo words:3: there is no such word >&2; exit 7")
    for _ in range(2):
        result = mine.build()
        assert result.code == 2
        *output, line = result.err.splitlines()[1:]
        assert "  words:3: there is no such word" in output
        assert len(output) <= 20
        assert line.startswith("mitm-demo: the client mine could not be built: sh -c ")
        assert "exit code 7: words:3: there is no such word" in line
        assert mine.left == []
    mine.describe()
    assert mine.build().code == 0


def test_a_build_that_makes_nothing_has_failed(mine: Built) -> None:
    mine.describe("true")
    result = mine.build()
    assert result.code == 2
    assert "there is no {build}/program afterwards" in result.err
    assert mine.left == []


def waiting_build(place: Path) -> tuple[str, Path]:
    """A build that tells when it has begun, and goes on when it is told to."""
    fifo = place / "go-on"
    os.mkfifo(fifo)
    return f"echo $$ > {place}/pid; : > {place}/begun; read -r _ < {fifo}; {BUILT}", fifo


def until_begun(place: Path) -> None:
    # A named pipe would do without waiting, but the build must not depend on who listens.
    subprocess.run(
        ["sh", "-c", f"until [ -e {place}/begun ]; do sleep 0.02; done"], check=True, timeout=60
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_interrupted_leaves_nothing(
    mine: Built, tmp_path: Path, how: signal.Signals
) -> None:
    build, fifo = waiting_build(tmp_path)
    mine.describe(build)
    environment = {"XDG_CACHE_HOME": str(mine.cache)}
    with running(MITM_DEMO, "clients", "build", mine.folder, **environment) as process:
        until_begun(tmp_path)
        process.send_signal(how)
        process.wait(60)
    assert gone(int((tmp_path / "pid").read_text()))
    if how == signal.SIGINT:
        assert mine.left == []
    # Nothing that is there is taken for whole.
    fifo.unlink()
    fifo.write_text("\n")
    result = mine.build()
    assert result.code == 0, result
    assert mine.times == 2
    assert len(mine.left) == 1


def test_two_at_once_build_it_once(mine: Built, tmp_path: Path) -> None:
    build, fifo = waiting_build(tmp_path)
    mine.describe(build)
    command = (MITM_DEMO, "clients", "build", mine.folder)
    environment = {"XDG_CACHE_HOME": str(mine.cache)}
    with running(*command, **environment) as first, running(*command, **environment) as second:
        # Whoever came second says so, before the first one is let on.
        until_begun(tmp_path)
        said = {first: "", second: ""}
        for process in said:
            assert process.stderr
            said[process] = process.stderr.readline()
        fifo.write_text("\n")
        outputs = [process.communicate(timeout=60)[0] for process in said]
        assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sum("waiting for mine" in line for line in said.values()) == 1
    assert mine.times == 1


def test_what_somebody_uses_is_not_removed(mine: Built, tmp_path: Path) -> None:
    """An audit goes on with what it was begun with, whatever is edited and built meanwhile."""
    environment = {"XDG_CACHE_HOME": str(mine.cache)}
    (mine.folder / "words").write_text(f"; : > {tmp_path}/begun; exec sleep 60")
    with running(MITM_DEMO, "run", "insecure", "--client", mine.folder, **environment):
        until_begun(tmp_path)
        (mine.folder / "words").write_text("mine 2, sh\n")
        assert mine.build().code == 0
        assert len(mine.left) == 2
    # The next one to be built finds it unused.
    (mine.folder / "words").write_text("mine 3, sh\n")
    assert mine.build().code == 0
    assert len(mine.left) == 1


def test_a_folder_that_may_only_be_read_is_built_from(mine: Built) -> None:
    (mine.folder / "sub").mkdir()
    for path in (mine.folder / "words", mine.folder / "sub", mine.folder):
        path.chmod(path.stat().st_mode & ~0o222)
    assert mine.build().code == 0
    (entry,) = mine.left
    copy = mine.cache / "mitm-demo" / "clients" / entry
    # Whoever runs this test may be root, who may write anywhere.
    assert all(path.stat().st_mode & 0o200 for path in (copy, copy / "words"))
    mine.folder.chmod(0o755)


def test_a_cache_that_cannot_be_written_is_told_with_the_way_out(
    mine: Built, tmp_path: Path
) -> None:
    mine.cache = tmp_path / "file"
    mine.cache.write_text("")
    line = refused(mine.build())
    assert "XDG_CACHE_HOME" in line
    assert str(mine.cache) in line


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ('command: ["{build}/x"]', "command: {build} is there only with the key 'build'"),
        ("command: [x]\nbuild: [[make, '{place}']]", "build: unknown placeholder {place}; known:"),
        ("command: [x]\nbuild: [[]]", "build: it has no words"),
        ("command: []", "command: it has no words"),
        ("command: [x]\nversion: ['{nope}']", "version: unknown placeholder {nope}"),
        ("command: [x]\nrequires: [{program: go, ask: ['{nope}']}]", "requires: unknown placehol"),
        ("command: [x]\nrequires: [{program: go, version: '1'}]", "version: it is known by 'ask'"),
        (
            "command: [x]\nrequires: [{program: go, ask: [go], version: new}]",
            "requires[0]: version: 'new' is not numbers with dots between them",
        ),
        ("command: [x]\nbatch: perhaps", "batch: Expected `bool`"),
    ],
)
def test_a_mistake_in_a_manifest_names_file_key_and_reason(
    tmp_path: Path, manifest: str, said: str
) -> None:
    folder = client_folder(tmp_path / "mine", "")
    (folder / "README.md").write_text(f"---\ntitle: T\npolicies: [insecure]\n{manifest}\n---\n")
    line = refused(mitm_demo("run", "--client", folder))
    assert str(folder / "README.md") in line
    assert said in line


def test_a_client_is_built_when_it_is_first_used(mine: Built) -> None:
    (mine.folder / "words").write_text('\'{"error": {"code": "UNAVAILABLE"}}\'; exit 1')
    result = mine.demo("run", "insecure", "--client", mine.folder)
    assert result.code == 1, result
    assert "mitm-demo: building mine" in result.err
    assert "UNAVAILABLE" in result.out
    assert mine.times == 1
