"""The rules by which messages, metadata and status are changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from mitm.errors import UserError
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.messages.status import STATUS_NAMES, status_code

PROTO = """
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";

service Shop { rpc Order(Basket) returns (Receipt); }

message Basket {
  Person buyer = 1;
  repeated Item items = 2;
  map<string, Item> extras = 3;
  Basket earlier = 4;
}
message Person { string name = 1; int64 id = 2; Role role = 3; bool known = 4; }
message Item { string name = 1; double price = 2; repeated string tags = 3; bytes code = 4; }
enum Role { GUEST = 0; ADMIN = 1; }
message Receipt {
  oneof outcome { string number = 1; string refusal = 2; }
  google.protobuf.Timestamp at = 3;
  map<string, int32> totals = 4;
  message Line { uint32 amount = 1; }
  repeated Line lines = 5;
  optional string note = 6;
}
"""

BASKET, RECEIPT = "shop.Basket", "shop.Receipt"


class Shop:
    """The types of the .proto above, and rules about them."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self.schema = Schema(files)
        pool = DescriptorPool()
        for file in files.file:
            pool.AddSerializedFile(file.SerializeToString())
        self._pool = pool

    def new(self, name: str, /, **fields: Any) -> Any:
        return GetMessageClass(self._pool.FindMessageTypeByName(name))(**fields)

    def changed(self, message: Message, *rules: str) -> Any:
        """What becomes of a message; None if the rules change nothing about it."""
        name = message.DESCRIPTOR.full_name
        data = Rules(rules, self.schema).message(name, message.SerializeToString())
        return None if data is None else type(message).FromString(data)

    def refusal(self, rule: str) -> str:
        with pytest.raises(UserError) as error:
            Rules([rule], self.schema)
        said = str(error.value)
        assert said.startswith(f"rewrite {rule!r}: ")
        assert "\n" not in said
        return said.removeprefix(f"rewrite {rule!r}: ")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("proto")
    (folder / "shop.proto").write_text(PROTO)
    out = folder / "shop.binpb"
    well_known = Path(protoc.__file__).parent / "_proto"
    arguments = [f"-I{folder}", f"-I{well_known}", "--include_imports", f"-o{out}", "shop.proto"]
    assert protoc.main(["protoc", *arguments]) == 0
    return Shop(FileDescriptorSet.FromString(out.read_bytes()))


# Fields


def test_a_field_is_set_and_the_others_stay(shop: Shop) -> None:
    person = shop.new("shop.Person", name="Nicolas", id=7)
    assert shop.changed(person, "shop.Person.name=Mallory") == shop.new(
        "shop.Person", name="Mallory", id=7
    )


def test_the_type_decides_wherever_in_a_message_it_stands(shop: Shop) -> None:
    item = shop.new("shop.Item", name="book")
    basket = shop.new(BASKET, items=[item, item], extras={"a": item})
    basket.earlier.items.append(item)
    changed = shop.changed(basket, "shop.Item.name=bomb")
    names = [each.name for each in (*changed.items, changed.extras["a"], *changed.earlier.items)]
    assert names == ["bomb"] * 4


def test_a_path_leads_through_fields_and_lists_and_makes_what_is_missing(shop: Shop) -> None:
    basket = shop.new(BASKET, items=[shop.new("shop.Item"), shop.new("shop.Item")])
    changed = shop.changed(basket, "shop.Basket.buyer.name=Mallory", "shop.Basket.items.price=0.5")
    assert changed.buyer.name == "Mallory"
    assert [item.price for item in changed.items] == [0.5, 0.5]


def test_a_path_does_not_reach_the_same_type_elsewhere(shop: Shop) -> None:
    basket = shop.new(BASKET, items=[shop.new("shop.Item", name="book")])
    basket.extras["a"].name = "book"
    changed = shop.changed(basket, "shop.Basket.items.name=bomb")
    assert (changed.items[0].name, changed.extras["a"].name) == ("bomb", "book")


@pytest.mark.parametrize(
    ("type_name", "rule", "read", "value"),
    [
        ("shop.Person", "shop.Person.id=-5", lambda m: m.id, -5),
        ("shop.Person", "shop.Person.role=ADMIN", lambda m: m.role, 1),
        ("shop.Person", "shop.Person.role=1", lambda m: m.role, 1),
        ("shop.Person", "shop.Person.known=true", lambda m: m.known, True),
        ("shop.Person", "shop.Person.name=a=b, c", lambda m: m.name, "a=b, c"),
        ("shop.Person", "shop.Person.name=null", lambda m: m.name, "null"),
        ("shop.Item", "shop.Item.code=AP8=", lambda m: m.code, b"\x00\xff"),
        ("shop.Item", 'shop.Item.tags=["x", "y"]', lambda m: list(m.tags), ["x", "y"]),
        (RECEIPT, "shop.Receipt.number=1", lambda m: m.WhichOneof("outcome"), "number"),
        (RECEIPT, "shop.Receipt.at=2001-02-03T04:05:06Z", lambda m: m.at.seconds, 981173106),
        (RECEIPT, 'shop.Receipt.totals={"a": 3}', lambda m: dict(m.totals), {"a": 3}),
        (RECEIPT, 'shop.Receipt.lines=[{"amount": 2}]', lambda m: m.lines[0].amount, 2),
        (BASKET, 'shop.Basket.buyer={"name": "M"}', lambda m: m.buyer.name, "M"),
    ],
)
def test_values_are_written_as_in_json_without_its_quotes(
    shop: Shop, type_name: str, rule: str, read: Callable[[Any], object], value: object
) -> None:
    assert read(shop.changed(shop.new(type_name), rule)) == value


