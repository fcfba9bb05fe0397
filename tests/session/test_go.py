"""session/go/mitm.go in a Go module, with grpc-go, run by `go test`."""

from pathlib import Path

import pytest

from tests.session import stacks

Command = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    stacks.needed(go="https://go.dev/dl, or apt install golang-go")
    folder = stacks.project(
        tmp_path_factory.mktemp("go"), "go", "mitm/mitm.go", ("go", "my_client_test.go")
    )
    stacks.fetched("go", "-C", folder, "mod", "download")
    stacks.built("go", "-C", folder, "vet", "./...")
    return ("go", "-C", folder, "test", "./...")


def test_a_careful_client_passes(command: Command) -> None:
    stacks.assert_passes_a_careful_client(command)


def test_a_careless_one_fails_in_words_that_anybody_understands(command: Command) -> None:
    result = stacks.assert_fails_a_careless_one(command)
    assert "--- FAIL: TestChecksTheServer/wrong-host" in result.out
    assert "--- FAIL: TestChecksTheServer/mixed-case" not in result.out


def test_without_a_session_it_is_skipped_and_says_how_to_run_it(command: Command) -> None:
    stacks.assert_skipped_without_a_session((*command, "-v"))


def test_a_session_that_is_gone_is_told(command: Command) -> None:
    stacks.assert_says_that_the_session_is_gone(command)


def test_what_the_framework_leaves_out_is_told_and_proves_nothing(command: Command) -> None:
    result = stacks.in_session((*command, "-run", "TestChecksTheServer/genuine$"))
    assert result.code == 3, result
    assert "never tried" in result.out
