"""Descriptor files put into a pool, as far as they can be."""

import contextlib
import importlib
from collections import ChainMap
from collections.abc import Container, Iterable, Iterator, Mapping, MutableSequence
from graphlib import CycleError, TopologicalSorter

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool

# What stands for a type of message that is missing. It has no fields, so that all are guessed.
MISSING = "mitm_demo.Missing"

_FILE_OF_MISSING = FileDescriptorProto(
    name="mitm_demo/missing.proto",
    package="mitm_demo",
    message_type=[DescriptorProto(name="Missing")],
)


def add_files(
    pool: DescriptorPool, files: Iterable[FileDescriptorProto]
) -> tuple[list[str], list[str]]:
    """Add files to a pool, each after those that it imports.

    A file that is not there, or cannot be used, costs what is of its types, and nothing else:
    `MISSING` stands for its messages, numbers for its enums, and what extends them is left out.
    An import of which nothing is used, or nothing but options, is not missed.

    Returns:
        The names of those that were added; and what is missing, a line each: files that cannot be
        used, and files of which a part is missing.
    """
    unusable: list[str] = []
    by_name: dict[str, FileDescriptorProto] = {}
    for file in files:
        # protobuf gives a string that is not UTF-8 as bytes, and pools refuse it.
        if all(isinstance(name, str) for name in _names(file)):
            by_name[file.name] = file
        else:
            unusable.append(f"{file.name!s}: a name in it is not UTF-8")
    wanted = [name for file in by_name.values() for name in file.dependency]
    while wanted:
        if (name := wanted.pop()) not in by_name and (well_known := _well_known(name)):
            by_name[name] = well_known
            wanted += well_known.dependency
    order, circular = _in_order(by_name)
    unusable += [f"{name}: it imports itself, by way of others" for name in circular]
    pool.AddSerializedFile(_FILE_OF_MISSING.SerializeToString())
    known = {MISSING: _FILE_OF_MISSING.name}
    added: dict[str, None] = {}  # in their order
    for name in order:
        file, lacking = _mended(by_name[name], known, added)
        try:
            pool.AddSerializedFile(file.SerializeToString())
        except TypeError as error:
            unusable.append(f"{name}: {' '.join(str(error).split())}")
            continue
        added[name] = None
        known |= dict.fromkeys(_types(file), name)
        if lacking:
            verb = "is" if len(lacking) == 1 else "are"
            unusable.append(f"{name}: {', '.join(lacking)} {verb} missing")
    return list(added), unusable


def _mended(
    file: FileDescriptorProto, known: dict[str, str], added: Container[str]
) -> tuple[FileDescriptorProto, list[str]]:
    """A file that does without what is missing.

    Args:
        file: as it was given.
        known: the types that are there, and the files they are in.
        added: the files that are there.

    Returns:
        The file, and what it lacks: imports, or types if no import tells where they should be.
    """
    mended = FileDescriptorProto()
    mended.CopyFrom(file)
    own = set(_types(file))
    there = ChainMap(dict.fromkeys(own, file.name), known)
    imports = [name for name in file.dependency if name in added]
    absent = [name for name in file.dependency if name not in added]
    lacking: set[str] = set()
    for field in _fields(mended):
        if _is_missing(field.type_name, there):
            lacking.add(field.type_name[1:])
            _do_without(field)
    lacking |= _leave_out(mended.extension, there)
    for _, message in _messages(mended):
        lacking |= _leave_out(message.extension, there)
    for service in mended.service:
        for method in service.method:
            lacking |= {
                name[1:]
                for name in (method.input_type, method.output_type)
                if _is_missing(name, there)
            }
            if _is_missing(method.input_type, there):
                method.input_type = f".{MISSING}"
            if _is_missing(method.output_type, there):
                method.output_type = f".{MISSING}"
    used = {known[name] for name in _references(mended) if name in known and name not in own}
    if absent or not used <= set(imports):
        # Types may be known by way of a file that is missing, which imports theirs publicly.
        imports += sorted(used - set(imports))
        del mended.dependency[:], mended.public_dependency[:], mended.weak_dependency[:]
        mended.dependency.extend(imports)
    return mended, (absent or sorted(lacking)) if lacking else []


