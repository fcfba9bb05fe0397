"""One end of an HTTP/2 connection, without I/O: h2, and what waits for the peer's windows.

The states of RFC 9113 section 5.1 are h2's. What is added is whether a stream has a queue here:

    unopened  its request waits, as the peer takes no more streams at once (SETTINGS); the streams
              behind it wait as well, for their numbers have to go up.
    waiting   it is open, and the head of its queue is DATA for which there is no window.
    idle      nothing waits, and what comes is sent at once.

What is to be sent moves a stream from idle to one of the others. The peer moves it back: by
WINDOW_UPDATE or SETTINGS, or by the end of another stream; a reset, from either side, drops the
queue. The first of a queue is all that decides: nothing overtakes within a stream, and streams do
not wait for each other. A stream whose queue has emptied is told once, by `take_drained`. What is
invariant: h2 is never asked to send what its windows do not hold, and what is given by `to_send`
was in no queue any more.
"""

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from mitm.messages.rules import HeaderFields
from mitm.wire import frames
from mitm.wire.frames import FrameReader, RawFrame
from mitm.wire.header_blocks import MAX_HEADER_LIST
from mitm.wire.http2 import PREFACE

# Streams that a client may have open at once. What waits on each is bounded by its window of
# 64 KiB, so that this bounds a connection. RFC 9113 section 6.5.2 asks for 100 at least.
MAX_STREAMS = 1024

# The window of the connection: so large that the windows of the streams, which bound what waits,
# are always the smaller ones. A stream that nobody reads must not hold up the others.
_CONNECTION_WINDOW = 2**30

# PING asks whether the peer at the other end is alive, and some servers count how often. At GOAWAY
# (RFC 9113 section 6.8) h2 considers a connection as closed that is only going to be; streams have
# the same numbers on both sides, so that it is true of either.
_FOR_THE_OTHER_PEER = frozenset({frames.PING, frames.GOAWAY})


class PassedOn(NamedTuple):
    """A frame that is for the other peer, as it was received."""

    frame: bytes


class BrokenError(Exception):
    """The peer has broken a rule of HTTP/2; the GOAWAY that says so is in what is to be sent."""


class _Data(NamedTuple):
    content: memoryview


class _Fields(NamedTuple):
    headers: HeaderFields
    end_stream: bool


class _End(NamedTuple):
    pass


class _Reset(NamedTuple):
    code: int


_Item = _Data | _Fields | _End | _Reset


