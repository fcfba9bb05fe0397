"""Attacks in steps: each finds the client that it is about, and leaves its twin alone.

That no certificate by itself finds that client is held as well, where it is the point.
"""

import contextlib
import json
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from mitm import audit
from mitm.audit import Endpoint
from mitm.audit.cause import find_causes
from mitm.audit.conclusion import conclude
from mitm.audit.finding import Outcome
from mitm.audit.reports import as_json
from tests.audit import steps
from tests.audit.hand_made import Server, careless, correct, unverifying, verifying
from tests.audit.steps import everything, nothing

ROOT = Path(__file__).resolve().parents[2]

PLAIN = [
    "attacker-ca",
    "self-signed",
    "wrong-host",
    "expired",
    "plaintext-http2",
    "plaintext-http1",
]
ATTACKS = [entry.name for entry in audit.catalogue() if entry.family == "sequence"]

Flawed = Callable[[Server, steps.Verify], None]

# What must find each; others may as well.
FOUND_BY: dict[Flawed, set[str]] = {
    steps.checks_then_talks: {"second-connection", "at-position"},
    steps.third_of_three: {"at-position"},
    steps.fetches_checks_talks: {"first-connection"},
    steps.trusts_what_it_fetches_after(1): {"second-connection", "at-position"},
    steps.trusts_what_it_fetches_after(2): {"at-position"},
    steps.reconnects: {"reconnect"},
    steps.reconnects_twice: {"reconnect"},
    steps.retries(2): {"handshake-reset"},
    steps.retries(3): {"handshake-reset"},
    steps.retries(4): {"handshake-reset"},
    steps.retries(5): {"handshake-reset"},
    steps.retries(6): {"handshake-reset"},
    steps.in_plaintext_after_a_reset: {"handshake-reset"},
    steps.unverified_after_an_end: {"handshake-reset"},
    steps.unverified_after_a_second_reset: {"handshake-reset"},
    steps.in_plaintext_if_told_so: {"no-tls-today"},
    steps.unverified_if_told_so: {"no-tls-today"},
    steps.in_plaintext_on_the_same_connection: {"no-tls-today"},
    steps.takes_up_its_stream: {"late-forgery"},
    steps.VerifiesOnce(): {"same-process"},
}
# Who does without TLS is found by a plain answer as well.
FOUND_PLAIN = {steps.in_plaintext_if_told_so, steps.in_plaintext_on_the_same_connection}


def _name(client: object) -> str:
    return getattr(client, "__name__", type(client).__name__)


@pytest.fixture(scope="module")
def auditor() -> Iterator[audit.Auditor]:
    with audit.Auditor() as auditor:
        yield auditor


def with_its(client: Flawed, verify: steps.Verify) -> steps.Client:
    """The client, with or without its flaw."""
    return lambda server: client(server, verify)


def suite(*names: str) -> audit.Suite:
    return audit.forge_suite(audit.select(audit.catalogue(), names))


def outcomes(report: audit.Report) -> dict[str, Outcome]:
    assert report.conclusive, report.controls
    return {finding.case.name: finding.outcome for finding in report.findings}


def found(report: audit.Report) -> set[str]:
    return {name for name, outcome in outcomes(report).items() if outcome == "vulnerable"}


@pytest.mark.parametrize("client", FOUND_BY, ids=_name)
def test_an_attack_finds_what_no_certificate_shows(auditor: audit.Auditor, client: Flawed) -> None:
    report = auditor.audit(suite(*ATTACKS), with_its(client, nothing))
    assert found(report) >= FOUND_BY[client], report.findings
    assert conclude(report).exit_code == 1
    plain = auditor.audit(suite(*PLAIN, "at-position"), with_its(client, nothing))
    assert bool(found(plain) - {"at-position"}) == (client in FOUND_PLAIN)


@pytest.mark.parametrize("client", FOUND_BY, ids=_name)
def test_the_same_client_without_its_flaw_is_left_alone(
    auditor: audit.Auditor, client: Flawed
) -> None:
    report = auditor.audit(suite(*ATTACKS, *PLAIN), with_its(client, everything))
    assert set(outcomes(report).values()) <= {"pass", "not-exercised"}, report.findings
    assert conclude(report).exit_code == 0
    for attack in FOUND_BY[client]:
        assert outcomes(report)[attack] == "pass"


