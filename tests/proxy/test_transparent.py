"""Redirected connections: between three hosts where the rights are there, and what needs none."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mitm import events
from mitm.address import Address
from mitm.proxy import Interceptor, transparent
from tests.programs import Result, run, running
from tests.proxy.stage import (
    LOCALHOST,
    PREFACE,
    Ends,
    Props,
    Seen,
    a_server,
    presenting,
)
from tests.proxy.stage import run as play

THREE_HOSTS = Path(__file__).resolve().parents[2] / "scripts" / "three-hosts.sh"


# Three hosts


@pytest.fixture(scope="module")
def hosts() -> Path:
    """The script, where it can do its work."""
    tried = run(THREE_HOSTS, "true")
    if tried.code == 2:
        pytest.skip(tried.err.strip())
    assert tried.code == 0, tried
    return THREE_HOSTS


@pytest.mark.parametrize(
    ("redirect", "family", "server"),
    [
        ("nft", "4", "198.51.100.2:50051"),
        ("iptables", "4", "198.51.100.2:50051"),
        ("tproxy", "6", "[2001:db8:2::2]:50051"),
    ],
)
def test_a_client_that_dials_the_servers_own_address_is_intercepted_all_the_same(
    hosts: Path, redirect: str, family: str, server: str
) -> None:
    result = run(hosts, REDIRECT=redirect, FAMILY=family)
    if "is missing" in result.err:
        pytest.skip(result.err.strip())
    assert result.code == 0, result
    control, skip_verify, ca_file, seen = said(result)
    assert '{"user": {"id": 1, "name": "Nicolas"' in control
    assert "exit code 0" in control
    assert '{"user": {"id": 1, "name": "Nicolas"' in skip_verify
    assert "exit code 0" in skip_verify
    assert '"code": "UNAVAILABLE"' in ca_file
    assert "exit code 1" in ca_file
    # skip-verify looks at the certificate first, then calls; ca-file comes third.
    fooled = [line for line in seen.splitlines() if "#2 " in line]
    assert any(f"wants to reach {server}" in line for line in fooled)
    assert any('GetUserRequest {"id": "1"}' in line for line in fooled)
    assert any("authorization: Bearer" in line and "masked" in line for line in fooled)
    careful = "\n".join(line for line in seen.splitlines() if "#3 " in line)
    assert f"wants to reach {server}" in careful
    assert "during the handshake" in careful
    assert "application data" not in careful


def said(result: Result) -> list[str]:
    """What the demonstration says of its four parts."""
    parts: list[str] = []
    for line in result.out.splitlines(keepends=True)[1:]:
        if line.endswith(":\n"):
            parts.append("")
        else:
            parts[-1] += line
    return parts


def test_what_the_script_makes_is_gone_with_it_however_it_ends(hosts: Path) -> None:
    before = interfaces()
    with running(hosts, "sh", "-c", "echo between hosts; sleep 1000 & sleep 1000") as process:
        assert process.stdout
        while process.stdout.readline() != "between hosts\n":
            pass
        assert interfaces() == before
        process.kill()
        # The pipe ends when nobody holds it any more: all that ran among the hosts is gone.
        assert process.stdout.read() == ""
    assert interfaces() == before
    assert not any(Path("/run/netns", host).exists() for host in ("client", "attacker", "server"))


def interfaces() -> list[str]:
    return sorted(name for _, name in socket.if_nameindex())


DIALS_ITSELF = """
import socket
from mitm.proxy import transparent
with socket.create_server(("192.0.2.1", 50052)) as listener:
    with socket.create_connection(("192.0.2.1", 50052)), listener.accept()[0] as accepted:
        try:
            print("going to", transparent.original_destination(accepted))
        except transparent.NotRedirectedError as error:
            print(error)
