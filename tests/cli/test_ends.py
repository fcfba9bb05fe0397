"""How a command ends: output is whole or an error, and a crash is no verdict."""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from mitm.cli.main import DEBUG, UNFORESEEN
from tests.programs import LIMIT, MITM_DEMO, Result, client_folder, mitm_demo, refused, run, running

# A pipe of the smallest size (fcntl(2), F_SETPIPE_SZ), which a report does not fit into.
_PIPE = 4096


def shell(command: str, **environment: str) -> Result:
    return run("bash", "-c", command, **environment)


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["list", "certs", "--json"],
        ["show", "skip-verify"],
        ["run", "insecure"],
        ["audit", "--json", "--only", "CWE-297", "--", "true"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_all_of_it_goes_through_a_small_pipe_that_does_not_wait(
    arguments: list[str],
) -> None:
    """Whoever has the other end may set it non-blocking; a write to it is short, or none."""
    whole = mitm_demo(*arguments)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE)
    os.set_blocking(writer, False)
    process = subprocess.Popen(
        [MITM_DEMO, *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=dict(os.environ) | {"COLUMNS": "250", "PYTHONUNBUFFERED": "1"},
    )
    os.close(writer)
    with process, os.fdopen(reader, "rb") as file:
        out = file.read()
        assert process.stderr
        assert process.stderr.read() == b""
    assert process.returncode == whole.code
    if arguments[0] in ("list", "show"):
        assert out.decode() == whole.out
    elif arguments[0] == "audit":
        assert json.loads(out).keys() == json.loads(whole.out).keys()
    else:
        assert len(out.splitlines()) == len(whole.out.splitlines())


@pytest.mark.parametrize("command", ["list", "run insecure", "run insecure --json", "--help"])
@pytest.mark.parametrize("to", [">/dev/full", ">&-"])
def test_output_that_nobody_takes_is_an_error(command: str, to: str) -> None:
    line = refused(shell(f"{MITM_DEMO} {command} {to}"))
    assert line.startswith("mitm-demo: cannot write standard output: ")


@pytest.mark.parametrize("command", ["list", "run insecure", "run insecure --json"])
def test_a_reader_that_has_enough_ends_it_quietly(command: str) -> None:
    result = shell(f"{MITM_DEMO} {command} | head -n 1; echo ${{PIPESTATUS[0]}}")
    # Either it had written all by then, or it was told that nobody reads.
    assert result.out.splitlines()[-1] in ("0", "141")
    assert result.err == ""


def test_an_interceptor_ends_when_its_reader_does() -> None:
    with running(MITM_DEMO, "proxy", "--listen", "127.0.0.1:0") as process:
        assert process.stdout
        address = process.stdout.readline().split()[2].rstrip(",")
        process.stdout.close()
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port))):
            assert process.wait(LIMIT) == 128 + signal.SIGPIPE
        assert process.stderr
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("list >/dev/null 2>&-", 0),
        ("list >/dev/null 2>/dev/full <&-", 0),
        ("run insecure >/dev/null 2>&- <&-", 0),
        ("run insecure >&- 2>&- <&-", 2),
        ("nonsense 2>&-", 2),
        ("replay - <&-", 2),
    ],
)
def test_streams_that_are_closed_are_no_accident(command: str, code: int) -> None:
    result = shell(f"{MITM_DEMO} {command}")
    assert result.code == code
    assert len(result.err.splitlines()) <= 1


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["run insecure", "list"])
def test_a_terminal_without_the_characters_gets_others(
    command: str, environment: dict[str, str]
) -> None:
    result = shell(f"{MITM_DEMO} {command} | iconv -f latin1 -t utf8", **environment)
    assert (result.code, result.err) == (0, "")
    assert result.out


@pytest.mark.parametrize("files", [8, 20])
def test_too_few_files_are_one_line(files: int) -> None:
    line = refused(shell(f"ulimit -n {files}; {MITM_DEMO} run insecure"))
    assert f"no more than {files} files may be open" in line


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--timeout", "nan"],
        ["run", "--timeout", "inf"],
        ["run", "--timeout", "1e300"],
        ["audit", "--timeout", "nan", "--", "true"],
        ["call", "--target", "localhost:1", "--policy", "insecure", "--timeout", "-inf"],
        ["call", "--target", "localhost:1", "--policy", "insecure", "--id", str(2**63)],
        ["call", "--target", "localhost:1", "--policy", "insecure", "--id", str(-(2**63) - 1)],
    ],
    ids=lambda words: " ".join(words),
)
def test_a_number_that_is_none_is_refused(words: list[str]) -> None:
    assert "Invalid value for '--" in refused(mitm_demo(*words))


