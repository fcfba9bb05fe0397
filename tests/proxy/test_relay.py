"""The relay as a state machine: bytes and ends in, bytes and ends out, and no socket in sight."""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.events import Direction, Event
from mitm.messages.rules import Rules
from mitm.proxy.ending import End
from mitm.proxy.relay import Relay
from mitm.proxy.rewriting import Rewriting
from mitm.proxy.watcher import Watcher
from tests.proxy.stage import PREFACE, Props
from tests.proxy.test_rewriting import Peer
from tests.proxy.test_watcher import READ, REQUEST, RESPONSE, messages

PARTIES: tuple[Direction, Direction] = ("client", "server")
OTHER: dict[Direction, Direction] = {"client": "server", "server": "client"}


def a_watcher(props: Props) -> tuple[Watcher, list[Event]]:
    seen: list[Event] = []
    return Watcher(1, encrypted=True, alpn="h2", schema=props.schema, on_event=seen.append), seen


def a_rewriting(props: Props, rule: str = "users.v1.User.name=Mallory") -> Relay:
    return Relay(
        Rewriting(
            1,
            encrypted=True,
            schema=props.schema,
            rules=Rules([rule], props.schema),
            on_event=lambda event: None,
        )
    )


# Watching


def test_bytes_go_to_the_other_peer_and_are_looked_at_afterwards(props: Props) -> None:
    watcher, seen = a_watcher(props)
    relay = Relay(watcher)
    assert relay.to_send() == []
    relay.received("client", REQUEST)
    assert relay.to_send() == [("server", REQUEST, None)]
    assert seen == []
    relay.look()
    assert messages(seen) == READ[:1]
    relay.received("server", RESPONSE)
    assert relay.to_send() == [("client", RESPONSE, None)]
    relay.look()
    assert messages(seen) == READ
    assert relay.to_send() == []


def after(events: int) -> Callable[[], bool]:
    """Says that it is enough after so many events."""
    left = iter(range(events - 1))
    return lambda: next(left, None) is None


def test_what_has_passed_may_be_looked_at_bit_by_bit(props: Props) -> None:
    at_once, expected = a_watcher(props)
    at_once.feed("client", REQUEST)
    at_once.feed("server", RESPONSE)
    watcher, seen = a_watcher(props)
    relay = Relay(watcher)
    relay.received("client", REQUEST)
    assert relay.look(after(2))
    assert len(seen) == 2
    # What comes meanwhile is looked at in its turn.
    relay.received("server", RESPONSE)
    while relay.look(after(1)):
        pass
    assert [type(event) for event in seen] == [type(event) for event in expected]
    assert messages(seen) == READ
    assert not relay.look(after(1))


def test_what_nobody_is_to_look_at_passes_all_the_same() -> None:
    relay = Relay(None)
    relay.received("client", b"x")
    assert relay.to_send() == [("server", b"x", None)]
    relay.look()


@pytest.mark.parametrize("direction", PARTIES)
@pytest.mark.parametrize("how", ["eof", "close-notify"])
def test_an_end_is_the_end_of_one_direction(direction: Direction, how: End) -> None:
    relay = Relay(None)
    relay.received(direction, b"last words")
    relay.ended(direction, how)
    assert relay.to_send() == [(OTHER[direction], b"last words", how)]
    relay.received(direction, b"from beyond")
    assert relay.to_send() == []
    relay.received(OTHER[direction], b"an answer")
    assert relay.to_send() == [(direction, b"an answer", None)]
    assert not relay.failed


@pytest.mark.parametrize("direction", PARTIES)
def test_a_reset_is_the_end_of_both(direction: Direction) -> None:
    relay = Relay(None)
    relay.ended(direction, "reset")
    assert relay.to_send() == [(OTHER[direction], b"", "reset")]
    # Nobody is there who could be told.
    relay.received(OTHER[direction], b"an answer")
    relay.ended(OTHER[direction], "eof")
    assert relay.to_send() == []


@pytest.mark.parametrize("how", ["alert", "error"])
def test_the_end_of_tls_is_passed_on_to_nobody(how: End) -> None:
    relay = Relay(None)
    relay.ended("client", how)
    assert relay.failed
    assert relay.to_send() == []
    relay.received("server", b"x")
    assert relay.to_send() == []


