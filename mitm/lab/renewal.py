"""A call that is open while its server's next certificate comes into use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from mitm import pki
from mitm.address import LOCALHOST, Address
from mitm.errors import UserError

_METHOD = "/users.v1.UserService/Chat"

# The server is on this machine, whatever proxy is named in the environment.
_STRAIGHT = (("grpc.enable_http_proxy", 0),)

# Seconds that the server has to take a call, or to answer it.
_SECONDS = 10.0


class OpenCall:
    """A call that has begun, and is not to end with the certificate that it began under."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
        self._call = call

    async def begin(self) -> None:
        """Say something, and hear the answer: the connection is there.

        Raises:
            grpc.aio.AioRpcError: the server does not answer.
        """
        # A message of Protobuf in which every field has its default value has no bytes.
        await self._call.write(b"")
        await self._call.read()

    async def is_answered(self) -> bool:
        """Whether the same call goes on: something more is said, answered, and it ends well."""
        try:
            await self.begin()
            await self._call.done_writing()
            return await self._call.code() == grpc.StatusCode.OK
        except grpc.aio.AioRpcError:
            return False


@asynccontextmanager
async def open_call(server: Address, chain: pki.Chain) -> AsyncIterator[OpenCall]:
    """Open a call to the lab's server.

    Args:
        server: where it listens.
        chain: its certificate, which is all that is trusted.

    Raises:
        UserError: the server does not answer.
    """
    credentials = grpc.ssl_channel_credentials(root_certificates=chain.leaf_pem)
    target = str(Address(LOCALHOST, server.port))
    async with grpc.aio.secure_channel(target, credentials, _STRAIGHT) as channel:
        call = OpenCall(channel.stream_stream(_METHOD)(timeout=_SECONDS))
        try:
            await call.begin()
        except grpc.aio.AioRpcError as error:
            raise UserError(f"the server at {server} takes no call: {error.code().name}") from None
        yield call
