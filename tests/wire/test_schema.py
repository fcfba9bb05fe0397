"""Messages as JSON, and bytes that are none."""

from pathlib import Path

import pytest
from google.protobuf import struct_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import given
from hypothesis import strategies as st

from mitm import content
from mitm.errors import UserError
from mitm.wire import Schema
from tests.wire.conversation import GET_USER, NO_SCHEMA, REQUEST, USER, USERS


def test_a_request_and_a_response_are_read_by_their_own_types() -> None:
    assert USERS.decode(GET_USER, "client", REQUEST) == (
        "users.v1.GetUserRequest",
        {"id": "1"},  # 64-bit integers are strings in the JSON form of Protocol Buffers
        None,
    )
    assert USERS.decode(GET_USER, "server", USER) == (
        "users.v1.User",
        {"id": "1", "name": "Nicolas"},
        None,
    )


def test_an_empty_message_has_no_fields() -> None:
    assert USERS.decode(GET_USER, "client", b"") == ("users.v1.GetUserRequest", {}, None)


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # a field without its value
        b"\x12\x7fshort",  # a length beyond the end
        b"\x12\x02\xff\xff",  # a string that is not UTF-8
        b"\x00\x01",  # field number 0
        b"\x0b",  # a group that never ends
    ],
)
def test_bytes_that_do_not_fit_the_type_are_shown_raw(data: bytes) -> None:
    assert USERS.decode(GET_USER, "server", data) == ("users.v1.User", None, data)


def test_an_unknown_method_is_shown_raw() -> None:
    assert USERS.decode("/other.Service/Do", "client", REQUEST) == ("", None, REQUEST)
    assert NO_SCHEMA.decode(GET_USER, "client", REQUEST) == ("", None, REQUEST)
    assert NO_SCHEMA.type_name(GET_USER, "client") == ""


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (REQUEST + b"\x7a\x03abc", {"id": "1"}),  # field 15, which the type does not have
        (b"\x08\x02\x08\x01", {"id": "1"}),  # the same field twice: the last one counts
        (b"\x08\x81\x00", {"id": "1"}),  # a number longer than need be
    ],
)
def test_bytes_that_the_json_does_not_account_for_are_shown_as_well(
    data: bytes, value: dict[str, object]
) -> None:
    assert USERS.decode(GET_USER, "client", data) == ("users.v1.GetUserRequest", value, data)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    name, value, raw = USERS.decode(GET_USER, "server", data)
    assert name == "users.v1.User"
    assert raw == data or (raw is None and value is not None)


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
    name, value, raw = schema.decode("/deep.Deep/Dive", "client", data)
    assert name == "google.protobuf.Value"
    assert value is not None or raw == data
    # Types with a JSON form of their own are no objects.
    string = _field(3, b"text")
    assert schema.decode("/deep.Deep/Dive", "client", string)[1] == {"value": "text"}


def _field(number: int, content: bytes) -> bytes:
    length = len(content)
    size = bytes([length]) if length < 128 else bytes([length % 128 + 128, length // 128])
    return bytes([number << 3 | 2]) + size + content


def test_descriptors_are_read_from_a_file() -> None:
    schema = Schema.load(content.PROTO / "users.binpb")
    assert schema.type_name("/users.v1.UserService/Chat", "client") == "users.v1.ChatMessage"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.binpb: cannot be read: No such file"):
        Schema.load(tmp_path / "nowhere.binpb")


def test_a_file_that_is_no_descriptor_set_is_named(tmp_path: Path) -> None:
    path = tmp_path / "users.proto"
    path.write_text('syntax = "proto3";\n')
    with pytest.raises(UserError, match=r"users\.proto: not a complete descriptor set") as refusal:
        Schema.load(path)
    assert "\n" not in str(refusal.value)


def test_descriptors_without_their_imports_are_told_how_to_be_made(tmp_path: Path) -> None:
    files = FileDescriptorSet()
    files.file.add(name="a.proto", dependency=["b.proto"])
    path = tmp_path / "a.binpb"
    path.write_bytes(files.SerializeToString())
    with pytest.raises(UserError, match="--include_imports"):
        Schema.load(path)
