"""A session: cases presented all at once, and judged in any order, as often as is asked."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from mitm import audit
from mitm.audit import Report, Subject, catalogue, forge_suite, select, stand_in
from mitm.audit.session import Session
from mitm.audit.session.message import message
from mitm.audit.session.presented import Judgement
from mitm.evidence import ClientRun
from tests.audit import hand_made, steps
from tests.audit.hand_made import OPENING, Connection, Server, call, unverifying, verifying
from tests.plugin import clients

Client = Callable[[audit.Endpoint], object]


@contextlib.asynccontextmanager
async def presented(*words: str) -> AsyncIterator[Session]:
    suite = forge_suite(select(catalogue(), words))
    async with stand_in() as server, Session(suite, server) as session:
        yield session


async def tried(session: Session, name: str, client: Client) -> Judgement:
    """Run a client against a case, and ask what came of it, as a test of somebody's does."""
    return await session.judge(name, await ended(session, name, client))


async def ended(session: Session, name: str, client: Client) -> ClientRun:
    try:
        await asyncio.to_thread(client, session.cases[name].endpoint)
    except OSError as error:
        return ClientRun("returned", said=str(error), failed=True)
    return ClientRun("returned")


async def controlled(session: Session, client: Client = hand_made.correct) -> None:
    """Let a client through both controls."""
    for name in ("genuine", "genuine-again"):
        assert (await tried(session, name, client)).word == "ok"


def nothing(server: Server) -> None:
    """Does not connect."""


def outcomes(report: Report) -> dict[str, str]:
    return {finding.case.name: finding.outcome for finding in report.findings}


async def outcome(session: Session) -> str:
    """What came of the one case that there is."""
    (finding,) = (await session.report(Subject("test"))).findings
    return finding.outcome


def test_a_case_is_judged_when_that_is_asked() -> None:
    async def play() -> None:
        async with presented("attacker-ca", "mixed-case") as session:
            assert list(session.cases) == ["genuine", "attacker-ca", "mixed-case", "genuine-again"]
            await controlled(session)
            assert (await tried(session, "attacker-ca", hand_made.correct)).word == "ok"
            assert (await tried(session, "mixed-case", hand_made.correct)).word == "ok"
            report = await session.report(Subject("test"))
        assert report.conclusive
        assert outcomes(report) == {"attacker-ca": "pass", "mixed-case": "pass"}

    asyncio.run(play())


def test_a_careless_client_is_told_what_was_read() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            judgement = await tried(session, "attacker-ca", hand_made.careless)
            assert judgement.word == "fail"
            told = message(judgement)
            for part in (
                "attacker-ca: your client accepted what it must refuse",
                session.cases["attacker-ca"].endpoint.target,
                "/users.v1.UserService/GetUser",
                "fix ",
                "rule ",
            ):
                assert part in told
            assert hand_made.TOKEN.decode() not in told
            assert await outcome(session) == "vulnerable"

    asyncio.run(play())


def test_who_keeps_the_first_ca_file_is_told_to_read_each() -> None:
    async def play() -> None:
        async with presented("attacker-ca", "ca-another") as session:
            await controlled(session)
            for name, told in (("ca-another", True), ("attacker-ca", False)):
                judgement = await tried(session, name, hand_made.careless)
                assert judgement.word == "fail"
                anew = "read the file of each case" in " ".join(message(judgement).split())
                assert anew == told

    asyncio.run(play())


def test_each_run_is_judged_by_itself_and_the_report_forgets_none() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            assert (await tried(session, "attacker-ca", hand_made.careless)).word == "fail"
            assert (await tried(session, "attacker-ca", hand_made.correct)).word == "ok"
            assert await outcome(session) == "vulnerable"

    asyncio.run(play())


def test_a_sound_client_may_be_tried_as_often_as_you_like() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            for _ in range(2):
                await controlled(session)
                assert (await tried(session, "attacker-ca", hand_made.correct)).word == "ok"
            report = await session.report(Subject("test"))
        assert report.conclusive
        assert outcomes(report) == {"attacker-ca": "pass"}

    asyncio.run(play())


