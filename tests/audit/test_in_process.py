"""The audit from Python: of functions, async functions and commands."""

import asyncio
import contextvars
import itertools
import json
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import grpc
import pytest
from cryptography import x509

from mitm import Interceptor, audit, content
from mitm.audit import in_process, listener
from mitm.audit.conclusion import conclude
from mitm.audit.reports import as_json
from mitm.errors import UserError
from mitm.pki import Unsupported
from tests.audit import mutants
from tests.plugin import clients

# Two that every client must reject and one that it must accept: what is tried besides these is
# the business of the catalogue.
SOME = ("attacker-ca", "self-signed", "long-chain")

Sync = Callable[[audit.Endpoint], object]
Async = Callable[[audit.Endpoint], Awaitable[object]]


def outcomes(report: audit.Report) -> dict[str, str]:
    return {finding.case.name: finding.outcome for finding in report.findings}


CORRECT = dict.fromkeys(sorted(SOME), "pass")
CARELESS = {"attacker-ca": "vulnerable", "long-chain": "pass", "self-signed": "vulnerable"}

KINDS = [
    pytest.param(clients.checks, clients.checks_nothing, id="ssl"),
    pytest.param(clients.checks_async, clients.checks_nothing_async, id="asyncio"),
    pytest.param(clients.calls, clients.calls_whom_it_meets, id="grpcio"),
    pytest.param(clients.calls_async, clients.calls_whom_it_meets_async, id="grpc.aio"),
]


def _looks_for_the_ca(endpoint: audit.Endpoint) -> None:
    """Wants the CA that it knows among what is sent: it is not sound, but no hole either."""

    def judge(endpoint: audit.Endpoint, sent: list[x509.Certificate]) -> None:
        (ca,) = x509.load_pem_x509_certificates(endpoint.ca_pem)
        if ca not in sent[1:]:
            raise mutants.Left("the CA was not sent")

    mutants._call(endpoint, mutants._verifying(endpoint), judge)


def _believes_the_root_that_is_sent(endpoint: audit.Endpoint) -> None:
    def judge(endpoint: audit.Endpoint, sent: list[x509.Certificate]) -> None:
        sent[0].verify_directly_issued_by(sent[1])

    mutants._call(endpoint, mutants._unverifying(), judge)


@pytest.mark.parametrize("kind", ["attacker-ca", "at-position", "second-connection"])
def test_a_client_that_wants_the_ca_to_be_sent_is_audited_with_it(kind: str) -> None:
    report = audit.run(_looks_for_the_ca, only=[kind])
    assert report.conclusive
    for control in report.controls:
        assert "accepted" in control.reason
    assert "the leaf alone was refused" in report.controls[0].reason
    assert not report.failing()


def test_and_caught_where_it_believes_whatever_is_sent() -> None:
    report = audit.run(_believes_the_root_that_is_sent, only=["attacker-ca", "self-signed"])
    assert report.conclusive
    assert outcomes(report) == {"attacker-ca": "vulnerable", "self-signed": "pass"}


def test_who_refuses_it_either_way_proves_nothing() -> None:
    def trusts_another_ca(endpoint: audit.Endpoint) -> None:
        mutants._call(endpoint, mutants._verifying(endpoint, endpoint.pin_file))

    report = audit.run(trusts_another_ca, only=["attacker-ca"])
    assert not report.conclusive
    (control,) = report.controls
    assert control.outcome == "too-strict"
    assert not report.findings


@pytest.mark.parametrize(("correct", "careless"), KINDS)
def test_a_careless_client_is_told_from_a_correct_one(
    correct: Sync | Async, careless: Sync | Async
) -> None:
    report = audit.run(correct, only=SOME)
    assert report.conclusive
    assert outcomes(report) == CORRECT

    report = audit.run(careless, only=SOME)
    assert report.conclusive
    assert outcomes(report) == CARELESS


@pytest.mark.parametrize(("policy", "expected"), [("ca-file", CORRECT), ("skip-verify", CARELESS)])
def test_a_command_is_a_client_as_well(policy: str, expected: dict[str, str]) -> None:
    program = str(content.CLIENTS / "python" / "client.py")
    words = ["--target", "{target}", "--policy", policy, "--ca", "{ca}"]
    report = audit.run([sys.executable, program, *words], only=SOME, timeout=60)
    assert report.conclusive
    assert outcomes(report) == expected


def test_a_function_that_returns_a_coroutine_is_as_good_as_an_async_one() -> None:
    report = audit.run(lambda server: clients.checks_nothing_async(server), only=SOME)
    assert outcomes(report) == CARELESS


