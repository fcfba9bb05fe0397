"""Observers: what they raise is their own, and neither a connection's end nor anybody's verdict."""

import logging
import socket

import pytest

from mitm import events
from mitm.address import Address
from mitm.events import Event
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor
from tests.proxy.stage import (
    LIMIT,
    LOCALHOST,
    LoopFactory,
    Props,
    Stage,
    a_stage,
    client_context,
    presenting,
    run,
    server_context,
)
from tests.proxy.test_watcher import REQUEST, RESPONSE

TOLD = (
    events.Connected,
    events.ClientHello,
    events.UpstreamConnected,
    events.CertificatePresented,
    events.HandshakeCompleted,
    events.ApplicationData,
    events.Frame,
    events.Headers,
    events.Message,
    events.Closed,
)
STOLEN = "a secret that a peer has sent"


class Raising:
    """An `on_event` that raises at the events of one kind."""

    def __init__(self, kind: type[Event] | None, error: Exception) -> None:
        self.raised = 0
        self.losses: list[str] = []
        self._kind = kind
        self._error = error

    def __call__(self, event: Event) -> None:
        if self._kind and isinstance(event, self._kind):
            self.raised += 1
            raise self._error


async def a_call(stage: Stage, *, notify: bool = True) -> None:
    """A request and its answer, byte for byte."""
    client, server = await stage.connect(
        client_context(alpn=("h2",)), server_context(stage.props.genuine, alpn=("h2",))
    )
    await client.send(REQUEST)
    assert await server.read_exactly(len(REQUEST)) == REQUEST
    await server.send(RESPONSE)
    assert await client.read_exactly(len(RESPONSE)) == RESPONSE
    await client.finish(notify=notify)
    assert await server.read() == b""
    await server.finish(notify=notify)
    await stage.seen.closed()


@pytest.mark.parametrize("kind", [None, *TOLD, Event])
@pytest.mark.parametrize("error", [IndexError(STOLEN), OSError(STOLEN), ValueError()], ids=repr)
def test_a_call_passes_whatever_an_observer_raises_at(
    props: Props, loop: LoopFactory, kind: type[Event] | None, error: Exception
) -> None:
    raising = Raising(kind, error)

    async def main() -> None:
        async with a_stage(props, on_event=raising, on_loss=raising.losses.append) as stage:
            await a_call(stage)
            await a_call(stage)
            await stage.interceptor.drain(LIMIT)
        assert stage.interceptor.observer_errors == raising.raised
        for closed in stage.seen.all(events.Closed):
            assert (closed.by, closed.how, closed.reason) == ("client", "close-notify", "")
            assert (closed.client_bytes, closed.server_bytes) == (len(REQUEST), len(RESPONSE))
        assert len(stage.seen.all(events.Closed)) == 2
        assert stage.seen.all(events.ParseFailed) == []
        # Nothing is missing of what is told, of the first call or the second.
        for number in (1, 2):
            told = stage.seen.all(Event, connection=number)
            assert {type(event) for event in told} == set(TOLD)
            assert [event.value for event in told if isinstance(event, events.Message)] == [
                {"id": "1"},
                {"name": "Nicolas"},
            ]

    run(main(), loop)
    assert bool(raising.raised) == (kind is not None)
    if kind is None:
        assert raising.losses == []
        return
    (line,) = raising.losses
    assert type(error).__name__ in line
    assert "in test_observer.py, line " in line
    assert STOLEN not in line
    assert "\n" not in line


def test_what_is_raised_is_told_once_in_the_log_where_nobody_wants_to_know(
    props: Props, caplog: pytest.LogCaptureFixture
) -> None:
    def raising(event: Event) -> None:
        raise KeyError(STOLEN)

    async def main() -> None:
        async with Interceptor(
            upstream=LOCALHOST, choose=presenting(props.forged), on_event=raising
        ) as interceptor:
            for _ in range(2):
                socket.create_connection(interceptor.address).close()
                await interceptor.drain(LIMIT)
            assert interceptor.observer_errors == 4  # Connected and Closed

    run(main())
    (record,) = [record for record in caplog.records if record.name == "mitm"]
    assert record.levelno == logging.WARNING
    assert "KeyError" in record.message
    assert STOLEN not in record.message


def test_an_error_in_the_telling_of_an_error_ends_nothing(props: Props) -> None:
    def no_terminal(line: str) -> None:
        raise BrokenPipeError

    async def main() -> None:
        raising = Raising(Event, IndexError())
        async with a_stage(props, on_event=raising, on_loss=no_terminal) as stage:
            await a_call(stage)
        assert stage.seen.one(events.Closed).by == "client"

    run(main())


def test_an_observer_of_what_was_changed_ends_nothing(props: Props, loop: LoopFactory) -> None:
    raising = Raising(events.Rewritten, IndexError())
    rules = Rules(["users.v1.User.name=Mallory"], props.schema)

    async def main() -> None:
        async with a_stage(
            props, on_event=raising, rules=rules, on_loss=raising.losses.append
        ) as stage:
            client, server = await stage.connect(
                client_context(alpn=("h2",)), server_context(props.genuine, alpn=("h2",))
            )
            await client.send(REQUEST)
            await server.send(RESPONSE)
            received = b""
            while b"Mallory" not in received:
                received += await client.read()
            await client.finish()
            await server.finish()
            closed = await stage.seen.closed()
        assert (closed.by, closed.how) == ("client", "close-notify")
        assert len(stage.seen.all(events.Rewritten)) == raising.raised == 1

    run(main(), loop)
    assert len(raising.losses) == 1


# The recorder of the sockets


class BrokenTap:
    """A tap that raises at one of its calls."""

    def __init__(self, at: str, error: Exception) -> None:
        self.key_log = "/dev/null"
        self.raised = 0
        self._at = at
        self._error = error

    def step(self, name: str) -> None:
        if name == self._at:
            self.raised += 1
            raise self._error

    def opened(self, local: Address, remote: Address, *, dialled: bool) -> "BrokenTap":
        self.step("opened")
        return self

    def settle(self) -> None:
        self.step("settle")

    def received(self, data: bytes) -> None:
        self.step("received")

    def sent(self, data: bytes) -> None:
        self.step("sent")

    def received_end(self, *, reset: bool) -> None:
        self.step("received_end")

    def sent_end(self, *, reset: bool) -> None:
        self.step("sent_end")

    def secrets_awaited(self) -> None:
        self.step("secrets_awaited")

    def secrets_told(self) -> None:
        self.step("secrets_told")


@pytest.mark.parametrize(
    "at",
    ["nothing", "opened", "settle", "received", "sent", "received_end", "sent_end", "secrets_told"],
)
@pytest.mark.parametrize("error", [ConnectionResetError(), KeyError("?")], ids=repr)
def test_a_call_passes_whatever_a_recorder_raises_at(
    props: Props, loop: LoopFactory, at: str, error: Exception
) -> None:
    tap = BrokenTap(at, error)
    losses: list[str] = []

    async def main() -> None:
        async with a_stage(props, tap=tap, on_loss=losses.append) as stage:
            await a_call(stage, notify=False)
            await stage.interceptor.drain(LIMIT)
        assert stage.interceptor.observer_errors == tap.raised
        closed = stage.seen.one(events.Closed)
        assert (closed.by, closed.how, closed.reason) == ("client", "eof", "")
        assert stage.seen.all(events.ParseFailed) == []

    run(main(), loop)
    assert bool(tap.raised) == (at != "nothing")
    assert len(losses) == (at != "nothing")
