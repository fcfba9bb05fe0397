"""What `proxy` shows: a verdict for each connection, and all of it, without anybody's waiting."""

import contextlib
import os
import pty
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import hpack
import pytest

from mitm.wire.http2 import PREFACE
from tests.programs import LIMIT, MITM_DEMO, mitm_demo, refused, running

MESSAGES = 20_000


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113 section 4.1."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )


OPENING = PREFACE + frame(4, 0, 0, b"")


def request(path: str = "/a.B/C", **metadata: str) -> bytes:
    """An HTTP/2 connection's beginning, with one call in it."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "a",
        "content-type": "application/grpc", "te": "trailers",
    } | metadata  # fmt: skip
    block = hpack.Encoder().encode(list(fields.items()))
    return OPENING + frame(1, 4, 1, block)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def flood() -> bytes:
    """A call with many messages, each a number: a line of the console each."""
    messages = (b"\x08" + varint(number) for number in range(MESSAGES))
    body = b"".join(struct.pack(">BI", 0, len(each)) + each for each in messages)
    data = (frame(0, 0, 1, body[at : at + 16_000]) for at in range(0, len(body), 16_000))
    return request() + b"".join(data)


def numbers_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r'message \{"1": "?(\d+)"?\}', text)]


@contextlib.contextmanager
def sink() -> Iterator[tuple[str, Callable[[], int]]]:
    """A server that takes what comes: its address, and how much came on its first connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[int] = []

    def take() -> None:
        connection, _ = listener.accept()
        total = 0
        with connection:
            while data := connection.recv(65_536):
                total += len(data)
        taken.append(total)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()

    def all_taken() -> int:
        thread.join(LIMIT)
        return taken[0]

    with listener:
        yield "{}:{}".format(*listener.getsockname()), all_taken


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=LIMIT)


def address_in(line: str) -> str:
    assert line.startswith("listening on "), line
    return line.split()[2].rstrip(",")


def send_flood(address: str, taken: Callable[[], int]) -> None:
    """Send it, and see it arrive: nobody has waited for the console."""
    data = flood()
    with connect(address) as client:
        client.sendall(data)
    assert taken() == len(data)


class Verdicts:
    """`proxy --quiet`, and the verdicts that it has told."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = address_in(self.next())

    def next(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().rstrip("\n")

    def end(self) -> list[str]:
        self._process.send_signal(signal.SIGINT)
        out, err = self._process.communicate(timeout=LIMIT)
        assert (self._process.returncode, err) == (130, "")
        return str(out).splitlines()


@contextlib.contextmanager
def verdicts(*arguments: str | Path) -> Iterator[Verdicts]:
    command = ("proxy", "--quiet", "--listen", "127.0.0.1:0", *arguments)
    with running(MITM_DEMO, *command) as process:
        yield Verdicts(process)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lab") / "pki"
    assert mitm_demo("certs", directory).code == 0
    return directory


@pytest.fixture(scope="module")
def attacker(lab: Path) -> Iterator[Verdicts]:
    """Answers in the server's place, over a chain to `attacker-ca.pem`."""
    own = ("--cert", lab / "attacker.pem", "--key", lab / "attacker.key")
    with verdicts("--impersonate", *own) as told:
        yield told
        assert told.end() == []


def tls(address: str, ca: Path | None = None, alpn: str = "h2") -> ssl.SSLSocket:
    """A client: of everybody's, or of those whom a CA has signed."""
    context = ssl.create_default_context(cafile=ca)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(connect(address), server_hostname="localhost")


def told(line: str) -> str:
    """A verdict without the number of its connection."""
    number, _, rest = line.partition(" ")
    assert re.fullmatch(r"#\d+", number), line
    return rest


CALL = request("/users.v1.UserService/GetUser", authorization="Bearer a-secret-of-the-test-0123")


def test_a_client_that_does_not_verify_is_compromised(attacker: Verdicts) -> None:
    with tls(attacker.address) as client:
        client.sendall(CALL)
        client.recv(1)
    assert told(attacker.next()) == (
        "COMPROMISED  read: /users.v1.UserService/GetUser, authorization"
    )


