"""session/cpp/mitm.h in a project of CMake, with gRPC C++, run by GoogleTest."""

from pathlib import Path

import pytest

from tests.programs import run
from tests.session import stacks

Command = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    programs = {"g++": "g++", "cmake": "cmake", "pkg-config": "pkgconf"}
    stacks.needed(**{program: f"apt install {name}" for program, name in programs.items()})
    if run("pkg-config", "--exists", "grpc++", "protobuf", "gtest_main").code:
        pytest.skip(
            "gRPC and GoogleTest are needed: apt install libgrpc++-dev libprotobuf-dev libgtest-dev"
        )
    folder = stacks.project(tmp_path_factory.mktemp("cpp"), "cpp", "mitm.h", ("cpp", "my_test.cc"))
    stacks.built("cmake", "-S", folder, "-B", folder / "build")
    stacks.built("cmake", "--build", folder / "build")
    return (folder / "build" / "my_test",)


# gRPC up to 1.80 gives up by SIGABRT on an IP address of three bytes in a certificate.
FATAL = "malformed-san"


def _skip_if_sound() -> None:
    version = run("pkg-config", "--modversion", "grpc++").out.strip()
    if tuple(map(int, version.split(".")[:2])) >= (1, 81):
        pytest.skip(f"gRPC {version} refuses {FATAL}: the test takes one up to 1.80")


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


def test_a_certificate_that_ends_the_process_is_a_crash_and_the_rest_untried(
    command: Command,
) -> None:
    _skip_if_sound()
    result = stacks.in_session(command, f"expired,{FATAL},wrong-host")
    assert result.code == 3, result
    assert f"{FATAL}:crash" in result.out
    assert "ended by SIGABRT" in result.out
    assert "never tried" in result.out


def test_ctest_keeps_it_from_the_others(command: Command) -> None:
    """It runs each test in a process of its own, and finds out which there are in the session."""
    ctest = ("ctest", "--test-dir", Path(command[0]).parent)
    sound = stacks.in_session(ctest, "expired,wrong-host")
    assert sound.code == 0, sound
    assert "100% tests passed" in sound.out
    _skip_if_sound()
    # It would go by what it has found before, unless the program is newer.
    Path(command[0]).touch()
    result = stacks.in_session(ctest, f"expired,{FATAL},wrong-host")
    assert result.code == 3, result
    assert "expired, wrong-host" in result.out.partition("Passed (2)")[2]
    assert "its test ended before it asked what came of that" in " ".join(result.out.split())
