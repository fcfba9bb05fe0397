"""Messages changed on their way, with h2 as client and server: no sockets, every byte counted."""

import gzip
import struct
import zlib
from collections import deque
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mitm import content, events
from mitm.descriptors import load_descriptor_set
from mitm.events import Direction, Event, NotRewritten, Rewritten
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.proxy.http2_endpoint import MAX_STREAMS, BrokenError
from mitm.proxy.rewriting import Rewriting
from mitm.wire.grpc import MAX_HELD, MAX_MESSAGE_SIZE

SCHEMA = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
MALLORY = "users.v1.User.name=Mallory"
SERVICE = "/users.v1.UserService"
GET_USER, LIST_USERS, CHAT = f"{SERVICE}/GetUser", f"{SERVICE}/ListUsers", f"{SERVICE}/Chat"
IMPORT_USERS = f"{SERVICE}/ImportUsers"

# users.v1.User: id = 1, name = 2.
NICOLAS = b"\x08\x01\x12\x07Nicolas"
AS_MALLORY = b"\x08\x01\x12\x07Mallory"
LONG_NAME = b"\x08\x01\x12" + bytes([0xA0, 0x8D, 0x06]) + b"n" * 100_000

WINDOW = 65_535  # RFC 9113 section 6.9.2, of h2 as of any endpoint that says nothing else