def test_a_client_that_verifies_has_aborted(attacker: Verdicts, lab: Path) -> None:
    """With the attacker's CA it is its own twin, and is read."""
    with pytest.raises(ssl.SSLCertVerificationError):
        tls(attacker.address, lab / "ca.pem")
    assert told(attacker.next()) == (
        "ABORTED  left before a byte: alert unknown_ca (48), during the handshake"
    )
    with tls(attacker.address, lab / "attacker-ca.pem") as client:
        client.sendall(CALL)
        client.recv(1)
    assert told(attacker.next()).startswith("COMPROMISED  read: /users.v1.UserService/GetUser")


def test_a_client_that_leaves_after_the_handshake_has_aborted(attacker: Verdicts) -> None:
    tls(attacker.address).close()
    assert told(attacker.next()).startswith("ABORTED  left before a byte: ")
    with tls(attacker.address) as client:
        client.sendall(CALL[:-1])
        client.recv(1)
    assert told(attacker.next()) == "COMPROMISED  read: a part of a request"


def test_http2s_opening_alone_is_nobodys_data(attacker: Verdicts) -> None:
    with tls(attacker.address) as client:
        client.sendall(OPENING)
        client.recv(1)
    assert told(attacker.next()) == "ABORTED  it opened HTTP/2, but made no call"
    with tls(attacker.address) as client:
        client.sendall(OPENING + frame(6, 0, 0, b"Passw0rd"))
        client.recv(1)
    assert told(attacker.next()) == "COMPROMISED  read: data in HTTP/2 control frames"


def test_other_bytes_are_data(attacker: Verdicts) -> None:
    with tls(attacker.address, alpn="smtp") as client:
        client.sendall(b"EHLO a-host-of-the-test\r\n" * 4)
    assert told(attacker.next()) == "COMPROMISED  read: application bytes that are not HTTP/2"


def test_http1_is_read_without_what_is_behind_its_path(attacker: Verdicts) -> None:
    with tls(attacker.address, alpn="http/1.1") as client:
        client.sendall(b"GET /orders?token=a-secret-of-the-test HTTP/1.1\r\nHost: a\r\n\r\n")
    assert told(attacker.next()) == "COMPROMISED  read: /orders"


def test_plaintext_is_exposed(attacker: Verdicts) -> None:
    with connect(attacker.address) as client:
        client.sendall(CALL)
        client.recv(1)
    assert told(attacker.next()) == (
        "EXPOSED  no TLS; read: /users.v1.UserService/GetUser, authorization"
    )


def test_a_client_that_was_shown_nothing_has_decided_nothing(attacker: Verdicts) -> None:
    connect(attacker.address).close()
    said = told(attacker.next())
    assert said == "INCONCLUSIVE  ended before the client was shown anything: received 0 bytes"


def test_of_many_methods_the_first_are_named(attacker: Verdicts) -> None:
    encoder = hpack.Encoder()
    with tls(attacker.address) as client:
        client.sendall(OPENING)
        for number in range(5):
            fields = [
                (":method", "POST"), (":scheme", "https"), (":path", f"/a.B/C{number}"),
                (":authority", "a"), ("x-api-key", "a-secret-of-the-test"),
            ]  # fmt: skip
            client.sendall(frame(1, 5, 2 * number + 1, encoder.encode(fields)))
        client.recv(1)
    assert told(attacker.next()) == (
        "COMPROMISED  read: /a.B/C0, /a.B/C1, /a.B/C2 and 2 more, x-api-key"
    )


def test_a_server_that_is_not_there_leaves_nothing_proved() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        upstream = "{}:{}".format(*nobody.getsockname())
    with verdicts("--upstream", upstream) as told_:
        with contextlib.suppress(OSError):
            tls(told_.address)
        assert told(told_.next()).startswith("INCONCLUSIVE  the server was not reached: ")
        # What was said in plaintext was read all the same.
        with connect(told_.address) as client, contextlib.suppress(OSError):
            client.sendall(CALL)
            client.recv(1)
        assert told(told_.next()).startswith("EXPOSED  no TLS; read: /users.v1.UserService/GetUser")


