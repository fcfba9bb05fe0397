"""gRPC messages to JSON: through the descriptors of the services that are known, or by guessing."""

import contextlib
import importlib
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from mitm.events import Direction, Source
from mitm.messages.guess import guess


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
    """The type of a method's messages, and where it is known from."""

    message_class: type[Message]
    pool: DescriptorPool
    source: Source


class Schema:
    """What the methods of some services take and give; without any, messages are guessed.

    Args:
        files: descriptors, in any order.
        source: where they are from.

    Attributes:
        unusable: why files that were given are left out, a line each: an import is missing, or a
            file contradicts another. The messages of their services are guessed.
    """

    def __init__(
        self, files: FileDescriptorSet | None = None, source: Source = "descriptors"
    ) -> None:
        self._types: dict[tuple[str, Direction], _Type] = {}
        self._pools: list[tuple[DescriptorPool, Source]] = []
        self.unusable: list[str] = []
        if files:
            self.add(files, source)

    def add(self, files: FileDescriptorSet, source: Source) -> None:
        """Add the services of more files; methods that are known already keep their types."""
        # A pool of our own: the default one would clash with the same names in other programs'
        # stubs, the ones of a test run that uses the pytest plugin for example.
        pool = DescriptorPool()
        added, unusable = _add_in_order(pool, files.file)
        self.unusable += unusable
        self._pools.append((pool, source))
        for name in sorted(added):
            for service in pool.FindFileByName(name).services_by_name.values():
                for method in service.methods:
                    path = f"/{service.full_name}/{method.name}"
                    taken = _Type(GetMessageClass(method.input_type), pool, source)
                    given = _Type(GetMessageClass(method.output_type), pool, source)
                    self._types.setdefault((path, "client"), taken)
                    self._types.setdefault((path, "server"), given)

    def services(self) -> list[str]:
        """Full names of the services that are known."""
        return sorted({path.split("/")[1] for path, _ in self._types})

    def message_types(self) -> list[Descriptor]:
        """The types that methods take and give."""
        return [cast(Descriptor, t.message_class.DESCRIPTOR) for t in self._types.values()]

    def type_name(self, method: str, direction: Direction) -> str:
        """Full name of the type that a method takes or gives, "" for an unknown method."""
        known = self._types.get((method, direction))
        return known.message_class.DESCRIPTOR.full_name if known else ""

    def decode(self, method: str, direction: Direction, data: bytes) -> Decoded:
        """Read a message; whatever its bytes are, this does not raise.

        Args:
            method: path of the call, `/users.v1.UserService/GetUser`.
            direction: who sent the message.
            data: the message without gRPC's prefix, uncompressed.
        """
        known = self._types.get((method, direction))
        return _decode(known, data) if known else _guessed("", data)

    def decode_type(self, name: str, data: bytes) -> Decoded:
        """Read a message of a type that is known by its full name, as in an `Any`."""
        known = self._type(name)
        return _decode(known, data) if known else _guessed(name, data)

    def parse(self, name: str, data: bytes) -> Message | None:
        """A message of a type, None if the type is not known or the bytes are not of it."""
        known = self._type(name)
        try:
            return known.message_class.FromString(data) if known else None
        except DecodeError:
            return None

    def _type(self, name: str) -> _Type | None:
        for pool, source in self._pools:
            with contextlib.suppress(KeyError):
                return _Type(GetMessageClass(pool.FindMessageTypeByName(name)), pool, source)
        return None


def _decode(known: _Type, data: bytes) -> Decoded:
    name = known.message_class.DESCRIPTOR.full_name
    try:
        message = known.message_class.FromString(data)
        size = message.ByteSize()
        message.DiscardUnknownFields()
        value = json_format.MessageToDict(
            message, preserving_proto_field_name=True, descriptor_pool=known.pool
        )
        understood = message.ByteSize()
    except Exception:
        # The bytes are the peer's choice, and json_format promises no list of errors: an
        # Any of an unknown type, a Timestamp in the year 99999 and deep nesting each raise
        # something else.
        return _guessed(name, data)
    if not isinstance(value, dict):
        # The well-known types that have a JSON form of their own, `StringValue` for example.
        value = {"value": value}
    # Fields without a meaning, and values that a later one of the same field overrides.
    if len(data) == size == understood:
        return Decoded(name, value, None, known.source)
    if not understood:
        return _guessed(name, data)
    return Decoded(name, value | _unknown(known.message_class, data), data, known.source)


def _guessed(name: str, data: bytes) -> Decoded:
    value, exact = guess(data)
    source: Source | None = None if value is None else "guess"
    return Decoded(name, value, None if exact else data, source)


def _unknown(message_class: type[Message], data: bytes) -> dict[str, object]:
    """The fields of a message that its type does not have, guessed."""
    message = message_class.FromString(data)
    unknown: Iterable[Any] = UnknownFieldSet(message)  # type: ignore[assignment]
    numbers = {str(field.field_number) for field in unknown}
    value, _ = guess(data) if numbers else ({}, False)
    return {number: reading for number, reading in (value or {}).items() if number in numbers}


def _add_in_order(
    pool: DescriptorPool, files: Iterable[FileDescriptorProto]
) -> tuple[set[str], list[str]]:
    """Add files to a pool, each after those that it imports.

    Returns:
        The names of those that were added, and what is wrong with the others.
    """
    by_name = {file.name: file for file in files}
    wanted = [name for file in by_name.values() for name in file.dependency]
    while wanted:
        if (name := wanted.pop()) not in by_name and (well_known := _well_known(name)):
            by_name[name] = well_known
            wanted += well_known.dependency
    added: set[str] = set()
    unusable: list[str] = []
    for file in _in_order(by_name):
        try:
            pool.AddSerializedFile(file.SerializeToString())
            added.add(file.name)
        except TypeError as error:
            missing = [name for name in file.dependency if name not in added]
            reason = f"{missing[0]} is missing" if missing else " ".join(str(error).split())
            unusable.append(f"{file.name}: {reason}")
    return added, unusable


def _in_order(files: dict[str, FileDescriptorProto]) -> list[FileDescriptorProto]:
    sorter = TopologicalSorter({name: file.dependency for name, file in files.items()})
    # Files that import each other come last: they are as unusable as those that lack an import.
    with contextlib.suppress(CycleError):
        sorter.prepare()
    names: list[str] = []
    while ready := sorter.get_ready():
        names += ready
        sorter.done(*ready)
    names += files.keys() - set(names)
    return [files[name] for name in names if name in files]


def _well_known(name: str) -> FileDescriptorProto | None:
    """One of the files that Protocol Buffers bring: `google/protobuf/timestamp.proto`, say."""
    folder, _, file = name.rpartition("/")
    if folder != "google/protobuf" or not file.removesuffix(".proto").isidentifier():
        return None
    try:
        module = importlib.import_module(f"google.protobuf.{file.removesuffix('.proto')}_pb2")
    except ImportError:
        return None
    return FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
