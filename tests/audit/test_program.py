"""The program that a command line is about."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.audit.program import program_of
from mitm.audit.stack import stack_of_command


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("./client --ca {ca}", "./client"),
        ("env A=b ./client", "./client"),
        ("env -u HOME -i A=b C=d ./client {target}", "./client"),
        ("env -S 'A=b ./client -x'", "./client"),
        ("A=b ./client", "./client"),
        ("/usr/bin/env python3 tests/client.py {ca}", "tests/client.py"),
        ("nice -n 5 timeout -k 1 5 ./client", "./client"),
        ("timeout 10s nice ./client", "./client"),
        ("stdbuf -o L ./client", "./client"),
        ("sh -c './client {target}'", "./client"),
        ("bash -ec 'cd x && A=b exec/client --x'", "exec/client"),
        ("sh -c 'exit 1;'", "exit"),
        ("bash run.sh {target}", "run.sh"),
        ("python3 -u -W ignore my/client.py", "my/client.py"),
        ("python3.12 -m shop.client {target}", "shop.client"),
        ("python -c 'import x' {target}", "python"),
        ("java -cp a.jar:b.jar -Dx=y shop.Client", "shop.Client"),
        ("java -Xmx1g -jar target/client.jar {target}", "target/client.jar"),
        ("go run ./cmd/client {target}", "./cmd/client"),
        ("go run -tags x main.go {target}", "main.go"),
        ("go test ./...", "go"),
        ("cargo run -q --bin client -- {target}", "client"),
        ("node --require x client.js {target}", "client.js"),
        ("uv run --with grpcio client.py", "client.py"),
        ("uv run python client.py", "client.py"),
        ("curl -k --cacert {ca} https://{target}/", "curl"),
        ("env", "env"),
    ],
)
def test_wrappers_and_interpreters_are_seen_through(line: str, file: str) -> None:
    assert program_of(shlex.split(line)).file == file


def test_a_folder_is_called_what_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program_of(["go", "run", "."]).name == tmp_path.name
    assert program_of(["env", "A=b", "bin/client"]).name == "client"


def test_what_no_shell_could_read_is_the_shells_own() -> None:
    assert program_of(["sh", "-c", "unbalanced '"]).file == "sh"


@given(st.lists(st.text(max_size=8) | st.sampled_from(["env", "sh", "-c", "go", "run", "timeout"])))
def test_whatever_the_words_there_is_a_program(words: list[str]) -> None:
    assert isinstance(program_of([*words, "x"]).file, str)


@pytest.mark.parametrize(
    ("line", "stack"),
    [
        ("python3 client.py", "Python"),
        ("env A=b timeout 5 python3.12 -m shop", "Python"),
        ("./client.py", "Python"),
        ("node client.js", "Node.js"),
        ("java -jar client.jar", "Java"),
        ("go run .", "Go"),
        ("cargo run --bin client", "Rust"),
        ("curl https://{target}", "curl"),
        ("./client", ""),
    ],
)
def test_a_command_may_tell_the_stack(line: str, stack: str) -> None:
    assert stack_of_command(shlex.split(line)) == stack