def test_evidence_is_what_the_client_gave_away() -> None:
    report = audit.run(clients.calls_whom_it_meets, only=["attacker-ca"])
    (finding,) = report.findings
    assert finding.evidence
    assert [call.method for call in finding.evidence.calls] == [clients.METHOD]
    assert finding.evidence.credentials == ("authorization",)
    assert "s3cret" not in repr(finding.evidence.calls)


def test_several_certificates_can_be_tried_at_once() -> None:
    numbers = itertools.count()
    together = threading.Barrier(2, timeout=clients.LIMIT)

    def client(server: audit.Endpoint) -> None:
        # Between the two controls.
        if next(numbers) in (1, 2):
            together.wait()
        clients.checks(server)

    report = audit.run(client, only=["attacker-ca", "self-signed"], jobs=2)
    assert report.conclusive
    assert not together.broken


def test_one_at_a_time_is_what_a_function_can_count_on() -> None:
    running = threading.Lock()

    def client(server: audit.Endpoint) -> None:
        assert running.acquire(blocking=False)
        try:
            clients.checks(server)
        finally:
            running.release()

    report = audit.run(client, only=SOME)
    assert not [finding for finding in report.findings if "AssertionError" in finding.said]


# Clients that do not come to an end, or come to an unusual one


def test_a_function_that_hangs_is_left_to_itself() -> None:
    released, ended = threading.Event(), threading.Event()

    def client(server: audit.Endpoint) -> None:
        released.wait()
        ended.set()

    report = audit.run(client, only=["self-signed"], timeout=0.1)
    (control,) = report.controls
    assert control.outcome == "inconclusive"
    assert control.reason == "the client did not end within 0.1 s"
    # That it comes to its end after all is no error.
    released.set()
    assert ended.wait(clients.LIMIT)


def test_an_async_function_that_hangs_is_cancelled() -> None:
    cancelled = threading.Event()

    async def client(server: audit.Endpoint) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    report = audit.run(client, only=["self-signed"], timeout=0.1)
    assert not report.conclusive
    assert cancelled.wait(clients.LIMIT)


def test_a_time_limit_of_the_clients_own_is_not_ours() -> None:
    async def client(server: audit.Endpoint) -> None:
        await clients.checks_async(server)
        raise TimeoutError("of its own")

    report = audit.run(client, only=["genuine", "self-signed"])
    assert report.conclusive
    assert report.controls[0].said == "TimeoutError: of its own"


def test_a_client_that_gives_up_is_quoted() -> None:
    def client(server: audit.Endpoint) -> None:
        raise LookupError("no configuration\nat all")

    report = audit.run(client, only=["self-signed"])
    assert not report.conclusive
    (control,) = report.controls
    assert control.reason == "the client never connected (LookupError: no configuration at all)"


def test_the_exit_of_a_main_function_is_a_failure_but_for_zero() -> None:
    def client(server: audit.Endpoint) -> None:
        try:
            clients.checks(server)
        except OSError:
            sys.exit(4)
        sys.exit()

    report = audit.run(client, only=["self-signed"])
    assert report.controls[0].said == "exit code 0"
    assert report.findings[0].said == "exit code 4"


def test_an_error_of_grpc_is_told_in_one_line() -> None:
    report = audit.run(clients.calls, only=["self-signed"])
    (finding,) = report.findings
    assert "UNAVAILABLE: failed to connect" in finding.said
    assert "\n" not in finding.said


def test_what_was_read_of_a_function_is_not_in_its_error() -> None:
    token = "c2VjcmV0" * 40

    def client(server: audit.Endpoint) -> None:
        try:
            clients.checks(server)
        finally:
            raise LookupError(f"{'x' * 150} Bearer {token} ?api_key={token} why")

    report = audit.run(client, only=["self-signed"])
    for each in (*report.controls, *report.findings):
        assert "c2VjcmV0" not in each.said + each.reason
        assert each.said.endswith("why")


def test_an_error_that_cannot_be_told_has_ended_the_client_all_the_same() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError

    def client(server: audit.Endpoint) -> None:
        raise OddError

    report = audit.run(client, only=["self-signed"])
    assert report.controls[0].said == "OddError: (its text cannot be had)"


def test_what_is_no_ordinary_exception_ends_the_client_alone() -> None:
    def client(server: audit.Endpoint) -> None:
        clients.checks(server)
        raise KeyboardInterrupt

    report = audit.run(client, only=["self-signed"])
    assert report.conclusive
    assert report.controls[0].said == "KeyboardInterrupt"


def test_ctrl_c_ends_the_audit_though_a_client_hangs() -> None:
    released = threading.Event()

    main = threading.main_thread().ident
    assert main

    def client(server: audit.Endpoint) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        released.wait()

    with pytest.raises(KeyboardInterrupt):
        audit.run(client, timeout=600)
    released.set()
    assert "mitm-demo" not in {thread.name for thread in threading.enumerate()}