# A module that the command line imports, in the place of its own: what nobody has foreseen.
_BROKEN = """
import sys
import mitm.cli.contents
def broken():
    raise {error}
mitm.cli.contents.in_order = broken
from mitm.cli import main
sys.argv = ["mitm-demo", "list", "scenarios"]
main()
"""


def _broken(error: str, **environment: str) -> Result:
    return run(sys.executable, "-c", _BROKEN.format(error=error), **environment)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("KeyError('k')", "KeyError in <string>, line 5: 'k'"),
        ("ExceptionGroup('g', [ValueError('one')])", "ValueError: one"),
        (
            "OSError('a\\n::error::\\x1b[2J')",
            r"OSError in <string>, line 5: a \x3a:error::\x1b[2J",
        ),
        ("RecursionError()", "RecursionError in"),
        ("SystemExit('x')", "SystemExit in"),
        ("SystemExit(1)", "SystemExit in"),
    ],
)
def test_what_was_not_foreseen_is_no_verdict(error: str, told: str) -> None:
    result = _broken(error)
    assert result.code == UNFORESEEN == 70
    (line,) = result.err.splitlines()
    assert line.startswith(f"mitm-demo: unforeseen: {told}")
    assert DEBUG in line


def test_its_traceback_is_shown_on_request() -> None:
    result = _broken("KeyError('k')", **{DEBUG: "1"})
    assert result.code == UNFORESEEN
    assert result.err.startswith("Traceback")


def test_what_a_user_can_mend_has_its_own_code() -> None:
    """The twins: one line as well, but of another kind."""
    assert _broken("OSError(24, 'Too many open files')").code == 2
    assert _broken("__import__('mitm.errors').errors.UserError('mend it')").code == 2
    assert _broken("KeyboardInterrupt").code == 130


def test_a_line_has_an_end() -> None:
    """A server names its files as it likes."""
    result = _broken("__import__('mitm.errors').errors.UserError('x ' * 100_000 + 'end')")
    assert result.code == 2
    assert len(result.err) < 5000
    assert result.err.endswith("end\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--events", "{file}", "--pcap", "{file}"],
        ["--pcap", "{file}", "--keylog", "{folder}/../{name}/x"],
        ["--events", "{link}", "--keylog", "{file}"],
    ],
)
def test_two_outputs_into_one_file_are_refused(tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "x"
    (tmp_path / "link").symlink_to(file)
    fill = {"file": file, "folder": tmp_path, "name": tmp_path.name, "link": tmp_path / "link"}
    filled = [option.format(**fill) for option in options]
    assert "go into one file" in refused(mitm_demo("run", "insecure", *filled))
    assert not file.exists()


def test_two_reports_into_one_file_are_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "x")
    result = mitm_demo("audit", "--junit", file, "--sarif", file, "--", "true")
    assert "--junit and --sarif go into one file" in refused(result)


def test_an_output_into_standard_outputs_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x"
    result = shell(f"{MITM_DEMO} run insecure --events {file} > {file}")
    assert "standard output and --events go into one file" in refused(result)


def test_two_outputs_that_nobody_keeps_are_not() -> None:
    result = mitm_demo("run", "insecure", "--events", "/dev/null", "--pcap", "/dev/null")
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize("option", ["--junit", "--sarif"])
def test_a_report_that_cannot_be_written_does_not_take_the_others_with_it(option: str) -> None:
    result = mitm_demo("audit", option, "/dev/full", "--only", "self-signed", "--", "true")
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert f"{option}: cannot write /dev/full: No space left on device" in line
    assert "Nothing is proved" in result.out or "nothing is proved" in result.out


