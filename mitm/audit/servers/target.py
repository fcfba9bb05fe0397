"""The server that is probed, and the call that is made to it."""

import msgspec

from mitm.address import Address

# A service that gRPC servers have by default or as one of their first.
HEALTH = "/grpc.health.v1.Health/Check"


class Target(msgspec.Struct, frozen=True):
    """A server, and a call.

    Attributes:
        address: where it is; it has passed the guard.
        server_name: its name, in TLS.
        authority: the same in HTTP/2, which may have a port; "" for just the name.
        method: that is called.
        message: of the request, encoded; b"" for one with nothing in it.
        metadata: of the request.
        ca_pem: who has signed the server's certificate; None for one that the machine trusts.
        seconds: that one way may take.
    """

    address: Address
    server_name: str
    authority: str = ""
    method: str = HEALTH
    message: bytes = b""
    metadata: tuple[tuple[str, str], ...] = ()
    ca_pem: str | None = None
    seconds: float = 5.0
