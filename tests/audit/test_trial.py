"""The audit as a whole: controls first and last, so many at once, and in a stable order."""

import asyncio
import functools
import ssl

import pytest
from msgspec import structs

from mitm.audit import (
    ClientRun,
    Endpoint,
    Finding,
    Suite,
    catalogue,
    forge_suite,
    run_audit,
    select,
    stand_in,
)
from mitm.errors import UserError
from tests.audit.findings import SUBJECT
from tests.proxy.stage import LoopFactory, run

NAMES = ["attacker-ca", "ip-mismatch", "long-chain", "parent-domain", "self-signed", "wrong-host"]


@pytest.fixture(scope="module")
def suite() -> Suite:
    return forge_suite(select(catalogue(), NAMES))


class Client:
    """An asyncio client that takes the genuine certificate first, whatever it does later.

    Args:
        verify: whether it verifies the others.
        late: how many of its first connections wait for those after them.
    """

    def __init__(self, *, verify: bool = True, late: int = 0) -> None:
        self._verify = verify
        self._late = late
        self._others_done = asyncio.Event()
        self.ports: list[int] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        self.ports.append(endpoint.port)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._connect(endpoint, number=len(self.ports))
        finally:
            self.at_once -= 1

    async def _connect(self, endpoint: Endpoint, number: int) -> ClientRun:
        # The first is the control, and tried by itself.
        if 1 < number <= 1 + self._late:
            await self._others_done.wait()
        elif number > 1 + self._late:
            self._others_done.set()
        context = ssl.create_default_context(cafile=endpoint.ca_file)
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        try:
            reader, writer = await asyncio.open_connection(
                endpoint.host, endpoint.port, ssl=context, server_hostname=endpoint.name
            )
        except ssl.SSLError as error:
            return ClientRun("returned", said=str(error), failed=True)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await reader.read()
        writer.close()
        return ClientRun("returned")


def test_a_client_that_verifies_and_one_that_does_not(suite: Suite, loop: LoopFactory) -> None:
    async def main() -> None:
        async with stand_in() as upstream:
            good = await run_audit(suite, Client(), upstream, subject=SUBJECT)
            assert good.conclusive
            assert not good.failing()
            assert {f.case.name: f.outcome for f in good.findings} == {
                "attacker-ca": "pass",
                "ip-mismatch": "pass",
                "long-chain": "pass",
                "parent-domain": "unsupported",
                "self-signed": "pass",
                "wrong-host": "pass",
            }
            bad = await run_audit(suite, Client(verify=False), upstream, subject=SUBJECT)
            assert bad.conclusive
            assert [f.case.name for f in bad.failing()] == [
                "attacker-ca",
                "ip-mismatch",
                "self-signed",
                "wrong-host",
            ]

    run(main(), loop)


