"""session/node/mitm.cjs in a package of Node.js, with @grpc/grpc-js, run by `node --test`."""

import re
from pathlib import Path

import pytest

from tests.session import stacks

Command = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    stacks.needed(node="apt install nodejs", npm="apt install npm")
    folder = stacks.project(
        tmp_path_factory.mktemp("node"), "node", "mitm.cjs", ("js", "tls.test.js")
    )
    stacks.fetched("npm", "ci", "--prefix", folder, "--no-audit", "--no-fund")
    return ("node", "--test", folder / "tls.test.js")


def test_a_careful_client_passes(command: Command) -> None:
    stacks.assert_passes_a_careful_client(command)


def test_a_careless_one_fails_in_words_that_anybody_understands(command: Command) -> None:
    result = stacks.assert_fails_a_careless_one(command)
    assert re.search(r"(not ok \d+ -|✖) wrong-host", result.out)
    assert not re.search(r"(not ok \d+ -|✖) mixed-case", result.out)


def test_without_a_session_it_is_skipped_and_says_how_to_run_it(command: Command) -> None:
    stacks.assert_skipped_without_a_session(command)


def test_a_session_that_is_gone_is_told(command: Command) -> None:
    stacks.assert_says_that_the_session_is_gone(command)


def test_require_takes_it_as_well(command: Command) -> None:
    """In a package of any type: the test is CommonJS here, and the package is not."""
    folder = Path(command[-1]).parent
    (folder / "tls.test.cjs").write_text(
        """const { test } = require("node:test");
const mitm = require("./mitm.cjs");

test("checks the server", async (t) => {
  const { getUser } = await import("./my-client.js");
  for (const c of await mitm.cases(t)) {
    await t.test(c.name, (t) => c.judge(t, () => getUser(c.target, c.ca)));
  }
});
"""
    )
    result = stacks.in_session(("node", "--test", folder / "tls.test.cjs"), "wrong-host,expired")
    assert result.code == 0, result
    assert "expired, wrong-host" in result.out
