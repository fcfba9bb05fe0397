"""Types with fields of every kind, and messages of them."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from mitm.descriptors.protoc import compile_protos
from mitm.messages import Schema
from mitm.messages.room import Room
from mitm.messages.schema import Decoded
from mitm.messages.shape import is_map_entry, is_repeated

_PROTO3 = """
syntax = "proto3";
package every;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

service Every { rpc Do(Thing) returns (Thing); }

enum Colour { GREY = 0; RED = 1; BLUE = 5; BELOW = -1; }

message Thing {
  double a_double = 1;   float a_float = 2;
  int32 an_int32 = 3;    int64 an_int64 = 4;
  uint32 a_uint32 = 5;   uint64 a_uint64 = 6;
  sint32 a_sint32 = 7;   sint64 a_sint64 = 8;
  fixed32 a_fixed32 = 9; fixed64 a_fixed64 = 10;
  sfixed32 an_sfixed32 = 11; sfixed64 an_sfixed64 = 12;
  bool a_bool = 13;
  string a_string = 14;
  bytes some_bytes = 15;
  Colour colour = 16;
  Thing thing = 17;
  repeated int32 numbers = 20;
  repeated string strings = 21;
  repeated Thing things = 22;
  repeated Colour colours = 23;
  repeated double doubles = 24;
  repeated float floats = 25 [packed = false];
  repeated bytes blobs = 26;
  map<string, string> names = 30;
  map<int64, Thing> by_number = 31;
  map<bool, Colour> by_bool = 32;
  map<uint32, bytes> by_uint = 33;
  map<string, google.protobuf.Timestamp> times = 34;
  oneof choice { string text = 40; int64 number = 41; Thing other = 42; }
  optional int32 maybe = 50;
  optional string maybe_text = 51;
  google.protobuf.Timestamp at = 60;
  google.protobuf.Duration lasts = 61;
  google.protobuf.FieldMask mask = 62;
  google.protobuf.Struct struct = 63;
  google.protobuf.Value value = 64;
  google.protobuf.ListValue list = 65;
  google.protobuf.Empty empty = 66;
  google.protobuf.Any any = 67;
  repeated google.protobuf.Any anys = 68;
  repeated google.protobuf.Timestamp ats = 69;
  google.protobuf.NullValue null = 70;
  google.protobuf.StringValue wrapped_string = 80;
  google.protobuf.BytesValue wrapped_bytes = 81;
  google.protobuf.Int64Value wrapped_int64 = 82;
  google.protobuf.UInt64Value wrapped_uint64 = 83;
  google.protobuf.Int32Value wrapped_int32 = 84;
  google.protobuf.UInt32Value wrapped_uint32 = 85;
  google.protobuf.BoolValue wrapped_bool = 86;
  google.protobuf.DoubleValue wrapped_double = 87;
  google.protobuf.FloatValue wrapped_float = 88;
}
"""

_PROTO2 = """
syntax = "proto2";
package old;

service Old { rpc Do(Thing) returns (Thing); }

enum Colour { RED = 1; BLUE = 5; }
enum Size { SMALL = 0; LARGE = 1; }

message Thing {
  required string name = 1;
  optional Colour colour = 2 [default = BLUE];
  repeated Colour colours = 3;
  optional int32 number = 4 [default = 7];
  repeated int32 numbers = 5;
  repeated int32 packed_numbers = 6 [packed = true];
  optional group Within = 7 { optional string text = 1; optional Thing thing = 2; }
  repeated group Each = 8 { optional int32 number = 1; }
  optional bytes some_bytes = 9;
  map<string, Size> by_name = 10;
  optional Thing thing = 11;
  extensions 100 to 200;
}

extend Thing {
  optional string note = 100;
  repeated Thing more = 101;
}
"""

THING, OLD_THING = "every.Thing", "old.Thing"
METHODS = {THING: "/every.Every/Do", OLD_THING: "/old.Old/Do"}


@functools.cache
def files() -> FileDescriptorSet:
    """The descriptors of these types."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "every.proto", Path(folder) / "old.proto"]
        for path, text in zip(paths, (_PROTO3, _PROTO2), strict=True):
            path.write_text(text)
        return compile_protos(paths, [])


@functools.cache
def pool() -> DescriptorPool:
    """Protocol Buffers' own view of them."""
    made = DescriptorPool()
    for file in files().file:
        made.AddSerializedFile(file.SerializeToString())
    return made


@functools.cache
def schema() -> Schema:
    return Schema(files())


def new(name: str, /, **fields: Any) -> Any:
    """A message of one of these types, or of those that Protocol Buffers bring."""
    return GetMessageClass(pool().FindMessageTypeByName(name))(**fields)


