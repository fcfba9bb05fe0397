"""Descriptor files of which some are missing: what that costs, and what it does not."""

import pytest
from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodOptions,
)

from mitm.descriptors.protoc import compile_protos
from mitm.messages import Schema
from tests.messages.guessed import field

_OPTIONS = """
syntax = "proto3";
package opts;
import "google/protobuf/descriptor.proto";
extend google.protobuf.MethodOptions { string role = 50001; }
extend google.protobuf.FieldOptions { bool secret = 50001; }
"""
_PERSON = """
syntax = "proto3";
package people;
message Person { string name = 1; int32 age = 2; }
enum Role { GUEST = 0; ADMIN = 1; }
"""
_ALL = """
syntax = "proto3";
package all;
import public "people.proto";
"""
_SHOP = """
syntax = "proto3";
package shop;
import "opts.proto";
import "IMPORTED.proto";
service Shop {
  rpc Order(Basket) returns (Receipt) { option (opts.role) = "buyer"; }
  rpc Look(people.Person) returns (Receipt);
}
message Basket {
  string note = 1 [(opts.secret) = true];
  people.Person buyer = 2;
  repeated people.Person others = 3;
  map<string, people.Person> known = 4;
  people.Role role = 5;
  oneof who { people.Person one = 6; string nobody = 7; }
}
message Receipt { int64 number = 1; }
"""


