"""Messages as JSON, and bytes that are none."""

import contextlib
from pathlib import Path

import pytest
from google.protobuf import struct_pb2
from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from mitm import content
from mitm.descriptors import load_descriptor_set
from mitm.errors import UserError
from mitm.messages import Schema
from tests.wire.conversation import GET_USER, NO_SCHEMA, REQUEST, USER, USERS


def test_a_request_and_a_response_are_read_by_their_own_types() -> None:
    assert USERS.decode(GET_USER, "client", REQUEST) == (
        "users.v1.GetUserRequest",
        {"id": "1"},  # 64-bit integers are strings in the JSON form of Protocol Buffers
        None,
        "descriptors",
    )
    assert USERS.decode(GET_USER, "server", USER) == (
        "users.v1.User",
        {"id": "1", "name": "Nicolas"},
        None,
        "descriptors",
    )


def test_an_empty_message_has_no_fields() -> None:
    decoded = USERS.decode(GET_USER, "client", b"")
    assert decoded == ("users.v1.GetUserRequest", {}, None, "descriptors")


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # a field without its value
        b"\x12\x7fshort",  # a length beyond the end
        b"\x00\x01",  # field number 0
        b"\x0b",  # a group that never ends
    ],
)
def test_bytes_that_are_no_message_are_shown_raw(data: bytes) -> None:
    assert USERS.decode(GET_USER, "server", data) == ("users.v1.User", None, data, None)
    assert NO_SCHEMA.decode(GET_USER, "server", data) == ("", None, data, None)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x0a\x07Nicolas", {"1": "Nicolas"}),  # a string where the type has a number
        (b"\x7a\x03abc", {"15": "abc"}),  # nothing but what the type does not have
    ],
)
def test_a_message_that_is_not_of_the_type_is_guessed(data: bytes, value: object) -> None:
    assert USERS.decode(GET_USER, "server", data) == ("users.v1.User", value, None, "guess")


def test_the_message_of_an_unknown_method_is_guessed() -> None:
    guessed = ("", {"1": 1}, None, "guess")
    assert USERS.decode("/other.Service/Do", "client", REQUEST) == guessed
    assert NO_SCHEMA.decode(GET_USER, "client", REQUEST) == guessed
    assert NO_SCHEMA.type_name(GET_USER, "client") == ""


@pytest.mark.parametrize(
    ("data", "value"),
    [
        # field 15, which the type does not have
        (REQUEST + b"\x7a\x03abc", {"id": "1", "15": "abc"}),
        (b"\x08\x02\x08\x01", {"id": "1"}),  # the same field twice: the last one counts
        (b"\x08\x81\x00", {"id": "1"}),  # a number longer than need be
    ],
)
def test_bytes_that_the_json_does_not_account_for_are_shown_as_well(
    data: bytes, value: dict[str, object]
) -> None:
    decoded = USERS.decode(GET_USER, "client", data)
    assert decoded == ("users.v1.GetUserRequest", value, data, "descriptors")


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    decoded = USERS.decode(GET_USER, "server", data)
    assert decoded.type == "users.v1.User"
    assert decoded.raw == data or (decoded.raw is None and decoded.value is not None)
    assert (decoded.value is None) == (decoded.source is None)


def test_deep_nesting_does_not_make_it_raise() -> None:
    """A `google.protobuf.Value`, a list in a list and so on, as deep as it parses."""
    files = FileDescriptorSet()
    struct_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    file = files.file.add(name="deep.proto", package="deep", syntax="proto3")
    file.dependency.append("google/protobuf/struct.proto")
    method = file.service.add(name="Deep").method.add(name="Dive")
    method.input_type = method.output_type = ".google.protobuf.Value"
    schema = Schema(files)
    data = b""
    for _ in range(90):  # Protocol Buffers stop at 100
        data = _field(1, data)  # ListValue.values
        data = _field(6, data)  # Value.list_value
    name, value, raw, _ = schema.decode("/deep.Deep/Dive", "client", data)
    assert name == "google.protobuf.Value"
    assert value is not None or raw == data
    # Types with a JSON form of their own are no objects.
    string = _field(3, b"text")
    assert schema.decode("/deep.Deep/Dive", "client", string).value == {"value": "text"}


