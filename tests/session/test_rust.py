"""session/rust/mitm.rs in a crate, with tonic over rustls, run by `cargo test`."""

from pathlib import Path

import pytest

from tests.session import stacks

Command = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    stacks.needed(cargo="https://rustup.rs")
    folder = stacks.project(
        tmp_path_factory.mktemp("rust"), "rust", "tests/mitm.rs", ("rust", "tests/tls.rs")
    )
    at = ("--manifest-path", folder / "Cargo.toml", "--locked")
    stacks.fetched("cargo", "fetch", *at)
    # It takes a minute to build what the client uses, which stays the same.
    of = (*at, "--target-dir", stacks.CACHE / "rust", "--test", "tls")
    stacks.built("cargo", "test", "--no-run", *of)
    return ("cargo", "test", "--quiet", *of)


def test_a_careful_client_passes(command: Command) -> None:
    stacks.assert_passes_a_careful_client(command)


def test_a_careless_one_fails_in_words_that_anybody_understands(command: Command) -> None:
    result = stacks.assert_fails_a_careless_one(command)
    assert "checks_the_server" in result.out


def test_without_a_session_it_is_skipped_and_says_how_to_run_it(command: Command) -> None:
    stacks.assert_skipped_without_a_session(command)


def test_a_session_that_is_gone_is_told(command: Command) -> None:
    stacks.assert_says_that_the_session_is_gone(command)
