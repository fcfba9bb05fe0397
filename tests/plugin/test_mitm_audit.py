"""The fixture `mitm_audit`: what passes, what fails, and what a failure says."""

import pytest

from tests.plugin.conftest import Run

SOME = "attacker-ca,long-chain,self-signed"

# A correct client and its careless twin.
SYNC_CLIENTS = [
    ("ssl", ("checks", "checks_nothing")),
    ("grpcio", ("calls", "calls_whom_it_meets")),
]
ASYNC_CLIENTS = [
    ("asyncio", ("checks_async", "checks_nothing_async")),
    ("grpc.aio", ("calls_async", "calls_whom_it_meets_async")),
]


@pytest.mark.parametrize(
    ("correct", "careless"),
    [pytest.param(*pair, id=name) for name, pair in SYNC_CLIENTS + ASYNC_CLIENTS],
)
def test_a_correct_client_passes_and_its_careless_twin_fails(
    run: Run, correct: str, careless: str
) -> None:
    result = run(
        f"""
        import clients

        def test_correct(mitm_audit):
            mitm_audit(clients.{correct})

        def test_careless(mitm_audit):
            mitm_audit(clients.{careless})
        """,
        "--mitm-certs",
        SOME,
        "-v",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*::test_correct PASSED*", "*::test_careless FAILED*"])


def test_a_command_is_audited_with_its_placeholders_filled_in(run: Run) -> None:
    result = run(
        """
        import sys
        from mitm import content

        CLIENT = [sys.executable, str(content.CLIENTS / "python" / "client.py")]
        SERVER = ["--target", "{target}", "--ca", "{ca}"]

        def test_correct(mitm_audit):
            mitm_audit([*CLIENT, *SERVER, "--policy", "ca-file"], timeout=60)

        def test_careless(mitm_audit):
            mitm_audit([*CLIENT, *SERVER, "--policy", "skip-verify"], timeout=60)
        """,
        "--mitm-certs=self-signed",
        "-v",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*::test_correct PASSED*", "*::test_careless FAILED*"])


def test_a_command_that_takes_no_ca_is_audited_with_the_machines_roots(run: Run) -> None:
    result = run(
        """
        import sys

        CLIENT = '''
        import socket, ssl, sys
        to = (sys.argv[1], int(sys.argv[2]))
        context = ssl.create_default_context()
        context.check_hostname = len(sys.argv) == 3
        with context.wrap_socket(socket.create_connection(to), server_hostname=to[0]) as tls:
            tls.sendall(b"EHLO client")
            tls.recv(100)
        '''
        WORDS = [sys.executable, "-c", CLIENT.replace("\\n        ", "\\n"), "{host}", "{port}"]

        def test_correct(mitm_audit):
            mitm_audit(WORDS, roots="system", timeout=60)

        def test_careless(mitm_audit):
            mitm_audit([*WORDS, "careless"], roots="system", timeout=60)

        def test_function(mitm_audit):
            mitm_audit(print, roots="system")
        """,
        "--mitm-certs=wrong-host",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*roots='system' is for commands*"])


def test_a_failure_shows_the_cause_its_fix_the_evidence_and_names(run: Run) -> None:
    result = run(
        """
        import clients

        def test_client(mitm_audit):
            mitm_audit(clients.calls_whom_it_meets)
        """,
        "--mitm-certs",
        SOME,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_client _*",
            "2 certificates treated wrongly: attacker-ca, self-signed.",
            "The client gets through with the genuine certificate. "
            "With the others: 1 pass, 2 vulnerable.",
            "",
            "This client takes any issuer: no trust in a CA is checked (2 certificates prove it).",
            "  fix         Give grpc.ssl_channel_credentials the CA's own PEM file as *",
            "  happened    attacker-ca: accepted; read: /users.v1.UserService/GetUser; *"
            "credentials:",
            "  *           authorization",
            "  proof       attacker-ca, self-signed",
            "  more        mitm-demo show attacker-ca",
            "*FAILED test_it.py::test_client - Failed: 2 certificates treated wrongly: *",
        ],
    )
    # No stack, neither of ours nor of the client's, and no token.
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*mitm_audit.py*")
    result.stdout.no_fnmatch_line("*>*mitm_audit(clients*")
    result.stdout.no_fnmatch_line("*s3cret*")


def test_a_client_that_verifies_nothing_is_told_so_in_few_lines(run: Run) -> None:
    result = run(
        """
        import clients

        def test_client(mitm_audit):
            mitm_audit(clients.checks_nothing)
        """
    )
    result.assert_outcomes(failed=1)
    first = next(n for n, line in enumerate(result.outlines) if "treated wrongly" in line)
    told = result.outlines[first:]
    says = told.index("") + 1
    assert "This client does not verify at all" in told[says]
    assert told[says + 1].startswith("  fix  ")
    # One fix, and names on one line each, whole.
    assert sum(line.startswith("  fix") for line in told) == 1
    assert len(result.outlines) < 50
    assert not [line for line in result.outlines if line.endswith("-") and "---" not in line]


def test_without_a_control_nothing_is_proved(run: Run) -> None:
    result = run(
        """
        def client(server):
            raise LookupError("no such setting")

        def test_client(mitm_audit):
            mitm_audit(client)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "Nothing is proved: the client does not get through with the genuine certificate.",
            "  happened    the client never connected*LookupError: no such setting*",
            "  fix         let the client connect *",
        ]
    )


def test_a_client_that_rejects_everything_proves_nothing(run: Run) -> None:
    result = run(
        """
        import ssl, socket

        def client(server):
            with socket.create_connection((server.host, server.port)) as plain:
                ssl.create_default_context().wrap_socket(plain, server_hostname=server.name)

        def test_client(mitm_audit):
            mitm_audit(client)
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "Nothing is proved: *",
            "  happened    rejected*",
            "  client said SSLCertVerificationError*",
        ]
    )


TOO_STRICT = """
import clients, ssl, socket

def pins(server):
    with socket.create_connection((server.host, server.port), clients.LIMIT) as plain:
        context = ssl.create_default_context(cafile=server.ca_file)
        with context.wrap_socket(plain, server_hostname=server.name) as connection:
            if connection.getpeercert(True) == ssl.PEM_cert_to_DER_cert(server.pin_pem.decode()):
                connection.sendall(clients.REQUEST)
"""


def test_too_strict_a_client_is_told_of_and_fails_under_strict(run: Run) -> None:
    tests = f"""
{TOO_STRICT}

def test_client(mitm_audit):
    mitm_audit(pins, only="long-chain")
"""
    result = run(tests)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*mitm-demo: no failures, but worth knowing*",
            "test_it.py::test_client: long-chain: too-strict (*): rejected*",
        ]
    )
    result = run(tests, "--mitm-strict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["long-chain: *", "  expected    a client gets through*", "  happened    rejected*"]
    )
    result.stdout.no_fnmatch_line("*worth knowing*")


