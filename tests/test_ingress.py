"""The ingress: ends TLS in front of a server, and is as careful on the last hop as it is told."""

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from mitm import content
from mitm.address import Address, parse
from mitm.errors import UserError
from mitm.lab.ingress import running_ingress
from tests.programs import LIMIT, free_port, refused, run, running, serving
from tests.small_ca import CLIENT, SERVER, Issued, SmallCa

sys.path.insert(0, str(content.PROTO))
sys.path.insert(0, str(content.INGRESS.parent))

import ingress as program
import user_service

_NONE = Issued(b"", b"")


@pytest.fixture(scope="module")
def ca() -> SmallCa:
    """The CA that the clients of the ingress trust."""
    return SmallCa()


@pytest.fixture(scope="module")
def inner() -> SmallCa:
    """The CA of the server behind."""
    return SmallCa("Inner CA")


@pytest.fixture
def folder(tmp_path: Path, ca: SmallCa, inner: SmallCa) -> Path:
    ca.issue("localhost").write(tmp_path, "ingress")
    inner.issue("localhost").write(tmp_path, "server")
    (tmp_path / "inner.pem").write_bytes(inner.pem)
    return tmp_path


@contextmanager
def _ingress(folder: Path, upstream: str, *arguments: str | Path) -> Iterator[str]:
    pair = ("--cert", folder / "ingress.pem", "--key", folder / "ingress.key")
    listen = ("--listen", "localhost:0", "--upstream", upstream)
    with running(sys.executable, content.INGRESS, *pair, *listen, *arguments) as process:
        assert process.stdout
        line = json.loads(process.stdout.readline())
        assert line["upstream"] == upstream
        yield line["listening"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
        assert (process.returncode, out) == (0, "")
        assert all(each.startswith("ingress: ") for each in err.splitlines()), err


def _ask(target: str, ca: SmallCa, client: Issued = _NONE) -> str:
    credentials = grpc.ssl_channel_credentials(ca.pem, client.key or None, client.cert or None)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(target, credentials, options) as channel:
        stub: Any = user_service.UserServiceStub(channel)
        try:
            return str(stub.GetUser(user_service.GetUserRequest(id=1)).name)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code.name


def _behind(address: str) -> str:
    return f"localhost:{parse(address).port}"


def test_the_last_hop_in_plaintext(folder: Path, ca: SmallCa, inner: SmallCa) -> None:
    with serving() as (process, server), _ingress(folder, server) as target:
        assert _ask(target, ca) == "Nicolas"
        assert process.stdout
        assert json.loads(process.stdout.readline())["status"] == "OK"
        # What clients verify is the ingress.
        assert _ask(target, inner) == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("hop", "careful"), [(("--upstream-tls",), False), (("--upstream-ca", "inner.pem"), True)]
)
def test_the_last_hop_over_tls_is_as_careful_as_it_is_told(
    folder: Path, ca: SmallCa, inner: SmallCa, hop: tuple[str, ...], careful: bool
) -> None:
    words = [folder / word if word.endswith(".pem") else word for word in hop]

    def asked(server: Issued) -> str:
        cert, key = server.write(folder, "server")
        with (
            serving("--cert", cert, "--key", key) as (_, address),
            _ingress(folder, _behind(address), *words) as target,
        ):
            return _ask(target, ca)

    assert asked(inner.issue("localhost")) == "Nicolas"
    taken = "UNAVAILABLE" if careful else "Nicolas"
    assert asked(SmallCa("Inner CA").issue("localhost")) == taken
    assert asked(inner.issue("other.test")) == taken


def test_any_client_certificate_is_one_that_anybody_signed(folder: Path, ca: SmallCa) -> None:
    stranger = SmallCa("Whoever")
    with (
        serving() as (_, server),
        _ingress(folder, server, "--client-certificates", "any") as target,
    ):
        assert _ask(target, ca, stranger.issue("x.test", purpose=CLIENT)) == "Nicolas"
        assert _ask(target, ca, SmallCa("Myself").itself) == "Nicolas"
        assert _ask(target, ca) == "UNAVAILABLE"
        # As with nginx, the purpose and the dates are looked at.
        assert _ask(target, ca, stranger.issue("x.test", purpose=SERVER)) == "UNAVAILABLE"
        old = stranger.issue("x.test", purpose=CLIENT, expired=True)
        assert _ask(target, ca, old) == "UNAVAILABLE"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_any_client_certificate_in_either_version_of_tls(
    folder: Path, ca: SmallCa, version: ssl.TLSVersion
) -> None:
    cert, key = SmallCa("Whoever").issue("x.test", purpose=CLIENT).write(folder, "client")
    with (
        _echo() as behind,
        _ingress(folder, behind, "--client-certificates", "any") as target,
    ):
        context = _context(ca)
        context.maximum_version = context.minimum_version = version
        with pytest.raises(OSError, match=r"(?i)handshake|certificate"):
            _exchanged(context, target, b"hello")
        context.load_cert_chain(cert, key)
        assert _exchanged(context, target, b"hello") == b"hello"