def _field(number: int, content: bytes) -> bytes:
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([length % 128 + 128, length // 128])
    return bytes([number << 3 | 2]) + size + content


def test_descriptors_are_read_from_a_file() -> None:
    schema = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
    assert schema.type_name("/users.v1.UserService/Chat", "client") == "users.v1.ChatMessage"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.binpb: cannot be read: No such file"):
        Schema(load_descriptor_set(tmp_path / "nowhere.binpb"))


def test_a_file_that_is_no_descriptor_set_is_named(tmp_path: Path) -> None:
    path = tmp_path / "users.proto"
    path.write_text('syntax = "proto3";\n')
    with pytest.raises(UserError, match=r"users\.proto: not a descriptor set") as refusal:
        Schema(load_descriptor_set(path))
    assert "\n" not in str(refusal.value)


def _service(name: str, *imports: str, type_: str = ".google.protobuf.Empty") -> FileDescriptorSet:
    """A file with a service whose one method takes and gives that type."""
    files = FileDescriptorSet()
    file = files.file.add(name=f"{name}.proto", package=name, dependency=imports, syntax="proto3")
    file.message_type.add(name="Note").field.add(name="text", number=1, type=9, label=1)
    method = file.service.add(name="Service").method.add(name="Do")
    method.input_type = method.output_type = type_
    return files


def test_of_an_incomplete_set_the_complete_part_is_used() -> None:
    files = FileDescriptorSet()
    files.MergeFrom(_service("a", "b.proto", type_=".b.Note"))
    files.MergeFrom(_service("c", type_=".c.Note"))
    schema = Schema(files)
    assert schema.unusable == ["a.proto: b.proto is missing"]
    assert schema.decode("/c.Service/Do", "client", b"\x0a\x01x").value == {"text": "x"}
    guessed = schema.decode("/a.Service/Do", "client", b"\x0a\x01x")
    assert (guessed.value, guessed.source) == ({"1": "x"}, "guess")
    # The twin: with what was missing, in whatever order.
    files.MergeFrom(_service("b", type_=".b.Note"))
    whole = Schema(files)
    assert whole.unusable == []
    assert whole.decode("/a.Service/Do", "client", b"\x0a\x01x").value == {"text": "x"}


def test_what_protocol_buffers_bring_need_not_be_in_a_set() -> None:
    imports = ("google/protobuf/type.proto", "google/protobuf/empty.proto")
    schema = Schema(_service("a", *imports, type_=".google.protobuf.Type"))
    assert schema.unusable == []
    decoded = schema.decode("/a.Service/Do", "server", b"\x0a\x01T")
    assert (decoded.type, decoded.value) == ("google.protobuf.Type", {"name": "T"})


def test_files_that_contradict_each_other_or_go_in_circles_are_left_out() -> None:
    files = _service("a", type_=".a.Note")
    again = _service("b", type_=".b.Note").file[0]
    again.message_type[0].name = "Note"
    again.package = "a"
    files.file.append(again)
    files.MergeFrom(_service("c", "d.proto", type_=".c.Note"))
    files.MergeFrom(_service("d", "c.proto", type_=".d.Note"))
    schema = Schema(files)
    assert len(schema.unusable) == 3
    assert all("\n" not in line for line in schema.unusable)
    assert schema.services() == ["a.Service"]


def test_the_first_of_several_sources_that_knows_a_method_is_taken() -> None:
    schema = Schema(_service("a", type_=".a.Note"), "reflection")
    other = _service("a", type_=".a.Note")
    other.file[0].message_type[0].field[0].name = "other"
    other.MergeFrom(_service("b", type_=".b.Note"))
    schema.add(other, "proto")
    first = schema.decode("/a.Service/Do", "client", b"\x0a\x01x")
    assert (first.value, first.source) == ({"text": "x"}, "reflection")
    assert schema.decode("/b.Service/Do", "client", b"\x0a\x01x").source == "proto"


@given(st.data())
def test_descriptors_that_went_wrong_never_raise(data: st.DataObject) -> None:
    """They may come from a server's reflection service."""
    files = FileDescriptorSet()
    for _ in range(data.draw(st.integers(1, 3))):
        wire = bytearray(USERS_FILE)
        for _ in range(data.draw(st.integers(0, 3))):
            wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(DecodeError):
            files.file.append(FileDescriptorProto.FromString(bytes(wire)))
    schema = Schema(files)
    schema.decode(GET_USER, "server", USER)
    # What an Any holds is looked up by the name of its type.
    user = Any(type_url="type.googleapis.com/users.v1.User", value=USER).SerializeToString()
    told = schema.decode_status(b"\x1a" + bytes([len(user)]) + user)
    assert told
    assert told["details"]


USERS_FILE = (
    FileDescriptorSet.FromString((content.PROTO / "users.binpb").read_bytes())
    .file[0]
    .SerializeToString()
)
