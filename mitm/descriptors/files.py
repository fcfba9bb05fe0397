"""Descriptor sets, as protoc writes them to files."""

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from mitm.errors import UserError


def load_descriptor_set(path: Path) -> FileDescriptorSet:
    """Read a serialized `FileDescriptorSet`.

    Raises:
        UserError: the file cannot be read, or is not such a set.
    """
    try:
        files = FileDescriptorSet.FromString(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except DecodeError:
        files = FileDescriptorSet()
    if not files.file or not all(file.name for file in files.file):
        raise UserError(
            f"{path}: not a descriptor set: "
            "write it with protoc --include_imports --descriptor_set_out"
        )
    return files