"""


def test_a_client_that_was_not_redirected_is_told_apart_where_others_are(hosts: Path) -> None:
    """There connection tracking knows of it as well, as going to the interceptor."""
    attacker = ("nsenter", "--net=/run/netns/attacker")
    result = run(hosts, *attacker, sys.executable, "-c", DIALS_ITSELF)
    assert result.code == 0, result
    assert "192.0.2.1:50052 itself, and was not redirected" in result.out


def test_the_script_ends_as_its_command_does(hosts: Path) -> None:
    assert run(hosts, "sh", "-c", "exit 7").code == 7


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    for tool in ("bash", "dirname", "id"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    found = subprocess.run(
        ["bash", THREE_HOSTS],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert "is missing (Debian: apt install" in line


# Anywhere


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_client_that_was_not_redirected_has_nowhere_to_go(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {host} here ({os.strerror(error.errno or 0)}): switch IPv6 on")
    with listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted, pytest.raises(transparent.NotRedirectedError, match="not redirected"):
            transparent.original_destination(accepted)


def test_such_a_client_is_recorded_and_nobody_is_dialled(props: Props) -> None:
    async def main() -> None:
        seen = Seen()
        async with Ends() as ends, an_interceptor(props, seen) as interceptor:
            client = await ends.dial(interceptor.address)
            assert await client.read() == b""
            closed = await seen.closed()
            assert closed.by == "attacker"
            assert "was not redirected" in closed.reason
            assert [type(event) for event in seen.events] == [events.Connected, events.Closed]

    play(main())


def an_interceptor(props: Props, seen: Seen, *allowed: str) -> Interceptor:
    return Interceptor(
        mode="transparent",
        listen=LOCALHOST,
        upstream=None,
        choose=presenting(props.forged),
        on_event=seen,
        intercept=["127.0.0.1"],
        allow_hosts=allowed,
    )


def test_where_the_kernel_says_it_was_going_is_dialled(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's word is the test's: what follows from it needs no rights."""

    async def main() -> None:
        seen = Seen()
        async with (
            Ends() as ends,
            a_server(ends) as server,
            an_interceptor(props, seen) as interceptor,
        ):
            going_to(monkeypatch, server.address)
            client = await ends.dial(interceptor.address)
            await client.send(PREFACE)
            assert await (await server.accept()).read_exactly(len(PREFACE)) == PREFACE
            await seen.wait(events.ApplicationData)
            assert seen.one(events.Destination).address == str(server.address)
            assert seen.all(events.Tunnelled) == []

    play(main())


def test_its_twin_that_was_going_to_a_host_not_under_test_passes_unread(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.2 is this machine as well, but not under test."""

    async def main() -> None:
        seen = Seen()
        with socket.create_server(("127.0.0.2", 0)) as other:
            going_to(monkeypatch, Address(*other.getsockname()))
            async with Ends() as ends, an_interceptor(props, seen) as interceptor:
                client = await ends.dial(interceptor.address)
                await client.send(PREFACE)
                told = await seen.wait(events.Tunnelled)
                assert (told.address, told.name) == (
                    str(Address(*other.getsockname())),
                    "127.0.0.2",
                )
            assert seen.all(events.Plaintext) == []
            assert seen.all(events.ApplicationData) == []

    play(main())


def going_to(monkeypatch: pytest.MonkeyPatch, address: Address) -> None:
    monkeypatch.setattr(transparent, "original_destination", lambda _: address)


def test_a_destination_that_is_not_this_machine_is_refused(
    props: Props, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_to(monkeypatch, Address("192.0.2.1", 443))

    async def main() -> None:
        seen = Seen()
        async with Ends() as ends, an_interceptor(props, seen) as interceptor:
            client = await ends.dial(interceptor.address)
            # Nothing is said that a TLS client would take for an answer.
            assert await client.read() == b""
            closed = await seen.closed()
            assert "add --allow-host 192.0.2.1" in closed.reason
            assert seen.all(events.UpstreamFailed) == []

    play(main())
