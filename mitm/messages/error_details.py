"""The types of google/rpc/status.proto and error_details.proto, which errors of gRPC are made of.

Written down here, as the package that brings them (googleapis-common-protos) brings all of Google's
public interfaces with them.
"""

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorSet

# Fields in the order of their numbers, from 1; strings, unless a type is named. `*` is repeated.
_TYPES = {
    "Status": ["code:int32", "message", "details*:google.protobuf.Any"],
    "ErrorInfo": ["reason", "domain", "metadata*:google.rpc.ErrorInfo.MetadataEntry"],
    "ErrorInfo.MetadataEntry": ["key", "value"],
    "RetryInfo": ["retry_delay:google.protobuf.Duration"],
    "DebugInfo": ["stack_entries*", "detail"],
    "QuotaFailure": ["violations*:google.rpc.QuotaFailure.Violation"],
    "QuotaFailure.Violation": ["subject", "description", "api_service", "quota_metric", "quota_id"],
    "PreconditionFailure": ["violations*:google.rpc.PreconditionFailure.Violation"],
    "PreconditionFailure.Violation": ["type", "subject", "description"],
    "BadRequest": ["field_violations*:google.rpc.BadRequest.FieldViolation"],
    "BadRequest.FieldViolation": [
        "field",
        "description",
        "reason",
        "localized_message:google.rpc.LocalizedMessage",
    ],
    "RequestInfo": ["request_id", "serving_data"],
    "ResourceInfo": ["resource_type", "resource_name", "owner", "description"],
    "Help": ["links*:google.rpc.Help.Link"],
    "Help.Link": ["description", "url"],
    "LocalizedMessage": ["locale", "message"],
}

# Any and Duration are in the types above; the others are what an Any may hold without any .proto.
_IMPORTS = ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")


def error_details() -> FileDescriptorSet:
    """The descriptors of these types."""
    files = FileDescriptorSet()
    file = files.file.add(name="google/rpc/mitm_demo.proto", package="google.rpc", syntax="proto3")
    file.dependency.extend(f"google/protobuf/{name}.proto" for name in _IMPORTS)
    known: dict[str, DescriptorProto] = {}
    for full_name, fields in _TYPES.items():
        parent, _, name = full_name.rpartition(".")
        type_ = known[parent].nested_type.add() if parent else file.message_type.add()
        type_.name = name
        type_.options.map_entry = name == "MetadataEntry"
        for number, written in enumerate(fields, 1):
            _add_field(type_, number, written)
        known[full_name] = type_
    return files


def _add_field(type_: DescriptorProto, number: int, written: str) -> None:
    name, _, of = written.partition(":")
    field = type_.field.add(name=name.removesuffix("*"), number=number)
    field.label = (
        FieldDescriptorProto.LABEL_REPEATED
        if name.endswith("*")
        else FieldDescriptorProto.LABEL_OPTIONAL
    )
    field.type = FieldDescriptorProto.TYPE_STRING
    if of == "int32":
        field.type = FieldDescriptorProto.TYPE_INT32
    elif of:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{of}"