class Http2Endpoint:
    """Speaks HTTP/2 with a peer; what its windows do not take yet waits here, in order.

    After any call, `to_send()` may hold bytes for the peer.

    Args:
        client_side: whether this end is the client.
    """

    def __init__(self, *, client_side: bool) -> None:
        config = h2.config.H2Configuration(
            client_side=client_side,
            # What the peers make of each other's headers is theirs to decide.
            validate_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_inbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)
        settings = {
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST,
            h2.settings.SettingCodes.ENABLE_PUSH: 0,
        }
        if not client_side:
            settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = MAX_STREAMS
        self._h2.local_settings = h2.settings.Settings(client=client_side, initial_values=settings)
        self._reader = FrameReader()
        self._preface_left = 0 if client_side else len(PREFACE)
        self._outgoing = bytearray()
        self._waiting: dict[int, deque[_Item]] = {}
        self._drained: list[int] = []
        # Requests beyond what the peer takes at once, in the order in which they came.
        self._unopened: deque[int] = deque()

    def start(self) -> None:
        """Say what an endpoint says first."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW)

    def to_send(self) -> bytes:
        """Give the bytes that are due to the peer, once."""
        data = bytes(self._outgoing) + self._h2.data_to_send()
        self._outgoing.clear()
        return data

    def receive(self, data: bytes) -> Iterator[h2.events.Event | PassedOn]:
        """Take bytes of the peer, cut anywhere, and give what they say.

        The iterator must be run to its end before the next call.

        Raises:
            BrokenError: they break a rule; nothing more can be received or sent.
        """
        try:
            for part in self._parts(data):
                if isinstance(part, PassedOn):
                    yield part
                else:
                    yield from self._handled(part)
        except h2.exceptions.ProtocolError as error:
            # h2's texts may quote what the peer has sent.
            code = h2.errors.ErrorCodes(error.error_code).name
            raise BrokenError(f"it has broken a rule ({code})") from None
        except frames.ProtocolError as error:
            self._h2.close_connection(h2.errors.ErrorCodes.FRAME_SIZE_ERROR)
            raise BrokenError(str(error)) from None

    def _parts(self, data: bytes) -> Iterator[bytes | PassedOn]:
        """Take out the frames that h2 is not to see."""
        if self._preface_left:
            opening = data[: self._preface_left]
            self._preface_left -= len(opening)
            data = data[len(opening) :]
            yield opening
        whole: list[bytes] = []
        for frame in self._reader.feed(data):
            if frame.type in _FOR_THE_OTHER_PEER:
                yield b"".join(whole)
                whole.clear()
                yield PassedOn(_serialized(frame))
            else:
                whole.append(_serialized(frame))
        if whole:
            yield b"".join(whole)

    def _handled(self, data: bytes) -> Iterator[h2.events.Event]:
        for event in self._h2.receive_data(data):
            match event:
                case h2.events.WindowUpdated(stream_id=int(stream)) if stream:
                    self._send_waiting(stream)
                case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                    for stream in list(self._waiting):
                        self._send_waiting(stream)
                case h2.events.StreamReset(stream_id=int(stream)):
                    self._forget(stream)
                    yield event
                case _:
                    yield event
        while self._unopened and self._may_open(self._unopened[0]):
            self._send_waiting(self._unopened.popleft())

    def acknowledge(self, stream: int, size: int) -> None:
        """Let the peer send so many bytes of DATA more."""
        if size:
            with contextlib.suppress(h2.exceptions.NoSuchStreamError):
                self._h2.acknowledge_received_data(size, stream)

    def send_headers(self, stream: int, headers: HeaderFields, *, end_stream: bool) -> None:
        """Send a header block, after what waits on its stream."""
        self._enqueue(stream, _Fields(headers, end_stream))

    def send_data(self, stream: int, content: bytes, *, end_stream: bool) -> None:
        """Send content, as far as the peer takes it, the rest later."""
        items: list[_Item] = [_Data(memoryview(content))] if content else []
        if end_stream:
            items.append(_End())
        if items:
            self._enqueue(stream, *items)

    def send_reset(self, stream: int, code: int) -> None:
        """Reset a stream; of what waits on it, nothing is sent any more.

        NO_ERROR alone comes after it: a server says so that it needs no more of a request that it
        has answered (RFC 9113 section 8.1).
        """
        if code == h2.errors.ErrorCodes.NO_ERROR and stream in self._waiting:
            self._enqueue(stream, _Reset(code))
            return
        unopened = stream in self._unopened
        self._forget(stream)
        if not unopened:
            self._reset(stream, code)

    def pass_on(self, received: PassedOn) -> None:
        """Send a frame of the other peer, unchanged."""
        self._outgoing += self._h2.data_to_send() + received.frame

    def waits(self, stream: int) -> bool:
        """Whether something waits on a stream."""
        return stream in self._waiting

    @property
    def waiting(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def take_drained(self) -> list[int]:
        """The streams on which something has waited that no longer does, once."""
        drained, self._drained = self._drained, []
        return drained

    def _enqueue(self, stream: int, *items: _Item) -> None:
        if queue := self._waiting.get(stream):
            queue.extend(items)
            return
        self._waiting[stream] = deque(items)
        if not self._may_open(stream):
            self._unopened.append(stream)
            return
        self._send_waiting(stream)
        if stream not in self._waiting:
            # It has never waited.
            self._drained.pop()

    def _may_open(self, stream: int) -> bool:
        """Whether a stream has been opened, or may be by what the peer takes at once."""
        if not self._h2.config.client_side or stream <= self._h2.highest_outbound_stream_id:
            return True
        if self._unopened and self._unopened[0] != stream:
            return False
        return self._h2.open_outbound_streams < self._h2.remote_settings.max_concurrent_streams

    def _is_over(self, stream: int) -> bool:
        """Whether a stream has ended in both directions, or was reset."""
        known = self._h2.streams.get(stream)
        if known is not None:
            return known.closed
        return not self._h2.config.client_side or stream <= self._h2.highest_outbound_stream_id

    def _send_waiting(self, stream: int) -> None:
        queue = self._waiting.get(stream)
        if queue is None or stream in self._unopened:
            return
        # The next turn begins with the others.
        self._waiting[stream] = self._waiting.pop(stream)
        if self._is_over(stream):
            queue.clear()
        while queue:
            item = queue[0]
            if isinstance(item, _Data):
                if not self._send_some(stream, queue, item.content):
                    return
                continue
            queue.popleft()
            match item:
                case _Fields(headers, end_stream):
                    self._h2.send_headers(stream, headers, end_stream=end_stream)
                case _End():
                    self._h2.end_stream(stream)
                case _Reset(code):
                    self._reset(stream, code)
        del self._waiting[stream]
        self._drained.append(stream)

    def _send_some(self, stream: int, queue: deque[_Item], content: memoryview) -> bool:
        """Send a frame of DATA, with what ends the stream if it is next; False without a window."""
        room = min(
            self._h2.local_flow_control_window(stream),
            self._h2.max_outbound_frame_size,
            frames.DEFAULT_MAX_FRAME_SIZE,
        )
        if room <= 0:
            return False
        queue.popleft()
        if len(content) > room:
            queue.appendleft(_Data(content[room:]))
        last = bool(queue) and isinstance(queue[0], _End)
        if last:
            queue.popleft()
        self._h2.send_data(stream, bytes(content[:room]), end_stream=last)
        return True

    def _forget(self, stream: int) -> None:
        if self._waiting.pop(stream, None) is not None:
            self._drained.append(stream)
        with contextlib.suppress(ValueError):
            self._unopened.remove(stream)

    def _reset(self, stream: int, code: int) -> None:
        # It may have ended in both directions by now.
        with contextlib.suppress(h2.exceptions.NoSuchStreamError):
            self._h2.reset_stream(stream, code)


def _serialized(frame: RawFrame) -> bytes:
    header = len(frame.payload).to_bytes(3, "big") + bytes((frame.type, frame.flags))
    return header + frame.stream.to_bytes(4, "big") + frame.payload