def test_a_field_of_a_oneof_takes_the_place_of_the_other(shop: Shop) -> None:
    changed = shop.changed(shop.new(RECEIPT, number="1"), "shop.Receipt.refusal=no")
    assert (changed.WhichOneof("outcome"), changed.number) == ("refusal", "")


def test_nothing_behind_the_sign_takes_a_field_away(shop: Shop) -> None:
    receipt = shop.new(RECEIPT, number="1", note="thanks", lines=[shop.new("shop.Receipt.Line")])
    changed = shop.changed(receipt, "shop.Receipt.note=", "shop.Receipt.lines=")
    assert changed == shop.new(RECEIPT, number="1")
    assert not changed.HasField("note")


def test_the_later_of_two_rules_for_a_field_wins(shop: Shop) -> None:
    rules = ("shop.Person.name=Eve", "shop.Person.name=Mallory")
    assert shop.changed(shop.new("shop.Person"), *rules).name == "Mallory"


def test_what_is_as_the_rules_want_it_is_not_changed(shop: Shop) -> None:
    assert shop.changed(shop.new("shop.Person", name="Mallory"), "shop.Person.name=Mallory") is None
    assert shop.changed(shop.new(BASKET), "shop.Item.name=bomb") is None


def test_fields_that_the_type_does_not_know_are_kept(shop: Shop) -> None:
    unknown = b"\x98\x06\x2a"  # field 99, varint 42
    data = shop.new("shop.Person", name="Nicolas").SerializeToString() + unknown
    changed = Rules(["shop.Person.name=Mallory"], shop.schema).message("shop.Person", data)
    assert changed is not None
    assert changed.endswith(unknown)
    assert b"Mallory" in changed


def test_bytes_that_are_not_of_the_type_are_an_error(shop: Shop) -> None:
    rules = Rules(["shop.Person.name=Mallory"], shop.schema)
    with pytest.raises(DecodeError):
        rules.message("shop.Person", b"\xff\xff\xff rubbish")


@given(data=st.binary(max_size=64))
def test_any_bytes_are_changed_or_refused_and_changing_twice_changes_nothing(
    shop: Shop, data: bytes
) -> None:
    rules = Rules(["shop.Person.name=Mallory", "shop.Basket.items.price=0.5"], shop.schema)
    for name in ("shop.Person", BASKET):
        try:
            changed = rules.message(name, data)
        except DecodeError:
            continue
        assert rules.message(name, data if changed is None else changed) is None


def test_only_types_that_may_hold_what_is_changed_are_concerned(shop: Shop) -> None:
    rules = Rules(["shop.Item.name=bomb"], shop.schema)
    assert rules.concern("shop.Item")
    assert rules.concern(BASKET)
    assert not rules.concern(RECEIPT)
    assert not rules.concern("shop.Nothing")
    assert not rules.concern("")
    assert not Rules(["status=OK"], shop.schema).concern(BASKET)


# Metadata and status


def test_metadata_of_a_request_is_set_added_and_taken_away(shop: Shop) -> None:
    rules = Rules(["metadata:x-role=admin", "metadata:x-new=1", "metadata:x-old="], shop.schema)
    headers = [(b":path", b"/a"), (b"x-role", b"user"), (b"x-role", b"guest"), (b"x-old", b"1")]
    changed = rules.metadata("client", headers)
    assert changed is not None
    assert changed.headers == [(b":path", b"/a"), (b"x-role", b"admin"), (b"x-new", b"1")]
    assert changed.before == {"x-role": "user, guest", "x-old": "1"}
    assert changed.after == {"x-role": "admin", "x-new": "1"}
    assert rules.metadata("client", changed.headers) is None
    assert rules.metadata("server", headers) is None


def test_metadata_of_a_response_is_its_own(shop: Shop) -> None:
    rules = Rules(["response-metadata:x-shard=7"], shop.schema)
    changed = rules.metadata("server", [(b":status", b"200")])
    assert changed is not None
    assert changed.headers == [(b":status", b"200"), (b"x-shard", b"7")]
    assert rules.metadata("client", [(b":path", b"/a")]) is None