RESUMPTION = ["resumed-session", "second-connection", "at-position", "attacker-ca"]
TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("calls", [1, 2], ids=["from call to call", "within a call"])
@pytest.mark.parametrize(
    ("version", "tickets"),
    [(TLS_1_2, True), (TLS_1_2, False), (TLS_1_3, True)],
    ids=["1.2, tickets", "1.2, ids", "1.3"],
)
def test_a_session_that_is_resumed_is_told_and_fails_no_build(
    auditor: audit.Auditor, version: ssl.TLSVersion, tickets: bool, calls: int
) -> None:
    client = steps.Resumes(version, tickets=tickets, calls=calls)
    report = auditor.audit(suite(*RESUMPTION), client)
    finding = {each.case.name: each for each in report.findings}["resumed-session"]
    assert finding.outcome == "vulnerable", finding
    assert "shown attacker-ca, resumed: accepted" in finding.reason
    assert finding.evidence
    assert [each.resumed for each in finding.evidence.connections] == [False, True]
    # Where no server resumes, it verifies.
    assert outcomes(report)["second-connection"] == ("pass" if calls > 1 else "not-exercised")
    assert conclude(report).exit_code == 0
    assert conclude(report, strict=True).exit_code == 0


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_whoever_resumes_nothing_is_not_exercised(
    auditor: audit.Auditor, version: ssl.TLSVersion
) -> None:
    client = steps.Resumes(version, resume=False)
    report = auditor.audit(suite(*RESUMPTION), client)
    assert outcomes(report)["resumed-session"] == "not-exercised"
    assert conclude(report).exit_code == 0


# Programs


PROGRAM = """
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from tests.audit import steps

client, how, host, port, ca, pin = sys.argv[1:]
server = SimpleNamespace(
    host=host, port=int(port), name="localhost", ca_file=Path(ca), pin_file=Path(pin)
)
name, verify = client.split()
while True:
    try:
        getattr(steps, name)(server, getattr(steps, verify))
    except Exception:
        if how == "crashes":
            os.abort()
        if how == "once":
            raise
    if how != "serves":
        break
    time.sleep(0.05)
"""


def program(client: str, how: str = "once") -> list[str]:
    """A command that runs a client once, `serves` for ever, or `crashes` of a forgery."""
    words = [sys.executable, "-c", PROGRAM, client, how, "{host}", "{port}", "{ca}", "{pin}"]
    return ["env", f"PYTHONPATH={ROOT}", *words]


@pytest.mark.parametrize(
    ("client", "attack"),
    [
        ("checks_then_talks", "second-connection"),
        ("reconnects", "reconnect"),
        ("takes_up_its_stream", "late-forgery"),
    ],
)
def test_a_program_is_found_and_its_twin_left_alone(
    auditor: audit.Auditor, client: str, attack: str
) -> None:
    names = [attack, "same-process", "attacker-ca", "at-position"]
    flawed = auditor.audit(suite(*names), program(f"{client} nothing"), timeout=60)
    assert attack in found(flawed), flawed.findings
    assert conclude(flawed).exit_code == 1
    sound = auditor.audit(suite(*names), program(f"{client} everything"), timeout=60)
    assert outcomes(sound)[attack] == "pass", sound.findings
    assert conclude(sound).exit_code == 0
    (same,) = (each for each in sound.findings if each.case.name == "same-process")
    assert same.outcome == "not-exercised"
    assert "start anew" in same.reason


def test_a_service_is_found_and_its_twin_left_alone(auditor: audit.Auditor) -> None:
    names = ["second-connection", "reconnect"]
    # Given some seconds in which a busy machine starts it.
    flawed = auditor.audit(suite(*names), program("reconnects nothing", "serves"), timeout=8)
    assert flawed.controls[0].observation
    assert flawed.controls[0].observation.end == "still-running"
    assert "reconnect" in found(flawed), flawed.findings
    sound = auditor.audit(suite(*names), program("reconnects everything", "serves"), timeout=8)
    assert set(outcomes(sound).values()) == {"pass"}, sound.findings
    assert conclude(sound).exit_code == 0