def _opened(server: Server, *contexts: ssl.SSLContext) -> list[Connection]:
    """Connections that are there, and on which nothing was said."""
    return [Connection(server, context).handshake() for context in contexts]


def test_what_is_sent_after_the_judgement_is_held_against_the_client() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            endpoint = session.cases["attacker-ca"].endpoint
            (late,) = await asyncio.to_thread(_opened, endpoint, unverifying())
            judgement = await session.judge("attacker-ca", ClientRun("returned", failed=True))
            assert judgement.finding.outcome == "pass"
            await asyncio.to_thread(late.ask)
            await asyncio.to_thread(late.notify)
            assert await outcome(session) == "vulnerable"

    asyncio.run(play())


def test_and_a_connection_that_is_only_closed_after_it_is_not() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            endpoint = session.cases["attacker-ca"].endpoint
            (late,) = await asyncio.to_thread(_opened, endpoint, unverifying())
            await session.judge("attacker-ca", ClientRun("returned", failed=True))
            await asyncio.to_thread(late.notify)
            assert await outcome(session) == "pass"

    asyncio.run(play())


def test_of_two_connections_the_one_that_gave_in_counts() -> None:
    def one_of_each(server: Server) -> None:
        with contextlib.suppress(ssl.SSLError):
            hand_made.correct(server)
        hand_made.careless(server)

    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            assert (await tried(session, "attacker-ca", one_of_each)).word == "fail"

    asyncio.run(play())


def test_another_client_under_way_is_judged_by_all_that_it_has_met() -> None:
    """Two processes of one test run: the one asks while the other is in its handshake."""

    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            endpoint = session.cases["attacker-ca"].endpoint
            (other,) = await asyncio.to_thread(_opened, endpoint, unverifying())
            assert (await tried(session, "attacker-ca", hand_made.correct)).word == "ok"
            await asyncio.to_thread(other.notify)
            judgement = await session.judge("attacker-ca", ClientRun("returned", failed=True))
            assert judgement.finding.outcome == "pass", judgement.finding.reason

    asyncio.run(play())


def test_a_channel_that_outlives_its_run_is_no_news_to_the_next() -> None:
    """Its connection was read, and told; that it is closed later is nothing new."""

    def leaves_it_open(kept: list[Connection], server: Server) -> None:
        connection = Connection(server, unverifying()).handshake()
        connection.ask()
        kept.append(connection)

    async def play() -> None:
        kept: list[Connection] = []
        async with presented("attacker-ca", "second-connection") as session:
            await controlled(session)
            open_ended = partial(leaves_it_open, kept)
            assert (await tried(session, "attacker-ca", open_ended)).word == "fail"
            judgement = await tried(session, "second-connection", open_ended)
            assert judgement.finding.outcome == "not-exercised"
            for connection in kept:
                connection.send(hand_made.goaway())
                await asyncio.to_thread(connection.notify)
            assert (await tried(session, "attacker-ca", hand_made.correct)).word == "ok"
            again = await session.judge("second-connection", ClientRun("returned"))
            assert again.finding.outcome == "inconclusive"
            assert "did not connect" in message(again)
            found = outcomes(await session.report(Subject("test")))
        assert found["attacker-ca"] == "vulnerable"
        assert found["second-connection"] != "vulnerable"

    asyncio.run(play())


def test_a_call_on_a_channel_that_is_kept_counts_for_the_run_that_makes_it() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            endpoint = session.cases["genuine"].endpoint
            with Connection(endpoint, verifying(endpoint)) as kept:
                await asyncio.to_thread(kept.handshake)
                await asyncio.to_thread(kept.ask)
                assert (await session.judge("genuine", ClientRun("returned"))).word == "ok"
                kept.send(call(3))
                await asyncio.to_thread(kept.wait_for, hand_made.HEADERS, hand_made.END_STREAM)
                assert (await session.judge("genuine", ClientRun("returned"))).word == "ok"
                assert (await session.judge("genuine", ClientRun("returned"))).word == "fail"

    asyncio.run(play())


@pytest.mark.parametrize("name", ["genuine", "attacker-ca", "mixed-case"])
def test_a_client_that_did_not_connect_has_proved_nothing(name: str) -> None:
    async def play() -> None:
        async with presented("attacker-ca", "mixed-case") as session:
            judgement = await tried(session, name, nothing)
            assert judgement.word == "fail"
            target = session.cases[name].endpoint.target
            assert f"{name}: your client did not connect to {target}" in message(judgement)

    asyncio.run(play())


