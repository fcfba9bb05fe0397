"""`proxy --workers N`: several processes that a user sees as one."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.programs import LIMIT, MITM_DEMO, alive, gone, mitm_demo, refused, run, running, serving

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Proxy:
    """An interceptor with two workers."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening on "), process.stderr and process.stderr.read()
        self.process = process
        self.address = line.split()[2].rstrip(",")
        self._log = log

    @property
    def workers(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def wait_for(self, said: str, times: int = 1) -> None:
        """Read what it prints until it has said so."""
        assert self.process.stdout
        while times:
            line = self.process.stdout.readline()
            assert line, f"it ended without: {said}"
            times -= said in line

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[str, str]:
        self.process.send_signal(number)
        return self.process.communicate(timeout=LIMIT)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(line) for line in self._log.read_bytes().splitlines()]

    def connect(self) -> socket.socket:
        host, _, port = self.address.rpartition(":")
        return socket.create_connection((host, int(port)), LIMIT)


@contextlib.contextmanager
def a_proxy(tmp_path: Path, *arguments: str) -> Iterator[Proxy]:
    log = tmp_path / "events.jsonl"
    command = (MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", "--workers", "2", "--events", log)
    with running(*command, *arguments, PYTHONUNBUFFERED="1") as process:
        yield Proxy(process, log)


def call(proxy: Proxy, *arguments: str) -> dict[str, Any]:
    target = proxy.address.replace("127.0.0.1", "localhost")
    result = mitm_demo("call", "--target", target, *(arguments or ("--policy", "insecure")))
    assert result.code == 0, result
    return result.json_lines[0]


def test_the_events_of_all_are_one_log_in_order(tmp_path: Path) -> None:
    with serving() as (_, upstream), a_proxy(tmp_path, "--upstream", upstream) as proxy:
        # Both workers are in the middle of a connection while others come and go.
        with proxy.connect() as one, proxy.connect() as two:
            for waiting in (one, two):
                waiting.sendall(PREFACE)
            for _ in range(3):
                assert call(proxy)["user"]["name"] == "Nicolas"
            one.sendall(b"\0" * 9)
            two.sendall(b"\0" * 9)
        out, err = proxy.end()
        assert err.strip() == ""
        events = proxy.events
    times = [event["time"] for event in events]
    assert times == sorted(times)
    begun = [event["connection"] for event in events if event["event"] == "connected"]
    assert sorted(begun) == [1, 2, 3, 4, 5]
    ended = [event["connection"] for event in events if event["event"] == "closed"]
    assert sorted(ended) == sorted(begun)
    for number in (3, 4, 5):
        assert f"#{number} " in out
        told = [event["event"] for event in events if event["connection"] == number]
        assert (told[0], told[-1]) == ("connected", "closed")
        assert told.count("message") == 2


def test_all_present_the_same_certificate(tmp_path: Path) -> None:
    with a_tls_server(tmp_path) as upstream, a_proxy(tmp_path, "--upstream", upstream) as proxy:
        host, _, port = proxy.address.rpartition(":")
        # They take turns: of four, each has presented two.
        shown = {ssl.get_server_certificate((host, int(port))) for _ in range(4)}
        proxy.end()
        presented = [e for e in proxy.events if e["event"] == "certificate-presented"]
    assert len(shown) == 1
    assert len(presented) == 4
    assert len({event["sha256"] for event in presented}) == 1


@contextlib.contextmanager
def a_tls_server(tmp_path: Path) -> Iterator[str]:
    lab = tmp_path / "lab"
    assert mitm_demo("certs", lab).code == 0
    with serving("--cert", lab / "server.pem", "--key", lab / "server.key") as (_, address):
        yield address


def test_a_worker_that_dies_is_noticed_and_takes_nobody_elses_connection_with_it(
    tmp_path: Path,
) -> None:
    with serving() as (_, upstream), a_proxy(tmp_path, "--upstream", upstream) as proxy:
        with proxy.connect() as one, proxy.connect() as two:
            for each in (one, two):
                each.sendall(PREFACE)
                assert each.recv(1), "no SETTINGS"
            proxy.wait_for("sends application data", times=2)
            first, second = proxy.workers
            os.kill(first, signal.SIGKILL)
            proxy.wait_for("its worker has died")
            # One of the two is gone, and the other still there.
            assert {is_open(one), is_open(two)} == {True, False}
            assert alive(second)
            for _ in range(2):
                assert call(proxy)["user"]["name"] == "Nicolas"
        _, err = proxy.end()
        events = proxy.events
    (line, *_) = err.splitlines()
    assert f"worker process {first} was killed by signal 9, with 1 connections" in line
    assert "1 of 2 workers are left" in line
    (died,) = (event for event in events if event.get("reason") == "its worker has died")
    assert (died["event"], died["phase"], died["by"]) == ("closed", "established", "attacker")
    assert sorted(e["connection"] for e in events if e["event"] == "closed") == [1, 2, 3, 4]


def is_open(client: socket.socket) -> bool:
    """Whether a connection is still there: a PING (RFC 9113 section 6.7) is answered then."""
    try:
        client.sendall(bytes.fromhex("000000040000000000" + "000008060000000000") + b"are you?")
        received = b""
        while b"are you?" not in received:
            data = client.recv(4096)
            if not data:
                return False
            received += data
    except ConnectionError:
        return False
    return True


def test_without_a_worker_left_it_ends_and_says_so(tmp_path: Path) -> None:
    with a_proxy(tmp_path) as proxy:
        for worker in proxy.workers:
            os.kill(worker, signal.SIGKILL)
        _, err = proxy.process.communicate(timeout=LIMIT)
    assert proxy.process.returncode == 2
    assert "no worker is left" in err.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_end_ends_all_of_them_and_every_connection_is_recorded_to_its_end(
    tmp_path: Path, number: signal.Signals
) -> None:
    with a_proxy(tmp_path) as proxy:
        workers = proxy.workers
        assert len(workers) == 2
        with proxy.connect(), proxy.connect():
            proxy.wait_for("connects from", times=2)
            _, err = proxy.end(number)
    assert proxy.process.returncode == 130
    assert err.strip() == ""
    assert gone(*workers)
    told = [(event["connection"], event["event"]) for event in proxy.events]
    assert sorted(told[:2]) == [(1, "connected"), (2, "connected")]
    assert sorted(told[2:]) == [(1, "closed"), (2, "closed")]


def test_ctrl_c_on_a_terminal_reaches_all_of_them_and_ends_them_in_order(tmp_path: Path) -> None:
    """The terminal sends its signal to the whole process group."""
    log = tmp_path / "events.jsonl"
    command = (MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", "--workers", "2", "--events", log)
    with running("setsid", *command, PYTHONUNBUFFERED="1") as process:
        proxy = Proxy(process, log)
        workers = proxy.workers
        with proxy.connect():
            proxy.wait_for("connects from")
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert err.strip() == ""
    assert gone(*workers)
    assert [event["event"] for event in proxy.events] == ["connected", "closed"]


def test_workers_do_not_outlive_the_process_that_started_them(tmp_path: Path) -> None:
    with a_proxy(tmp_path) as proxy:
        workers = proxy.workers
        with proxy.connect():
            proxy.wait_for("connects from")
            proxy.process.kill()
            assert gone(*workers)


def test_a_taken_port_is_named_and_no_worker_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(mitm_demo("proxy", "--workers", "2", "--listen", address))
    assert f"cannot listen on {address}" in line


def test_tunnels_are_shared_as_well(tmp_path: Path) -> None:
    arguments = ("--mode", "connect", "--intercept", "localhost")
    with serving() as (_, upstream), a_proxy(tmp_path, *arguments) as proxy:
        port = upstream.rpartition(":")[2]
        for target in (f"localhost:{port}", f"127.0.0.1:{port}"):
            environment = {"grpc_proxy": f"http://{proxy.address}", "no_proxy": ""}
            command = (MITM_DEMO, "call", "--policy", "insecure", "--target", target)
            assert run(*command, **environment).code == 0
        proxy.end()
        kinds = {(event["connection"], event["event"]) for event in proxy.events}
    assert {(1, "plaintext"), (2, "tunnelled")} <= kinds


def test_each_answers_in_the_servers_place(tmp_path: Path) -> None:
    arguments = ("--impersonate", "--rewrite", "users.v1.User.name=Mallory")
    with a_proxy(tmp_path, *arguments) as proxy:
        for _ in range(2):
            assert call(proxy)["user"]["name"] == "Mallory"
        proxy.end()


def test_what_one_process_has_to_write_is_refused(tmp_path: Path) -> None:
    for option in ("--pcap", "--keylog"):
        line = refused(mitm_demo("proxy", "--workers", "2", option, tmp_path / "file"))
        assert "leave out --workers" in line
    assert "--workers" in refused(mitm_demo("proxy", "--workers", "0"))