def test_a_crash_under_attack_is_told_beside_it(auditor: audit.Auditor) -> None:
    command = program("checks_then_talks everything", "crashes")
    report = auditor.audit(suite("second-connection"), command, timeout=60)
    assert outcomes(report) == {
        "second-connection": "pass",
        "second-connection:crash": "crashed",
    }
    assert conclude(report).exit_code == 0


def test_two_addresses_at_once_are_one_connection(auditor: audit.Auditor) -> None:
    """As RFC 8305 has it, where the first one is slow."""

    def client(server: Server) -> None:
        with contextlib.ExitStack() as stack:
            ways = []
            for host in ("::1", "127.0.0.1"):
                one = SimpleNamespace(**{**endpoint(server), "host": host})
                ways.append(stack.enter_context(steps.connected(one, verifying(server))))
            slower, faster = ways
            faster.ask()
            slower.fin()
            faster.notify()

    def endpoint(server: Server) -> dict[str, object]:
        names = ("port", "name", "ca_file", "pin_file")
        return {name: getattr(server, name) for name in names}

    if not ipv6():
        pytest.skip("there is no IPv6 here: it takes ::1 on the loopback interface")
    report = auditor.audit(suite("attacker-ca", "at-position", "second-connection"), client)
    assert outcomes(report) == {
        "attacker-ca": "pass",
        "at-position": "not-exercised",
        # By an alert, on the way that was tried last.
        "second-connection": "pass",
    }
    assert conclude(report).exit_code == 0


def ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


# gRPC


METHOD = "/users.v1.Users/GetUser"
BYTES = (bytes, bytes)  # how messages are written and read


def call(channel: grpc.Channel) -> None:
    channel.unary_unary(METHOD, *BYTES)(b"", timeout=20)


def grpc_twice(server: Endpoint) -> None:
    for _ in range(2):
        with grpc.secure_channel(
            server.target, grpc.ssl_channel_credentials(server.ca_pem)
        ) as channel:
            call(channel)


async def grpc_aio(server: Endpoint) -> None:
    credentials = grpc.ssl_channel_credentials(server.ca_pem)
    async with grpc.aio.secure_channel(server.target, credentials) as channel:
        for _ in range(2):
            await channel.unary_unary(METHOD, *BYTES)(b"", timeout=20)


