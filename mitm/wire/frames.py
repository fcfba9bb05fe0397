"""HTTP/2 frames (RFC 9113 sections 4 and 6): bytes in, frames out, and what each frame says."""

import struct
from collections.abc import Collection, Iterator
from enum import IntEnum, IntFlag
from functools import lru_cache

import msgspec

# RFC 9113 section 6.5.2: what a receiver takes until it announces more, and the most it may.
DEFAULT_MAX_FRAME_SIZE = 2**14
LARGEST_MAX_FRAME_SIZE = 2**24 - 1

# Real endpoints send fewer than ten settings; nghttp2 stops at 32 as well
# (NGHTTP2_DEFAULT_MAX_SETTINGS).
MAX_SETTINGS = 32

# GOAWAY may carry any amount of debug data (RFC 9113 section 6.8); gRPC's is a word or two
# ("too_many_pings"), so that this much is shown.
DEBUG_DATA_SHOWN = 256

_HEADER = struct.Struct(">HBBBL")
_HEADER_SIZE = _HEADER.size
_SETTING = struct.Struct(">HL")
_UINT32 = struct.Struct(">L")
_31_BITS = 0x7FFFFFFF


class ProtocolError(Exception):
    """The bytes break a rule of the protocol; the text says which."""


class StreamError(ProtocolError):
    """What is broken is a stream's alone: frames and header blocks around it can be read on."""


class FrameType(IntEnum):
    """Frame types: RFC 9113 section 6, RFC 7838 (ALTSVC), RFC 8336 (ORIGIN), RFC 9218."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9
    ALTSVC = 0xA
    ORIGIN = 0xC
    PRIORITY_UPDATE = 0x10


class Flag(IntFlag):
    """Flags; END_STREAM and ACK share a bit, and the frame type tells them apart."""

    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Setting(IntEnum):
    """Settings: RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8
    NO_RFC7540_PRIORITIES = 0x9