def test_who_asks_when_another_has_just_been_judged_is_told_of_it() -> None:
    """Two programs that try a case at once: the first to ask is told what both have done."""

    async def play() -> None:
        async with presented("attacker-ca") as session:
            first = await tried(session, "attacker-ca", nothing)
            second = await tried(session, "attacker-ca", nothing)
            assert "one after the other" not in message(first)
            assert "one after the other" in message(second)
            assert second.word == "fail"

    asyncio.run(play())


def test_what_was_not_tried_is_inconclusive() -> None:
    async def play() -> None:
        async with presented("attacker-ca", "mixed-case") as session:
            await controlled(session)
            await tried(session, "mixed-case", hand_made.correct)
            report = await session.report(Subject("test"))
        assert outcomes(report) == {"attacker-ca": "inconclusive", "mixed-case": "pass"}
        assert [finding.case.name for finding in report.undecided()] == ["attacker-ca"]

    asyncio.run(play())


@pytest.mark.parametrize(
    ("client", "found"), [(hand_made.careless, "vulnerable"), (hand_made.correct, "pass")]
)
def test_what_nobody_asks_about_is_judged_by_what_was_seen(client: Client, found: str) -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            await ended(session, "attacker-ca", client)
            assert await outcome(session) == found

    asyncio.run(play())


def test_nothing_is_proved_without_the_control() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            assert (await tried(session, "attacker-ca", hand_made.correct)).word == "ok"
            report = await session.report(Subject("test"))
        assert not report.conclusive

    asyncio.run(play())


def _health_and_call(server: Server) -> None:
    """Two connections of one kind each; nothing is said of the second where the first is left."""
    hand_made.check_health(server, verifying(server, "http/1.1"))
    steps.talk(server, verifying(server))


@pytest.mark.parametrize("control_first", [True, False])
def test_the_control_counts_whenever_it_came(control_first: bool) -> None:
    """A client with two connections was attacked on one: the control alone shows that."""

    async def play() -> None:
        async with presented("attacker-ca") as session:
            if control_first:
                await controlled(session, _health_and_call)
            judgement = await tried(session, "attacker-ca", _health_and_call)
            assert (judgement.finding.outcome == "pass") is not control_first
            assert ("audit it without --session" in message(judgement)) is control_first
            if not control_first:
                await controlled(session, _health_and_call)
            assert await outcome(session) == "inconclusive"

    asyncio.run(play())


# Attacks in steps


def test_each_play_of_an_attack_is_a_case_and_the_report_has_one_finding() -> None:
    async def play() -> None:
        async with presented("second-connection") as session:
            names = [name for name in session.cases if "genuine" not in name]
            assert names == ["second-connection", "second-connection-2", "second-connection-3"]
            client = partial(steps.checks_then_talks, verify=steps.everything)
            await controlled(session, client)
            for name in names:
                assert (await tried(session, name, client)).word == "ok"
            assert await outcome(session) == "pass"

    asyncio.run(play())


def test_a_flaw_of_the_second_connection_is_found() -> None:
    async def play() -> None:
        async with presented("second-connection") as session:
            client = partial(steps.checks_then_talks, verify=steps.nothing)
            await controlled(session, client)
            judgement = await tried(session, "second-connection-2", client)
            assert judgement.word == "fail"
            assert "connection 2, shown wrong-host" in message(judgement)
            assert await outcome(session) == "vulnerable"

    asyncio.run(play())


@pytest.mark.parametrize(
    ("verify", "found"), [(steps.nothing, "vulnerable"), (steps.everything, "pass")]
)
def test_what_is_kept_from_one_call_to_the_next_is_tried_by_calling_twice(
    verify: steps.Verify, found: str
) -> None:
    async def play(calls: int) -> str:
        remembers = steps.VerifiesOnce()

        def client(server: audit.Endpoint) -> None:
            for _ in range(calls):
                remembers(server, verify)

        async with presented("second-connection") as session:
            await controlled(session, client)
            for name in session.cases:
                await tried(session, name, client)
            return await outcome(session)

    assert asyncio.run(play(1)) == "not-exercised"
    assert asyncio.run(play(2)) == found


