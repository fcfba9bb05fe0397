"""session/java/Mitm.java in a project of Maven, with grpc-java, run by JUnit 5."""

import re
from pathlib import Path

import pytest

from tests.programs import run
from tests.session import stacks

Command = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    stacks.needed(javac="apt install default-jdk-headless", mvn="apt install maven")
    if int(re.findall(r"\d+", run("javac", "-version").out)[0]) < 17:
        pytest.skip("a JDK of version 17 or newer is needed: apt install default-jdk-headless")
    tests = "src/test/java"
    folder = stacks.project(
        tmp_path_factory.mktemp("java"),
        "java",
        f"{tests}/mitm/Mitm.java",
        ("java", f"{tests}/TlsTest.java"),
    )
    (folder / "MyClient.java").rename(folder / tests / "MyClient.java")
    mvn = ("mvn", "-B", "-q", "-f", folder / "pom.xml")
    # Without a session the test is skipped; all that Maven fetches for it is there afterwards.
    stacks.fetched(*mvn, "test")
    return (*mvn, "-o", "test")


def test_a_careful_client_passes(command: Command) -> None:
    stacks.assert_passes_a_careful_client(command)


def test_a_careless_one_fails_in_words_that_anybody_understands(command: Command) -> None:
    result = stacks.assert_fails_a_careless_one(command)
    assert "TlsTest.checksTheServer()" in result.out


def test_without_a_session_it_is_skipped_and_says_how_to_run_it(command: Command) -> None:
    stacks.assert_skipped_without_a_session(command)


def test_a_session_that_is_gone_is_told(command: Command) -> None:
    stacks.assert_says_that_the_session_is_gone(command)