class ErrorCode(IntEnum):
    """Error codes of RST_STREAM and GOAWAY (RFC 9113 section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


# IntEnum members cost a slow attribute lookup on each use; the parsers run on plain numbers.
DATA = int(FrameType.DATA)
HEADERS = int(FrameType.HEADERS)
PRIORITY = int(FrameType.PRIORITY)
RST_STREAM = int(FrameType.RST_STREAM)
SETTINGS = int(FrameType.SETTINGS)
PUSH_PROMISE = int(FrameType.PUSH_PROMISE)
PING = int(FrameType.PING)
GOAWAY = int(FrameType.GOAWAY)
WINDOW_UPDATE = int(FrameType.WINDOW_UPDATE)
CONTINUATION = int(FrameType.CONTINUATION)
ACK = int(Flag.ACK)
END_STREAM = int(Flag.END_STREAM)
END_HEADERS = int(Flag.END_HEADERS)
PADDED = int(Flag.PADDED)
PRIORITY_FLAG = int(Flag.PRIORITY)
HEADER_TABLE_SIZE = int(Setting.HEADER_TABLE_SIZE)
MAX_FRAME_SIZE = int(Setting.MAX_FRAME_SIZE)

_TYPE_NAMES = {int(member): member.name for member in FrameType}
_SETTING_NAMES = {int(member): member.name for member in Setting}
_ERROR_NAMES = {int(member): member.name for member in ErrorCode}
_FLAGS: dict[int, dict[int, str]] = {
    DATA: {END_STREAM: "END_STREAM", PADDED: "PADDED"},
    HEADERS: {
        END_STREAM: "END_STREAM",
        END_HEADERS: "END_HEADERS",
        PADDED: "PADDED",
        PRIORITY_FLAG: "PRIORITY",
    },
    SETTINGS: {ACK: "ACK"},
    PUSH_PROMISE: {END_HEADERS: "END_HEADERS", PADDED: "PADDED"},
    PING: {ACK: "ACK"},
    CONTINUATION: {END_HEADERS: "END_HEADERS"},
}

# Which frames belong to a stream and which to the connection (RFC 9113 section 6).
_OF_A_STREAM = frozenset({DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION})
_OF_THE_CONNECTION = frozenset({SETTINGS, PING, GOAWAY})
_FIXED_LENGTH = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}


class RawFrame(msgspec.Struct, frozen=True, gc=False):
    """One frame as it stood on the wire: payload with its padding, stream without reserved bit."""

    type: int
    flags: int
    stream: int
    payload: bytes


class FrameReader:
    """Cuts the bytes of one direction into frames.

    Attributes:
        max_frame_size: the longest payload that the receiver has announced to take, in bytes.
    """

    def __init__(self) -> None:
        self.max_frame_size = DEFAULT_MAX_FRAME_SIZE
        self._buffer = bytearray()
        self._needed = _HEADER_SIZE

    @property
    def buffered(self) -> int:
        """Bytes held of a frame that is not complete."""
        return len(self._buffer)

    @property
    def begun(self) -> int | None:
        """The type of the frame that is not complete; None if that has not come yet."""
        return self._buffer[3] if len(self._buffer) > 3 else None

    def feed(self, data: bytes) -> Iterator[RawFrame]:
        """Take the next bytes, cut anywhere, and give the frames that they complete.

        The iterator must be run to its end before the next call.

        Raises:
            ProtocolError: a frame is longer than `max_frame_size` (RFC 9113 section 4.2), seen
                as soon as its header is there.
        """
        if self._buffer:
            # Nothing is looked at before a frame can be complete: bytes that come one by one are
            # appended, and copied once.
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        start, end = 0, len(data)
        self._needed = _HEADER_SIZE
        unpack = _HEADER.unpack_from
        while end - start >= _HEADER_SIZE:
            high, low, type_, flags, stream = unpack(data, start)
            length = high << 8 | low
            payload = start + _HEADER_SIZE
            stop = payload + length
            if length > self.max_frame_size:
                raise ProtocolError(
                    f"frame of {length} bytes where {self.max_frame_size} were allowed "
                    "(RFC 9113 section 4.2)"
                )
            if stop > end:
                self._needed = _HEADER_SIZE + length
                break
            start = stop
            yield RawFrame(type_, flags, stream & _31_BITS, data[payload:stop])
        if start < end:
            self._buffer += data[start:]


def numbers(names: Collection[str]) -> frozenset[int]:
    """The frame types of these names."""
    return frozenset(number for number, name in _TYPE_NAMES.items() if name in names)


def type_name(number: int) -> str:
    """A frame type as in the RFCs, `SETTINGS`; `0x2A` for an unknown one."""
    return _TYPE_NAMES.get(number) or f"0x{number:02X}"


def error_name(code: int) -> str:
    """An error code as in the RFC, `CANCEL`; `0x1F` for an unknown one."""
    return _ERROR_NAMES.get(code) or f"0x{code:02X}"


@lru_cache(maxsize=1024)
def flag_names(type_: int, flags: int) -> tuple[str, ...]:
    """The flags set, by name; bits without a meaning for this type together as one `0x40`."""
    known = _FLAGS.get(type_, {})
    names = [name for bit, name in known.items() if flags & bit]
    rest = flags & ~sum(known)
    return (*names, f"0x{rest:02X}") if rest else tuple(names)


def check(frame: RawFrame) -> None:
    """Hold a frame against the rules that need no knowledge of the connection.

    Raises:
        ProtocolError: its stream or its length is not one that its type allows; or as for
            `settings`.
    """
    type_, stream, payload = frame.type, frame.stream, frame.payload
    if type_ in _OF_A_STREAM:
        if not stream:
            raise ProtocolError(f"{type_name(type_)} on stream 0 (RFC 9113 section 6)")
    elif type_ in _OF_THE_CONNECTION and stream:
        raise ProtocolError(f"{type_name(type_)} on stream {stream}, not 0 (RFC 9113 section 6)")
    length = len(payload)
    if length != _FIXED_LENGTH.get(type_, length) or (type_ == GOAWAY and length < 8):
        raise ProtocolError(f"{type_name(type_)} of {length} bytes (RFC 9113 section 6)")
    if type_ == SETTINGS:
        settings(frame)


def settings(frame: RawFrame) -> list[tuple[int, int]]:
    """The pairs of a SETTINGS frame, in order.

    Raises:
        ProtocolError: wrong length, too many pairs, or a value that RFC 9113 section 6.5.2
            forbids.
    """
    payload = frame.payload
    if len(payload) % _SETTING.size or (frame.flags & ACK and payload):
        raise ProtocolError(f"SETTINGS of {len(payload)} bytes (RFC 9113 section 6.5)")
    if len(payload) > MAX_SETTINGS * _SETTING.size:
        count = len(payload) // _SETTING.size
        raise ProtocolError(f"{count} settings in a frame, more than {MAX_SETTINGS}")
    pairs: list[tuple[int, int]] = list(_SETTING.iter_unpack(payload))
    for setting, value in pairs:
        low, high = _ALLOWED.get(setting, (0, 2**32 - 1))
        if not low <= value <= high:
            name = _SETTING_NAMES[setting]
            raise ProtocolError(f"{name}={value} is not allowed (RFC 9113 section 6.5.2)")
    return pairs


_ALLOWED = {
    int(Setting.ENABLE_PUSH): (0, 1),
    int(Setting.INITIAL_WINDOW_SIZE): (0, 2**31 - 1),
    int(Setting.MAX_FRAME_SIZE): (DEFAULT_MAX_FRAME_SIZE, LARGEST_MAX_FRAME_SIZE),
}


def detail(frame: RawFrame) -> str:
    """What a control frame says, in a few words; "" for DATA, headers and unknown types.

    The frame must have passed `check`.
    """
    type_, payload = frame.type, frame.payload
    if type_ == SETTINGS:
        return ", ".join(
            f"{_SETTING_NAMES.get(setting) or f'0x{setting:02X}'}={value}"
            for setting, value in _SETTING.iter_unpack(payload)
        )
    if type_ == WINDOW_UPDATE:
        return f"+{uint31(payload)}"
    if type_ == RST_STREAM:
        return error_name(_UINT32.unpack(payload)[0])
    if type_ == GOAWAY:
        last, code = uint31(payload), _UINT32.unpack_from(payload, 4)[0]
        debug = payload[8 : 8 + DEBUG_DATA_SHOWN].decode("utf-8", "backslashreplace")
        said = f"{error_name(code)}, last stream {last}"
        return f"{said}, {debug!r}" if debug else said
    if type_ == PRIORITY:
        return _priority(payload)
    if type_ == PING:
        return payload.hex()
    return ""


def uint31(payload: bytes, offset: int = 0) -> int:
    """An unsigned 31-bit integer behind a reserved bit: a stream, a window's increment."""
    number: int = _UINT32.unpack_from(payload, offset)[0]
    return number & _31_BITS