def test_required_client_certificates_are_of_the_ca(folder: Path, ca: SmallCa) -> None:
    clients = SmallCa("Clients")
    (folder / "clients.pem").write_bytes(clients.pem)
    how = ("--client-certificates", "required", "--client-ca", folder / "clients.pem")
    with serving() as (_, server), _ingress(folder, server, *how) as target:
        assert _ask(target, ca, clients.issue("x.test", purpose=CLIENT)) == "Nicolas"
        assert _ask(target, ca, SmallCa("Clients").issue("x", purpose=CLIENT)) == "UNAVAILABLE"
        assert _ask(target, ca) == "UNAVAILABLE"


def test_without_a_server_behind_the_client_is_sent_away(folder: Path, ca: SmallCa) -> None:
    with _ingress(folder, f"127.0.0.1:{free_port()}") as target:
        assert _ask(target, ca) == "UNAVAILABLE"


@contextmanager
def _echo(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that says back what it was sent, once it has been sent all of it."""

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            wrapped = tls.wrap_socket(connection, server_side=True) if tls else connection
            got = b""
            while data := wrapped.recv(65_536):
                got += data
            wrapped.sendall(got)
            if isinstance(wrapped, ssl.SSLSocket):
                wrapped.unwrap()
            wrapped.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"localhost:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT)


def _context(ca: SmallCa) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca.pem.decode())
    context.set_alpn_protocols(["h2"])
    return context


@pytest.mark.parametrize("hop", ["plaintext", "tls"])
def test_one_direction_ends_before_the_other_and_nothing_is_lost(
    folder: Path, ca: SmallCa, hop: str
) -> None:
    """A megabyte comes back after the client has said that no more will come."""
    tls = None
    if hop == "tls":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder / "server.pem", folder / "server.key")
    sent = bytes(range(256)) * 4096
    with _echo(tls) as behind, _ingress(folder, behind, *["--upstream-tls"] * bool(tls)) as target:
        assert _exchanged(_context(ca), target, sent) == sent


def _exchanged(context: ssl.SSLContext, target: str, sent: bytes) -> bytes:
    """What comes back to a client that has sent bytes, and its close_notify right behind."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    got = b""
    with socket.create_connection(("127.0.0.1", parse(target).port), LIMIT) as connection:

        def receive() -> None:
            connection.sendall(outgoing.read())
            if data := connection.recv(65_536):
                incoming.write(data)
            else:
                incoming.write_eof()

        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                receive()
        session.write(sent)
        with contextlib.suppress(ssl.SSLWantReadError):
            session.unwrap()
        while True:
            try:
                got += session.read(65_536)
            except ssl.SSLWantReadError:
                receive()
            except ssl.SSLZeroReturnError:
                # Its close_notify: nothing was cut off.
                return got


def test_ctrl_c_ends_it_with_a_connection_open(folder: Path, ca: SmallCa) -> None:
    with contextlib.ExitStack() as stack:
        _, server = stack.enter_context(serving())
        with _ingress(folder, server) as target:
            connection = socket.create_connection(("127.0.0.1", parse(target).port))
            stack.enter_context(_context(ca).wrap_socket(connection, server_hostname="localhost"))


def test_the_lab_starts_one(folder: Path, ca: SmallCa) -> None:
    async def ask(server: str) -> str:
        pair = (folder / "ingress.pem", folder / "ingress.key")
        async with running_ingress(*pair, parse(server)) as address:
            target = str(Address("localhost", address.port))
            return await asyncio.to_thread(_ask, target, ca)

    with serving() as (_, server):
        assert asyncio.run(ask(server)) == "Nicolas"


def test_the_lab_says_why_one_does_not_start(folder: Path) -> None:
    async def start() -> None:
        async with running_ingress(folder / "no.pem", folder / "no.key", Address("localhost", 1)):
            pass

    with pytest.raises(
        UserError, match=r"^the ingress did not start: ingress: cannot read .*no\.pem"
    ):
        asyncio.run(start())


def test_a_python_without_the_callback_is_told_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no documented part of `ssl`."""
    program.taking_any(folder / "ingress.pem", folder / "ingress.key")
    monkeypatch.setattr(program, "shows_messages", lambda: False)
    with pytest.raises(NotImplementedError, match="does not show the messages"):
        program.taking_any(folder / "ingress.pem", folder / "ingress.key")


_GOOD = "--upstream x:1 --cert ingress.pem --key ingress.key"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("", "required"),
        ("--upstream x --cert ingress.pem --key ingress.key", "write HOST:PORT"),
        ("--upstream x:1 --cert no.pem --key ingress.key", "cannot read"),
        ("--upstream x:1 --cert ingress.pem --key server.key", "does not fit"),
        (f"{_GOOD} --client-certificates required", "go together"),
        (f"{_GOOD} --client-ca inner.pem", "go together"),
        (f"{_GOOD} --upstream-ca ingress.key", "holds no certificate"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(folder: Path, arguments: str, why: str) -> None:
    words = [str(folder / w) if w.endswith((".pem", ".key")) else w for w in arguments.split()]
    assert why in refused(run(sys.executable, content.INGRESS, *words))
