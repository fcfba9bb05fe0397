"""Metadata in words, and errors with their details."""

import base64

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from mitm import events
from mitm.descriptors.protoc import compile_protos
from mitm.messages.status import (
    MAX_DETAILS,
    MAX_DETAILS_SIZE,
    binary_metadata,
    percent_decoded,
    status_details,
    timeout_in_words,
)
from tests.wire.conversation import NO_SCHEMA, USER, USERS, Conversation, only


@pytest.mark.parametrize(
    ("timeout", "words"),
    [
        ("4960m", "4.96 s"),
        ("1S", "1 s"),
        ("90S", "1.5 min"),
        ("2H", "2 h"),
        ("3M", "3 min"),
        ("1000m", "1 s"),
        ("1000u", "1 ms"),
        ("250u", "250 µs"),
        ("7n", "7 ns"),
        ("99999999n", "99.999999 ms"),
        ("0m", "0 s"),
        ("100000000n", "100000000n"),  # nine digits, where eight are the most
        ("5", "5"),
        ("5x", "5x"),
        ("-5S", "-5S"),
        ("٣S", "٣S"),  # digits of another script
        ("", ""),
    ],
)
def test_a_timeout_is_told_in_words(timeout: str, words: str) -> None:
    assert timeout_in_words(timeout) == words


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("no user has the id 7", "no user has the id 7"),
        ("J%C3%B6rg", "Jörg"),
        ("100%25", "100%"),
        ("100% sure", "100% sure"),
        ("%ff", r"\xff"),
        ("a+b", "a+b"),
    ],
)
def test_a_message_is_percent_decoded(message: str, text: str) -> None:
    assert percent_decoded(message) == text


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=3), st.booleans())
def test_bytes_come_back_with_padding_and_without(values: list[bytes], padded: bool) -> None:
    encoded = [base64.b64encode(value).decode() for value in values]
    joined = ",".join(encoded if padded else [each.rstrip("=") for each in encoded])
    assert binary_metadata(joined) == values


@given(st.text(max_size=30))
def test_no_metadata_makes_it_raise(value: str) -> None:
    binary_metadata(value)
    status_details(value, USERS)
    timeout_in_words(value)
    percent_decoded(value)


@given(st.binary(max_size=60))
def test_no_details_make_it_raise(value: bytes) -> None:
    status_details(base64.b64encode(value).decode(), USERS)


# As in googleapis/google/rpc/status.proto and error_details.proto, compiled by protoc itself.
_PROTO = """
syntax = "proto3";
package google.rpc;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
message RetryInfo { google.protobuf.Duration retry_delay = 1; }
message DebugInfo { repeated string stack_entries = 1; string detail = 2; }
message QuotaFailure {
  message Violation { string subject = 1; string description = 2; }
  repeated Violation violations = 1;
}
message PreconditionFailure {
  message Violation { string type = 1; string subject = 2; string description = 3; }
  repeated Violation violations = 1;
}
message BadRequest {
  message FieldViolation { string field = 1; string description = 2; }
  repeated FieldViolation field_violations = 1;
}
message RequestInfo { string request_id = 1; string serving_data = 2; }
message ResourceInfo {
  string resource_type = 1; string resource_name = 2; string owner = 3; string description = 4;
}
message Help {
  message Link { string description = 1; string url = 2; }
  repeated Link links = 1;
}
message LocalizedMessage { string locale = 1; string message = 2; }
"""

_DETAILS: dict[str, dict[str, object]] = {
    "ErrorInfo": {"reason": "STOCKOUT", "domain": "example.com", "metadata": {"zone": "a"}},
    "RetryInfo": {"retry_delay": "1.500s"},
    "DebugInfo": {"stack_entries": ["main", "f"], "detail": "it broke"},
    "QuotaFailure": {"violations": [{"subject": "s", "description": "d"}]},
    "PreconditionFailure": {"violations": [{"type": "t", "subject": "s", "description": "d"}]},
    "BadRequest": {"field_violations": [{"field": "name", "description": "too long"}]},
    "RequestInfo": {"request_id": "r", "serving_data": "d"},
    "ResourceInfo": {"resource_type": "t", "resource_name": "n", "owner": "o", "description": "d"},
    "Help": {"links": [{"description": "d", "url": "https://example.com"}]},
    "LocalizedMessage": {"locale": "de", "message": "Nein"},
}


