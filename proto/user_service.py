"""users.v1 for Python, made of users.binpb when it is loaded.

Generated stubs refuse a protobuf or grpcio older than their generator. This runs with any from
protobuf 4.25 and grpcio 1.60 on, so that lab and team can share an environment.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

if TYPE_CHECKING:
    from users.v1.users_pb2 import (
        ChatMessage,
        GetUserRequest,
        ImportUsersResponse,
        ListUsersRequest,
        User,
    )

__all__ = [
    "METHODS",
    "NAME",
    "ChatMessage",
    "GetUserRequest",
    "ImportUsersResponse",
    "ListUsersRequest",
    "User",
    "UserServiceStub",
    "add_to_server",
]

NAME = "users.v1.UserService"

# In protobuf's own pool, where server reflection looks for them.
_pool = descriptor_pool.Default()
_binpb = Path(__file__).with_name("users.binpb").read_bytes()
for _file in descriptor_pb2.FileDescriptorSet.FromString(_binpb).file:
    _pool.AddSerializedFile(_file.SerializeToString())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"users.v1.{name}"))


if not TYPE_CHECKING:
    ChatMessage = _message("ChatMessage")
    GetUserRequest = _message("GetUserRequest")
    ImportUsersResponse = _message("ImportUsersResponse")
    ListUsersRequest = _message("ListUsersRequest")
    User = _message("User")

# Each method: the kind of call as grpc names it, what is sent, what is answered.
METHODS: dict[str, tuple[str, type[Message], type[Message]]] = {
    "GetUser": ("unary_unary", GetUserRequest, User),
    "ListUsers": ("unary_stream", ListUsersRequest, User),
    "ImportUsers": ("stream_unary", User, ImportUsersResponse),
    "Chat": ("stream_stream", ChatMessage, ChatMessage),
}


class UserServiceStub:
    """The client's side: one callable a method, `stub.GetUser(GetUserRequest(id=1), timeout=5)`.

    Args:
        channel: to the server.
    """

    GetUser: Any
    ListUsers: Any
    ImportUsers: Any
    Chat: Any

    def __init__(self, channel: grpc.Channel) -> None:
        for name, (kind, request, response) in METHODS.items():
            call = getattr(channel, kind)(
                f"/{NAME}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            setattr(self, name, call)


def add_to_server(servicer: Any, server: Any) -> None:
    """Let a server answer the calls.

    Args:
        servicer: has one function a method, of the method's name.
        server: of `grpc` or `grpc.aio`.
    """
    handlers = {
        name: getattr(grpc, f"{kind}_rpc_method_handler")(
            getattr(servicer, name),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
        for name, (kind, request, response) in METHODS.items()
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(NAME, handlers)])