def prefixed(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BL", flag, len(message)) + message


class Peer:
    """A client or a server, and what it has received on each stream."""

    def __init__(self, *, client: bool, reads: bool = True) -> None:
        config = h2.config.H2Configuration(client_side=client, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.reads = reads
        self.data: dict[int, bytes] = {}
        self.headers: dict[int, list[dict[str, str]]] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.other: list[h2.events.Event] = []

    def receive(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.DataReceived(stream_id=int(stream), data=bytes(data)):
                    self.data[stream] = self.data.get(stream, b"") + data
                    if self.reads:
                        self.h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                case (
                    h2.events.RequestReceived()
                    | h2.events.ResponseReceived()
                    | h2.events.TrailersReceived()
                    | h2.events.InformationalResponseReceived()
                ):
                    fields: Any = dict(event.headers or [])
                    self.headers.setdefault(event.stream_id or 0, []).append(fields)
                case h2.events.StreamEnded(stream_id=int(stream)):
                    self.ended.add(stream)
                case h2.events.StreamReset(stream_id=int(stream)):
                    self.reset[stream] = int(event.error_code or 0)
                case _:
                    self.other.append(event)

    def take(self, stream: int) -> None:
        """Read on a stream what was received on it, so that more may come."""
        self.h2.acknowledge_received_data(len(self.data[stream]), stream)


class Wire:
    """A client and a server with the interceptor between them."""

    def __init__(self, *rules: str, client_reads: bool = True, server_reads: bool = True) -> None:
        self.seen: list[Event] = []
        self.rewriting = Rewriting(
            1,
            encrypted=True,
            schema=SCHEMA,
            rules=Rules(rules, SCHEMA),
            on_event=self.seen.append,
        )
        self.client = Peer(client=True, reads=client_reads)
        self.server = Peer(client=False, reads=server_reads)
        self.peers: dict[Direction, Peer] = {"client": self.client, "server": self.server}
        self.received: dict[Direction, bytes] = {"client": b"", "server": b""}
        self.rewriting.start()
        self.settle()

    def settle(self) -> None:
        """Let everybody say what they have to say, until all are silent."""
        while True:
            silent = True
            for direction, peer in self.peers.items():
                if data := peer.h2.data_to_send():
                    silent = False
                    self.received[direction] += data
                    self.rewriting.receive(direction, data)
            for direction, due in self.rewriting.to_send().items():
                if due:
                    silent = False
                    self.peers[direction].receive(due)
            deque(self.rewriting.tell(), maxlen=0)
            if silent:
                return

    def request(
        self,
        path: str,
        *messages: bytes,
        end: bool = True,
        stream: int = 1,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        fields = [
            (":method", "POST"),
            (":path", path),
            (":scheme", "https"),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *headers,
        ]
        self.client.h2.send_headers(stream, fields)
        self.settle()
        self.send(self.client, stream, b"".join(map(prefixed, messages)), end=end)

    def respond(
        self, stream: int = 1, content: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        fields = [(":status", "200"), ("content-type", "application/grpc"), *headers]
        self.server.h2.send_headers(stream, fields)
        self.settle()
        self.send(self.server, stream, content)

    def trailers(self, stream: int = 1, status: str = "0") -> None:
        self.server.h2.send_headers(stream, [("grpc-status", status)], end_stream=True)
        self.settle()

    def send(self, peer: Peer, stream: int, content: bytes, *, end: bool = False) -> int:
        """Send as far as the windows allow; how much that was."""
        sent = 0
        while sent < len(content):
            room = min(peer.h2.local_flow_control_window(stream), 16_384)
            if not room:
                return sent
            peer.h2.send_data(stream, content[sent : sent + room])
            sent += len(content[sent : sent + room])
            self.settle()
        if end:
            peer.h2.end_stream(stream)
        self.settle()
        return sent

    def all(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]


# Messages


def test_a_forged_answer_takes_the_place_of_the_servers() -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"\x08\x01")
    assert wire.server.data[1] == prefixed(b"\x08\x01")
    wire.respond(content=prefixed(NICOLAS))
    wire.trailers()
    assert wire.client.data[1] == prefixed(AS_MALLORY)
    assert wire.client.headers[1][1] == {"grpc-status": "0"}
    assert 1 in wire.client.ended
    (told,) = wire.all(Rewritten)
    assert (told.direction, told.stream, told.method) == ("server", 1, GET_USER)
    assert (told.part, told.type) == ("message", "users.v1.User")
    assert told.before == {"id": "1", "name": "Nicolas"}
    assert told.after == {"id": "1", "name": "Mallory"}


def test_what_is_told_as_received_is_what_was_received() -> None:
    wire = Wire(MALLORY, "users.v1.GetUserRequest.id=2")
    wire.request(GET_USER, b"\x08\x01")
    wire.respond(content=prefixed(NICOLAS))
    wire.trailers()
    assert wire.server.data[1] == prefixed(b"\x08\x02")
    told = [(m.direction, m.value) for m in wire.all(events.Message)]
    assert told == [("client", {"id": "1"}), ("server", {"id": "1", "name": "Nicolas"})]
    kinds = [(h.direction, h.kind) for h in wire.all(events.Headers)]
    assert kinds == [("client", "request"), ("server", "response"), ("server", "trailers")]
    assert wire.all(events.ParseFailed) == []


def test_a_message_is_changed_however_it_is_cut() -> None:
    content = prefixed(NICOLAS) + prefixed(b"\x08\x02") + prefixed(NICOLAS)
    expected = prefixed(AS_MALLORY) + prefixed(b"\x08\x02\x12\x07Mallory") + prefixed(AS_MALLORY)
    for size in (1, 2, 3, 5, 7, len(content)):
        wire = Wire(MALLORY)
        wire.request(LIST_USERS, b"")
        wire.respond()
        for start in range(0, len(content), size):
            wire.send(wire.server, 1, content[start : start + size])
        wire.trailers()
        assert wire.client.data[1] == expected
        assert len(wire.all(Rewritten)) == 3


@settings(max_examples=30)
@given(
    parts=st.lists(st.binary(min_size=1, max_size=200), max_size=8),
    rule=st.sampled_from([MALLORY, "users.v1.ChatMessage.text=x", "metadata:x-role=admin"]),
)
def test_what_no_rule_changes_keeps_its_bytes_whatever_they_are(
    parts: list[bytes], rule: str
) -> None:
    wire = Wire(rule)
    # ListUsersRequest holds nothing that could be changed; the bytes need not even be messages.
    wire.request(LIST_USERS, end=False)
    for part in parts:
        wire.send(wire.client, 1, part)
    wire.send(wire.client, 1, b"", end=True)
    assert wire.server.data.get(1, b"") == b"".join(parts)
    assert 1 in wire.server.ended
    assert [told for told in wire.all(Rewritten) if told.part == "message"] == []


@settings(max_examples=30)
@given(content=st.binary(max_size=200))
def test_what_is_no_message_of_the_type_passes_as_it_came(content: bytes) -> None:
    wire = Wire("users.v1.ImportUsersResponse.imported=0")
    wire.request(IMPORT_USERS)
    wire.respond(content=content)
    wire.trailers()
    changed = wire.all(Rewritten)
    assert changed or wire.client.data.get(1, b"") == content
    assert 1 in wire.client.ended


def test_a_message_that_is_as_it_should_be_already_keeps_its_bytes() -> None:
    wire = Wire(MALLORY)
    # Fields out of order, as no serializer would write them.
    odd = b"\x12\x07Mallory\x08\x01"
    wire.request(GET_USER, b"")
    wire.respond(content=prefixed(odd))
    assert wire.client.data[1] == prefixed(odd)
    assert wire.all(Rewritten) == []


def test_content_that_is_not_grpc_is_left_alone() -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    html = [(":status", "502"), ("content-type", "text/html")]
    wire.server.h2.send_headers(1, html)
    wire.send(wire.server, 1, prefixed(NICOLAS), end=True)
    assert wire.client.headers[1][0][":status"] == "502"
    assert wire.client.data[1] == prefixed(NICOLAS)


def test_grpc_web_is_left_alone_and_told() -> None:
    wire = Wire(MALLORY)
    for stream, path in ((1, GET_USER), (3, CHAT)):
        fields = [(":method", "POST"), (":path", path), (":scheme", "https"), (":authority", "a")]
        web = ("content-type", "application/grpc-web+proto")
        wire.client.h2.send_headers(stream, [*fields, web], end_stream=True)
        wire.settle()
        wire.server.h2.send_headers(stream, [(":status", "200"), web])
        wire.send(wire.server, stream, prefixed(NICOLAS), end=True)
        assert wire.client.data[stream] == prefixed(NICOLAS)
    # The chat is nothing that was to be changed.
    (told,) = wire.all(NotRewritten)
    assert told.stream == 1
    assert told.reason == "a call whose content-type is not application/grpc"


CONNECT_GET = f"{GET_USER}?connect=v1&encoding=json&message=%7B%22id%22%3A1%7D"


@pytest.mark.parametrize(
    ("rule", "path", "content_type", "reason"),
    [
        (MALLORY, CONNECT_GET, "", "a call whose content-type is not application/grpc"),
        (MALLORY, GET_USER, "application/proto", "content-type is not application/grpc"),
        (MALLORY, GET_USER, "application/connect+proto", "content-type is not application/grpc"),
        (MALLORY, GET_USER, "application/grpc+json", "a call whose messages are JSON"),
        ("status=OK", GET_USER, "application/grpc-web", "content-type is not application/grpc"),
        ("status=OK", "/healthz", "", "content-type is not application/grpc"),
    ],
)
def test_a_call_that_cannot_be_changed_passes_and_is_told(
    rule: str, path: str, content_type: str, reason: str
) -> None:
    wire = Wire(rule)
    fields = [(":method", "GET"), (":path", path), (":scheme", "https"), (":authority", "a")]
    type_ = [("content-type", content_type)] if content_type else []
    wire.client.h2.send_headers(1, [*fields, *type_], end_stream=True)
    wire.settle()
    assert wire.server.headers[1][0][":path"] == path
    wire.server.h2.send_headers(1, [(":status", "200"), *type_])
    wire.send(wire.server, 1, prefixed(NICOLAS) * 3, end=True)
    assert wire.client.data[1] == prefixed(NICOLAS) * 3
    (told,) = wire.all(NotRewritten)
    assert (told.stream, reason in told.reason) == (1, True)


@pytest.mark.parametrize("rule", [MALLORY, "status=OK"])
def test_a_response_that_is_no_grpc_is_told(rule: str) -> None:
    wire = Wire(rule)
    wire.request(GET_USER, b"")
    wire.server.h2.send_headers(1, [(":status", "502"), ("content-type", "text/html")])
    wire.send(wire.server, 1, b"<html>", end=True)
    assert wire.client.data[1] == b"<html>"
    (told,) = wire.all(NotRewritten)
    assert (told.direction, told.stream) == ("server", 1)
    assert told.reason == "a response whose content-type is not application/grpc"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\2\0\0\0\0", "a message with a flag that has no meaning"),
        (prefixed(NICOLAS)[:-1], "a message that breaks off"),
        (b"\0\0", "a message that breaks off"),
        (3 * prefixed(b"\xff\xff"), "a message that is no users.v1.User"),
    ],
)
@pytest.mark.parametrize("trailers", [True, False])
def test_a_message_that_is_none_is_told_once(content: bytes, reason: str, trailers: bool) -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    wire.respond(content=prefixed(NICOLAS))
    wire.send(wire.server, 1, content, end=not trailers)
    if trailers:
        wire.trailers()
    assert wire.client.data[1] == prefixed(AS_MALLORY) + content
    (told,) = wire.all(NotRewritten)
    assert (told.direction, told.stream, told.reason) == ("server", 1, reason)


def test_a_status_that_does_not_come_is_told() -> None:
    wire = Wire("status=OK")
    for stream in (1, 3, 5):
        wire.request(GET_USER, b"", stream=stream)
        wire.respond(stream, prefixed(NICOLAS))
    wire.send(wire.server, 1, b"", end=True)
    wire.server.h2.send_headers(3, [("x", "y")], end_stream=True)
    wire.server.h2.reset_stream(5, 8)
    wire.settle()
    assert [(told.stream, told.reason) for told in wire.all(NotRewritten)] == [
        (1, "a call that ends without grpc-status"),
        (3, "a call that ends without grpc-status"),
        (5, "a call that is reset"),
    ]


def test_its_twin_in_which_all_was_changed_has_nothing_left_alone() -> None:
    wire = Wire(MALLORY, "status=OK", "metadata:x=y")
    wire.request(GET_USER, b"")
    wire.respond(content=prefixed(NICOLAS))
    wire.trailers(status="5")
    assert len(wire.all(Rewritten)) == 3
    assert wire.all(NotRewritten) == []


def test_a_length_that_is_no_longer_true_is_left_out() -> None:
    wire = Wire("users.v1.User.name=a much longer name than before")
    wire.request(GET_USER, b"", headers=(("content-length", "5"),))
    wire.respond(
        content=prefixed(NICOLAS),
        headers=(("content-length", str(len(prefixed(NICOLAS)))),),
    )
    wire.trailers()
    assert "content-length" not in wire.client.headers[1][0]
    # The request is not one that could be changed.
    assert wire.server.headers[1][0]["content-length"] == "5"
    assert b"a much longer name" in wire.client.data[1]


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_compressed_message_is_changed_and_sent_uncompressed(
    encoding: str, compress: Any
) -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    wire.respond(
        content=prefixed(compress(NICOLAS), 1) + prefixed(NICOLAS),
        headers=(("grpc-encoding", encoding),),
    )
    assert wire.client.data[1] == prefixed(AS_MALLORY) * 2
    assert wire.client.headers[1][0]["grpc-encoding"] == encoding


# An email in Latin-1, which parsers refuse the whole message for, and a field of nobody's.
ODD = b"\x1a\x06J\xf6rg@x" + b"\x7a\x03abc"


def test_a_message_is_changed_whatever_else_is_in_it() -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    wire.respond(content=prefixed(NICOLAS + ODD))
    wire.trailers()
    assert wire.client.data[1] == prefixed(AS_MALLORY + ODD)
    (told,) = wire.all(Rewritten)
    odd = {"email": {"bytes": "SvZyZ0B4"}, "15": "abc"}
    assert told.before == {"id": "1", "name": "Nicolas"} | odd
    assert told.after == {"id": "1", "name": "Mallory"} | odd
    assert not wire.all(NotRewritten)


def test_bombs_are_left_as_they_are_once_they_are_many() -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    bomb = prefixed(gzip.compress(MAX_MESSAGE_SIZE // 2 * b"\x08\x01", 9), 1)
    wire.respond(content=4 * bomb, headers=(("grpc-encoding", "gzip"),))
    assert wire.client.data[1].endswith(bomb + bomb)
    assert wire.all(NotRewritten)
    # The twin: what is no bomb is changed after them as before.
    wire.send(wire.server, 1, prefixed(gzip.compress(NICOLAS), 1))
    assert wire.client.data[1].endswith(bomb + prefixed(AS_MALLORY))


@pytest.mark.parametrize(
    ("message", "encoding", "said"),
    [
        (prefixed(b"whatever", 1), "snappy", "cannot be decompressed"),
        (prefixed(b"no gzip", 1), "gzip", "cannot be decompressed"),
        (
            prefixed(gzip.compress(bytes(MAX_MESSAGE_SIZE + 1), mtime=0), 1),
            "gzip",
            "more than 4194304",
        ),
        (prefixed(b"\xff\xff\xff"), "identity", "no users.v1.User"),
    ],
)
def test_what_cannot_be_changed_passes_as_it_came_and_is_told(
    message: bytes, encoding: str, said: str
) -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    wire.respond(content=message, headers=(("grpc-encoding", encoding),))
    wire.trailers()
    assert wire.client.data[1] == message
    assert 1 in wire.client.ended
    (told,) = wire.all(NotRewritten)
    assert said in told.reason
    assert (told.direction, told.stream) == ("server", 1)


def test_a_message_that_is_too_long_passes_piece_by_piece_and_is_told() -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    message = prefixed(bytes(MAX_MESSAGE_SIZE + 1))
    wire.respond(content=message[:100_000])
    # It is not waited for.
    assert wire.client.data[1] == message[:100_000]
    wire.send(wire.server, 1, message[100_000:])
    wire.send(wire.server, 1, prefixed(NICOLAS))
    assert wire.client.data[1] == message + prefixed(AS_MALLORY)
    assert "more than 4194304" in wire.all(NotRewritten)[0].reason


def test_a_message_that_is_cut_short_by_the_end_passes_as_it_came() -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    half = prefixed(NICOLAS)[:-3]
    wire.respond(content=half)
    assert 1 not in wire.client.data
    wire.trailers(status="13")
    assert wire.client.data[1] == half
    assert wire.client.headers[1][1] == {"grpc-status": "13"}


# Metadata and status


def test_metadata_is_changed_in_both_directions_and_told() -> None:
    wire = Wire("metadata:x-role=admin", "response-metadata:x-shard=7")
    wire.request(GET_USER, b"", headers=(("x-role", "user"),))
    wire.respond(content=prefixed(NICOLAS))
    wire.trailers()
    assert wire.server.headers[1][0]["x-role"] == "admin"
    assert wire.client.headers[1][0]["x-shard"] == "7"
    told = [(t.part, t.direction, t.before, t.after) for t in wire.all(Rewritten)]
    assert told == [
        ("metadata", "client", {"x-role": "user"}, {"x-role": "admin"}),
        ("metadata", "server", {}, {"x-shard": "7"}),
    ]
    assert wire.client.data[1] == prefixed(NICOLAS)


def test_a_status_is_forged() -> None:
    wire = Wire("status=PERMISSION_DENIED:go away")
    wire.request(GET_USER, b"")
    wire.respond(content=prefixed(NICOLAS))
    wire.trailers()
    assert wire.client.headers[1][1] == {"grpc-status": "7", "grpc-message": "go away"}
    (told,) = wire.all(Rewritten)
    assert (told.part, told.before) == ("status", {"grpc-status": "0"})


def trailers_only(wire: Wire, status: str) -> None:
    wire.server.h2.send_headers(
        1,
        [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", status)],
        end_stream=True,
    )
    wire.settle()


def test_trailers_only_stay_that() -> None:
    wire = Wire(MALLORY, "response-metadata:x-shard=7")
    wire.request(GET_USER, b"")
    trailers_only(wire, "5")
    (only,) = wire.client.headers[1]
    assert (only["grpc-status"], only["x-shard"]) == ("5", "7")
    assert 1 in wire.client.ended


def test_a_call_that_failed_seems_to_have_succeeded() -> None:
    wire = Wire("status=OK", MALLORY)
    wire.request(GET_USER, b"")
    trailers_only(wire, "5")
    response, trailers = wire.client.headers[1]
    assert response == {":status": "200", "content-type": "application/grpc"}
    assert trailers == {"grpc-status": "0"}
    assert wire.client.data[1] == prefixed(b"\x12\x07Mallory")
    assert [told.part for told in wire.all(Rewritten)] == ["status", "message"]


def test_a_call_that_failed_after_an_answer_is_given_no_message_more() -> None:
    for rules in (["status=OK"], ["status=OK", MALLORY]):
        wire = Wire(*rules)
        wire.request(LIST_USERS, b"")
        wire.respond(content=prefixed(AS_MALLORY))
        wire.trailers(status="5")
        assert wire.client.data[1] == prefixed(AS_MALLORY)
        assert wire.client.headers[1][1] == {"grpc-status": "0"}


def test_its_twin_that_did_succeed_is_given_no_message_more() -> None:
    wire = Wire("status=OK")
    wire.request(GET_USER, b"")
    wire.respond(content=prefixed(NICOLAS))
    wire.trailers()
    assert wire.client.data[1] == prefixed(NICOLAS)
    assert wire.all(Rewritten) == []


# Windows


def test_messages_longer_than_any_window_pass_in_both_directions() -> None:
    wire = Wire(MALLORY, "users.v1.ChatMessage.text=" + "x" * 300_000)
    wire.request(CHAT, b"\x0a\x01a", end=False)
    assert len(wire.server.data[1]) > 300_000
    wire.respond(content=prefixed(b"\x0a\x01b") * 3)
    assert len(wire.client.data[1]) > 900_000
    wire.request(GET_USER, b"", stream=3)
    wire.respond(3, prefixed(LONG_NAME))
    assert wire.client.data[3] == prefixed(AS_MALLORY)


@pytest.mark.parametrize("rule", [MALLORY, "metadata:x-role=admin"])
def test_a_client_that_does_not_read_holds_up_the_server_and_nothing_else(rule: str) -> None:
    wire = Wire(rule, client_reads=False)
    wire.request(LIST_USERS, b"")
    wire.request(GET_USER, b"", stream=3)
    stream = prefixed(NICOLAS) * 20_000
    wire.respond()
    sent = wire.send(wire.server, 1, stream)
    # What it has been sent fills its window; what waits for it fills the interceptor's.
    assert sent <= 2 * WINDOW + 16_384
    assert wire.rewriting.waits_for("client")
    # Another stream is not held up, as far as the client's window of the connection goes.
    wire.client.h2.increment_flow_control_window(WINDOW)
    wire.settle()
    wire.respond(3, prefixed(NICOLAS))
    wire.trailers(3)
    assert 3 in wire.client.ended
    # Once it reads, it gets everything.
    wire.client.reads = True
    wire.client.take(1)
    wire.settle()
    while sent < len(stream):
        sent += wire.send(wire.server, 1, stream[sent:])
    wire.trailers()
    assert 1 in wire.client.ended
    assert len(wire.client.data[1]) == len(stream)
    assert not wire.rewriting.waits_for("client")


def test_a_server_that_does_not_read_holds_up_the_client() -> None:
    wire = Wire("users.v1.ChatMessage.text=longer than it was", server_reads=False)
    wire.request(CHAT, end=False)
    sent = wire.send(wire.client, 1, prefixed(b"\x0a\x05short") * 20_000)
    assert sent <= 2 * WINDOW + 16_384
    assert wire.rewriting.waits_for("server")


def test_no_more_is_waited_for_than_the_limit() -> None:
    wire = Wire(MALLORY)
    # Messages of 1 MiB that begin and do not go on.
    beginning = struct.pack(">BL", 0, 2**20) + b"\x12"
    streams = range(1, 101, 2)
    for stream in streams:
        wire.request(LIST_USERS, b"", stream=stream)
        wire.respond(stream, beginning)
    waited_for = [stream for stream in streams if stream not in wire.client.data]
    assert len(waited_for) == MAX_HELD // 2**20
    reasons = {told.reason for told in wire.all(NotRewritten)}
    assert reasons == {f"{MAX_HELD} bytes of other messages are held already"}
    # Those that end make room for others.
    for stream in waited_for:
        wire.client.h2.reset_stream(stream, 8)
    wire.settle()
    wire.request(GET_USER, b"", stream=101)
    wire.respond(101, prefixed(NICOLAS))
    assert wire.client.data[101] == prefixed(AS_MALLORY)


# Streams


def test_streams_that_the_server_does_not_take_yet_wait_in_order() -> None:
    wire = Wire(MALLORY)
    wire.server.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    wire.settle()
    for stream in (1, 3, 5):
        wire.request(GET_USER, b"\x08\x01", stream=stream)
    assert list(wire.server.headers) == [1]
    wire.client.h2.reset_stream(3, 8)
    wire.settle()
    wire.respond(1, prefixed(NICOLAS))
    wire.trailers(1)
    assert list(wire.server.headers) == [1, 5]
    assert wire.server.data[5] == prefixed(b"\x08\x01")
    assert 5 in wire.server.ended
    assert 3 not in wire.server.reset


def test_a_thousand_streams_at_once() -> None:
    wire = Wire(MALLORY)
    wire.server.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS})
    wire.settle()
    streams = range(1, 2 * MAX_STREAMS, 2)
    for stream in streams:
        wire.request(CHAT, b"\x0a\x01a", end=False, stream=stream)
    for stream in reversed(streams):
        wire.respond(stream, prefixed(b"\x0a\x01b"))
        wire.trailers(stream)
    assert wire.client.ended == set(streams)


def test_a_half_close_leaves_the_other_half_open() -> None:
    wire = Wire(MALLORY)
    wire.request(CHAT, b"\x0a\x01a", end=True)
    assert 1 in wire.server.ended
    wire.respond(content=prefixed(b"\x0a\x01b"))
    assert wire.client.data[1] == prefixed(b"\x0a\x01b")
    assert 1 not in wire.client.ended


@pytest.mark.parametrize("sender", ["client", "server"])
def test_a_reset_reaches_the_other_side_with_its_code(sender: Direction) -> None:
    wire = Wire(MALLORY)
    wire.request(CHAT, b"\x0a\x01a", end=False)
    wire.respond(content=prefixed(b"\x0a\x01b"))
    wire.peers[sender].h2.reset_stream(1, 8)
    wire.settle()
    other = wire.server if sender == "client" else wire.client
    assert other.reset == {1: 8}
    # And the connection goes on.
    wire.request(GET_USER, b"", stream=3)
    wire.respond(3, prefixed(NICOLAS))
    assert wire.client.data[3] == prefixed(AS_MALLORY)


def test_a_stream_that_is_opened_further_and_reset_in_one_breath_is_reset() -> None:
    wire = Wire(MALLORY, client_reads=False)
    wire.request(LIST_USERS, b"")
    wire.respond()
    wire.send(wire.server, 1, prefixed(NICOLAS) * 20_000)
    assert wire.rewriting.waits_for("client")
    for stream in (None, 1):
        wire.client.h2.increment_flow_control_window(1000, stream)
    wire.client.h2.reset_stream(1, 8)
    wire.settle()
    assert wire.server.reset == {1: 8}
    assert not wire.rewriting.waits_for("client")


def test_an_answer_before_the_end_of_the_request_comes_before_its_reset() -> None:
    """RFC 9113 section 8.1: a server that needs no more says so with NO_ERROR."""
    wire = Wire(MALLORY, client_reads=False)
    wire.request(CHAT, end=False)
    wire.respond(content=prefixed(b"\x0a\x01b" * 10_000))
    wire.send(wire.server, 1, prefixed(b"\x0a\x01b" * 10_000) * 2)
    wire.trailers()
    wire.server.h2.reset_stream(1, 0)
    wire.settle()
    assert 1 not in wire.client.reset
    wire.client.reads = True
    wire.client.take(1)
    wire.settle()
    assert wire.client.reset == {1: 0}
    assert wire.client.headers[1][-1] == {"grpc-status": "0"}


def test_goaway_is_passed_on_and_open_calls_go_on() -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    goaway = bytes.fromhex("000008 07 00 00000000 00000001 00000000".replace(" ", ""))
    wire.rewriting.receive("server", goaway)
    assert goaway in wire.rewriting.to_send()["client"]
    wire.respond(content=prefixed(NICOLAS))
    wire.trailers()
    assert wire.client.data[1] == prefixed(AS_MALLORY)
    assert 1 in wire.client.ended
    assert [f.type for f in wire.all(events.Frame) if f.type == "GOAWAY"] == ["GOAWAY"]


def test_pings_are_answered_by_the_other_side() -> None:
    wire = Wire(MALLORY)
    for peer in wire.peers.values():
        peer.h2.ping(b"12345678")
    wire.settle()
    for peer in wire.peers.values():
        assert any(isinstance(event, h2.events.PingReceived) for event in peer.other)
        assert any(isinstance(event, h2.events.PingAckReceived) for event in peer.other)


def test_an_informational_response_comes_first() -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    wire.server.h2.send_headers(1, [(":status", "103")])
    wire.respond(content=prefixed(NICOLAS))
    assert [each[":status"] for each in wire.client.headers[1]] == ["103", "200"]


def test_what_is_over_is_forgotten() -> None:
    wire = Wire(MALLORY)
    for stream in range(1, 400, 2):
        wire.request(GET_USER, b"", stream=stream)
        wire.respond(stream, prefixed(NICOLAS))
        if stream % 4 == 1:
            wire.trailers(stream)
        else:
            wire.client.h2.reset_stream(stream, 8)
            wire.settle()
    assert not wire.rewriting._calls
    assert wire.rewriting._held == 0
    assert not wire.rewriting.waits_for("client")


# Rubbish


@pytest.mark.parametrize("sender", ["client", "server"])
def test_a_peer_that_breaks_the_rules_is_told_so(sender: Direction) -> None:
    wire = Wire(MALLORY)
    # DATA on a stream that nobody opened.
    with pytest.raises(BrokenError):
        wire.rewriting.receive(sender, bytes.fromhex("000001000000000063") + b"x")
    due = wire.rewriting.to_send()[sender]
    assert due[3] == 7  # GOAWAY


def test_what_is_wrong_is_said_without_a_word_of_the_peer() -> None:
    wire = Wire(MALLORY)
    fields = [(":method", "POST"), (":path", CHAT), (":scheme", "https"), (":authority", "a")]
    wire.client.h2.send_headers(1, [*fields, ("content-length", "a-secret")])
    with pytest.raises(BrokenError, match=r"^it has broken a rule \(PROTOCOL_ERROR\)$"):
        wire.settle()


@given(chunks=st.lists(st.tuples(st.sampled_from(["client", "server"]), st.binary(max_size=64))))
def test_any_bytes_are_taken_or_refused(chunks: list[tuple[Direction, bytes]]) -> None:
    wire = Wire(MALLORY)
    wire.request(GET_USER, b"")
    try:
        for sender, chunk in chunks:
            wire.rewriting.receive(sender, chunk)
            wire.rewriting.to_send()
            deque(wire.rewriting.tell(), maxlen=0)
    except BrokenError:
        wire.rewriting.to_send()
        deque(wire.rewriting.tell(), maxlen=0)


def test_a_frame_that_is_too_long_is_refused() -> None:
    wire = Wire(MALLORY)
    with pytest.raises(BrokenError, match="frame of 1000000 bytes"):
        wire.rewriting.receive("client", bytes.fromhex("0f4240000000000001"))
