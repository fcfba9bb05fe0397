"""The victim server: a real gRPC server, and an honest witness of what reached it."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mitm import content
from tests.programs import LIMIT, refused, run, serving

sys.path.insert(0, str(content.PROTO))

import user_service


class Witness:
    """A running server: a channel to it, and its next line."""

    def __init__(self, process: "subprocess.Popen[str]", channel: grpc.Channel) -> None:
        self._process = process
        self.channel = channel
        self.users = user_service.UserServiceStub(channel)

    def line(self) -> dict[str, Any]:
        assert self._process.stdout
        line: dict[str, Any] = json.loads(self._process.stdout.readline())
        return line


@pytest.fixture
def server() -> Iterator[Witness]:
    with serving() as (process, address), grpc.insecure_channel(address) as channel:
        yield Witness(process, channel)


def test_get_user_gives_nicolas_and_is_recorded(server: Witness) -> None:
    user = server.users.GetUser(user_service.GetUserRequest(id=1))
    assert (user.id, user.name) == (1, "Nicolas")
    line = server.line()
    assert line["method"] == "/users.v1.UserService/GetUser"
    assert line["status"] == "OK"
    assert line["peer"].startswith("127.0.0.1:")


def test_an_unknown_user_is_not_found(server: Witness) -> None:
    with pytest.raises(grpc.RpcError) as error:
        server.users.GetUser(user_service.GetUserRequest(id=404))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    assert "404" in (error.value.details() or "")
    assert server.line()["status"] == "NOT_FOUND"


def test_list_users_streams_them_in_order(server: Witness) -> None:
    ids = [user.id for user in server.users.ListUsers(user_service.ListUsersRequest())]
    assert ids == sorted(ids)
    assert len(ids) > 1
    assert server.line()["status"] == "OK"


def test_import_users_counts_what_it_is_sent(server: Witness) -> None:
    users = [user_service.User(id=n) for n in range(5)]
    assert server.users.ImportUsers(iter(users)).imported == 5
    assert server.line()["method"].endswith("/ImportUsers")


def test_chat_answers_each_message_as_it_comes(server: Witness) -> None:
    said: list[str] = []

    def ask() -> Iterator[user_service.ChatMessage]:
        for text in ("one", "two"):
            yield user_service.ChatMessage(text=text)

    for answer in server.users.Chat(ask()):
        said.append(answer.text)
    assert said == ["You said: one", "You said: two"]


# Often, for the server's end of a cancelled stream of requests looks like an ordinary one at first.
def test_calls_that_the_client_cancels_are_recorded_as_cancelled(server: Witness) -> None:
    def forever() -> Iterator[user_service.ChatMessage]:
        yield user_service.ChatMessage(text="one")
        yield from iter(lambda: user_service.ChatMessage(text="more"), None)

    for _ in range(50):
        call = server.users.Chat(forever())
        next(call)
        call.cancel()
        assert server.line()["status"] == "CANCELLED"


def test_a_stream_that_the_client_only_ends_is_recorded_as_ok(server: Witness) -> None:
    for _ in range(50):
        (answer,) = server.users.Chat(iter([user_service.ChatMessage(text="one")]))
        assert answer.text == "You said: one"
        assert server.line()["status"] == "OK"


def test_health_is_served(server: Witness) -> None:
    stub: Any = health_pb2_grpc.HealthStub(server.channel)
    for service in ("", "users.v1.UserService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert server.line()["method"] == "/grpc.health.v1.Health/Check"


def test_reflection_names_the_services(server: Witness) -> None:
    reflected: Any = reflection_pb2_grpc.ServerReflectionStub
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = reflected(server.channel).ServerReflectionInfo(iter([request]))
    names = {service.name for service in answer.list_services_response.service}
    assert {"users.v1.UserService", "grpc.health.v1.Health"} <= names


def test_without_the_optional_packages_it_serves_users_and_says_what_is_missing(
    tmp_path: Path,
) -> None:
    for package in ("grpc_health", "grpc_reflection"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError")
    with serving(PYTHONPATH=str(tmp_path)) as (process, address):
        with grpc.insecure_channel(address) as channel:
            stub = user_service.UserServiceStub(channel)
            assert stub.GetUser(user_service.GetUserRequest(id=1)).name == "Nicolas"
        process.terminate()
        _, err = process.communicate(timeout=LIMIT)
    # Whoever follows the advice keeps the grpcio that is here.
    release = ".".join(grpc.__version__.split(".")[:2])
    assert err.splitlines() == [
        f"server: without health: pip install 'grpcio-health-checking~={release}.0'",
        f"server: without reflection: pip install 'grpcio-reflection~={release}.0'",
    ]


def test_wrong_usage_is_one_line() -> None:
    result = run(sys.executable, content.SERVER, "--prot", "1")
    assert "--prot" in refused(result)


def test_where_it_cannot_listen_it_says_why() -> None:
    """An address of nobody (RFC 5737) is none of this machine; a port may be another's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        line = refused(run(sys.executable, content.SERVER, "--listen", f"127.0.0.1:{port}"))
    assert line.endswith(f"cannot listen on 127.0.0.1:{port}: the port is taken")


def test_what_hinders_it_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.path.insert(0, str(content.SERVER.parent))
    import server as program

    assert program.what_hinders("192.0.2.1", 50051) == os.strerror(errno.EADDRNOTAVAIL)

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    assert program.what_hinders("127.0.0.1", 80) == "Permission denied"