def _priority(payload: bytes) -> str:
    dependency: int = _UINT32.unpack_from(payload)[0]
    exclusive = ", exclusive" if dependency > _31_BITS else ""
    return f"depends on {dependency & _31_BITS}, weight {payload[4] + 1}{exclusive}"


def content(frame: RawFrame) -> bytes:
    """The payload of DATA without its padding (RFC 9113 section 6.1).

    Raises:
        StreamError: the padding is longer than the payload.
    """
    return _unpadded(frame, 0) if frame.flags & PADDED else frame.payload


def header_fragment(frame: RawFrame) -> bytes:
    """What HEADERS, PUSH_PROMISE or CONTINUATION hold of a header block (RFC 9113 section 6.2).

    Raises:
        ProtocolError: padding and fixed fields are longer than the payload.
    """
    if frame.type == HEADERS:
        if not frame.flags & (PADDED | PRIORITY_FLAG):
            return frame.payload
        return _unpadded(frame, 5 if frame.flags & PRIORITY_FLAG else 0)
    if frame.type == PUSH_PROMISE:
        return _unpadded(frame, 4)
    return frame.payload


def promised_stream(frame: RawFrame) -> int:
    """The stream that a PUSH_PROMISE announces (RFC 9113 section 6.6).

    Raises:
        ProtocolError: the frame is too short.
    """
    _unpadded(frame, 4)
    return uint31(frame.payload, 1 if frame.flags & PADDED else 0)


def _unpadded(frame: RawFrame, fixed: int) -> bytes:
    payload = frame.payload
    start, end = fixed, len(payload)
    if frame.flags & PADDED:
        start += 1
        end -= payload[0] if payload else 0
    if start > end:
        # Of a header block, what is lost is HPACK's state.
        kind = StreamError if frame.type == DATA else ProtocolError
        raise kind(
            f"{type_name(frame.type)}: the padding is longer than the frame (RFC 9113 section 6.1)"
            if frame.flags & PADDED
            else f"{type_name(frame.type)} of {len(payload)} bytes (RFC 9113 section 6)"
        )
    return payload[start:end]