def test_a_crash_that_the_genuine_certificate_brings_too_is_nothing_new(
    suite: Suite, loop: LoopFactory
) -> None:
    async def main() -> None:
        client = Client()

        async def dying(endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
            run = await client(endpoint, enough)
            return structs.replace(run, end="ended", exit_code=-6, crash="SIGABRT")

        async def dying_of_forgeries(endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
            run = await client(endpoint, enough)
            return structs.replace(run, end="ended", crash="SIGABRT") if run.failed else run

        async with stand_in() as upstream:
            always = await run_audit(suite, dying, upstream, subject=SUBJECT)
            assert always.conclusive
            assert not always.count("crashed")
            twin = await run_audit(suite, dying_of_forgeries, upstream, subject=SUBJECT)
            assert twin.conclusive
            assert twin.count("crashed")

    run(main(), loop)


def test_the_controls_are_first_and_last_and_each_certificate_has_a_port_of_its_own(
    suite: Suite,
) -> None:
    told: list[Finding] = []

    async def main() -> None:
        client = Client()
        async with stand_in() as upstream:
            await run_audit(
                suite, client, upstream, subject=SUBJECT, jobs=4, on_finding=told.append
            )
        # Two controls, five certificates, and one that cannot be presented.
        assert len(client.ports) == 7

    run(main())
    assert len(told) == 8
    assert told[0].case.name == told[-1].case.name == "genuine"
    assert "genuine" not in {finding.case.name for finding in told[1:-1]}


def test_the_order_is_the_suites_whatever_ends_first(suite: Suite, loop: LoopFactory) -> None:
    told: list[str] = []

    async def main() -> None:
        client, others_done = Client(), asyncio.Event()

        def tell(finding: Finding) -> None:
            told.append(finding.case.name)
            if len(told) == len(NAMES):
                others_done.set()

        async def slow_to_an_address(endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
            # One certificate alone is dialled by address.
            if endpoint.host == "127.0.0.1":
                await others_done.wait()
            return await client(endpoint, enough)

        async with stand_in() as upstream:
            report = await run_audit(
                suite, slow_to_an_address, upstream, subject=SUBJECT, jobs=2, on_finding=tell
            )
        assert [f.case.name for f in report.findings] == NAMES

    run(main(), loop)
    assert told[0] == told[-1] == "genuine"
    assert told[-2] == "ip-mismatch"


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_so_many_are_tried_at_once(suite: Suite, jobs: int) -> None:
    async def main() -> None:
        # With several jobs, as many wait for the others as leave one job free for those.
        client = Client(late=jobs - 1)
        async with stand_in() as upstream:
            await run_audit(suite, client, upstream, subject=SUBJECT, jobs=jobs)
        assert client.most_at_once == jobs

    run(main())


def test_a_client_that_has_been_refused_and_tries_again_waits_beside_others(suite: Suite) -> None:
    # It waits for as long as others are to come: with one run at once, they never would.
    waiting, all_wait = 0, asyncio.Event()
    refused = len({"attacker-ca", "ip-mismatch", "self-signed", "wrong-host"})

    async def main() -> None:
        client = Client()

        async def patient(endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
            nonlocal waiting
            ran = await client(endpoint, enough)
            if ran.failed:
                waiting += 1
                if waiting == refused:
                    all_wait.set()
                async with asyncio.timeout(30):
                    await all_wait.wait()
            return ran

        async with stand_in() as upstream:
            report = await run_audit(
                suite, patient, upstream, subject=SUBJECT, jobs=1, waiting=refused - 1
            )
        assert report.conclusive
        assert not report.failing()

    run(main())
    assert waiting == refused


def test_a_first_control_that_fails_is_the_end(suite: Suite) -> None:
    runs = 0

    async def refuse(endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        nonlocal runs
        runs += 1
        return ClientRun("returned", said="no", failed=True)

    async def main() -> None:
        async with stand_in() as upstream:
            report = await run_audit(suite, refuse, upstream, subject=SUBJECT)
        assert [c.outcome for c in report.controls] == ["inconclusive"]
        assert report.findings == ()
        assert not report.conclusive

    run(main())
    assert runs == 1


def test_a_last_control_that_fails_is_told_with_what_was_found(suite: Suite) -> None:
    async def main() -> None:
        client = Client(verify=False)

        async def tiring(endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
            return (
                await client(endpoint, enough)
                if len(client.ports) < 6
                else ClientRun("returned", said="tired")
            )

        async with stand_in() as upstream:
            report = await run_audit(suite, tiring, upstream, subject=SUBJECT)
        assert [c.outcome for c in report.controls] == ["pass", "inconclusive"]
        assert len(report.failing()) == 4
        assert not report.conclusive

    run(main())


@pytest.mark.parametrize("at", [1, 3])
def test_a_client_that_cannot_be_started_is_one_error_whenever_that_shows(
    suite: Suite, at: int
) -> None:
    async def main() -> None:
        client = Client()

        async def vanishing(endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
            if len(client.ports) + 1 >= at:
                raise UserError("cannot start it")
            return await client(endpoint, enough)

        async with stand_in() as upstream:
            with pytest.raises(UserError, match="cannot start it"):
                await run_audit(suite, vanishing, upstream, subject=SUBJECT, jobs=3)

    run(main())


def test_a_bug_in_a_client_under_test_is_not_hidden(suite: Suite) -> None:
    async def main() -> None:
        async def broken(endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
            raise RuntimeError("a bug")

        async with stand_in() as upstream:
            with pytest.raises(RuntimeError, match="a bug"):
                await run_audit(suite, broken, upstream, subject=SUBJECT)

    run(main())


async def _takes_the_other_address(
    endpoint: Endpoint, enough: asyncio.Event, *, careless: bool = False
) -> ClientRun:
    """Make two calls; go from a name that is refused to the other address, as gRPC's C core does.

    The connection that was refused is closed without an alert, and too late to be told from one
    that was given up because the other one was faster.
    """
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    context.check_hostname = False
    failed = False
    for call in range(2):
        refused = []
        for address in ("::1", "127.0.0.1"):
            reader, writer = await asyncio.open_connection(address, endpoint.port, ssl=context)
            certificate = writer.get_extra_info("peercert")
            fits = ("DNS", endpoint.name) in certificate["subjectAltName"]
            if fits or (careless and call == 1):
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await reader.read()
                writer.close()
                break
            refused.append(writer)
        else:
            failed = True
        for writer in refused:
            writer.close()
    return ClientRun("returned", failed=failed)


@pytest.mark.parametrize("careless", [False, True])
def test_who_goes_from_a_refusal_to_the_other_address_has_been_attacked(
    loop: LoopFactory, careless: bool
) -> None:
    client = functools.partial(_takes_the_other_address, careless=careless)

    async def main() -> None:
        [attack] = select(catalogue(), ["at-position"])
        suite = forge_suite([structs.replace(attack, forgeries=("wrong-host",))])
        async with stand_in() as upstream:
            report = await run_audit(suite, client, upstream, subject=SUBJECT, jobs=1)
        (finding,) = report.findings
        assert finding.outcome == ("vulnerable" if careless else "pass"), finding.reason

    run(main(), loop)