@pytest.fixture(params=["people", "all"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Files":
    """A service whose types are imported, by themselves or by way of a file that is public."""
    folder = tmp_path_factory.mktemp("proto")
    texts = {"opts": _OPTIONS, "people": _PERSON, "all": _ALL}
    texts["shop"] = _SHOP.replace("IMPORTED", request.param)
    for name, text in texts.items():
        (folder / f"{name}.proto").write_text(text)
    return Files(compile_protos([folder / "shop.proto"], []), request.param)


class Files:
    """The files, of which some are left out."""

    def __init__(self, files: FileDescriptorSet, imported: str) -> None:
        self._files = files
        self.imported = imported

    def without(self, *names: str) -> Schema:
        left = [f for f in self._files.file if f.name.removesuffix(".proto") not in names]
        return Schema(FileDescriptorSet(file=left))


_PERSON_WIRE = field(1, b"Bob") + b"\x10\x07"
_BASKET = (
    field(1, b"thanks")
    + field(2, _PERSON_WIRE)
    + field(3, _PERSON_WIRE)
    + field(4, field(1, b"k") + field(2, _PERSON_WIRE))
    + b"\x28\x01"
    + field(6, _PERSON_WIRE)
)


def _basket(person: dict[str, object], role: object) -> dict[str, object]:
    return {
        "note": "thanks",
        "buyer": person,
        "others": [person],
        "known": {"k": person},
        "role": role,
        "one": person,
    }


def test_a_file_of_nothing_but_options_costs_nothing_else(files: Files) -> None:
    schema = files.without("opts", "google/protobuf/descriptor")
    assert schema.unusable == []
    told = schema.decode("/shop.Shop/Order", "client", _BASKET)
    value = _basket({"name": "Bob", "age": 7}, "ADMIN")
    assert told == ("shop.Basket", value, None, "descriptors")


def test_the_files_that_options_themselves_are_made_of_cost_nothing_either(files: Files) -> None:
    schema = files.without("opts", "google/protobuf/descriptor", files.imported)
    if files.imported == "people":
        assert schema.unusable == ["shop.proto: opts.proto, people.proto are missing"]
    else:
        # The types are there; what made them public is not needed.
        assert schema.unusable == []


def test_a_file_with_types_costs_what_is_of_these_types(files: Files) -> None:
    schema = files.without("people", files.imported)
    assert schema.unusable == [f"shop.proto: {files.imported}.proto is missing"]
    told = schema.decode("/shop.Shop/Order", "client", _BASKET)
    assert (told.type, told.source) == ("shop.Basket", "descriptors")
    assert told.value == _basket({"1": "Bob", "2": 7}, 1)
    # A method that takes one of them is guessed in that direction.
    look = schema.decode("/shop.Shop/Look", "client", _PERSON_WIRE)
    assert look == ("", {"1": "Bob", "2": 7}, None, "guess")
    assert schema.decode("/shop.Shop/Look", "server", b"\x08\x01").value == {"number": "1"}


def test_a_file_that_cannot_be_used_costs_no_more_than_one_that_is_missing() -> None:
    broken = FileDescriptorProto(name="b.proto", package="b", syntax="proto3")
    broken.message_type.add(name="Note").field.add(name="text", number=0, type=9, label=1)
    user = FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    user.dependency.append("b.proto")
    note = user.message_type.add(name="Letter")
    note.field.add(name="subject", number=1, type=9, label=1)
    note.field.add(name="note", number=2, type=11, type_name=".b.Note", label=1)
    method = user.service.add(name="Post").method.add(name="Send")
    method.input_type = method.output_type = ".a.Letter"
    schema = Schema(FileDescriptorSet(file=[user, broken]))
    (why, also) = schema.unusable
    assert why.startswith("b.proto: ")
    assert also == "a.proto: b.proto is missing"
    data = field(1, b"Hi") + field(2, field(1, b"x"))
    value = {"subject": "Hi", "note": {"1": "x"}}
    assert schema.decode("/a.Post/Send", "client", data).value == value
    # The twin
    broken.message_type[0].field[0].number = 1
    schema = Schema(FileDescriptorSet(file=[user, broken]))
    assert schema.unusable == []
    value = {"subject": "Hi", "note": {"text": "x"}}
    assert schema.decode("/a.Post/Send", "client", data).value == value


def test_what_extends_a_type_that_is_missing_is_left_out() -> None:
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto2")
    file.dependency.append("b.proto")
    extension = {"name": "more", "number": 100, "type": 9, "label": 1, "extendee": ".b.Note"}
    file.extension.add(**extension)
    letter = file.message_type.add(name="Letter")
    letter.field.add(name="text", number=1, type=9, label=1)
    letter.extension.add(**extension)
    kind = letter.field.add(name="kind", number=2, type=14, type_name=".b.Kind", label=1)
    kind.default_value = "LONG"
    method = file.service.add(name="Post").method.add(name="Send")
    method.input_type = method.output_type = ".a.Letter"
    schema = Schema(FileDescriptorSet(file=[file]))
    assert schema.unusable == ["a.proto: b.proto is missing"]
    told = schema.decode("/a.Post/Send", "client", field(1, b"Hi") + b"\x10\x05")
    assert told.value == {"text": "Hi", "kind": 5}


def test_what_imports_files_that_go_in_circles_is_used_as_far_as_it_goes() -> None:
    made = []
    for name, needed in (("a", "b"), ("b", "c"), ("c", "b")):
        file = FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto3")
        file.dependency.append(f"{needed}.proto")
        message = file.message_type.add(name="Note")
        message.field.add(name="text", number=1, type=9, label=1)
        message.field.add(name="more", number=2, type=11, type_name=f".{needed}.Note", label=1)
        method = file.service.add(name="Service").method.add(name="Do")
        method.input_type = method.output_type = f".{name}.Note"
        made.append(file)
    schema = Schema(FileDescriptorSet(file=made))
    assert schema.services() == ["a.Service"]
    assert [line.partition(":")[0] for line in schema.unusable] == ["b.proto", "c.proto", "a.proto"]
    data = field(1, b"Hi") + field(2, field(1, b"x"))
    told = schema.decode("/a.Service/Do", "client", data)
    assert told.value == {"text": "Hi", "more": {"1": "x"}}


def test_a_file_is_not_changed_by_being_used() -> None:
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    file.dependency.append("b.proto")
    file.message_type.add(name="Note").field.add(
        name="more", number=1, type=FieldDescriptorProto.TYPE_MESSAGE, type_name=".b.Note", label=1
    )
    before = file.SerializeToString()
    Schema(FileDescriptorSet(file=[file]))
    assert file.SerializeToString() == before


def test_an_option_that_nobody_knows_is_no_reason_to_leave_anything_out() -> None:
    file = FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    file.message_type.add(name="Note").field.add(name="text", number=1, type=9, label=1)
    method = file.service.add(name="Service").method.add(name="Do")
    method.input_type = method.output_type = ".a.Note"
    # Field 50001 of the options, a string
    method.options.CopyFrom(MethodOptions.FromString(b"\x8a\xb5\x18\x03abc"))
    schema = Schema(FileDescriptorSet(file=[file]))
    assert schema.unusable == []
    assert schema.services() == ["a.Service"]
