"""What a type of message looks like: its fields, made ready once for all messages of it."""

from functools import lru_cache
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mitm.messages.room import FOR_A_FIELD, FOR_A_NUMBER
from mitm.messages.scalars import WIRE_TYPES, Fits, Json, Tell, scalar
from mitm.messages.wire_format import BYTES, FIXED32, FIXED64, GROUP, VARINT


def is_repeated(field: FieldDescriptor) -> bool:
    """Whether a field is a list or a map."""
    # protobuf 6.31 has brought `is_repeated`, and warns of `label`; 7 does not have that any more.
    repeated = getattr(field, "is_repeated", None)
    if repeated is None:
        repeated = getattr(field, "label") == FieldDescriptor.LABEL_REPEATED  # noqa: B009
    return bool(repeated)


def is_map_entry(descriptor: Descriptor | None) -> bool:
    """Whether a type is that of the entries of a map: not all that says so has key and value."""
    return (
        descriptor is not None
        and bool(descriptor.GetOptions().map_entry)
        and {1, 2} <= set(descriptor.fields_by_number)
    )


def takes(field: FieldDescriptor, kind: int) -> bool:
    """Whether a field may be written with this wire type."""
    return shape_of_field(field).takes(kind)


class FieldShape(NamedTuple):
    """A field of a type.

    Attributes:
        name: in JSON.
        kind: the wire type of a value by itself.
        packable: values may stand in one byte string as well.
        is_text: it is a string.
        tell: makes JSON of a number, of which `fits` says whether it is written as it should be.
        default: what stands for a scalar that is not there.
        message: the type of a message.
    """

    name: str
    kind: int
    repeated: bool
    packable: bool
    is_text: bool
    tell: Tell
    fits: Fits
    default: Json
    message: Descriptor | None
    is_map: bool
    oneof: str

    def takes(self, kind: int) -> bool:
        """Whether a value may be written with this wire type."""
        return kind == self.kind or (self.packable and kind == BYTES)


NUMBER, TEXT, BLOB, MESSAGE, PACKED, ENTRY = range(6)


class PlainField(NamedTuple):
    """A field as mitm/messages/plain.py needs it, for one of the keys that it may be written with.

    Attributes:
        name: see `FieldShape`, as those that are not named here.
        how: what is written: a number, a text, bytes, a message, packed numbers, a map's entry.
        repeated: several of them may be written.
        others: names of the fields of which one may be there instead.
        cost: what is counted for it (mitm/messages/room.py), whatever it says.
    """

    name: str
    how: int
    repeated: bool
    tell: Tell
    fits: Fits
    others: frozenset[str]
    cost: int
    kind: int
    message: Descriptor | None


class TypeShape(NamedTuple):
    """A type of message.

    Attributes:
        name: its full name.
        plain: the fields by the keys that they may be written with.
    """

    descriptor: Descriptor
    name: str
    fields: dict[int, FieldShape]
    plain: dict[int, PlainField]
    extendable: bool

    def field(self, number: int) -> FieldShape | None:
        """The field of that number, an extension as well."""
        known = self.fields.get(number)
        if known is None and self.extendable:
            try:
                pool = self.descriptor.file.pool
                return shape_of_field(pool.FindExtensionByNumber(self.descriptor, number))
            except KeyError:
                return None
        return known


ANY = "google.protobuf.Any"


# Types are looked up for every message; Google's public interfaces have some thousands.
@lru_cache(maxsize=4096)
def shape_of(descriptor: Descriptor) -> TypeShape:
    known = {field.number: shape_of_field(field) for field in descriptor.fields}
    plain: dict[int, PlainField] = {}
    # An Any is read by what is in it.
    for field in descriptor.fields if descriptor.full_name != ANY else ():
        plain |= _plain(field, known[field.number])
    return TypeShape(descriptor, descriptor.full_name, known, plain, bool(descriptor.is_extendable))


def _plain(descriptor: FieldDescriptor, field: FieldShape) -> dict[int, PlainField]:
    """A field by the keys that it may be written with; not a group, which nobody writes."""
    key = descriptor.number << 3
    oneof = descriptor.containing_oneof
    others = {each.name for each in oneof.fields} - {field.name} if oneof else set()
    if field.is_map:
        if not _is_plain_entry(descriptor.message_type):
            return {}
        how = ENTRY
    elif field.message:
        how = MESSAGE
    elif field.kind == BYTES:
        how = TEXT if field.is_text else BLOB
    else:
        how = NUMBER
    one = PlainField(
        name=field.name,
        how=how,
        repeated=field.repeated,
        tell=field.tell,
        fits=field.fits,
        others=frozenset(others),
        cost=FOR_A_FIELD + (FOR_A_NUMBER if how == NUMBER else 0),
        kind=field.kind,
        message=field.message,
    )
    if field.kind == GROUP:
        return {}
    if not field.packable:
        return {key | field.kind: one}
    packed = one._replace(how=PACKED, repeated=False, cost=FOR_A_FIELD)
    return {key | field.kind: one, key | BYTES: packed}


def _is_plain_entry(descriptor: Descriptor | None) -> bool:
    """Whether the entries of a map have what they should have."""
    assert descriptor
    key, value = (shape_of_field(descriptor.fields_by_number[number]) for number in (1, 2))
    return not (key.repeated or key.message or value.repeated) and (
        key.is_text or key.kind != BYTES
    )


@lru_cache(maxsize=4096)
def shape_of_field(field: FieldDescriptor) -> FieldShape:
    kind = WIRE_TYPES[field.type]
    tell, fits = scalar(field)
    repeated = is_repeated(field)
    oneof = field.containing_oneof
    zero = field.default_value if field.enum_type and not repeated else 0
    return FieldShape(
        name=f"[{field.full_name}]" if field.is_extension else field.name,
        kind=kind,
        repeated=repeated,
        packable=repeated and kind in (VARINT, FIXED32, FIXED64),
        is_text=field.type == FieldDescriptor.TYPE_STRING,
        tell=tell,
        fits=fits,
        default="" if kind == BYTES else tell(zero),
        message=field.message_type,
        is_map=repeated and is_map_entry(field.message_type),
        oneof=oneof.name if oneof else "",
    )
