"""What `mitm-demo proxy` is told of the messages, and what it does without."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mitm import content
from tests.programs import MITM_DEMO, mitm_demo, refused, run, running, serving

_USERS = content.PROTO / "users" / "v1" / "users.proto"

# As the one of the lab, with other names, so that it is told which one was used.
_OTHER = """
syntax = "proto3";
package users.v1;
import "shop/person.proto";
service UserService { rpc GetUser(Wanted) returns (shop.Person); }
message Wanted { int64 number = 1; }
"""
_PERSON = """
syntax = "proto3";
package shop;
message Person { int64 number = 1; string called = 2; }
"""


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    """A folder of .proto files that import each other from its root."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "api").mkdir()
    (tmp_path / "shop" / "person.proto").write_text(_PERSON)
    (tmp_path / "api" / "users.proto").write_text(_OTHER)
    return tmp_path


class Watched:
    """What the interceptor has written of a call."""

    def __init__(self, out: str, err: str, log: Path) -> None:
        self.out = out
        self.err = err.strip()  # Ctrl-C ends a line
        events = [json.loads(line) for line in log.read_text().splitlines()]
        self.messages = [event for event in events if event["event"] == "message"]

    def told(self) -> list[Any]:
        return [(each["decoded_by"], each["value"]) for each in self.messages]


