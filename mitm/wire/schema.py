"""gRPC messages to JSON, through the descriptors of the services that are known."""

from pathlib import Path

from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from mitm.errors import UserError
from mitm.events import Direction

Decoded = tuple[str, dict[str, object] | None, bytes | None]


class Schema:
    """What the methods of some services take and give.

    Args:
        files: descriptors, each after those that it imports, as `protoc --include_imports` writes
            them; empty for a schema that knows nothing.

    Raises:
        TypeError: an import is missing, or a file contradicts another.
    """

    def __init__(self, files: FileDescriptorSet) -> None:
        # A pool of our own: the default one would clash with the same names in other programs'
        # stubs, the ones of a test run that uses the pytest plugin for example.
        self._pool = DescriptorPool()
        self._types: dict[tuple[str, Direction], type[Message]] = {}
        for file in files.file:
            self._pool.AddSerializedFile(file.SerializeToString())
        for file in files.file:
            for service in self._pool.FindFileByName(file.name).services_by_name.values():
                for method in service.methods:
                    path = f"/{service.full_name}/{method.name}"
                    self._types[path, "client"] = GetMessageClass(method.input_type)
                    self._types[path, "server"] = GetMessageClass(method.output_type)

    @classmethod
    def load(cls, path: Path) -> "Schema":
        """Read a serialized `FileDescriptorSet` (`protoc --include_imports -o FILE`).

        Raises:
            UserError: the file cannot be read, or is not such a set with all its imports.
        """
        try:
            return cls(FileDescriptorSet.FromString(path.read_bytes()))
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        except (DecodeError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path}: not a complete descriptor set: {reason}: "
                "write it with protoc --include_imports --descriptor_set_out"
            ) from None

    def type_name(self, method: str, direction: Direction) -> str:
        """Full name of the type that a method takes or gives, "" for an unknown method."""
        message_class = self._types.get((method, direction))
        return message_class.DESCRIPTOR.full_name if message_class else ""

    def decode(self, method: str, direction: Direction, data: bytes) -> Decoded:
        """Read a message; whatever its bytes are, this does not raise.

        Args:
            method: path of the call, `/users.v1.UserService/GetUser`.
            direction: who sent the message.
            data: the message without gRPC's prefix, uncompressed.

        Returns:
            The type's full name, "" for an unknown method; the message in the JSON form of
            Protocol Buffers with the fields' own names, None if the bytes are not of that type;
            and the bytes themselves, unless that JSON accounts for all of them.
        """
        message_class = self._types.get((method, direction))
        if message_class is None:
            return "", None, data
        name = message_class.DESCRIPTOR.full_name
        try:
            message = message_class.FromString(data)
            size = message.ByteSize()
            message.DiscardUnknownFields()
            value = json_format.MessageToDict(
                message, preserving_proto_field_name=True, descriptor_pool=self._pool
            )
        except Exception:
            # The bytes are the peer's choice, and json_format promises no list of errors: an
            # Any of an unknown type, a Timestamp in the year 99999 and deep nesting each raise
            # something else.
            return name, None, data
        if not isinstance(value, dict):
            # The well-known types that have a JSON form of their own, `StringValue` for example.
            value = {"value": value}
        # Fields without a meaning, and values that a later one of the same field overrides.
        complete = len(data) == size == message.ByteSize()
        return name, value, None if complete else data
