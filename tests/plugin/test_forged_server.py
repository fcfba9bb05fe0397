"""The fixture `forged_server`: an item for each certificate, judged by what its client did."""

import pytest

from mitm.audit import certificates
from tests.plugin.conftest import Run
from tests.plugin.test_mitm_audit import ASYNC_CLIENTS, SYNC_CLIENTS, TOO_STRICT

SOME = "attacker-ca,long-chain,self-signed"
ITEMS = ["genuine", "attacker-ca", "long-chain", "self-signed"]


def test_there_is_an_item_for_each_certificate_and_the_control_is_first(run: Run) -> None:
    result = run("def test_each(forged_server): ...", "--collect-only", "-q")
    ids = [line for line in result.outlines if "::" in line]
    others = [recipe.name for recipe in certificates() if recipe.name != "genuine"]
    assert ids == [f"test_it.py::test_each[{name}]" for name in ["genuine", *others]]


def test_the_control_is_among_the_chosen_ones_whether_chosen_or_not(run: Run) -> None:
    result = run(
        "def test_each(forged_server): ...", "--collect-only", "-q", "--mitm-certs=self-signed"
    )
    result.stdout.fnmatch_lines(["*[[]genuine]", "*[[]self-signed]", "", "2 tests collected*"])


SYNC = "with forged_server.must_abort():\n        clients.{}(forged_server)"
ASYNC = (
    "async def main():\n"
    "        {} forged_server.must_abort():\n"
    "            await clients.{}(forged_server)\n"
    "    asyncio.run(main())"
)
BODIES = [
    pytest.param(*(SYNC.format(client) for client in pair), id=name) for name, pair in SYNC_CLIENTS
] + [
    pytest.param(*(ASYNC.format(block, client) for client in pair), id=f"{name}, {block}")
    for name, pair in ASYNC_CLIENTS
    for block in ("with", "async with")
]


@pytest.mark.parametrize(("correct", "careless"), BODIES)
def test_a_correct_client_passes_and_its_careless_twin_fails(
    run: Run, correct: str, careless: str
) -> None:
    result = run(
        f"""
import asyncio, clients

def test_correct(forged_server):
    {correct}

def test_careless(forged_server):
    {careless}
""",
        "--mitm-certs",
        SOME,
        "-v",
    )
    result.assert_outcomes(passed=6, failed=2)
    result.stdout.fnmatch_lines(
        [
            *(f"*::test_correct[[]{name}] PASSED*" for name in ITEMS),
            "*::test_careless[[]genuine] PASSED*",
            "*::test_careless[[]attacker-ca] FAILED*",
            "*::test_careless[[]long-chain] PASSED*",
            "*::test_careless[[]self-signed] FAILED*",
        ]
    )


def test_a_subprocess_in_the_body_is_judged_as_well(run: Run) -> None:
    result = run(
        """
        import subprocess, sys
        from mitm import content

        def call(server, policy):
            program = [sys.executable, str(content.CLIENTS / "python" / "client.py")]
            where = ["--target", server.target, "--ca", str(server.ca_file), "--policy", policy]
            subprocess.run([*program, *where], check=True, timeout=60)

        def test_correct(forged_server):
            with forged_server.must_abort():
                call(forged_server, "ca-file")

        def test_careless(forged_server):
            with forged_server.must_abort():
                call(forged_server, "skip-verify")
        """,
        "--mitm-certs=self-signed",
        "-v",
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*::test_careless[[]self-signed] FAILED*"])


def test_a_failure_shows_certificate_evidence_rule_fix_and_lesson(run: Run) -> None:
    result = run(
        """
        import clients

        def test_client(forged_server):
            with forged_server.must_abort():
                clients.calls_whom_it_meets(forged_server)
                raise RuntimeError("the client goes on")
        """,
        "--mitm-certs=attacker-ca",
    )
    result.stdout.fnmatch_lines(
        [
            "*_ test_client[[]attacker-ca] _*",
            "This client takes any issuer: no trust in a CA is checked.",
            "attacker-ca: A leaf from an authority that nobody trusts",
            "  expected    a client leaves before it has sent anything (must, CWE-295, CWE-296)",
            "  happened    accepted; read: /users.v1.UserService/GetUser; *"
            "credentials: authorization",
            "  rule        RFC 5280 section 6.1: *",
            "  fix         Give grpc.ssl_channel_credentials the CA's own PEM file as *",
            "  lesson      Everything about this certificate is right, *",
            "  more        mitm-demo show attacker-ca",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*goes on*")
    result.stdout.no_fnmatch_line("*s3cret*")


def test_a_client_without_tls_is_told_so(run: Run) -> None:
    result = run(
        """
        import socket, clients

        def test_client(forged_server):
            address = forged_server.host, forged_server.port
            with forged_server.must_abort(), socket.create_connection(address, 20) as plain:
                plain.sendall(clients.REQUEST)
                plain.recv(1)
        """,
        "--mitm-certs=wrong-host",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["This client uses no TLS.", "  fix         Connect with TLS, *"])
    result.stdout.no_fnmatch_line("*name check*")


def test_a_control_that_fails_says_that_nothing_is_proved(run: Run) -> None:
    result = run(
        """
        import socket, ssl

        def test_client(forged_server):
            address = forged_server.host, forged_server.port
            with forged_server.must_abort(), socket.create_connection(address) as plain:
                ssl.create_default_context().wrap_socket(plain, server_hostname=forged_server.name)
        """,
        "--mitm-certs=self-signed",
        "-v",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*[[]genuine] FAILED*",
            "*[[]self-signed] PASSED*",
            "Nothing is proved: *",
            "  happened    rejected: alert unknown_ca (48)*",
            "  client said SSLCertVerificationError: *",
        ]
    )


def test_a_body_that_never_connects_is_inconclusive(run: Run) -> None:
    result = run(
        """
        def test_client(forged_server):
            with forged_server.must_abort():
                pass
        """,
        "--mitm-certs=self-signed",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["  happened    the client never connected", "self-signed: *the client never connected*"]
    )


def test_a_mistake_in_the_test_is_the_tests_own(run: Run) -> None:
    result = run(
        """
        import clients

        def test_before(forged_server):
            with forged_server.must_abort():
                clients.checks(forged_servr)

        def test_after(forged_server):
            with forged_server.must_abort():
                clients.checks(forged_server)
                prnt("through")

        def test_asserted(forged_server):
            with forged_server.must_abort():
                assert clients.checks(forged_server) == b"something else"

        def test_called_wrongly(forged_server):
            with forged_server.must_abort():
                clients.checks(forged_server, forged_server)
        """,
        "--mitm-certs=genuine",
    )
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "E *NameError: name 'forged_servr' is not defined*",
            "E *mitm-demo: genuine: inconclusive: the client never connected*",
            "E *NameError: name 'prnt' is not defined*",
            "E *AssertionError*",
            "E *TypeError: *",
        ]
    )


