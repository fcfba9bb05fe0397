"""The types of Protocol Buffers that have a JSON form of their own.

https://protobuf.dev/programming-guides/json/. Each function gets the fields by name, gives their
form, and whether it shows all of them: not those that are written with their default. What has no
form raises ValueError, or whatever comes of a type of this name with other fields.
"""

from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from mitm.messages.scalars import Json
from mitm.messages.shape import TypeShape

Form = Callable[[dict[str, Json], TypeShape], tuple[Json, bool]]


def _only(value: dict[str, Json], *names: str) -> None:
    if value.keys() - set(names):
        raise ValueError


def _timestamp(value: dict[str, Json], _: TypeShape) -> tuple[Json, bool]:
    _only(value, "seconds", "nanos")
    seconds, nanos = int(value.get("seconds", 0)), value.get("nanos", 0)
    # From year 1 to 9999 (google/protobuf/timestamp.proto). Not every protobuf looks at this.
    if not (-62_135_596_800 <= seconds < 253_402_300_800 and 0 <= nanos < 10**9):
        raise ValueError
    return Timestamp(seconds=seconds, nanos=nanos).ToJsonString(), _none_is_zero(value)


def _duration(value: dict[str, Json], _: TypeShape) -> tuple[Json, bool]:
    _only(value, "seconds", "nanos")
    seconds, nanos = int(value.get("seconds", 0)), value.get("nanos", 0)
    return Duration(seconds=seconds, nanos=nanos).ToJsonString(), _none_is_zero(value)


def _none_is_zero(value: dict[str, Json]) -> bool:
    return all(int(number) for number in value.values())


def _field_mask(value: dict[str, Json], _: TypeShape) -> tuple[Json, bool]:
    _only(value, "paths")
    return FieldMask(paths=value.get("paths", ())).ToJsonString(), True


def _struct(value: dict[str, Json], _: TypeShape) -> tuple[Json, bool]:
    _only(value, "fields")
    return value.get("fields", {}), True


def _list_value(value: dict[str, Json], _: TypeShape) -> tuple[Json, bool]:
    _only(value, "values")
    return value.get("values", []), True


def _any_value(value: dict[str, Json], _: TypeShape) -> tuple[Json, bool]:
    if not value:
        return None, False  # null, as if it were said to be
    ((kind, told),) = value.items()
    taken = _TAKEN[kind]
    if not isinstance(told, taken):
        raise ValueError  # NaN, or a string that is none
    return told, True


_TAKEN: dict[str, type | tuple[type, ...]] = {
    "null_value": type(None),
    "number_value": (int, float),
    "string_value": str,
    "bool_value": bool,
    "struct_value": dict,
    "list_value": list,
}


def _wrapper(value: dict[str, Json], type_: TypeShape) -> tuple[Json, bool]:
    _only(value, "value")
    default = type_.fields[1].default
    told = value.get("value", default)
    return told, not value or str(told) != str(default)  # -0.0 is not the default


FORMS: dict[str, Form] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _field_mask,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list_value,
    "google.protobuf.Value": _any_value,
    **{
        f"google.protobuf.{name}Value": _wrapper
        for name in (
            "Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes",
        )
    },
}  # fmt: skip