def decoded(name: str, data: bytes, room: Room | None = None) -> Decoded:
    """What is told of a message."""
    return schema().decode(METHODS[name], "client", data, room)


def as_json(message: Message) -> Any:
    """A message in the JSON form of Protocol Buffers.

    Raises:
        Exception: of some kind, if it has none.
    """
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, descriptor_pool=pool()
    )


_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
}
_TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
_PATH = st.from_regex(r"[a-z]{1,3}(_[a-z]{1,3})?", fullmatch=True)


def messages(name: str) -> st.SearchStrategy[Any]:
    """Messages of a type that have a JSON form."""
    return st.deferred(lambda: _of(pool().FindMessageTypeByName(name), 3))


def flat_messages(name: str) -> st.SearchStrategy[Any]:
    """Messages of a type in which there are nothing but scalars, each but once."""
    descriptor = pool().FindMessageTypeByName(name)
    scalars = {
        field.name: _scalar(field)
        for field in descriptor.fields
        if not (field.message_type or is_repeated(field))
    }
    return st.builds(
        lambda fields: GetMessageClass(descriptor)(**fields),
        st.fixed_dictionaries({}, optional=scalars),
    )


@st.composite
def _of(draw: st.DrawFn, descriptor: Descriptor, depth: int) -> Any:
    message = GetMessageClass(descriptor)()
    make = _SPECIAL.get(descriptor.full_name)
    if make:
        make(draw, message, depth)
        return message
    if not descriptor.fields:
        return message
    fields = draw(st.lists(st.sampled_from(list(descriptor.fields)), max_size=4))
    fields += [field for field in descriptor.fields if field.name == "name"]  # it is required
    for field in fields:
        if not depth and field.message_type:
            continue
        _set(draw, message, field, depth - 1)
    return message


def _set(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    if field.message_type and is_map_entry(field.message_type):
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for each in draw(st.lists(_scalar(key), max_size=3)):
            entries: Any = getattr(message, field.name)
            if value.message_type:
                entries[each].CopyFrom(draw(_of(value.message_type, depth)))
            else:
                entries[each] = draw(_scalar(value))
        return
    one = _of(field.message_type, depth) if field.message_type else _scalar(field)
    if is_repeated(field):
        getattr(message, field.name).extend(draw(st.lists(one, max_size=3)))
    elif field.message_type:
        getattr(message, field.name).CopyFrom(draw(one))
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, draw(one))


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=5)
    return _NUMBERS.get(field.cpp_type, _TEXT)


def _timestamp(draw: st.DrawFn, message: Any, _: int) -> None:
    message.seconds = draw(st.integers(-62_135_596_800, 253_402_300_799))
    message.nanos = draw(st.integers(0, 10**9 - 1))


def _duration(draw: st.DrawFn, message: Any, _: int) -> None:
    sign = draw(st.sampled_from([-1, 1]))
    message.seconds = sign * draw(st.integers(0, 315_576_000_000 - 1))
    message.nanos = sign * draw(st.integers(0, 10**9 - 1))


def _field_mask(draw: st.DrawFn, message: Any, _: int) -> None:
    message.paths.extend(draw(st.lists(_PATH, max_size=3)))


def _value(draw: st.DrawFn, message: Any, depth: int) -> None:
    kinds = ["null_value", "number_value", "string_value", "bool_value"]
    kind = draw(st.sampled_from(kinds + (["struct_value", "list_value"] if depth > 0 else [])))
    if kind == "struct_value":
        _struct(draw, message.struct_value, depth - 1)
        message.struct_value.SetInParent()
    elif kind == "list_value":
        _list(draw, message.list_value, depth - 1)
        message.list_value.SetInParent()
    elif kind == "number_value":
        message.number_value = draw(_FINITE)
    elif kind == "string_value":
        message.string_value = draw(_TEXT)
    elif kind == "bool_value":
        message.bool_value = draw(st.booleans())
    else:
        message.null_value = 0


def _struct(draw: st.DrawFn, message: Any, depth: int) -> None:
    for key in draw(st.lists(_TEXT, max_size=3)):
        _value(draw, message.fields[key], depth)


def _list(draw: st.DrawFn, message: Any, depth: int) -> None:
    for _ in range(draw(st.integers(0, 3))):
        _value(draw, message.values.add(), depth)


def _any(draw: st.DrawFn, message: Any, depth: int) -> None:
    name = draw(st.sampled_from([*_SPECIAL, THING, "google.protobuf.Int64Value"]))
    inner = draw(_of(pool().FindMessageTypeByName(name), max(0, depth - 1)))
    message.Pack(inner)


_SPECIAL: dict[str, Callable[[st.DrawFn, Any, int], None]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _field_mask,
    "google.protobuf.Value": _value,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Any": _any,
}
