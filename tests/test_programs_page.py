"""The page of real programs: its commands are ones that can be given, and those at hand are run."""

import re
import shlex
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from mitm.audit.command import PLACEHOLDERS
from mitm.cli.audit import audit
from tests.programs import mitm_demo

PAGE = Path(__file__).resolve().parent.parent / "docs" / "programs.md"
_COMMAND = re.compile(r"`((?:--[a-z]+ \w+ )*-- [^`]+)`")

COMMANDS = _COMMAND.findall(PAGE.read_text())
PROGRAMS = _COMMAND.findall(PAGE.read_text().partition("## Libraries")[0])

PROTO = """
syntax = "proto3";
package u;
message M {}
service S { rpc Call(M) returns (M); }
"""


def test_each_row_has_its_command() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    headings = [line for line in rows if "mitm-demo audit" in line or "---" in line]
    assert len(COMMANDS) == len(rows) - len(headings)
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


@pytest.mark.parametrize("command", PROGRAMS)
def test_a_program_that_is_at_hand_is_audited_with_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(command)
    program = words[words.index("--") + 1]
    if not shutil.which(program):
        pytest.skip(f"{program} is not on the path: {PAGE.name} says which one is meant")
    (tmp_path / "proto").mkdir()
    for file in (tmp_path / "w.proto", tmp_path / "proto" / "w.proto"):
        file.write_text(PROTO)
    monkeypatch.chdir(tmp_path)
    result = mitm_demo("audit", "--only", "attacker-ca,wrong-host", *words)
    assert result.code == 0, result


OTLP = "opentelemetry-exporter-otlp-proto-grpc"
EXPORTER = """
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
provider.get_tracer("call").start_span("call").end()
provider.shutdown()
"""


def test_an_exporter_that_is_at_hand_is_audited_by_its_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not list(distributions(name=OTLP)):
        pytest.skip(f"needs pip install {OTLP}")
    (command,) = (c for c in COMMANDS if "OTEL_" in c and "python3" in c)
    (tmp_path / "call.py").write_text(EXPORTER)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("python3", sys.executable))
    result = mitm_demo("audit", "--only", "attacker-ca,wrong-host", "--timeout", "20", *words)
    assert result.code == 0, result