@pytest.mark.parametrize(
    "command",
    [
        ["run", "insecure", "--events"],
        ["run", "insecure", "--pcap"],
        ["proxy", "--listen", "127.0.0.1:0", "--events"],
        ["audit", "--only", "self-signed", "--junit"],
    ],
    ids=lambda words: " ".join(words),
)
def test_a_pipe_that_nobody_reads_does_not_hold_up_the_start(
    tmp_path: Path, command: list[str]
) -> None:
    os.mkfifo(tmp_path / "fifo")
    more = ["--", "true"] if command[0] == "audit" else []
    line = refused(mitm_demo(*command, tmp_path / "fifo", *more))
    assert "nobody reads from it: start its reader first" in line


def test_a_pipe_with_a_reader_gets_all(tmp_path: Path) -> None:
    """The twin."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    while stat.S_ISFIFO(fifo.stat().st_mode):
        # The reader may not have opened it yet.
        result = mitm_demo("run", "insecure", "--events", fifo)
        if result.code == 0:
            break
    reader.join(LIMIT)
    (lines,) = read
    kinds = [json.loads(line)["event"] for line in lines.splitlines()]
    assert kinds[0] == "scenario-started"
    assert kinds[-1] == "leg-ended"


def test_a_client_that_says_hostile_things_is_quoted_harmlessly(tmp_path: Path) -> None:
    program = "import sys\nsys.stderr.write('a\\x1b[2J\\u202e\\n::error::boo\\n')\nsys.exit(3)\n"
    folder = client_folder(tmp_path / "hostile", program)
    for more in ([], ["--details"], ["--json"]):
        result = mitm_demo("run", "insecure", "--client", folder, *more)
        assert result.code == 1
        for line in result.out.splitlines():
            assert line.isprintable()
            assert not line.strip().startswith("::error")


HOSTILE = "\x1b[2J\u202ego\n::error::boo\r\x9b31m"


class Hostile(grpc.GenericRpcHandler):
    """A server that answers every call with what a terminal should not be told."""

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        def answer(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            context.abort(grpc.StatusCode.INTERNAL, HOSTILE)
            yield b""

        return grpc.stream_stream_rpc_method_handler(answer)


def test_what_a_server_says_of_itself_is_told_and_not_obeyed() -> None:
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Hostile()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        upstream = ("--upstream", f"127.0.0.1:{port}", "--reflection")
        with running(MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", *upstream) as process:
            assert process.stdout
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=LIMIT)
    finally:
        server.stop(None)
    (line,) = err.splitlines()
    assert line.startswith("mitm-demo: --reflection: ")
    assert line.isprintable()
    assert "::error::" not in line


@pytest.mark.parametrize(
    "line",
    [
        f'{{"event":"alert","time":0,"connection":1,"by":"client","name":{json.dumps(HOSTILE)},'
        '"number":1}',
        f'{{"event":{json.dumps(HOSTILE)},"time":0}}',
        f'{{"event":"alert","time":0,"by":{json.dumps(HOSTILE)},"name":"","number":1}}',
        '{"event":"rewritten","time":0,"direction":"client","stream":1,"method":"/a","part":'
        '"message","before":{"[/bold]":"[/x]"},"after":{"[/bold]":"[red]"}}',
        '{"event":"message","time":0,"direction":"client","stream":1,"method":"","type":"","size":'
        f'1,"value":{{"a":{"[" * 100_000}{"]" * 100_000}}}}}',
        '{"event":"alert","time":1e308,"by":"client","name":"","number":1' + "0" * 5000 + "}",
    ],
    ids=["name", "tag", "word", "markup", "deep", "number"],
)
def test_a_crafted_recording_is_shown_or_refused_in_a_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "events.jsonl").write_text(f"{line}\n")
    result = mitm_demo("replay", tmp_path / "events.jsonl")
    assert result.code in (0, 2)
    for each in (result.out + result.err).splitlines():
        assert each.isprintable()
        assert not each.strip().startswith("::error::")
    assert len(result.err.splitlines()) == (1 if result.code else 0)


def test_a_client_that_repeats_its_token_is_masked(tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "token = sys.argv[sys.argv.index('--token') + 1]\n"
        "print(json.dumps({'error': {'code': 'X', 'message': f'not with {token} here'}}))\n"
        "sys.exit(f'refused: {token} CERTIFICATE_VERIFY_FAILED')\n"
    )
    folder = client_folder(tmp_path / "repeats", program)
    for more in ("--details", "--json"):
        result = mitm_demo("run", "insecure", "--client", folder, more)
        assert "opens-" not in result.out
        assert ("not with … here" if more == "--details" else r"not with \u2026 here") in result.out
