"""The page of questions: what its commands print, and what its tables say the stacks do."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mitm import content
from mitm.explain import load, read
from mitm.lab.clients import surroundings
from tests.client.conftest import asking, built
from tests.programs import LIMIT, MITM_DEMO, NOWHERE, Result, free_port, mitm_demo, run, running

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "questions.md").read_text()
PORT = "50051"

_SECTION = re.compile(r"^## (\d+)\. (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PROOF = re.compile(r"^```bash\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT_CODE = re.compile(r"  # exit code (\d)$")
_TABLE = re.compile(r"<!-- ([\w ]+) -->\n(.*?)<!-- end -->", re.DOTALL)


class Proof(NamedTuple):
    """Commands, one a line, and what is to be read in what they print, line by line."""

    commands: list[str]
    expected: list[str]


SECTIONS = {int(number): text for number, _, text in _SECTION.findall(PAGE)}
PROOFS = [
    pytest.param(Proof(commands.splitlines(), expected.splitlines()), id=f"{number}-{place}")
    for number, text in SECTIONS.items()
    for place, (commands, expected) in enumerate(_PROOF.findall(text))
]


def table(name: str) -> dict[str, list[str]]:
    """The rows of a table, by the stack that each begins with."""
    (text,) = (text for key, text in _TABLE.findall(PAGE) if key == name)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {stack.strip("`"): cells for stack, *cells in rows}


TABLES = {name: table(name) for name, _ in _TABLE.findall(PAGE)}


def rows(name: str) -> list[Any]:
    return [pytest.param(stack, cells, id=stack) for stack, cells in TABLES[name].items()]


def test_ten_questions_are_asked_in_peoples_words_and_each_is_answered_by_a_command() -> None:
    assert [*SECTIONS] == [*range(1, 11)]
    for number, text in SECTIONS.items():
        asked, _, rest = text.partition("\n\nErrors: ")
        assert "*“" in asked, number
        assert "https://github.com/" in asked, number
        assert rest.startswith("`"), number
        assert "**" in rest, f"question {number} has no short answer"
        # Each command but an example has its output beside it.
        assert text.count("```bash") == len(_PROOF.findall(text)) >= 1, number


# Said of what is no certificate's fault, or only of what a server has refused.
UNEXPLAINED = {
    "the trustAnchors parameter must be non-empty",
    "no native certs found",
    "error reading server preface: EOF",
    "Socket closed",
    "PERMISSION_DENIED",
}


def test_the_errors_that_lead_to_a_question_are_ones_that_explain_knows() -> None:
    dictionary = load(content.ERRORS)
    blocks = re.findall(r"^Errors: (.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    errors = {error for block in blocks for error in re.findall(r"`([^`]+)`", block)}
    assert len(errors) > 35
    assert {error for error in errors if not read([error], dictionary).errors} == UNEXPLAINED


def bash(line: str, folder: Path) -> Result:
    """Run a line of the page, as its reader does."""
    path = f"{Path(MITM_DEMO).parent}{os.pathsep}{os.environ['PATH']}"
    # As on a company's laptop, whose proxy knows nothing of what is dialled here.
    environment = os.environ | {"PATH": path, "COLUMNS": "250", "https_proxy": NOWHERE}
    for name in ROOTS:
        environment.pop(name, None)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def paths_and_verdicts(scenario: str) -> list[str]:
    told = json.loads(scenario)
    return [f"{' ──▶ '.join(leg['path'])}: {leg['verdict']}" for leg in told["legs"]]


@pytest.mark.parametrize("proof", PROOFS)
def test_the_commands_print_what_the_page_shows(
    proof: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client in re.findall(r"--client (\w+)", "\n".join(proof.commands)):
        built(client)
    if any(line.startswith("openssl ") for line in proof.commands) and not shutil.which("openssl"):
        pytest.skip("openssl is needed, for a certificate: apt install openssl")
    monkeypatch.chdir(tmp_path)
    port, printed = free_port(), list[str]()
    with ExitStack() as stack:
        for line in proof.commands:
            code = _EXIT_CODE.search(line)
            command = _EXIT_CODE.sub("", line).replace(PORT, port)
            if command.startswith("mitm-demo serve "):
                listen = ("--listen", f"127.0.0.1:{port}")
                process = stack.enter_context(
                    running(MITM_DEMO, *shlex.split(command)[1:], *listen)
                )
                stack.callback(process.send_signal, signal.SIGINT)
                assert process.stdout
                assert process.stdout.readline(), process.stderr and process.stderr.read()
                continue
            told = " run " in command
            result = bash(f"{command} --json" if told else command, tmp_path)
            assert result.code == (int(code[1]) if code else 0), (line, result)
            printed += paths_and_verdicts(result.out) if told else [" ".join(result.out.split())]
    if any(" run " in line for line in proof.commands):
        assert proof.expected == printed
        return
    rest = "\n".join(printed)
    for line in proof.expected:
        _, found, rest = rest.partition(" ".join(line.split()))
        assert found, (line, printed)


# What a certificate must be looked at for, to be refused.
LOOKED_AT = {"name": "wrong-host", "dates": "expired", "possession": "other-key"}


@pytest.mark.parametrize(("stack", "cells"), rows("skip"))
def test_what_is_still_looked_at_is_so(stack: str, cells: list[str]) -> None:
    built(stack)
    certificates = ",".join(["attacker-ca", *LOOKED_AT.values()])
    told = ("--client", stack, "--policy", "skip-verify", "--timeout", "20")
    result = mitm_demo("audit", "--json", "--only", certificates, *told)
    found = {each["certificate"]: each["outcome"] for each in json.loads(result.out)["findings"]}
    assert found["attacker-ca"] == "vulnerable"
    looked_at = {what for what, name in LOOKED_AT.items() if found[name] != "vulnerable"}
    assert {*cells[1].split(", ")} - {"nothing"} == looked_at


def _certificate(folder: Path, name: str, *extensions: str) -> None:
    added = [word for each in extensions for word in ("-addext", each)]
    subject = ("-days", "2", "-subj", "/CN=localhost")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    files = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    made = run("openssl", "req", "-x509", *key, *files, *subject, *added)
    assert made.code == 0, made


SAN = "subjectAltName=DNS:localhost"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of each kind, in the order of the columns, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed, for the certificates: apt install openssl")
    folder = tmp_path_factory.mktemp("own") / "pki"
    assert mitm_demo("certs", folder).code == 0
    _certificate(folder, "leaf", SAN, "basicConstraints=critical,CA:FALSE")
    _certificate(folder, "ca-too", SAN)
    _certificate(folder, "nameless")
    return folder


@pytest.mark.parametrize(("stack", "cells"), rows("roots of one"))
def test_the_servers_own_certificate_is_taken_as_a_root_or_not(
    stack: str, cells: list[str], own: Path
) -> None:
    client = built(stack)
    came = []
    with ExitStack() as servers, asking(client) as batch:
        for name in ("server", "leaf", "ca-too", "nameless"):
            port = free_port()
            listen = ("--listen", f"127.0.0.1:{port}")
            files = ("--cert", own / f"{name}.pem", "--key", own / f"{name}.key")
            process = servers.enter_context(running(MITM_DEMO, "serve", *files, *listen))
            assert process.stdout
            assert process.stdout.readline()
            answer = batch.ask(
                target=f"localhost:{port}",
                policy="ca-file",
                ca=str(own / f"{name}.pem"),
                timeout=30,
            )
            came.append("takes it" if "user" in answer else "refuses")
    assert cells == came


# By which a client may be told of other roots than its own.
ROOTS = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
)
VARIABLES = ("SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS")


@pytest.mark.parametrize(("stack", "cells"), rows("default roots"))
def test_the_default_roots_are_changed_by_these_variables_and_no_others(
    stack: str, cells: list[str], own: Path
) -> None:
    client = built(stack)
    listen = ("--listen", "127.0.0.1:0", "--cert", own / "server.pem", "--key", own / "server.key")
    with running(MITM_DEMO, "serve", *listen) as process:
        assert process.stdout
        address = json.loads(process.stdout.readline())["listening"]
        target = f"localhost:{address.rpartition(':')[2]}"
        heard = set()
        for variable in VARIABLES:
            given = surroundings(os.environ) | dict.fromkeys(ROOTS, "")
            given |= {variable: str(own / "ca.pem")}
            asked = ("--policy", "no-ca", "--target", target, "--timeout", "30")
            code = run(*client.command, *asked, **given).code
            assert code in (0, 1)
            heard |= {variable} if code == 0 else set()
    assert {*re.findall(r"`(\w+_\w+)`", cells[1])} == heard


# What a distribution keeps its certificates in.
_STORES = ("/etc/ssl", "/etc/pki", "/usr/lib/ssl")


@pytest.mark.parametrize(
    ("stack", "cells"), [row for row in rows("default roots") if "`" in row.values[1][2]]
)
def test_without_any_roots_on_the_machine_it_says_so(
    stack: str, cells: list[str], own: Path
) -> None:
    client = built(stack)
    hidden = " && ".join(f"(! test -d {each} || mount -t tmpfs none {each})" for each in _STORES)
    if subprocess.run(
        ["unshare", "--mount", "sh", "-c", hidden], capture_output=True, check=False
    ).returncode:
        pytest.skip("a mount namespace takes root: sudo, or a container with --privileged")
    listen = ("--listen", "127.0.0.1:0", "--cert", own / "server.pem", "--key", own / "server.key")
    with running(MITM_DEMO, "serve", *listen) as process:
        assert process.stdout
        address = json.loads(process.stdout.readline())["listening"]
        target = f"localhost:{address.rpartition(':')[2]}"
        given = surroundings(os.environ) | dict.fromkeys(ROOTS, "")
        said = ""
        for policy in ("no-ca", "system-roots"):
            asked = shlex.join([*client.command, "--policy", policy, "--target", target])
            result = run("unshare", "--mount", "sh", "-c", f"{hidden} && {asked}", **given)
            assert result.code
            said += result.out + result.err
    errors = [each for each in re.findall(r"`([^`]+)`", cells[2]) if " " in each]
    assert errors
    for error in errors:
        assert error in said or (stack == "java" and "PKIX path building failed" in said)


@pytest.mark.parametrize(("stack", "cells"), rows("alpn"))
def test_a_server_without_alpn_is_taken_or_not(stack: str, cells: list[str]) -> None:
    built(stack)
    told = ("--client", stack, "--policy", "ca-file", "--timeout", "20")
    result = mitm_demo("audit", "--json", "--only", "no-alpn", *told)
    (finding,) = json.loads(result.out)["findings"]
    assert cells == [{"pass": "refuses", "vulnerable": "takes it"}[finding["outcome"]]]


def test_all_seven_stacks_are_in_each_table() -> None:
    assert len(TABLES) == 4
    for cells in TABLES.values():
        assert {*cells} == {*TABLES["skip"]}
        assert len(cells) == 7