def test_a_play_that_was_not_tried_leaves_its_attack_undecided() -> None:
    async def play() -> None:
        async with presented("second-connection") as session:
            client = partial(steps.checks_then_talks, verify=steps.everything)
            await controlled(session, client)
            await tried(session, "second-connection", client)
            assert await outcome(session) == "inconclusive"

    asyncio.run(play())


@pytest.mark.parametrize("by", ["judge", "reset"])
def test_a_play_begins_with_its_first_step_again(by: str) -> None:
    async def play() -> None:
        async with presented("second-connection") as session:
            case = session.cases["second-connection"]
            for _ in range(2):
                assert case.listener.step == 1
                client = partial(steps.talk, context=verifying(case.endpoint))
                assert not (await ended(session, case.name, client)).failed
                assert case.listener.step == 2
                if by == "judge":
                    await session.judge(case.name, ClientRun("returned"))
                else:
                    await session.reset(case.name)

    asyncio.run(play())


def test_a_reset_does_not_wash_anybody_clean() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            await ended(session, "attacker-ca", hand_made.careless)
            await session.reset("attacker-ca")
            assert (await tried(session, "attacker-ca", hand_made.correct)).word == "ok"
            assert await outcome(session) == "vulnerable"

    asyncio.run(play())


def test_what_a_session_cannot_play_says_why() -> None:
    async def play() -> None:
        async with presented("at-position", "same-process", "system-root") as session:
            assert list(session.cases) == ["genuine", "genuine-again"]
            await controlled(session)
            report = await session.report(Subject("test"))
        for finding in report.findings:
            assert finding.outcome == "not-exercised"
            assert "session" in finding.reason

    asyncio.run(play())


def test_what_is_offered_is_judged_by_the_control() -> None:
    async def play() -> None:
        async with presented("offers-null") as session:
            await controlled(session)
            assert await outcome(session) == "pass"

    asyncio.run(play())


def _goes_on_without_its_file(server: audit.Endpoint) -> None:
    try:
        clients.checks(server)
    except FileNotFoundError:
        clients.checks_nothing(server)


@pytest.mark.parametrize(
    ("client", "word"), [(clients.checks, "ok"), (_goes_on_without_its_file, "fail")]
)
def test_a_client_without_its_ca_file_is_to_stop(client: Client, word: str) -> None:
    async def play() -> None:
        async with presented("ca-missing") as session:
            await controlled(session)
            assert (await tried(session, "ca-missing", client)).word == word

    asyncio.run(play())


# At once


def test_all_may_be_tried_at_once_and_in_any_order() -> None:
    async def play() -> None:
        async with presented("attacker-ca", "wrong-host", "expired", "mixed-case") as session:
            names = list(session.cases)[::-1]
            asked = (tried(session, name, hand_made.correct) for name in names)
            assert [each.word for each in await asyncio.gather(*asked)] == ["ok"] * len(names)
            report = await session.report(Subject("test"))
        assert report.conclusive
        assert set(outcomes(report).values()) == {"pass"}

    asyncio.run(play())


def test_one_case_may_be_judged_twice_at_once() -> None:
    async def play() -> None:
        async with presented("attacker-ca") as session:
            await ended(session, "attacker-ca", hand_made.careless)
            run = ClientRun("returned")
            asked = (session.judge("attacker-ca", run) for _ in range(2))
            outcomes = [each.finding.outcome for each in await asyncio.gather(*asked)]
            assert outcomes == ["vulnerable", "inconclusive"]
            await controlled(session)
            assert await outcome(session) == "vulnerable"

    asyncio.run(play())


def test_the_opening_alone_is_no_data() -> None:
    def opens(server: Server) -> None:
        with Connection(server, unverifying()) as connection:
            connection.handshake()
            connection.send(OPENING)
            connection.notify()

    async def play() -> None:
        async with presented("attacker-ca") as session:
            await controlled(session)
            assert (await tried(session, "attacker-ca", opens)).word == "ok"

    asyncio.run(play())
