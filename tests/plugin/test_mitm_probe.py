"""The fixture `mitm_probe`, as a user's test has it."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugin.conftest import Run
from tests.probe.lab import METHOD, SERVER, Lab, made
from tests.probe.servers import Caller, Rules, by_name, serving

TEST = """
def test_server(mitm_probe):
    mitm_probe(
        "127.0.0.1:{port}",
        ca="{folder}/clients.pem",
        client_cert="{folder}/client.pem",
        client_key="{folder}/client.key",
        client_ca_cert="{folder}/clients.pem",
        client_ca_key="{folder}/clients.key",
        server_name="{server}",
        method="{method}",
        {more}
    )
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return made(tmp_path)


def written(lab: Lab, port: int, more: str = "") -> str:
    return TEST.format(port=port, folder=lab.folder, server=SERVER, method=METHOD, more=more)


def open_to(allow: Callable[[Caller], bool]) -> Rules:
    return Rules(verify=ssl.CERT_OPTIONAL, allow=allow)


def test_a_clean_server_passes(run: Run, lab: Lab) -> None:
    with serving(lab, Rules()) as port:
        run(written(lab, port)).assert_outcomes(passed=1)


def test_who_gets_in_and_must_not_fails_the_test(run: Run, lab: Lab) -> None:
    with serving(lab, open_to(lambda c: by_name(c) or not c.certificate)) as port:
        result = run(written(lab, port))
        narrowed = run(written(lab, port, 'only="client-expired",'))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "1 way treated wrongly: no-certificate.",
            "The server lets the good certificate in. Of the others: *",
            "This server lets in clients that show no certificate (1 way proves it).",
            "  fix *",
            "  more        mitm-demo show no-certificate",
        ]
    )
    narrowed.assert_outcomes(passed=1)


def test_whoever_has_a_certificate_is_in_which_strict_counts(run: Run, lab: Lab) -> None:
    with serving(lab, Rules(allow=lambda caller: True)) as port:
        lenient = run(written(lab, port))
        strict = run(written(lab, port, "strict=True,"))
    lenient.assert_outcomes(passed=1)
    lenient.stdout.fnmatch_lines(["*only stricter servers turn away wrong-identity (should): *"])
    strict.assert_outcomes(failed=1)


def test_a_good_client_that_is_turned_away_proves_nothing(run: Run, lab: Lab) -> None:
    with serving(lab, Rules(allow=lambda caller: False)) as port:
        result = run(written(lab, port))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["Nothing is proved: the server does not let the good certificate in."]
    )


def test_a_mistake_of_the_tests_is_one_line(run: Run, lab: Lab) -> None:
    result = run(written(lab, 1, 'only="no-certificat",'))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*did you mean 'no-certificate'?*"])


def test_within_an_event_loop(run: Run, lab: Lab) -> None:
    with serving(lab, Rules()) as port:
        body = written(lab, port).replace("def test_server", "async def probe")
        test = "def test_server(mitm_probe):\n    asyncio.run(probe(mitm_probe))\n"
        run(f"import asyncio\n{body}\n{test}").assert_outcomes(passed=1)