def test_what_is_passed_on_unread_is_told_as_that() -> None:
    with sink() as (upstream, _), verdicts("--mode", "connect", "--intercept", "a.test") as told_:
        with connect(told_.address) as client:
            client.sendall(f"CONNECT {upstream} HTTP/1.1\r\n\r\n".encode())
            client.recv(65_536)
            client.sendall(b"\x16\x03\x01\x00\x00")
        verdict = told(told_.next())
    assert verdict == "INCONCLUSIVE  passed on unread: 127.0.0.1 is not under test"


def test_ctrl_c_tells_of_the_connections_that_end_with_it() -> None:
    with (
        verdicts("--impersonate") as told_,
        tls(told_.address) as silent,
        tls(told_.address) as talking,
    ):
        silent.sendall(OPENING)
        silent.recv(1)
        talking.sendall(CALL)
        talking.recv(1)
        first, second = sorted(told_.end())
    assert first == "#1 INCONCLUSIVE  the client did not decide: the interceptor was stopped"
    assert second == "#2 COMPROMISED  read: /users.v1.UserService/GetUser, authorization"


def test_a_certificate_that_a_correct_client_accepts_compromises_nobody(
    lab: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "fine.md"
    recipe.write_text("---\ntitle: T\nexpect: accept\nchain: [{}]\n---\nText.\n")
    with verdicts("--impersonate", "--cert", recipe) as told_:
        with tls(told_.address) as client:
            client.sendall(CALL)
            client.recv(1)
        assert told(told_.next()).startswith("CONNECTED  read: /users.v1.UserService/GetUser")
        with pytest.raises(ssl.SSLCertVerificationError):
            tls(told_.address, lab / "ca.pem")
        assert told(told_.next()).startswith("INCONCLUSIVE  left before a byte: ")


def test_frames_that_keep_a_connection_going_are_shown_on_request() -> None:
    for option, shown in ((), False), (("--verbose",), True):
        with sink() as (upstream, taken):
            command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream, *option)
            with running(MITM_DEMO, *command) as process:
                assert process.stdout
                with connect(address_in(process.stdout.readline())) as client:
                    goaway = frame(7, 0, 0, bytes(8))
                    client.sendall(request() + frame(6, 0, 0, bytes(8)) + goaway)
                taken()
                process.send_signal(signal.SIGINT)
                out, _ = process.communicate(timeout=LIMIT)
        assert "GOAWAY" in out
        assert all((kind in out) == shown for kind in ("SETTINGS", "PING"))


def test_quiet_and_verbose_exclude_each_other() -> None:
    assert "give one of them" in refused(mitm_demo("proxy", "--quiet", "--verbose"))


def test_into_a_pipe_goes_every_line_although_nobody_has_read_it_in_time() -> None:
    with sink() as (upstream, taken):
        command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream)
        with running(MITM_DEMO, *command) as process:
            assert process.stdout
            send_flood(address_in(process.stdout.readline()), taken)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, err) == (130, "")
    assert numbers_in(out) == list(range(MESSAGES))
    assert out.splitlines()[-1] == "#1 EXPOSED  no TLS; read: /a.B/C"


