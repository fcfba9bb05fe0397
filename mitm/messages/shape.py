"""What a type of message looks like: its fields, made ready once for all messages of it."""

from functools import lru_cache
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mitm.messages.room import FOR_A_FIELD, FOR_A_NUMBER
from mitm.messages.scalars import WIRE_TYPES, Fits, Json, Tell, scalar
from mitm.messages.wire_format import BYTES, FIXED32, FIXED64, VARINT


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


class FlatField(NamedTuple):
    """A scalar that a message has but once, as mitm/messages/flat.py needs it.

    Attributes:
        name: see `FieldShape`, as the next ones.
        cost: what is counted for the field, whatever it says.
    """

    name: str
    is_text: bool
    tell: Tell
    fits: Fits
    cost: int


class TypeShape(NamedTuple):
    """A type of message.

    Attributes:
        name: its full name.
        flat: the fields that are scalars which it has but once, by their keys on the wire, where
            these are one byte long.
    """

    descriptor: Descriptor
    name: str
    fields: dict[int, FieldShape]
    flat: dict[int, FlatField]
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
    flat = {}
    # An Any is read by what is in it.
    for field in descriptor.fields if descriptor.full_name != ANY else ():
        key = field.number << 3 | known[field.number].kind
        # Of several fields only one may be there; a field that is `optional` is alone in a oneof.
        alone = field.containing_oneof is None or len(field.containing_oneof.fields) == 1
        if key < 0x80 and alone and not (field.message_type or known[field.number].repeated):
            flat[key] = _flat(known[field.number])
    return TypeShape(descriptor, descriptor.full_name, known, flat, bool(descriptor.is_extendable))


def _flat(field: FieldShape) -> FlatField:
    cost = FOR_A_FIELD + len(field.name) + (0 if field.kind == BYTES else FOR_A_NUMBER)
    return FlatField(field.name, field.is_text, field.tell, field.fits, cost)


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
