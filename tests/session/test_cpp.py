"""session/cpp/mitm.h in a project of CMake, with gRPC C++, run by GoogleTest."""

from pathlib import Path

import pytest

from tests.programs import run
from tests.session import stacks

Command = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    packages = {"g++": "g++", "cmake": "cmake", "pkg-config": "pkgconf"}
    stacks.needed(**{program: f"apt install {name}" for program, name in packages.items()})
    if run("pkg-config", "--exists", "grpc++", "gtest_main").code:
        pytest.skip("gRPC and GoogleTest are needed: apt install libgrpc++-dev libgtest-dev")
    folder = stacks.project(tmp_path_factory.mktemp("cpp"), "cpp", "mitm.h", ("cpp", "my_test.cc"))
    stacks.built("cmake", "-S", folder, "-B", folder / "build")
    stacks.built("cmake", "--build", folder / "build")
    return (folder / "build" / "my_test",)


def test_a_careful_client_passes(command: Command) -> None:
    stacks.assert_passes_a_careful_client(command)


def test_a_careless_one_fails_in_words_that_anybody_understands(command: Command) -> None:
    result = stacks.assert_fails_a_careless_one(command)
    assert "[  FAILED  ] Mitm/TlsTest.ChecksTheServer/wrong_host" in result.out
    assert "[       OK ] Mitm/TlsTest.ChecksTheServer/mixed_case" in result.out


def test_without_a_session_it_is_skipped_and_says_how_to_run_it(command: Command) -> None:
    stacks.assert_skipped_without_a_session(command)


def test_a_session_that_is_gone_is_told(command: Command) -> None:
    stacks.assert_says_that_the_session_is_gone(command)
