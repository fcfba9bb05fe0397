"""Rules that change what passes: fields of messages, metadata, the status of a call.

A rule is one line, `WHAT=VALUE`; docs/rewriting.md has them all.
"""

import base64
import binascii
import difflib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple
from urllib.parse import quote

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from mitm.errors import UserError
from mitm.events import Direction
from mitm.messages.pool import MISSING
from mitm.messages.schema import Schema
from mitm.messages.shape import is_map_entry, is_repeated
from mitm.messages.splice import FieldRule, Splicer
from mitm.messages.status import status_code
from mitm.messages.wire_format import MalformedError

HeaderFields = list[tuple[bytes, bytes]]

_METADATA: dict[str, Direction] = {"metadata:": "client", "response-metadata:": "server"}

# gRPC over HTTP/2, "Custom-Metadata".
_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[ -~]*")

# What the framing of a call rests on: a client would choke on it, not believe it.
_RESERVED = re.compile(r"grpc-.*|content-type|content-length|te")

# gRPC over HTTP/2, "Status-Message": what need not be percent-encoded.
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

_BYTES, _BOOL = FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_BOOL


class Changed(NamedTuple):
    """Header fields that a rule has changed.

    Attributes:
        headers: all fields, as they are to be sent on.
        before: the values of the fields concerned, as they came; absent ones are left out.
        after: the same as they are sent on.
    """

    headers: HeaderFields
    before: dict[str, object]
    after: dict[str, object]


class Rules:
    """What is to be changed.

    Args:
        texts: the rules, one each; where two speak of the same thing, the later one wins.
        schema: which types there are.

    Raises:
        UserError: a rule is malformed, names what there is not, or has a value of the wrong kind.

    Attributes:
        status: the number and the message that every call is to end with; None to leave it.
    """

    def __init__(self, texts: Sequence[str], schema: Schema) -> None:
        self._types = _all_types(schema.message_types())
        self._fields: defaultdict[str, list[FieldRule]] = defaultdict(list)
        self._metadata: dict[Direction, dict[bytes, bytes]] = {"client": {}, "server": {}}
        self.status: tuple[int, str] | None = None
        self._concerns = cache(self._is_concerned)
        self._splicer = Splicer(self._fields, self._concerns)
        for text in texts:
            try:
                self._add(text)
            except UserError as error:
                raise UserError(f"rewrite {text!r}: {error}") from None

    def __bool__(self) -> bool:
        return bool(self._fields or any(self._metadata.values()) or self.status)

    def _add(self, text: str) -> None:
        what, equals, value = text.partition("=")
        if not equals:
            raise UserError("write WHAT=VALUE: users.v1.User.name=Mallory, say")
        for prefix, direction in _METADATA.items():
            if what.startswith(prefix):
                name = what.removeprefix(prefix)
                self._metadata[direction][name.encode()] = _metadata_value(name, value)
                return
        if what == "status":
            code, _, message = value.partition(":")
            self.status = status_code(code), message
            return
        type_name, path = self._split(what)
        self._fields[type_name].append(_field_rule(self._types[type_name], path, value))

    def _split(self, what: str) -> tuple[str, list[str]]:
        """Tell the name of the type from the path of the field."""
        words = what.split(".")
        for end in range(len(words), 0, -1):
            name = ".".join(words[:end])
            if name in self._types:
                if words[end:]:
                    return name, words[end:]
                fields = self._types[name].fields_by_name
                raise UserError(f"names a type of message but no field of it: {_known(fields)}")
        known = [name for name in self._types if not name.startswith("google.protobuf.")]
        raise UserError(f"no such type of message: {_nearest('.'.join(words[:-1]), known)}")

    def concern(self, type_name: str) -> bool:
        """Whether a message of this type may be changed, be it deep inside."""
        return bool(self._fields) and self._concerns(type_name)

    def _is_concerned(self, type_name: str) -> bool:
        descriptor = self._types.get(type_name)
        return descriptor is not None and any(name in self._fields for name in _within(descriptor))

    def message(self, type_name: str, data: bytes) -> bytes | None:
        """Change a message.

        Args:
            type_name: full name of a type that the rules concern.
            data: the message, uncompressed.

        Returns:
            The changed message, or None if the rules change nothing about it.

        Raises:
            google.protobuf.message.DecodeError: the bytes are not of that type.
        """
        try:
            changed = self._splicer.message(self._types[type_name], data)
        except MalformedError:
            raise DecodeError(f"no {type_name}") from None
        return None if changed == data else changed

    def metadata(self, direction: Direction, headers: HeaderFields) -> Changed | None:
        """Change the metadata of a request, or the initial metadata of a response.

        Returns:
            What is to be sent on, or None if the rules change nothing about it.
        """
        before: dict[str, object] = {}
        after: dict[str, object] = {}
        for name, value in self._metadata[direction].items():
            present = [v for n, v in headers if n == name]
            if present == ([value] if value else []):
                continue
            headers = [field for field in headers if field[0] != name]
            if present:
                before[name.decode()] = b", ".join(present).decode("utf-8", "backslashreplace")
            if value:
                headers.append((name, value))
                after[name.decode()] = value.decode()
        return Changed(headers, before, after) if before or after else None

    def trailers(self, headers: HeaderFields) -> Changed | None:
        """Change the status in the trailers of a call.

        Returns:
            What is to be sent on, or None if the rules change nothing about it.
        """
        if self.status is None:
            return None
        code, message = self.status
        forged = [(b"grpc-status", b"%d" % code)]
        if message:
            forged.append((b"grpc-message", quote(message, safe=_PLAIN).encode()))
        names = (b"grpc-status", b"grpc-message", b"grpc-status-details-bin")
        present = [field for field in headers if field[0] in names]
        # An empty grpc-message is none.
        if [field for field in sorted(present) if field[1]] == sorted(forged):
            return None
        rest = [field for field in headers if field[0] not in names]
        return Changed(rest + forged, _texts(present), _texts(forged))


