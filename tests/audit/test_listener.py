"""A certificate on a port of its own: what the client is told, and when it is judged."""

import asyncio
import socket
import ssl
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import structs

from mitm.audit import (
    Case,
    ClientRun,
    Endpoint,
    Finding,
    Listener,
    Suite,
    catalogue,
    forge_suite,
    select,
    stand_in,
)
from mitm.audit import listener as module
from mitm.audit.attack import Step, load_attack
from mitm.evidence import REJECTIONS_ENOUGH
from tests.proxy.stage import LoopFactory, a_hello, run

REFUSED = ClientRun("returned", said="SSLError", failed=True)
FINE = ClientRun("returned", said="an answer")


@pytest.fixture(scope="module")
def suite() -> Suite:
    return forge_suite(select(catalogue(), ["attacker-ca", "ip-mismatch"]))


def case(suite: Suite, name: str) -> Case:
    return {c.name: c for c in (suite.control, *suite.cases)}[name]


@asynccontextmanager
async def listening(suite: Suite, name: str) -> AsyncIterator[Listener]:
    async with stand_in() as upstream, Listener(case(suite, name), upstream, suite.pin_pem) as it:
        yield it


def context(endpoint: Endpoint, *, verify: bool) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=endpoint.ca_file)
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def ask(endpoint: Endpoint, *, verify: bool = True) -> ClientRun:
    """A client of `ssl`, blocking, that comes and goes."""
    address = (endpoint.host, endpoint.port)
    try:
        with (
            socket.create_connection(address, timeout=10) as plain,
            context(endpoint, verify=verify).wrap_socket(
                plain, server_hostname=endpoint.name
            ) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
            tls.recv(100)
    except ssl.SSLError:
        return REFUSED
    return FINE


def test_the_client_is_told_where_whom_and_what_to_trust(suite: Suite, loop: LoopFactory) -> None:
    async def main() -> None:
        async with listening(suite, "genuine") as listener:
            endpoint = listener.endpoint
            assert endpoint.host == endpoint.name == "localhost"
            assert endpoint.target == f"localhost:{endpoint.port}"
            assert endpoint.ca_pem.startswith(b"-----BEGIN CERTIFICATE-----")
            assert endpoint.pin_pem == suite.pin_pem
            folder = endpoint.ca_file.parent
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            for path in (endpoint.ca_file, endpoint.pin_file):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert endpoint.placeholders() == {
                "target": endpoint.target,
                "host": "localhost",
                "port": str(endpoint.port),
                "name": "localhost",
                "url_name": "localhost",
                "ca": str(endpoint.ca_file),
                "pin": str(endpoint.pin_file),
            }
        assert not folder.exists()

    run(main(), loop)


def test_an_address_of_ipv6_is_dialled_in_brackets() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"IPv6 is needed on loopback: {error}")

    async def main() -> None:
        suite = forge_suite(select(catalogue(), ["attacker-ca"]), "::1")
        async with listening(suite, "genuine") as listener:
            endpoint = listener.endpoint
            assert endpoint.target == f"[::1]:{endpoint.port}"
            ran = await asyncio.to_thread(ask, endpoint)
            assert (await listener.judge(ran)).outcome == "pass"
        async with listening(suite, "attacker-ca") as listener:
            ran = await asyncio.to_thread(ask, listener.endpoint)
            assert (await listener.judge(ran)).outcome == "pass"

    run(main())