class CachedChannel:
    """Keeps its channels for as long as the process lives, and closes none."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.Channel] = {}

    def __call__(self, server: Endpoint) -> None:
        if server.target not in self._channels:
            credentials = grpc.ssl_channel_credentials(server.ca_pem)
            self._channels[server.target] = grpc.secure_channel(server.target, credentials)
        call(self._channels[server.target])


def grpc_first_use_then_check(server: Endpoint) -> None:
    """Fetches the certificate, checks the host by a call, and trusts what it has fetched."""
    roots = ssl.get_server_certificate((server.host, server.port)).encode()
    for trusted in (server.ca_pem, roots):
        credentials = grpc.ssl_channel_credentials(trusted)
        with grpc.secure_channel(server.target, credentials) as channel:
            call(channel)


@pytest.mark.parametrize(
    ("client", "passes"),
    [
        (grpc_twice, {"second-connection", "at-position", "reconnect", "same-process"}),
        (grpc_aio, {"reconnect", "same-process"}),
        (CachedChannel(), {"same-process"}),
    ],
    ids=_name,
)
def test_a_sound_client_of_grpc_is_left_alone(
    auditor: audit.Auditor, client: Callable[[Endpoint], object], passes: set[str]
) -> None:
    report = auditor.audit(suite(*ATTACKS, "attacker-ca"), client, timeout=40)
    assert set(outcomes(report).values()) <= {"pass", "not-exercised"}, report.findings
    assert {outcomes(report)[name] for name in passes} == {"pass"}
    assert conclude(report).exit_code == 0


def test_what_grpc_was_shown_first_may_be_what_it_trusts_later(auditor: audit.Auditor) -> None:
    report = auditor.audit(suite("first-connection"), grpc_first_use_then_check, timeout=40)
    assert found(report) == {"first-connection"}
    assert [cause.name for cause in find_causes(report)] == ["early-trust"]


# What is told


def test_one_connection_is_exercised_by_none_that_takes_a_second(auditor: audit.Auditor) -> None:
    report = auditor.audit(suite(*ATTACKS), correct)
    passed = {name for name, outcome in outcomes(report).items() if outcome == "pass"}
    # Who gives up when it is given no handshake has come out of that.
    assert passed == {"handshake-reset", "no-tls-today", "same-process"}
    others = {outcomes(report)[name] for name in ATTACKS if name not in passed}
    assert others == {"not-exercised"}
    assert conclude(report).exit_code == 0


def test_if_nothing_applies_nothing_is_proved(auditor: audit.Auditor) -> None:
    conclusion = conclude(auditor.audit(suite("second-connection", "reconnect"), correct))
    assert conclusion.exit_code == 3
    assert "applies to this client" in conclusion.reason


def test_whoever_verifies_nothing_is_told_one_cause(auditor: audit.Auditor) -> None:
    report = auditor.audit(suite(*ATTACKS, "must"), careless_twice)
    causes = find_causes(report)
    assert causes[0].name == "no-verification"
    succeeded = found(report) & set(ATTACKS)
    assert succeeded >= {"second-connection", "at-position", "same-process", "reconnect"}
    assert succeeded <= {finding.case.name for finding in causes[0].follows}
    assert not {f.case.name for cause in causes[1:] for f in cause.findings} & succeeded


def careless_twice(server: Server) -> None:
    careless(server)
    careless(server)


@pytest.mark.parametrize(
    ("client", "cause"),
    [
        (steps.checks_then_talks, "each-connection"),
        (steps.fetches_checks_talks, "early-trust"),
        (steps.retries(3), "failed-handshake"),
        (steps.in_plaintext_after_a_reset, "plaintext-fallback"),
    ],
    ids=_name,
)
def test_the_cause_says_what_is_wrong(auditor: audit.Auditor, client: Flawed, cause: str) -> None:
    report = auditor.audit(suite(*ATTACKS, *PLAIN), with_its(client, nothing))
    assert [each.name for each in find_causes(report)] == [cause]


def test_a_second_connection_that_was_not_attacked_leaves_nothing_proved(
    auditor: audit.Auditor,
) -> None:
    """The same ClientHello twice, and the second one is not verified."""
    client = with_its(steps.checks_then_talks, nothing)
    report = auditor.audit(suite("expired"), client)
    assert outcomes(report) == {"expired": "inconclusive"}
    assert conclude(report).exit_code == 3
    report = auditor.audit(suite("expired", "at-position"), client)
    assert found(report) == {"at-position"}
    assert conclude(report).exit_code == 1
    # The twin.
    sound = with_its(steps.checks_then_talks, everything)
    report = auditor.audit(suite("expired", "at-position"), sound)
    assert set(outcomes(report).values()) == {"pass"}
    assert conclude(report).exit_code == 0


def test_the_evidence_tells_the_connections_apart(auditor: audit.Auditor) -> None:
    client = with_its(steps.checks_then_talks, nothing)
    report = auditor.audit(suite("second-connection"), client)
    (finding,) = report.findings
    assert finding.reason.startswith("connection 2, shown attacker-ca: accepted; read: ")
    assert finding.evidence
    ends = [(e.certificate, e.reached) for e in finding.evidence.connections]
    assert ends == [("genuine", "nothing"), ("attacker-ca", "messages")]
    told = json.loads(as_json(report, conclude(report)))["findings"][0]["evidence"]["connections"]
    assert {"attacker-ca"} <= {each["certificate"] for each in told}


def test_a_lock_out_is_too_strict(auditor: audit.Auditor) -> None:
    """Whatever is seen first is remembered, and anything else refused from then on."""

    def pins_the_first(server: Server) -> None:
        with steps.connected(server, unverifying()) as connection:
            pin = connection.tls.getpeercert(binary_form=True)
            connection.notify()
        context = ssl.create_default_context(cadata=pin)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["h2"])
        steps.talk(server, context)

    report = auditor.audit(suite("first-connection"), pins_the_first)
    assert outcomes(report) == {"first-connection": "too-strict"}
    assert conclude(report).exit_code == 0
    assert conclude(report, strict=True).exit_code == 1
