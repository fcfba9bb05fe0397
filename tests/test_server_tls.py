"""The victim server over TLS: mutual TLS, who may call, and a renewal while it serves."""

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from mitm import content
from tests.programs import LIMIT, refused, run, serving
from tests.small_ca import CLIENT, SERVER, Issued, SmallCa

sys.path.insert(0, str(content.PROTO))

import user_service

_ALICE = "alice.clients.mitm-demo.test"
_SPIFFE = "spiffe://mitm-demo.test/alice"

_NONE = Issued(b"", b"")


@pytest.fixture(scope="module")
def ca() -> SmallCa:
    """The CA of the server."""
    return SmallCa()


@pytest.fixture(scope="module")
def clients() -> SmallCa:
    """The CA of the clients, which is another."""
    return SmallCa("A CA of clients")


@pytest.fixture
def files(tmp_path: Path, ca: SmallCa, clients: SmallCa) -> Path:
    """A folder with the server's certificate, its key and the CA of its clients."""
    ca.issue("localhost").write(tmp_path, "server")
    (tmp_path / "clients.pem").write_bytes(clients.pem)
    return tmp_path


class Server:
    """A server that runs over TLS.

    Attributes:
        process: it.
        port: where, on loopback.
    """

    def __init__(self, process: "subprocess.Popen[str]", address: str, ca: SmallCa) -> None:
        self.process = process
        self.port = int(address.rpartition(":")[2])
        self._ca = ca

    @contextmanager
    def channel(self, client: Issued = _NONE) -> Iterator[grpc.Channel]:
        """A channel of its own connection, with a client certificate or without."""
        credentials = grpc.ssl_channel_credentials(
            self._ca.pem, client.key or None, client.cert or None
        )
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.secure_channel(f"localhost:{self.port}", credentials, options) as channel:
            yield channel

    def ask(self, client: Issued = _NONE) -> object:
        """Make a call; the name that comes back, or the status."""
        with self.channel(client) as channel:
            return _said(lambda: _users(channel).GetUser(user_service.GetUserRequest(id=1)).name)

    def serial(self, host: str = "127.0.0.1") -> int:
        """The serial number of the certificate that a new connection is shown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self._ca.pem.decode())
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((host, self.port)) as connection,
            context.wrap_socket(connection, server_hostname="localhost") as tls,
        ):
            leaf = tls.getpeercert(binary_form=True)
        assert leaf
        return x509.load_der_x509_certificate(leaf).serial_number

    def line(self) -> dict[str, Any]:
        """The next line of its record."""
        assert self.process.stdout
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def end(self) -> tuple[list[dict[str, Any]], list[str]]:
        """End it; what it has recorded since, and its lines for a person."""
        self.process.terminate()
        out, err = self.process.communicate(timeout=LIMIT)
        return [json.loads(line) for line in out.splitlines()], err.splitlines()


def _users(channel: grpc.Channel) -> Any:
    return user_service.UserServiceStub(channel)


def _said(call: Callable[[], object]) -> object:
    try:
        return call()
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code.name


@contextmanager
def _served(files: Path, ca: SmallCa, *arguments: str | Path) -> Iterator[Server]:
    pair = ("--cert", files / "server.pem", "--key", files / "server.key")
    with serving(*pair, *arguments) as (process, address):
        yield Server(process, address, ca)


@pytest.fixture
def mutual(files: Path, ca: SmallCa) -> Iterator[Server]:
    with _served(files, ca, "--client-ca", files / "clients.pem") as server:
        yield server


@pytest.fixture
def allowing(files: Path, ca: SmallCa) -> Iterator[Server]:
    allow = ("--allow", _ALICE, "--allow", _SPIFFE)
    with _served(files, ca, "--client-ca", files / "clients.pem", *allow) as server:
        yield server


def test_with_a_client_ca_a_client_of_it_gets_in_and_is_recorded_by_name(
    mutual: Server, clients: SmallCa
) -> None:
    assert mutual.ask(clients.issue(_ALICE, _SPIFFE, purpose=CLIENT)) == "Nicolas"
    line = mutual.line()
    assert (line["status"], line["identity"]) == ("OK", f"{_SPIFFE}, {_ALICE}")


def test_a_common_name_is_no_identity(mutual: Server, clients: SmallCa) -> None:
    assert mutual.ask(clients.issue(common_name=_ALICE, purpose=CLIENT)) == "Nicolas"
    assert mutual.line()["identity"] == ""


@pytest.mark.parametrize("who", ["none", "another-ca", "expired", "for-servers", "self-signed"])
def test_with_a_client_ca_nobody_else_gets_in(mutual: Server, clients: SmallCa, who: str) -> None:
    stranger = SmallCa("A CA of clients")  # of the same name
    presented = {
        "none": _NONE,
        "another-ca": stranger.issue(_ALICE, purpose=CLIENT),
        "expired": clients.issue(_ALICE, purpose=CLIENT, expired=True),
        "for-servers": clients.issue(_ALICE, purpose=SERVER),
        "self-signed": SmallCa(_ALICE).itself,
    }[who]
    assert mutual.ask(presented) == "UNAVAILABLE"
    # The twin, in the same run.
    assert mutual.ask(clients.issue(_ALICE, purpose=CLIENT)) == "Nicolas"
    lines, _ = mutual.end()
    assert [line["status"] for line in lines] == ["OK"]


def test_without_a_client_ca_a_certificate_is_not_asked_for(
    files: Path, ca: SmallCa, clients: SmallCa
) -> None:
    with _served(files, ca) as server:
        assert server.ask(clients.issue(_ALICE, purpose=CLIENT)) == "Nicolas"
        assert server.line()["identity"] == ""


def test_each_of_several_client_cas_is_taken(files: Path, ca: SmallCa, clients: SmallCa) -> None:
    others = SmallCa("Another CA of clients")
    (files / "clients.pem").write_bytes(clients.pem + others.pem)
    with _served(files, ca, "--client-ca", files / "clients.pem") as server:
        for each in (clients, others):
            assert server.ask(each.issue(_ALICE, purpose=CLIENT)) == "Nicolas"


@pytest.mark.parametrize("names", [(_ALICE,), ("other.test", _ALICE.upper()), (_SPIFFE,)])
def test_whoever_is_allowed_may_call(
    allowing: Server, clients: SmallCa, names: tuple[str, ...]
) -> None:
    assert allowing.ask(clients.issue(*names, purpose=CLIENT)) == "Nicolas"
    assert allowing.line()["status"] == "OK"


@pytest.mark.parametrize(
    "names",
    [
        ("mallory.clients.mitm-demo.test",),
        (f"x{_ALICE}",),
        (f"{_ALICE}.mallory.test",),
        ("*.clients.mitm-demo.test",),
        (f"dns:{_ALICE}",),
        (f"{_SPIFFE}/x",),
        (_SPIFFE.upper(),),
        (),
    ],
    ids=str,
)
def test_whoever_is_not_allowed_is_denied_and_recorded(
    allowing: Server, clients: SmallCa, names: tuple[str, ...]
) -> None:
    stranger = clients.issue(*names, common_name=_ALICE[:64], purpose=CLIENT)
    assert allowing.ask(stranger) == "PERMISSION_DENIED"
    line = allowing.line()
    assert (line["status"], line["identity"]) == ("PERMISSION_DENIED", ", ".join(names))
    assert line["method"] == "/users.v1.UserService/GetUser"


def _each_kind(channel: grpc.Channel) -> list[object]:
    """What comes of a call of each kind and of each service, and of one that there is not."""
    users, message = _users(channel), user_service.ChatMessage(text="one")
    health: Any = health_pb2_grpc.HealthStub(channel)
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    unknown: Any = channel.unary_unary("/users.v1.UserService/Nothing")
    calls: list[Callable[[], object]] = [
        lambda: users.GetUser(user_service.GetUserRequest(id=1)),
        lambda: list(users.ListUsers(user_service.ListUsersRequest())),
        lambda: users.ImportUsers(iter([user_service.User(id=1)])),
        lambda: list(users.Chat(iter([message]))),
        lambda: health.Check(health_pb2.HealthCheckRequest()),
        lambda: list(reflection(channel).ServerReflectionInfo(iter([question]))),
        lambda: unknown(b""),
    ]

    def said(call: Callable[[], object]) -> object:
        return _said(lambda: (call() and "OK") or "")

    return list(map(said, calls))


def test_all_kinds_of_calls_and_all_services_are_for_the_allowed_alone(
    allowing: Server, clients: SmallCa
) -> None:
    """Health and reflection tell of the server, too; so does which methods it has."""
    with allowing.channel(clients.issue("mallory.test", purpose=CLIENT)) as channel:
        assert _each_kind(channel) == ["PERMISSION_DENIED"] * 7
    with allowing.channel(clients.issue(_ALICE, purpose=CLIENT)) as channel:
        assert _each_kind(channel) == ["OK"] * 6 + ["UNIMPLEMENTED"]
    lines, _ = allowing.end()
    assert [line["status"] for line in lines[:7]] == ["PERMISSION_DENIED"] * 7


@pytest.mark.parametrize("client_ca", [False, True])
def test_a_renewal_drops_no_call_and_new_connections_see_the_new_certificate(
    files: Path, ca: SmallCa, clients: SmallCa, client_ca: bool
) -> None:
    more = ("--client-ca", files / "clients.pem") if client_ca else ()
    alice = clients.issue(_ALICE, purpose=CLIENT) if client_ca else _NONE
    renewed = ca.issue("localhost")
    with _served(files, ca, *more) as server, server.channel(alice) as channel:
        said = []

        def ask() -> Iterator[user_service.ChatMessage]:
            for number in range(40):
                yield user_service.ChatMessage(text=str(number))

        for number, answer in enumerate(_users(channel).Chat(ask())):
            said.append(answer.text)
            assert _users(channel).GetUser(user_service.GetUserRequest(id=1)).name == "Nicolas"
            if number == 20:
                renewed.write(files, "server")
            assert server.ask(alice) == "Nicolas"
        assert said == [f"You said: {number}" for number in range(40)]
        if not client_ca:
            assert server.serial() == renewed.serial
        lines, err = server.end()
    assert {line["status"] for line in lines} == {"OK"}
    assert err == []


def test_each_address_of_a_name_learns_of_a_renewal(files: Path, ca: SmallCa) -> None:
    with _served(files, ca, "--listen", "localhost:0") as server:
        (served,) = x509.load_pem_x509_certificates((files / "server.pem").read_bytes())
        hosts = ["127.0.0.1"]
        with suppress(OSError), socket.create_connection(("::1", server.port)):
            hosts.append("::1")
        assert {server.serial(host) for host in hosts} == {served.serial_number}
        renewed = ca.issue("localhost")
        renewed.write(files, "server")
        assert [server.serial(host) for host in hosts] == [renewed.serial] * len(hosts)


def test_without_a_renewal_new_connections_see_the_same_certificate(
    files: Path, ca: SmallCa
) -> None:
    (served,) = x509.load_pem_x509_certificates((files / "server.pem").read_bytes())
    with _served(files, ca) as server:
        assert {server.serial() for _ in range(3)} == {served.serial_number}


@pytest.mark.parametrize("broken", ["cut", "gone", "mismatched", "another-file", "empty"])
def test_files_that_are_being_written_leave_it_with_the_last_good_ones(
    files: Path, ca: SmallCa, broken: str
) -> None:
    before, renewed = files / "server.pem", ca.issue("localhost")
    with _served(files, ca) as server:
        first = server.serial()
        if broken == "gone":
            before.unlink()
        else:
            before.write_bytes(
                {
                    "cut": renewed.cert[:100],
                    "mismatched": renewed.cert,
                    "another-file": b"hello",
                    "empty": b"",
                }[broken]
            )
        assert {server.serial() for _ in range(3)} == {first}
        renewed.write(files, "server")
        assert server.serial() == renewed.serial
        _, err = server.end()
    # Once, not at each handshake.
    (line,) = err
    assert line.startswith("server: goes on with what it had: ")
    assert str(before) in line


def test_the_client_ca_is_read_again_too(files: Path, ca: SmallCa, clients: SmallCa) -> None:
    others = SmallCa("Another CA of clients")
    alice, bob = (each.issue(_ALICE, purpose=CLIENT) for each in (clients, others))
    with _served(files, ca, "--client-ca", files / "clients.pem") as server:
        assert [server.ask(each) for each in (alice, bob)] == ["Nicolas", "UNAVAILABLE"]
        (files / "clients.pem").write_bytes(others.pem)
        assert [server.ask(each) for each in (alice, bob)] == ["UNAVAILABLE", "Nicolas"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--client-ca", "clients.pem"), "--client-ca needs --cert and --key"),
        (("--cert", "server.pem", "--key", "server.key", "--allow", "x"), "needs --client-ca"),
        (("--cert", "server.pem", "--key", "server.key", "--client-ca", "no"), "cannot read"),
        (
            ("--cert", "server.pem", "--key", "server.key", "--client-ca", "server.key"),
            "holds no certificate",
        ),
        (
            (
                *[
                    "--cert",
                    "server.pem",
                    "--key",
                    "server.key",
                    "--client-ca",
                    "clients.pem",
                    "--allow",
                ],
                "",
            ),
            "--allow is empty",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(
    files: Path, arguments: tuple[str, ...], why: str
) -> None:
    words = [str(files / w) if w.endswith((".pem", ".key")) else w for w in arguments]
    assert why in refused(run(sys.executable, content.SERVER, *words))