def _watch(tmp_path: Path, upstream: str, *options: str | Path) -> Watched:
    """Let a client ask for user 1 through the interceptor."""
    log = tmp_path / "events.jsonl"
    command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream, "--events", log)
    with running(MITM_DEMO, *command, *options, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening on "), process.stderr and process.stderr.read()
        address = line.split()[2].rstrip(",")
        result = mitm_demo("call", "--policy", "insecure", "--target", address)
        assert result.code == 0, result
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    return Watched(out, err, log)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serving() as (_, address):
        yield address


_BY_LAB = [("descriptors", {"id": "1"}), ("descriptors", {"id": "1", "name": "Nicolas"})]


def _named(source: str) -> list[Any]:
    person = {"number": "1", "called": "Nicolas", "3": "nicolas@example.com"}
    return [(source, {"number": "1"}), (source, person)]


def test_a_proto_file_is_compiled_with_its_imports(
    tmp_path: Path, protos: Path, upstream: str
) -> None:
    file = protos / "api" / "users.proto"
    seen = _watch(tmp_path, upstream, "--proto", file, "--proto-path", protos)
    assert seen.told() == _named("proto")
    # What the type does not have is guessed, and the bytes are there as well.
    assert 'Person {"number": "1", "called": "Nicolas", "3": "nicolas@example.com"} raw' in seen.out
    assert "(by .proto)" in seen.out
    assert seen.err == ""


def test_a_descriptor_set_is_used(tmp_path: Path, protos: Path, upstream: str) -> None:
    binary = _compiled(protos, "--include_imports")
    seen = _watch(tmp_path, upstream, "--descriptor-set", binary)
    assert seen.told() == _named("descriptor-set")
    assert "(by descriptor set)" in seen.out
    assert seen.err == ""


def test_without_its_imports_it_is_used_as_far_as_it_goes(
    tmp_path: Path, protos: Path, upstream: str
) -> None:
    binary = _compiled(protos)
    seen = _watch(tmp_path, upstream, "--descriptor-set", binary)
    # What the method takes is in it; what it gives, the lab's own descriptors know as well.
    assert [source for source, _ in seen.told()] == ["descriptor-set", "descriptors"]
    (line,) = seen.err.splitlines()
    assert line == (
        "mitm-demo: descriptors left out: api/users.proto: shop/person.proto is missing; "
        "messages of its types are guessed"
    )


def _compiled(protos: Path, *options: str) -> Path:
    binary = protos / "set.binpb"
    command = (
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={protos}",
        f"--descriptor_set_out={binary}",
    )
    result = run(sys.executable, *command, *options, "api/users.proto")
    assert result.code == 0, result
    return binary


def test_descriptors_that_do_not_fit_are_not_believed(tmp_path: Path, upstream: str) -> None:
    wrong = tmp_path / "wrong.proto"
    wrong.write_text(
        'syntax = "proto3"; package users.v1;\n'
        "service UserService { rpc GetUser(Wrong) returns (Wrong); }\n"
        "message Wrong { string text = 1; }\n"
    )
    seen = _watch(tmp_path, upstream, "--proto", wrong)
    assert seen.told() == [
        ("guess", {"1": 1}),
        ("guess", {"1": 1, "2": "Nicolas", "3": "nicolas@example.com"}),
    ]
    assert 'message {"1": 1} (guessed: no users.v1.Wrong)' in seen.out


@pytest.mark.parametrize("tls", [True, False])
def test_the_upstream_is_asked_by_reflection(tmp_path: Path, tls: bool) -> None:
    options: tuple[str | Path, ...] = ()
    if tls:
        assert mitm_demo("certs", tmp_path / "lab").code == 0
        options = ("--cert", tmp_path / "lab" / "server.pem", "--key", tmp_path / "lab/server.key")
    with serving(*options) as (_, address):
        command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", address, "--reflection")
        log = tmp_path / "events.jsonl"
        with running(MITM_DEMO, *command, "--events", log, PYTHONUNBUFFERED="1") as process:
            assert process.stdout
            target = process.stdout.readline().split()[2].rstrip(",")
            careless = ("--policy", "skip-verify", "--server-name", "localhost")
            trust = careless if tls else ("--policy", "insecure")
            result = mitm_demo("call", *trust, "--target", target)
            assert result.code == 0, result
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    seen = Watched(out, err, log)
    user = {"id": "1", "name": "Nicolas", "email": "nicolas@example.com"}
    assert seen.told() == [("reflection", {"id": "1"}), ("reflection", user)]
    assert "(by reflection)" in out
    assert seen.err == ""


def test_a_server_without_reflection_is_said_to_be_one(tmp_path: Path) -> None:
    with _plain_server() as address:
        seen_by = running(
            MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", "--upstream", address, "--reflection"
        )
        with seen_by as process:
            assert process.stderr
            line = process.stderr.readline()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    assert line.startswith(f"mitm-demo: --reflection: {address} does not tell its services")
    assert "UNIMPLEMENTED" in line
    assert line.endswith("messages are guessed where nothing else is known\n")


@contextmanager
def _plain_server() -> Iterator[str]:
    program = (
        "import grpc, concurrent.futures as f, time\n"
        "s = grpc.server(f.ThreadPoolExecutor())\n"
        "print(s.add_insecure_port('127.0.0.1:0'), flush=True)\n"
        "s.start(); time.sleep(60)\n"
    )
    with running(sys.executable, "-c", program) as process:
        assert process.stdout
        yield f"127.0.0.1:{process.stdout.readline().strip()}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('syntax = "proto3";\nmessage {}\n', "mine.proto:2:9: "),
        (
            'syntax = "proto3";\nimport "shop/nothing.proto";\n',
            'mine.proto:2:1: Import "shop/nothing.proto" was not found or had errors.: '
            "name the folder that it starts from with --proto-path",
        ),
        ("not a proto", "mine.proto:1:"),
    ],
)
def test_what_is_wrong_with_a_proto_file_is_one_line_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "mine.proto"
    file.write_text(text)
    assert said in refused(mitm_demo("proxy", "--listen", "127.0.0.1:0", "--proto", file))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--proto", "{folder}/none.proto"), "none.proto: no such file or folder"),
        (("--proto", "{folder}/a.proto", "--proto-path", "{folder}/none"), "none: no such file"),
        (("--proto-path", "{folder}"), "name a file with --proto"),
        (("--descriptor-set", "{folder}/none.binpb"), "none.binpb: cannot be read: No such file"),
        (("--descriptor-set", "{folder}/a.proto"), "not a descriptor set"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    (tmp_path / "a.proto").write_text('syntax = "proto3";\n')
    filled = [option.replace("{folder}", str(tmp_path)) for option in options]
    assert said in refused(mitm_demo("proxy", "--listen", "127.0.0.1:0", *filled))


def test_without_the_compiler_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    """Played by a package of that name that cannot be found: the rest is as installed."""
    program = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, p=None: None if n == 'grpc_tools' else find(n, p)\n"
        "from mitm.cli import main\n"
        "sys.exit(main())\n"
    )
    result = run(sys.executable, "-c", program, "proxy", "--proto", _USERS)
    line = refused(result)
    assert "pip install grpcio-tools" in line
    assert "--descriptor-set FILE" in line
