"""gRPC messages to JSON: through the descriptors of the services that are known, or by guessing."""

import contextlib
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from mitm.events import Direction, Source
from mitm.messages.error_details import error_details
from mitm.messages.guess import guess
from mitm.messages.pool import MISSING, add_files
from mitm.messages.room import MAX_STEPS, Room
from mitm.messages.shape import shape_of
from mitm.messages.typed import read
from mitm.messages.wire_format import MalformedError

# Characters of JSON that are told of the details of an error: a header has 16 KiB of them at most
# (mitm/messages/status.py).
MAX_TOLD_OF_ERROR = 64 * 1024


class Decoded(NamedTuple):
    """What a message says.

    Attributes:
        type: the type's full name by the descriptors, "" for an unknown method.
        value: the message as JSON, None if it could not be read at all: by the descriptors, in the
            JSON form of Protocol Buffers with the fields' own names; guessed, by field numbers.
        raw: the bytes themselves, unless the value accounts for all of them.
        source: whose word the value is; None where there is none.
    """

    type: str
    value: dict[str, object] | None
    raw: bytes | None
    source: Source | None


class _Type(NamedTuple):
    """A type of message, and where it is known from."""

    descriptor: Descriptor
    source: Source


class Schema:
    """What the methods of some services take and give; without any, messages are guessed.

    Args:
        files: descriptors, in any order.
        source: where they are from.

    Attributes:
        unusable: what of the files that were given is missing, a line each: an import, or a file
            contradicts another. What is of its types is guessed.
    """

    def __init__(
        self, files: FileDescriptorSet | None = None, source: Source = "descriptors"
    ) -> None:
        self._types: dict[tuple[str, Direction], _Type] = {}
        self._pools: list[DescriptorPool] = []
        self.unusable: list[str] = []
        if files:
            self.add(files, source)

    def add(self, files: FileDescriptorSet, source: Source) -> None:
        """Add the services of more files; methods that are known already keep their types."""
        # A pool of our own: the default one would clash with the same names in other programs'
        # stubs, the ones of a test run that uses the pytest plugin for example.
        pool = DescriptorPool()
        added, unusable = add_files(pool, files.file)
        self.unusable += unusable
        self._pools.append(pool)
        for name in sorted(added):
            for service in pool.FindFileByName(name).services_by_name.values():
                for method in service.methods:
                    path = f"/{service.full_name}/{method.name}"
                    self._know((path, "client"), method.input_type, source)
                    self._know((path, "server"), method.output_type, source)

    def _know(self, where: tuple[str, Direction], type_: Descriptor, source: Source) -> None:
        if type_.full_name != MISSING:
            self._types.setdefault(where, _Type(type_, source))

    def services(self) -> list[str]:
        """Full names of the services that are known."""
        return sorted({path.split("/")[1] for path, _ in self._types})

    def methods(self) -> list[str]:
        """Paths of the methods that are known."""
        return sorted({path for path, direction in self._types if direction == "client"})

    def message_types(self) -> list[Descriptor]:
        """The types that methods take and give."""
        return [known.descriptor for known in self._types.values()]

    def type_name(self, method: str, direction: Direction) -> str:
        """Full name of the type that a method takes or gives, "" for an unknown method."""
        known = self._types.get((method, direction))
        return known.descriptor.full_name if known else ""

    def decode(
        self, method: str, direction: Direction, data: bytes, room: Room | None = None
    ) -> Decoded:
        """Read a message; whatever its bytes are, this does not raise.

        Args:
            method: path of the call, `/users.v1.UserService/GetUser`.
            direction: who sent the message.
            data: the message without gRPC's prefix, uncompressed.
            room: how much may be told of it.
        """
        if room is None:
            room = Room()
        room.steps = MAX_STEPS
        known = self._types.get((method, direction))
        if known is None:
            guessed, exact = guess(data, room)
            return _guessed("", guessed, exact, data)
        shape = shape_of(known.descriptor)
        try:
            value, fits, exact = read(shape, data, self._find, room)
        except MalformedError:
            return Decoded(shape.name, None, data, None)
        if not fits:
            return _guessed(shape.name, value, exact, data)
        # The types that have a JSON form of their own, `StringValue` for example.
        if not isinstance(value, dict):
            value = {"value": value}
        return Decoded(shape.name, value, None if exact else data, known.source)

    def decode_status(self, data: bytes) -> dict[str, object] | None:
        """Read a `google.rpc.Status` with the details in it, None if the bytes are none."""
        type_ = shape_of(_pool_of_errors().FindMessageTypeByName("google.rpc.Status"))
        try:
            told = read(type_, data, self._find, Room(MAX_TOLD_OF_ERROR))
        except MalformedError:
            return None
        return told.value if told.fits else None

    def _find(self, name: str) -> Descriptor | None:
        """The type of that name; those of errors are known to everybody."""
        for pool in chain(self._pools, [_pool_of_errors()]):
            with contextlib.suppress(KeyError):
                return pool.FindMessageTypeByName(name)
        return None


def _guessed(name: str, value: dict[str, object] | None, exact: bool, data: bytes) -> Decoded:
    return Decoded(name, value, None if exact else data, None if value is None else "guess")


@lru_cache(maxsize=1)
def _pool_of_errors() -> DescriptorPool:
    pool = DescriptorPool()
    add_files(pool, error_details().file)
    return pool
