"""The page of real programs: its commands are ones that can be given, and those at hand are run."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from mitm.audit.command import PLACEHOLDERS
from mitm.cli.audit import audit
from tests.programs import Result, mitm_demo

_ROOT = Path(__file__).resolve().parent.parent
PAGE = _ROOT / "docs" / "programs.md"
INSTALLER = _ROOT / "scripts" / "programs.sh"
_COMMAND = re.compile(r"`((?:--[a-z]+ \w+ )*-- [^`]+)`")

ROWS = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
COMMANDS = _COMMAND.findall(PAGE.read_text())
PROGRAMS = _COMMAND.findall(PAGE.read_text().partition("## Libraries")[0])

# How each of them is told to trust anybody, in the place of whom to trust. buildctl cannot be.
CARELESS = {
    "curl": ("--cacert {ca}", "--insecure"),
    "grpcurl": ("-cacert {ca}", "-insecure"),
    "ghz": ("--cacert {ca}", "--skipTLS"),
    "buf": ("--cacert {ca}", "--insecure"),
    "grpc-health-probe": ("-tls-ca-cert {ca}", "-tls-no-verify"),
    "etcdctl": ("--cacert {ca}", "--insecure-skip-tls-verify"),
    "telemetrygen": ("--ca-cert {ca}", "--otlp-insecure-skip-verify"),
}

# Where `make programs` puts what it installs, before what is on the path anyway.
_INSTALLED = _ROOT / ".venv" / "programs"
PATH = os.pathsep.join(
    [str(_INSTALLED / "bin"), str(_INSTALLED / "python" / "bin"), os.environ["PATH"]]
)

PROTO = """
syntax = "proto3";
package u;
message M {}
service S { rpc Call(M) returns (M); }
"""


def _program(command: str) -> str:
    words = shlex.split(command)
    return words[words.index("--") + 1]


def _audited(command: str, *options: str) -> Result:
    words = ("--only", "attacker-ca,wrong-host", *options, *shlex.split(command))
    return mitm_demo("audit", *words, PATH=PATH)


def _told_apart(result: Result) -> dict[str, str]:
    return {each["certificate"]: each["outcome"] for each in json.loads(result.out)["findings"]}


def test_each_row_has_its_command() -> None:
    headings = [line for line in ROWS if "mitm-demo audit" in line or "---" in line]
    assert len(COMMANDS) == len(ROWS) - len(headings)
    assert len(COMMANDS) >= 24


@pytest.mark.parametrize("command", COMMANDS)
def test_options_and_placeholders_are_those_of_the_audit(command: str) -> None:
    words = shlex.split(command)
    with audit.make_context("audit", list(words)) as context:
        assert context.params["command"]
    named = set(re.findall(r"\{(\w+)\}", command))
    assert named & {"target", "host"}
    assert named <= set(PLACEHOLDERS)
    # Whom it is to trust, it is told, or its machine is.
    assert ("ca" in named) != (context.params["roots"] == "system")


def test_what_the_tests_install_is_of_the_version_that_the_page_names() -> None:
    installed = re.findall(r"([\w-]+)(?:@v|==)([\d.]+)", INSTALLER.read_text())
    assert len(installed) >= 3
    for program, version in installed:
        (row,) = (row for row in ROWS if row.startswith(f"| {program} "))
        named = row.removeprefix(f"| {program} ").split()[0]
        assert f"{version}.".startswith(f"{named}.")


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the programs are run, with the services that some want to be told."""
    (tmp_path / "proto").mkdir()
    for file in (tmp_path / "w.proto", tmp_path / "proto" / "w.proto"):
        file.write_text(PROTO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _needed(program: str) -> None:
    if not shutil.which(program, path=PATH):
        pytest.skip(
            f"no {program} on the path: {PAGE.name} says which one; make programs installs "
            "some of them"
        )


@pytest.mark.parametrize("command", PROGRAMS)
@pytest.mark.usefixtures("at_work")
def test_a_program_that_is_at_hand_is_audited_with_it(command: str) -> None:
    _needed(_program(command))
    result = _audited(command, "--json")
    assert result.code == 0, result
    assert _told_apart(result) == {"attacker-ca": "pass", "wrong-host": "pass"}


@pytest.mark.parametrize(
    "command", [each for each in PROGRAMS if "{ca}" in each and _program(each) in CARELESS]
)
@pytest.mark.usefixtures("at_work")
def test_the_same_told_to_trust_anybody_is_vulnerable(command: str) -> None:
    program = _program(command)
    _needed(program)
    verifying, careless = CARELESS[program]
    assert verifying in command
    result = _audited(command.replace(verifying, careless), "--json")
    assert result.code == 1, result
    assert _told_apart(result) == {"attacker-ca": "vulnerable", "wrong-host": "vulnerable"}


EXPORTER = """
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
provider.get_tracer("call").start_span("call").end()
provider.shutdown()
"""


@pytest.mark.parametrize(
    ("scheme", "code", "outcome"), [("https", 0, "pass"), ("http", 1, "vulnerable")]
)
def test_an_exporter_that_is_at_hand_is_audited_by_its_environment_alone(
    scheme: str, code: int, outcome: str, at_work: Path
) -> None:
    """By a letter of its address it does without TLS, and what it is told of a CA is of no use."""
    python = shutil.which("python3", path=PATH) or "python3"
    module = "import opentelemetry.exporter.otlp.proto.grpc"
    if subprocess.run([python, "-c", module], capture_output=True, check=False).returncode:
        pytest.skip("no OpenTelemetry exporter for Python here: make programs installs it")
    (command,) = (c for c in COMMANDS if "OTEL_" in c and "python3" in c)
    (at_work / "call.py").write_text(EXPORTER)
    # It tries again for ten seconds, and then takes its time to end.
    command = command.replace("https://", f"{scheme}://")
    result = _audited(command, "--json", "--timeout", "20")
    assert result.code == code, result
    assert _told_apart(result) == {"attacker-ca": outcome, "wrong-host": outcome}