def test_into_a_file_goes_every_line(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with sink() as (upstream, taken), path.open("w") as file:
        command = (MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", "--upstream", upstream)
        with subprocess.Popen(command, stdout=file) as process:
            with path.open() as lines:
                first = ""
                while not first.endswith("\n"):
                    first += lines.readline()
            send_flood(address_in(first), taken)
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == 130
    assert numbers_in(path.read_text()) == list(range(MESSAGES))


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_it_although_the_pipe_is_stuck_and_what_is_lost_is_told(presses: int) -> None:
    with sink() as (upstream, taken):
        command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream)
        with running(MITM_DEMO, *command) as process:
            assert process.stdout
            assert process.stderr
            send_flood(address_in(process.stdout.readline()), taken)
            for _ in range(presses):
                # Not before the first was seen: two at once are one.
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
            assert process.wait(LIMIT) == 2
            (line,) = process.stderr.read().splitlines()
    told_ = re.fullmatch(
        r"mitm-demo: cannot write standard output: nobody took it in time: ([\d,]+) lines left out",
        line,
    )
    assert told_
    assert int(told_[1].replace(",", "")) > MESSAGES // 2


def test_a_full_disk_ends_it_with_a_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = (MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", "--impersonate")
        with subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True) as process:
            _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 2
    assert err == "mitm-demo: cannot write standard output: No space left on device\n"


class Terminal:
    """A terminal, and what it has been given."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self._given = bytearray()
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        # Once nobody has the other end any more, it says so by an error.
        with contextlib.suppress(OSError):
            while data := os.read(self.master, 65_536):
                with self._more:
                    self._given += data
                    self._more.notify_all()

    @property
    def text(self) -> str:
        # It may have come in the middle of a character.
        return self._given.decode(errors="ignore").replace("\r\n", "\n")

    def wait_for(self, pattern: str) -> str:
        with self._more:
            found = self._more.wait_for(lambda: re.search(pattern, self.text), LIMIT)
        assert found, self.text[-2000:]
        return found[0]

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def all_text(self) -> str:
        """What it has been given until nobody wrote to it any more."""
        self._thread.join(LIMIT)
        return self.text


@contextlib.contextmanager
def on_a_terminal(
    *arguments: str, **environment: str
) -> Iterator[tuple[Terminal, str, "subprocess.Popen[bytes]"]]:
    """`proxy` on a terminal of its own: that, its address, and the process."""
    terminal = Terminal()
    quiet = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    with subprocess.Popen(
        (MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=terminal.slave,
        stderr=terminal.slave,
        env=quiet | {"TERM": "xterm-256color", "COLUMNS": "250"} | environment,
    ) as process:
        os.close(terminal.slave)
        try:
            yield terminal, address_in(terminal.wait_for("listening.*\n")), process
        finally:
            process.kill()


def test_on_a_terminal_every_line_is_shown_or_counted_and_verdicts_are_shown() -> None:
    with (
        sink() as (upstream, taken),
        on_a_terminal("--upstream", upstream, TERM="dumb") as (terminal, address, process),
    ):
        send_flood(address, taken)
        terminal.wait_for("#1 EXPOSED  no TLS; read: /a.B/C\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 130
        text = terminal.all_text()
    left_out = re.findall(r"… ([\d,]+) lines left out; --events FILE has them all", text)
    counted = sum(int(count.replace(",", "")) for count in left_out)
    shown = numbers_in(text)
    assert counted > MESSAGES // 2
    assert shown == sorted(shown)
    assert shown[:10] == list(range(10))
    # Without the line that says where it listens.
    others = text.count("\n") - len(shown) - len(left_out) - 1
    # Connected, no TLS, dialled, first data, the call, its end, and the verdict, which is shown.
    assert counted + len(shown) + others == MESSAGES + 7


def test_a_terminal_that_is_paused_holds_up_nobody_and_goes_on_with_the_newest() -> None:
    with (
        sink() as (upstream, taken),
        on_a_terminal("--upstream", upstream, TERM="dumb") as (terminal, address, process),
    ):
        terminal.press("\x13")
        send_flood(address, taken)
        terminal.press("\x11")
        terminal.wait_for("#1 EXPOSED  no TLS; read: /a.B/C\n")
        terminal.wait_for(r"lines left out")
        connect(address).close()
        terminal.wait_for("#2 INCONCLUSIVE")
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 130


def test_ctrl_c_ends_it_although_the_terminal_is_paused() -> None:
    with (
        sink() as (upstream, taken),
        on_a_terminal("--upstream", upstream) as (terminal, address, process),
    ):
        terminal.press("\x13")
        send_flood(address, taken)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 130


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, "\x1b[1;38;5;196m#1 EXPOSED  no TLS; read: /a.B/C\x1b[0m\n"),
        ({"NO_COLOR": "1"}, "\x1b[1m#1 EXPOSED  no TLS; read: /a.B/C\x1b[0m\n"),
        ({"TERM": "dumb"}, "\n#1 EXPOSED  no TLS; read: /a.B/C\n"),
    ],
    ids=["colour", "NO_COLOR", "dumb"],
)
def test_a_verdict_is_coloured_where_the_terminal_takes_it(
    environment: dict[str, str], shown: str
) -> None:
    with (
        sink() as (upstream, _),
        on_a_terminal("--upstream", upstream, **environment) as (terminal, address, process),
    ):
        with connect(address) as client:
            client.sendall(request())
        terminal.wait_for(re.escape(shown))
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 130