def _texts(headers: HeaderFields) -> dict[str, object]:
    return {n.decode(): v.decode("utf-8", "backslashreplace") for n, v in headers}


def _all_types(descriptors: Iterable[Descriptor]) -> dict[str, Descriptor]:
    """The types that methods take and give, and those within them, by name."""
    found: dict[str, Descriptor] = {}
    for descriptor in descriptors:
        found = _within(descriptor) | found
    return {n: each for n, each in found.items() if n != MISSING and not is_map_entry(each)}


def _within(descriptor: Descriptor) -> dict[str, Descriptor]:
    """A type and all those that may occur within it."""
    found: dict[str, Descriptor] = {}
    left = [descriptor]
    while left:
        each = left.pop()
        if each.full_name not in found:
            found[each.full_name] = each
            left += [field.message_type for field in each.fields if field.message_type]
    return found


def _field_rule(descriptor: Descriptor, path: list[str], value: str) -> FieldRule:
    type_name = descriptor.full_name
    *names, last = path
    within: list[FieldDescriptor] = []
    for name in names:
        field = _field(descriptor, name)
        if field.message_type is None or is_map_entry(field.message_type):
            raise UserError(f"{field.full_name} is {_kind(field)}: there are no fields within it")
        within.append(field)
        descriptor = field.message_type
    field = _field(descriptor, last)
    template = GetMessageClass(descriptor)()
    if value:
        try:
            json_format.ParseDict({field.name: _as_json(field, value)}, template)
        except (json_format.ParseError, ValueError, TypeError):
            raise UserError(f"{field.full_name} is {_kind(field)}, not {value!r}") from None
    made = (within or [field])[0].message_type
    circular = made is not None and type_name in _within(made)
    # Without what is required: the template has nothing but this field.
    data = template.SerializePartialToString(deterministic=True)
    return FieldRule(tuple(within), field, data, circular)


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor:
    field: FieldDescriptor | None = descriptor.fields_by_name.get(name)
    if field is None:
        near = _nearest(name, descriptor.fields_by_name)
        raise UserError(f"{descriptor.full_name} has no field {name!r}: {near}")
    return field


def _as_json(field: FieldDescriptor, value: str) -> object:
    """What a user writes, as the JSON form of Protocol Buffers has it: quotes are left out."""
    if is_repeated(field) or field.type == _BOOL:
        parsed: object = json.loads(value)
        return parsed
    if field.message_type:
        try:
            return json.loads(value)
        except ValueError:
            # The well-known types that are text in JSON: a Timestamp, a Duration.
            return value
    if field.type == _BYTES:
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValueError from error
    return value


_KINDS = {
    FieldDescriptor.CPPTYPE_INT32: "a 32-bit whole number",
    FieldDescriptor.CPPTYPE_INT64: "a 64-bit whole number",
    FieldDescriptor.CPPTYPE_UINT32: "a 32-bit whole number from 0",
    FieldDescriptor.CPPTYPE_UINT64: "a 64-bit whole number from 0",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
}


def _kind(field: FieldDescriptor) -> str:
    """What a field takes, in words."""
    if field.message_type and is_map_entry(field.message_type):
        return "a map, written as an object in JSON"
    if is_repeated(field):
        return "a list, written in JSON"
    if field.message_type:
        return f"a {field.message_type.full_name}, written in JSON"
    if field.enum_type:
        return "one of " + ", ".join(value.name for value in field.enum_type.values)
    if field.type == _BYTES:
        return "bytes, written in base64"
    return _KINDS.get(field.cpp_type, "text")


def _metadata_value(name: str, value: str) -> bytes:
    if _RESERVED.fullmatch(name):
        raise UserError(f"{name} belongs to gRPC itself; the status is changed with status=")
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name of metadata: small letters, digits, '-', '_', '.'")
    if not _VALUE.fullmatch(value):
        raise UserError("metadata is printable ASCII; bytes go into a name that ends in -bin")
    if name.endswith("-bin"):
        try:
            base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
        except binascii.Error:
            raise UserError(f"{name} takes bytes, written in base64") from None
    return value.encode()


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else _known(known)


def _known(names: Iterable[str]) -> str:
    return f"known: {', '.join(sorted(names)) or 'none'}"