def test_a_peer_that_is_lost_costs_the_other_its_connection_and_nobody_the_view(
    props: Props,
) -> None:
    watcher, _ = a_watcher(props)
    relay = Relay(watcher)
    relay.received("client", REQUEST)
    relay.to_send()
    relay.lost("server")
    assert relay.wants_pause("client") is None
    assert relay.to_send() == [("client", b"", "reset")]
    # What the server had said before is read from its socket now.
    relay.received("server", RESPONSE)
    assert relay.to_send() == []
    relay.look()
    assert watcher.seen == {"client": len(REQUEST), "server": len(RESPONSE)}


def test_a_sender_pauses_for_its_receiver_alone() -> None:
    relay = Relay(None)
    assert relay.wants_pause("client") is None
    relay.received("client", b"x")
    relay.to_send()
    assert relay.wants_pause("client") == "server"
    assert relay.wants_pause("server") is None
    relay.taken("server")
    assert relay.wants_pause("client") is None


Step = tuple[Literal["received", "ended", "send", "taken", "look"], Direction, bytes | End | int]

_parties = st.sampled_from(PARTIES)
_steps: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("received"), _parties, st.binary(max_size=5)),
        st.tuples(st.just("ended"), _parties, st.sampled_from(get_args(End))),
        st.tuples(st.sampled_from(["send", "taken"]), _parties, st.just(b"")),
        st.tuples(st.just("look"), _parties, st.integers(1, 4)),
    ),
    max_size=30,
)


@given(_steps)
def test_what_comes_out_is_what_went_in_whatever_the_order_and_the_cuts(steps: list[Step]) -> None:
    looked: dict[Direction, bytes] = {"client": b"", "server": b""}

    class Looking(Watcher):
        def __init__(self) -> None:
            pass

        def look(self, direction: Direction, data: bytes | None) -> Iterator[None]:
            yield
            looked[direction] += data or b""
            yield

    relay = Relay(Looking())
    went_in: dict[Direction, bytes] = {"client": b"", "server": b""}  # by who sent it
    came_out: dict[Direction, bytes] = {"client": b"", "server": b""}  # by who is to have it
    ends: dict[Direction, End] = {}
    told: dict[Direction, str] = {}
    full: set[Direction] = set()

    def send() -> None:
        for to, data, end in relay.to_send():
            assert to not in told, "something after an end"
            came_out[to] += data
            if data:
                full.add(to)
            if end:
                told[to] = end
                full.discard(to)
                assert end == ends[OTHER[to]]

    for step, party, what in steps:
        if step == "received":
            assert isinstance(what, bytes)
            relay.received(party, what)
            if party not in ends and not relay.failed:
                went_in[party] += what
        elif step == "ended":
            relay.ended(party, what)  # type: ignore[arg-type]
            ends.setdefault(party, what)  # type: ignore[arg-type]
            if ends[party] == "reset":
                full.discard(party)
        elif step == "taken":
            relay.taken(party)
            full.discard(party)
        elif step == "look":
            assert isinstance(what, int)
            relay.look(after(what))
        else:
            send()
        for sender in PARTIES:
            assert went_in[sender].startswith(came_out[OTHER[sender]])
            # Only while something waits.
            assert bool(relay.wants_pause(sender)) == (OTHER[sender] in full)
    send()
    relay.look()
    assert looked == went_in
    assert relay.failed == bool({"alert", "error"} & set(ends.values()))
    for sender, receiver in OTHER.items():
        if ends.get(receiver) == "reset" or told.get(receiver) == "reset":
            continue  # what was on its way is lost
        assert came_out[receiver] == went_in[sender]
        if ends.get(sender) in ("eof", "close-notify"):
            assert told[receiver] == ends[sender]


# Rewriting


def test_both_peers_are_spoken_to_before_they_have_said_a_word(props: Props) -> None:
    relay = a_rewriting(props)
    (to_client, to_server) = relay.to_send()
    assert (to_client.to, to_server.to) == ("client", "server")
    assert to_server.data.startswith(PREFACE)
    # Both are written to, whoever it is that is read from: both have to take it.
    assert {relay.wants_pause("client"), relay.wants_pause("server")} == {"client", "server"}
    relay.taken("server")
    assert relay.wants_pause("client") == "client"
    relay.taken("client")
    assert relay.wants_pause("client") is None