def test_connections_left_open_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "DRAIN_SECONDS", 600)
    with ExitStack() as left_open:

        def client(server: audit.Endpoint) -> None:
            credentials = grpc.ssl_channel_credentials(server.ca_pem)
            channel = left_open.enter_context(grpc.secure_channel(server.target, credentials))
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes]
            method = channel.unary_unary(clients.METHOD)
            method(b"", timeout=clients.LIMIT)

        report = audit.run(client, only=SOME)
    assert report.conclusive
    assert outcomes(report) == CORRECT


# What surrounds it


def test_context_variables_reach_the_client() -> None:
    tenant = contextvars.ContextVar("tenant", default="nobody")
    tenant.set("somebody")
    seen = set()

    def client(server: audit.Endpoint) -> None:
        seen.add(tenant.get())
        clients.checks(server)

    audit.run(client, only=["self-signed"])
    assert seen == {"somebody"}


def test_it_can_be_called_where_an_event_loop_runs() -> None:
    async def main() -> audit.Report:
        return audit.run(clients.checks_async, only=["self-signed"])

    assert asyncio.run(main()).conclusive


def test_it_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    audit.run(clients.checks, only=["self-signed"])
    assert set(threading.enumerate()) <= before


def test_a_client_can_be_tried_under_a_name_of_its_own() -> None:
    def client(server: audit.Endpoint) -> None:
        context = ssl.create_default_context(cafile=server.ca_file)
        with (
            socket.create_connection((server.host, server.port)) as plain,
            context.wrap_socket(plain, server_hostname=server.name) as connection,
        ):
            connection.sendall(clients.REQUEST)

    report = audit.run(client, only=["matching-wildcard", "wrong-host"], name="api.shop.example")
    assert report.conclusive
    assert outcomes(report) == {"matching-wildcard": "pass", "wrong-host": "pass"}
    # The twin: a client that goes by what it dials is not talking to that name.
    assert not audit.run(clients.checks, only=["wrong-host"], name="api.shop.example").conclusive


def test_an_unknown_certificate_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'self-signed'"):
        audit.run(clients.checks, only=["self-sined"])


def test_a_command_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="cannot start no-such-program"):
        audit.run(["no-such-program"], only=["self-signed"])


def test_both_ways_of_use_are_one_import_away() -> None:
    assert audit.run.__doc__
    assert Interceptor.__doc__
    with pytest.raises(ImportError):
        from mitm import no_such_thing  # noqa: F401


@pytest.mark.parametrize(
    "client",
    [mutants.grpcio_first_use, mutants.ssl_or_plaintext, mutants.grpclib_unverified],
    ids=lambda client: str(client.__name__),
)
def test_two_audits_of_one_client_say_the_same(client: Callable[[audit.Endpoint], None]) -> None:
    """Whatever ran first, and however its connections ended."""
    only = ["attacker-ca", "wrong-host", "expired", "nul-in-cn", "malformed-san", "rsa-leaf"]
    reports = [audit.run(client, only=only, timeout=40, jobs=jobs) for jobs in (1, 3)]
    first, second = (as_json(report, conclude(report)) for report in reports)
    assert first == second
    assert json.loads(first)["causes"]


@pytest.mark.parametrize(
    ("release", "fatal"), [("1.60.0", True), ("1.80.0", True), ("1.82.0", False), ("2.0.1", False)]
)
def test_a_certificate_that_would_end_this_process_is_not_presented_in_it(
    release: str, fatal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_process, "version", lambda package: release)
    report = audit.run(clients.checks, only=["malformed-san", "expired"])
    assert outcomes(report)["expired"] == "pass"
    assert (outcomes(report)["malformed-san"] == "unsupported") == fatal
    (told,) = (f.reason for f in report.findings if f.case.name == "malformed-san")
    assert (f"grpcio {release} would end this process" in told) == fatal
    # A program is a process of its own.
    program = [sys.executable, str(content.CLIENTS / "python" / "client.py"), "--policy=ca-file"]
    report = audit.run([*program, "--target={target}", "--ca={ca}"], only=["malformed-san"])
    assert outcomes(report)["malformed-san"] == "pass"


@pytest.mark.parametrize("release", ["1.80.0", "1.82.0"])
def test_nor_by_a_fixture_that_presents_one(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "version", lambda package: release)
    suite = audit.forge_suite(audit.select(audit.catalogue(), ["malformed-san"]))
    with audit.Auditor() as auditor, ExitStack() as stack:
        refusal = pytest.raises(Unsupported, match="would end this process")
        if release == "1.80.0":
            stack.enter_context(refusal)
        with auditor.present(suite.cases[0], suite.pin_pem) as presented:
            assert presented.endpoint.port