@pytest.fixture(scope="module")
def google_rpc(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    path = tmp_path_factory.mktemp("google") / "rpc.proto"
    path.write_text(_PROTO)
    return compile_protos([path], [])


def _made(files: FileDescriptorSet, name: str, **fields: object) -> Message:
    pool = DescriptorPool()
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    message = GetMessageClass(pool.FindMessageTypeByName(f"google.rpc.{name}"))()
    return ParseDict(fields, message)


def _header(files: FileDescriptorSet, *details: Any) -> str:
    status = _made(files, "Status", code=5, message="no such user")
    for each in details:
        status.details.add(type_url=each.type_url, value=each.value)  # type: ignore[attr-defined]
    return base64.b64encode(status.SerializeToString()).decode().rstrip("=")


@pytest.mark.parametrize("name", _DETAILS)
def test_the_details_that_google_has_defined_are_read(
    google_rpc: FileDescriptorSet, name: str
) -> None:
    url = f"type.googleapis.com/google.rpc.{name}"
    made = _made(google_rpc, name, **_DETAILS[name]).SerializeToString()
    read = status_details(_header(google_rpc, Any(type_url=url, value=made)), NO_SCHEMA)
    assert read == {
        "code": 5,
        "message": "no such user",
        "details": [{"@type": url} | _DETAILS[name]],
    }


def test_a_detail_of_the_services_own_is_read_by_its_descriptors(
    google_rpc: FileDescriptorSet,
) -> None:
    url = "type.googleapis.com/users.v1.User"
    header = _header(google_rpc, Any(type_url=url, value=USER))
    known, guessed = status_details(header, USERS), status_details(header, NO_SCHEMA)
    assert known
    assert guessed
    assert known["details"] == [{"@type": url, "id": "1", "name": "Nicolas"}]
    assert guessed["details"] == [{"@type": url, "1": 1, "2": "Nicolas"}]


def test_a_detail_that_is_no_message_is_shown_as_bytes(google_rpc: FileDescriptorSet) -> None:
    header = _header(google_rpc, Any(type_url="x/a.B", value=b"\xff"))
    read = status_details(header, USERS)
    assert read
    assert read["details"] == [{"@type": "x/a.B", "value": "/w=="}]


def test_very_many_details_are_not_opened(google_rpc: FileDescriptorSet) -> None:
    empty = Any(type_url="a.B")
    assert status_details(_header(google_rpc, *MAX_DETAILS * [empty]), USERS)
    assert status_details(_header(google_rpc, *(MAX_DETAILS + 1) * [empty]), USERS) is None
    long = Any(type_url="a.B", value=MAX_DETAILS_SIZE * b"x")
    assert status_details(_header(google_rpc, long), USERS) is None


def test_the_trailers_of_a_call_tell_the_details(google_rpc: FileDescriptorSet) -> None:
    talk = Conversation(USERS)
    talk.request()
    fields = [("grpc-status", "5"), ("grpc-status-details-bin", _header(google_rpc))]
    seen = talk.send("server", talk.headers("server", 1, fields, "END_STREAM"))
    (trailers,) = only(events.Headers, seen)
    assert trailers.details == {"code": 5, "message": "no such user", "details": []}


def test_without_details_none_are_told() -> None:
    talk = Conversation(USERS)
    talk.request()
    (trailers,) = only(events.Headers, talk.trailers())
    assert trailers.details is None


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


@pytest.mark.parametrize(
    ("status", "told"),
    [
        # A message in Latin-1
        (
            b"\x08\x05" + _field(2, b"J\xf6rg"),
            {"code": 5, "message": {"bytes": "SvZyZw=="}, "details": []},
        ),
        # A delay with a negative part, beside another detail
        (
            _field(
                3,
                _field(1, b"x/google.rpc.RetryInfo") + _field(2, _field(1, b"\x08\x01\x10\x01")),
            )
            + _field(
                3,
                _field(1, b"x/google.rpc.RetryInfo")
                + _field(2, _field(1, b"\x08\x01\x10" + 9 * b"\xff" + b"\x01")),
            ),
            {
                "code": 0,
                "message": "",
                "details": [
                    {"@type": "x/google.rpc.RetryInfo", "retry_delay": "1.000000001s"},
                    {"@type": "x/google.rpc.RetryInfo",
                     "retry_delay": {"seconds": "1", "nanos": -1}},
                ],
            },
        ),
        # A detail of a type that Protocol Buffers bring, and one within another
        (
            _field(3, _field(1, b"x/google.protobuf.StringValue") + _field(2, _field(1, b"Hi"))),
            {
                "code": 0,
                "message": "",
                "details": [{"@type": "x/google.protobuf.StringValue", "value": "Hi"}],
            },
        ),
        (
            _field(
                3,
                _field(1, b"x/google.protobuf.Any")
                + _field(2, _field(1, b"x/a.B") + _field(2, b"\x08\x07")),
            ),
            {
                "code": 0,
                "message": "",
                "details": [
                    {"@type": "x/google.protobuf.Any", "value": {"@type": "x/a.B", "1": 7}}
                ],
            },
        ),
    ],
)  # fmt: skip
def test_an_odd_value_in_an_error_is_shown_for_itself(status: bytes, told: object) -> None:
    assert status_details(base64.b64encode(status).decode(), NO_SCHEMA) == told
