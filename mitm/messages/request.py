"""A request that a user has written as JSON, by the type that its method takes."""

import difflib

from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from mitm.errors import UserError
from mitm.messages.schema import Schema


def encoded(schema: Schema, method: str, text: str) -> bytes:
    """A message in the wire format.

    Args:
        schema: knows the method.
        method: path of the call, `/users.v1.UserService/GetUser`.
        text: the JSON form of Protocol Buffers; "" for a message with nothing in it.

    Raises:
        UserError: the method is not known, or the text is not of the type that it takes.
    """
    name = schema.type_name(method, "client")
    found = [each for each in schema.message_types() if each.full_name == name]
    if not name or not found:
        near = difflib.get_close_matches(method, schema.methods(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(schema.methods())}"
        raise UserError(f"--method {method}: the descriptors that are given do not have it: {hint}")
    message = GetMessageClass(found[0])()
    try:
        json_format.Parse(text or "{}", message)
    except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--message: it is not a {name} in JSON: {reason}") from None
    return message.SerializeToString()