def test_what_only_good_clients_reject_is_told_of_and_fails_under_strict(run: Run) -> None:
    tests = """
        import clients

        def test_client(mitm_audit):
            mitm_audit(clients.checks_nothing, only=["no-san", "must-staple"])
        """
    result = run(tests)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_client: only stricter clients refuse no-san (should): this client *"]
    )
    # Of what is for information alone, nothing is told.
    result.stdout.no_fnmatch_line("*must-staple*")
    run(tests, "--mitm-strict").assert_outcomes(failed=1)


def test_an_unsupported_certificate_is_not_dropped_in_silence(run: Run) -> None:
    result = run(
        """
        import clients

        def test_client(mitm_audit):
            mitm_audit(clients.checks, only=["self-signed", "parent-domain"])
        """
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*: 1 cannot be presented for localhost: give a longer name, mitm_name *: parent-domain"]
    )


def test_a_client_that_hangs_ends_the_test_and_not_the_run(run: Run) -> None:
    result = run(
        """
        import threading, clients

        forever = threading.Event()

        def test_client(mitm_audit):
            mitm_audit(lambda server: forever.wait(), only="self-signed", timeout=0.1)

        def test_another(mitm_audit):
            mitm_audit(clients.checks, only="self-signed")

        def teardown_module():
            forever.set()
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["  happened    the client did not end within 0.1 s"])


def test_the_report_is_there_for_those_who_want_more(run: Run) -> None:
    result = run(
        """
        import clients

        def test_client(mitm_audit):
            report = mitm_audit(clients.checks, only="CWE-297", exclude=["should", "info"])
            assert report.conclusive
            assert {"wrong-host"} <= {finding.case.name for finding in report.findings}
            assert all(finding.case.severity == "must" for finding in report.findings)
        """
    )
    result.assert_outcomes(passed=1)