def _is_missing(name: str, there: Container[str]) -> bool:
    # A name without a dot before it is none of protoc's; what it means is for the pool to find out.
    return name.startswith(".") and name[1:] not in there


def _leave_out(
    extensions: MutableSequence[FieldDescriptorProto], there: Container[str]
) -> set[str]:
    """Leave out what extends a type that is missing, and give the names of such types."""
    kept = [each for each in extensions if not _is_missing(each.extendee, there)]
    lacking = {each.extendee[1:] for each in extensions if _is_missing(each.extendee, there)}
    del extensions[:]
    extensions.extend(kept)
    return lacking


def _do_without(field: FieldDescriptorProto) -> None:
    if field.type == FieldDescriptorProto.TYPE_ENUM:
        field.type = FieldDescriptorProto.TYPE_INT32
        field.ClearField("type_name")
        field.ClearField("default_value")
    else:
        field.type_name = f".{MISSING}"


def _messages(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    """The types of message of a file, with their full names."""
    prefix = f"{file.package}." if file.package else ""
    left = [(f"{prefix}{each.name}", each) for each in file.message_type]
    while left:
        name, message = left.pop()
        yield name, message
        left += [(f"{name}.{each.name}", each) for each in message.nested_type]


def _types(file: FileDescriptorProto) -> Iterator[str]:
    """Full names of the messages and enums of a file."""
    prefix = f"{file.package}." if file.package else ""
    yield from (f"{prefix}{enum.name}" for enum in file.enum_type)
    for name, message in _messages(file):
        yield name
        yield from (f"{name}.{enum.name}" for enum in message.enum_type)


def _fields(file: FileDescriptorProto) -> Iterator[FieldDescriptorProto]:
    yield from file.extension
    for _, message in _messages(file):
        yield from message.field
        yield from message.extension


def _references(file: FileDescriptorProto) -> Iterator[str]:
    """Full names of the types that a file uses."""
    for field in _fields(file):
        yield field.type_name[1:]
        yield field.extendee[1:]
    for service in file.service:
        for method in service.method:
            yield method.input_type[1:]
            yield method.output_type[1:]


def _names(file: FileDescriptorProto) -> Iterator[object]:
    """All names that matter here."""
    yield from (file.name, file.package, *file.dependency)
    yield from (enum.name for enum in file.enum_type)
    for _, message in _messages(file):
        yield from (message.name, *(enum.name for enum in message.enum_type))
    for field in _fields(file):
        yield from (field.type_name, field.extendee)
    for service in file.service:
        for method in service.method:
            yield from (method.input_type, method.output_type)


def _in_order(files: Mapping[str, FileDescriptorProto]) -> tuple[list[str], list[str]]:
    """The names of files, each after those that it needs; and those of files that go in circles."""
    homes: dict[str, str] = {}
    for name, file in files.items():
        for type_ in _types(file):
            homes.setdefault(type_, name)
    needs: dict[str, set[str]] = {}
    for name, file in files.items():
        foreign = set(_references(file)).difference(_types(file))
        needed = {homes[type_] for type_ in foreign if type_ in homes}
        needs[name] = (needed | set(file.dependency)) & files.keys()
    order = _sorted(needs)
    rest = needs.keys() - set(order)
    # What imports a circle without being a part of it, from the outside.
    needed_by = {name: {each for each in rest if name in needs[each]} for name in rest}
    outside = _sorted(needed_by)
    return order + outside[::-1], sorted(rest - set(outside))


def _sorted(needs: Mapping[str, Iterable[str]]) -> list[str]:
    """Names in order, without those of circles and of what needs them."""
    sorter = TopologicalSorter(needs)
    with contextlib.suppress(CycleError):
        sorter.prepare()
    names: list[str] = []
    while ready := sorter.get_ready():
        names += ready
        sorter.done(*ready)
    return names


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