def test_a_status_takes_the_place_of_all_that_is_said_of_the_status(shop: Shop) -> None:
    rules = Rules(["status=PERMISSION_DENIED:geh wèg, 100%"], shop.schema)
    trailers = [
        (b"x-kept", b"1"),
        (b"grpc-status", b"0"),
        (b"grpc-message", b""),
        (b"grpc-status-details-bin", b"CAU"),
    ]
    changed = rules.trailers(trailers)
    assert changed is not None
    assert changed.headers == [
        (b"x-kept", b"1"),
        (b"grpc-status", b"7"),
        (b"grpc-message", b"geh w%C3%A8g, 100%25"),
    ]
    assert rules.trailers(changed.headers) is None


def test_a_status_that_is_there_already_is_left_as_it_is(shop: Shop) -> None:
    rules = Rules(["status=OK"], shop.schema)
    assert rules.trailers([(b"grpc-status", b"0"), (b"grpc-message", b"")]) is None
    assert rules.trailers([(b"grpc-status", b"5"), (b"grpc-message", b"no")]) is not None


def test_statuses_go_by_name_and_number() -> None:
    for number, name in enumerate(STATUS_NAMES):
        assert status_code(name) == status_code(name.lower()) == status_code(str(number)) == number


def test_no_rules_are_false_and_any_is_true(shop: Shop) -> None:
    assert not Rules([], shop.schema)
    for rule in ("shop.Person.name=x", "metadata:a=", "response-metadata:a=b", "status=5"):
        assert Rules([rule], shop.schema)


# Mistakes


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("shop.Person.name", "write WHAT=VALUE: users.v1.User.name=Mallory, say"),
        ("", "write WHAT=VALUE"),
        ("shop.Preson.name=x", "no such type of message: did you mean 'shop.Person'?"),
        ("name=x", "no such type of message: known: shop.Basket, shop.Item, shop.Person"),
        ("shop.Person=x", "names a type of message but no field of it: known: id, known, name"),
        ("shop.Person.nmae=x", "shop.Person has no field 'nmae': did you mean 'name'?"),
        ("shop.Basket.buyer.nmae=x", "shop.Person has no field 'nmae'"),
        ("shop.Person.name.first=x", "shop.Person.name is text: there are no fields within it"),
        ("shop.Basket.extras.a=x", "shop.Basket.extras is a map"),
        ("shop.Person.id=ten", "shop.Person.id is a 64-bit whole number, not 'ten'"),
        ("shop.Person.id=1.5", "shop.Person.id is a 64-bit whole number, not '1.5'"),
        ("shop.Receipt.Line.amount=-1", "is a 32-bit whole number from 0, not '-1'"),
        ("shop.Person.role=KING", "shop.Person.role is one of GUEST, ADMIN, not 'KING'"),
        ("shop.Person.known=yes", "shop.Person.known is true or false, not 'yes'"),
        ("shop.Item.price=free", "shop.Item.price is a number, not 'free'"),
        ("shop.Item.code=***", "shop.Item.code is bytes, written in base64, not '***'"),
        ("shop.Item.tags=x", "shop.Item.tags is a list, written in JSON, not 'x'"),
        ("shop.Receipt.totals=3", "shop.Receipt.totals is a map, written as an object in JSON"),
        ("shop.Basket.buyer=Bob", "shop.Basket.buyer is a shop.Person, written in JSON"),
        ('shop.Basket.buyer={"nmae": 1}', "shop.Basket.buyer is a shop.Person"),
        ("shop.Receipt.at=today", "is a google.protobuf.Timestamp, written in JSON, not 'today'"),
        ("metadata:X-Role=admin", "'X-Role' is no name of metadata: small letters"),
        ("metadata:=admin", "'' is no name of metadata"),
        ("metadata::path=/x", "':path' is no name of metadata"),
        ("metadata:x-a=ä", "metadata is printable ASCII"),
        ("metadata:x-a-bin=***", "x-a-bin takes bytes, written in base64"),
        ("metadata:grpc-encoding=gzip", "grpc-encoding belongs to gRPC itself"),
        ("response-metadata:content-type=text/html", "content-type belongs to gRPC itself"),
        ("status=FINE", "unknown gRPC status 'FINE'"),
        ("status=17", "unknown gRPC status '17'"),
        ("status=", "unknown gRPC status ''"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_and_how_to_mend_it(
    shop: Shop, rule: str, said: str
) -> None:
    assert said in shop.refusal(rule)


def test_without_descriptors_no_type_is_known() -> None:
    with pytest.raises(UserError, match="no such type of message: known: none"):
        Rules(["users.v1.User.name=Mallory"], Schema())
    assert Rules(["metadata:x-role=admin"], Schema())