class Ends:
    """Two peers and the relay between them.

    The client takes nothing before it is told to.
    """

    def __init__(self, props: Props) -> None:
        self.relay = a_rewriting(props)
        self.client = Peer(client=True, reads=False)
        self.server = Peer(client=False, reads=True)
        self.peers: dict[Direction, Peer] = {"client": self.client, "server": self.server}
        self.settle()

    def settle(self) -> list[tuple[Direction, str]]:
        """Pass on until nobody has anything to say; give the ends that were passed on."""
        ends: list[tuple[Direction, str]] = []
        while True:
            for party, peer in self.peers.items():
                if data := peer.h2.data_to_send():
                    self.relay.received(party, data)
            due = self.relay.to_send()
            self.relay.look()
            if not due:
                return ends
            for to, data, end in due:
                self.peers[to].receive(data)
                if end:
                    ends.append((to, end))

    def call(self, answer: int) -> None:
        """A call whose answer has so many bytes, all of which the server gets rid of."""
        fields = [(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "a")]
        self.client.h2.send_headers(1, fields, end_stream=True)
        self.settle()
        self.server.h2.send_headers(1, [(":status", "200")])
        while answer:
            room = min(self.server.h2.local_flow_control_window(1), answer, 16_384)
            assert room
            self.server.h2.send_data(1, bytes(room))
            answer -= room
            self.settle()
        self.server.h2.end_stream(1)
        self.settle()


WINDOW = 65_535  # RFC 9113 section 6.9.2
LONG = WINDOW + 16_384  # a window, and what waits for the next


def test_an_end_waits_behind_what_waits_for_a_window(props: Props) -> None:
    """A server says all that it has to say and leaves; the client takes it when it can."""
    ends = Ends(props)
    ends.call(LONG)
    ends.relay.ended("server", "eof")
    assert ends.settle() == []
    assert len(ends.client.data[1]) == WINDOW
    ends.client.take(1)
    assert ends.settle() == [("client", "eof")]
    assert len(ends.client.data[1]) == LONG
    assert ends.client.ended == {1}


def test_its_twin_that_has_nothing_waiting_is_passed_on_at_once(props: Props) -> None:
    ends = Ends(props)
    ends.call(WINDOW)
    ends.relay.ended("server", "eof")
    assert ends.settle() == [("client", "eof")]


def test_nothing_waits_for_a_peer_that_opens_no_window_any_more(props: Props) -> None:
    ends = Ends(props)
    ends.call(LONG)
    ends.relay.ended("server", "eof")
    assert ends.settle() == []
    ends.relay.ended("client", "eof")
    assert sorted(ends.settle()) == [("client", "eof"), ("server", "eof")]


def test_a_peer_that_was_told_of_an_end_is_spoken_to_no_more(props: Props) -> None:
    """A client that has half-closed is answered, and its server told nothing of windows."""
    ends = Ends(props)
    fields = [(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "a")]
    ends.client.h2.send_headers(1, fields, end_stream=True)
    ends.settle()
    ends.relay.ended("client", "eof")
    assert ends.settle() == [("server", "eof")]
    ends.server.h2.send_headers(1, [(":status", "200")])
    ends.server.h2.send_data(1, bytes(1000), end_stream=True)
    ends.relay.received("server", ends.server.h2.data_to_send())
    assert [due.to for due in ends.relay.to_send()] == ["client"]


@pytest.mark.parametrize("direction", PARTIES)
def test_who_breaks_the_rules_of_http2_is_told_so_and_the_relay_is_over(
    props: Props, direction: Direction
) -> None:
    ends = Ends(props)
    # DATA on a stream that nobody opened.
    ends.relay.received(direction, bytes.fromhex("000001000000000063") + b"x")
    assert ends.relay.failed
    assert ends.relay.broken == (
        f"the {direction}'s HTTP/2 cannot be changed: it has broken a rule (PROTOCOL_ERROR)"
    )
    (told,) = (due.data for due in ends.relay.to_send() if due.to == direction)
    assert told[3] == 7  # GOAWAY