def test_localhost_is_listened_on_at_each_of_its_addresses(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients do not agree on which to try first, and some try no second one."""

    async def resolve(host: str, port: int, **_: object) -> list[object]:
        kind = socket.SOCK_STREAM
        return [
            (socket.AF_INET, kind, 6, "", (address, port)) for address in ("127.0.0.1", "127.0.0.2")
        ]

    async def main() -> None:
        async with stand_in() as upstream:
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
            async with Listener(suite.control, upstream, suite.pin_pem) as listener:
                for address in ("127.0.0.1", "127.0.0.2"):
                    with socket.create_connection((address, listener.endpoint.port), timeout=10):
                        pass
                await listener.judge(FINE)

    run(main())


@pytest.mark.parametrize(
    ("name", "verify", "outcome"),
    [
        ("genuine", True, "pass"),
        ("genuine", False, "pass"),
        ("attacker-ca", True, "pass"),
        ("attacker-ca", False, "vulnerable"),
        ("ip-mismatch", True, "pass"),
        ("ip-mismatch", False, "vulnerable"),
    ],
)
def test_a_client_that_comes_and_goes_is_judged(
    suite: Suite, loop: LoopFactory, name: str, verify: bool, outcome: str
) -> None:
    async def main() -> None:
        async with listening(suite, name) as listener:
            ran = await asyncio.to_thread(ask, listener.endpoint, verify=verify)
            assert (await listener.judge(ran)).outcome == outcome

    run(main(), loop)


def test_a_client_is_judged_though_the_loop_has_not_seen_it_yet(
    suite: Suite, loop: LoopFactory
) -> None:
    """It came and went while the loop was held up: it waits in the listen queue."""

    async def main() -> None:
        async with listening(suite, "genuine") as listener:
            address = ("127.0.0.1", listener.endpoint.port)
            socket.create_connection(address, timeout=10).close()  # noqa: ASYNC210, RUF100
            finding = await listener.judge(REFUSED)
            assert finding.reason == "the client left before it was shown anything"

    run(main(), loop)


class Held:
    """A client whose sockets outlive its run, as those of a careless program may."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection((self._endpoint.host, self._endpoint.port), timeout=10)
        tls = context(self._endpoint, verify=False).wrap_socket(plain)
        self._sockets.append(tls)
        return tls


def judged(
    suite: Suite, loop: LoopFactory, client: ClientRun, *sent: bytes, then: bytes = b""
) -> tuple[Finding, float]:
    """Judge a client that holds its connection; also how long that took, in seconds."""

    async def main() -> tuple[Finding, float]:
        async with listening(suite, "attacker-ca") as listener:
            with Held(listener.endpoint) as held:
                tls = await asyncio.to_thread(held.connect)
                for data in sent:
                    await asyncio.to_thread(tls.sendall, data)
                clock = asyncio.get_running_loop().time
                start = clock()
                judging = asyncio.create_task(listener.judge(client))
                if then:
                    await asyncio.sleep(0)
                    await asyncio.to_thread(tls.sendall, then)
                finding = await judging
                return finding, clock() - start

    return run(main(), loop)


@pytest.fixture
def short_drain(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(module, "DRAIN_SECONDS", 0.3)
    return 0.3


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
# HEADERS with END_STREAM and END_HEADERS: POST, https, path /a, all of it in HPACK's static table
# but for the path (RFC 7541 appendix A and section 6.2.2).
HEADERS = bytes.fromhex("0000060105 00000001 8387 04022f61")


def test_a_connection_that_carried_a_request_is_not_waited_for(
    suite: Suite, loop: LoopFactory
) -> None:
    """A client in the process of its caller may leave it open."""
    for sent in ((b"GET /",), (PREFACE, HEADERS)):
        finding, took = judged(suite, loop, FINE, *sent)
        assert finding.outcome == "vulnerable"
        assert took < module.DRAIN_SECONDS


def test_a_handshake_that_is_not_completed_is_waited_for_and_then_undecided(
    suite: Suite, loop: LoopFactory, short_drain: float
) -> None:
    async def main() -> None:
        async with listening(suite, "attacker-ca") as listener:
            address = ("127.0.0.1", listener.endpoint.port)
            with socket.create_connection(address, timeout=10) as plain:  # noqa: ASYNC210, RUF100
                plain.sendall(a_hello())
                clock = asyncio.get_running_loop().time
                start = clock()
                finding = await listener.judge(REFUSED)
                took = clock() - start
        assert finding.reason == "the client sent nothing, but has not left either"
        assert took > 0.9 * short_drain  # uvloop's timers are rounded to the millisecond

    run(main(), loop)


def test_a_function_that_gave_up_may_leave_its_connection_open(
    suite: Suite, loop: LoopFactory
) -> None:
    for sent in ((), (PREFACE,)):
        finding, took = judged(suite, loop, REFUSED, *sent)
        assert finding.outcome == "pass", finding
        assert took < module.DRAIN_SECONDS
    # The twin: it is still running, and may be about to speak.
    running = ClientRun("still-running", failed=True, until=time.time() + 60)
    finding, _ = judged(suite, loop, running, PREFACE)
    assert finding.outcome == "inconclusive"


def test_what_is_still_on_its_way_is_waited_for(suite: Suite, loop: LoopFactory) -> None:
    finding, _ = judged(suite, loop, FINE, then=b"GET /")
    assert finding.outcome == "vulnerable"
    # A request may come after the preface, and make all the difference.
    finding, _ = judged(suite, loop, FINE, PREFACE, then=HEADERS)
    assert finding.outcome == "vulnerable"
    assert finding.evidence
    assert finding.evidence.reached == "headers"


def test_of_a_process_that_has_ended_all_that_it_sent_is_read(
    suite: Suite, loop: LoopFactory
) -> None:
    """Its first bytes decide, but it is the last that hold the token."""

    async def main() -> int:
        async with listening(suite, "attacker-ca") as listener:
            with Held(listener.endpoint) as held:
                tls = await asyncio.to_thread(held.connect)
                await asyncio.to_thread(tls.sendall, b"GET /" + bytes(1_000_000))
            finding = await listener.judge(ClientRun("ended"))
            assert finding.outcome == "vulnerable"
            assert finding.evidence
            return len(finding.evidence.connections)

    assert run(main(), loop) == 1


def test_what_was_left_before_the_last_step_does_not_end_a_client(loop: LoopFactory) -> None:
    """Who gives in at the end must be let come that far."""
    before, forged = 4, "attacker-ca"
    steps = (Step("forged", connections=before), Step("forged"))
    attack = structs.replace(load_attack("second-connection"), forgeries=(forged,), plays=(steps,))
    suite = forge_suite([attack])

    async def main() -> None:
        async with listening(suite, attack.name) as listener:
            made = 0
            while not listener.enough.is_set():
                assert await asyncio.to_thread(ask, listener.endpoint) is REFUSED
                made += 1
            assert made >= before + REJECTIONS_ENOUGH

    run(main(), loop)