def test_what_belongs_to_pytest_is_left_to_it(run: Run) -> None:
    result = run(
        """
        import pytest

        def test_skipped(forged_server):
            with forged_server.must_abort():
                pytest.skip("not today")

        def test_failed(forged_server):
            with forged_server.must_abort():
                pytest.fail("of its own accord")
        """,
        "--mitm-certs=genuine",
    )
    result.assert_outcomes(skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*of its own accord*"])


def test_the_clients_exception_is_swallowed_however_it_gives_up(run: Run) -> None:
    result = run(
        """
        import sys, clients

        def main(server):
            try:
                clients.checks(server)
            except OSError:
                sys.exit(1)

        def test_client(forged_server):
            with forged_server.must_abort():
                main(forged_server)
        """,
        "--mitm-certs=self-signed",
    )
    result.assert_outcomes(passed=2)


def test_each_block_is_judged_by_itself(run: Run) -> None:
    result = run(
        """
        import clients

        def test_client(forged_server):
            with forged_server.must_abort():
                clients.checks(forged_server)
            with forged_server.must_abort():
                pass
        """,
        "--mitm-certs=self-signed",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*the client never connected*"])


def test_a_client_outside_of_any_block_is_judged_at_the_end(run: Run) -> None:
    result = run(
        """
        import pytest, clients

        def test_client(forged_server):
            clients.checks_nothing(forged_server)
        """,
        "--mitm-certs=self-signed",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_client[[]self-signed]*"])


def test_too_strict_a_client_is_told_of_and_fails_under_strict(run: Run) -> None:
    tests = f"""
{TOO_STRICT}

def test_client(forged_server):
    with forged_server.must_abort():
        pins(forged_server)
"""
    result = run(tests, "--mitm-certs=long-chain")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*::test_client[[]long-chain]: long-chain: too-strict*"])
    result = run(tests, "--mitm-certs=long-chain", "--mitm-strict")
    result.assert_outcomes(passed=1, failed=1)


def test_what_cannot_be_presented_is_skipped_with_the_reason(run: Run) -> None:
    result = run(
        """
        import clients

        def test_client(forged_server):
            with forged_server.must_abort():
                clients.checks(forged_server)
        """,
        "--mitm-certs=parent-domain",
        "-rs",
    )
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*unsupported: the name under test, localhost, *"])


def test_clients_may_leave_their_channels_open(run: Run) -> None:
    result = run(
        """
        import clients, grpc

        channels = []

        def test_client(forged_server):
            with forged_server.must_abort():
                credentials = grpc.ssl_channel_credentials(forged_server.ca_pem)
                channel = grpc.secure_channel(forged_server.target, credentials)
                channels.append(channel)
                channel.unary_unary(clients.METHOD)(b"", timeout=clients.LIMIT)

        def teardown_module():
            for channel in channels:
                channel.close()
        """,
        "--mitm-certs",
        SOME,
    )
    result.assert_outcomes(passed=4)


def test_a_test_without_its_control_says_that_it_proves_nothing(run: Run) -> None:
    """A client that gets through nowhere passes with each forgery."""
    tests = """
        import clients

        def test_client(forged_server):
            with forged_server.must_abort():
                clients.checks(forged_server)
        """
    remark = "*test_client[[]attacker-ca]: proves nothing without its control, [[]genuine]*"
    alone = run(tests, "-k", "attacker-ca]")
    assert alone.parseoutcomes()["passed"] == 1
    alone.stdout.fnmatch_lines([remark])
    by_id = run(tests, "test_it.py::test_client[attacker-ca]")
    by_id.assert_outcomes(passed=1)
    by_id.stdout.fnmatch_lines([remark])
    both = run(tests, "--mitm-certs=attacker-ca")
    both.assert_outcomes(passed=2)
    both.stdout.no_fnmatch_line("*proves nothing*")


def test_an_attack_in_steps_is_not_for_one_server(run: Run) -> None:
    test = "def test_each(forged_server): ..."
    result = run(test, "-rs", "--mitm-certs=second-connection")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*attacks in several steps are played by mitm_audit*"])
    both = run(test, "--collect-only", "-q", "--mitm-certs=second-connection,expired")
    both.stdout.fnmatch_lines(["*[[]genuine]", "*[[]expired]", "", "2 tests collected*"])
