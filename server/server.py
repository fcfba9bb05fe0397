"""The victim: a gRPC server for users.v1.UserService, over TLS or in plaintext.

On stdout, one JSON line when it listens and one for each call: the server's own witness of what
reached it. The line of a call is written before the client can see the call's end, so whoever has
seen the client exit finds the line there.
"""

import signal

if __name__ == "__main__":
    # Until it serves, Ctrl-C ends it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import errno
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

# The C core's own log lines are not meant for the person at the terminal.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from cryptography import x509

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proto"))

import addresses
import user_service
from tls_files import TlsFiles, UnusableError
from user_service import ChatMessage, GetUserRequest, ImportUsersResponse, ListUsersRequest, User

GRACE_SECONDS = 0.5  # seconds that calls have to end once the server is told to stop

USERS = {
    1: User(id=1, name="Nicolas", email="nicolas@example.com"),
    2: User(id=2, name="Amina", email="amina@example.com"),
    3: User(id=3, name="Jörg", email="joerg@example.com"),
}

Context = grpc.aio.ServicerContext[Any, Any]


class Users:
    """The service, with one call of each kind."""

    async def GetUser(self, request: GetUserRequest, context: Context) -> User:  # noqa: N802
        if request.id not in USERS:
            known = ", ".join(map(str, USERS))
            message = f"no user has the id {request.id}; known ids: {known}"
            await context.abort(grpc.StatusCode.NOT_FOUND, message)
        return USERS[request.id]

    async def ListUsers(  # noqa: N802
        self, request: ListUsersRequest, context: Context
    ) -> AsyncIterator[User]:
        for user in USERS.values():
            yield user

    async def ImportUsers(  # noqa: N802
        self, requests: AsyncIterator[User], context: Context
    ) -> ImportUsersResponse:
        imported = 0
        async for _ in requests:
            imported += 1
        return ImportUsersResponse(imported=imported)

    async def Chat(  # noqa: N802
        self, requests: AsyncIterator[ChatMessage], context: Context
    ) -> AsyncIterator[ChatMessage]:
        async for message in requests:
            yield ChatMessage(text=f"You said: {message.text}")


async def add_health(server: grpc.aio.Server) -> None:
    """Let load balancers and probes ask how it is: grpc.health.v1.Health."""
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    status = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    for name in ("", user_service.NAME):
        await status.set(name, health_pb2.HealthCheckResponse.SERVING)


async def add_reflection(server: grpc.aio.Server) -> None:
    """Let clients ask what its messages are made of: grpc.reflection.v1alpha.ServerReflection."""
    from grpc_reflection.v1alpha import reflection

    names = (user_service.NAME, "grpc.health.v1.Health", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)


# Served if the package is installed.
OPTIONAL = {
    "health": (add_health, "grpcio-health-checking"),
    "reflection": (add_reflection, "grpcio-reflection"),
}


@lru_cache(maxsize=64)
def names_in(pem: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """DNS names and URIs of a certificate.

    They are read here, of the certificate itself: what a library tells of them need not be whole.
    """
    extensions = x509.load_pem_x509_certificate(pem).extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), ()
    dns = names.get_values_for_type(x509.DNSName)
    return tuple(dns), tuple(names.get_values_for_type(x509.UniformResourceIdentifier))


class Client(NamedTuple):
    """Who calls. It is asked beforehand: once a call is cancelled, grpcio crashes on the question.

    Attributes:
        peer: HOST:PORT.
        names: the DNS names of its certificate.
        uris: the URIs of it.
    """

    peer: str
    names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()

    @classmethod
    def of(cls, context: Context) -> "Client":
        """Who makes this call, by the certificate that the core has verified.

        Its common name is no name of it: RFC 9525 section 2.
        """
        found = context.auth_context().get("x509_pem_cert", ())
        pem = next(iter(found), b"")
        dns, uris = names_in(pem) if pem else ((), ())
        return cls(address_of(context.peer()), dns, uris)

    @property
    def identity(self) -> str:
        """All that it may be called; "" for a client that has shown no certificate."""
        return ", ".join((*self.uris, *self.names))

    def is_one_of(self, allowed: Sequence[str]) -> bool:
        """Whether one of these names, or URIs, is its own.

        A URI holds a colon and a DNS name none, so that neither passes for the other. A wildcard
        is nobody's name: it stands for itself.
        """
        names = {name.lower() for name in self.names}
        return any(each in self.uris if ":" in each else each.lower() in names for each in allowed)


class Witness(grpc.aio.ServerInterceptor):
    """Records every call to any service: method, peer, identity and status.

    Args:
        allowed: who may call, by the names in its certificate; with none, whoever gets here.
            It holds for all services: health and reflection tell of the server, too.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = allowed

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            if not self._allowed:
                return None
            # Whoever may not call need not know what there is.
            handler = grpc.stream_stream_rpc_method_handler(_unknown)
        if handler.response_streaming:
            kind = "stream_stream" if handler.request_streaming else "unary_stream"
            wrap = self._witness_stream
        else:
            kind = "stream_unary" if handler.request_streaming else "unary_unary"
            wrap = self._witness_unary
        behaviour = wrap(method, getattr(handler, kind))
        return getattr(grpc, f"{kind}_rpc_method_handler")(  # type: ignore[no-any-return]
            behaviour, handler.request_deserializer, handler.response_serializer
        )

    def _witness_unary(self, method: str, behaviour: Any) -> Any:
        async def witnessed(request: Any, context: Context) -> Any:
            client = Client.of(context)
            try:
                await self._authorise(client, context)
                response = behaviour(_to_the_end(request, context), context)
                # The health service's handlers are coroutines, but need not be.
                return await response if asyncio.iscoroutine(response) else response
            finally:
                _record(method, client, context)

        return witnessed

    def _witness_stream(self, method: str, behaviour: Any) -> Any:
        async def witnessed(request: Any, context: Context) -> AsyncIterator[Any]:
            client = Client.of(context)
            try:
                await self._authorise(client, context)
                responses = behaviour(_to_the_end(request, context), context)
                if hasattr(responses, "__aiter__"):
                    async for response in responses:
                        yield response
                else:
                    for response in responses:
                        yield response
            finally:
                _record(method, client, context)

        return witnessed

    async def _authorise(self, client: Client, context: Context) -> None:
        if self._allowed and not client.is_one_of(self._allowed):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for this client")


async def _unknown(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    yield


def _to_the_end(request: Any, context: Context) -> Any:
    """A stream of requests that knows a cancelled call from one whose requests have all come.

    grpcio ends the stream in either case, and cancels the handler an instant later or never. But
    the core tells things in order: whoever reads once more after the end is answered only when a
    cancellation has been told, which then ends the handler.
    """
    if not hasattr(request, "__aiter__"):
        return request

    async def requests() -> AsyncIterator[Any]:
        async for message in request:
            yield message
        await context.read()

    return requests()


def _record(method: str, client: Client, context: Context) -> None:
    error = sys.exc_info()[1]
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        status = code.name
    elif isinstance(error, asyncio.CancelledError | GeneratorExit):
        status = "CANCELLED"
    else:
        status = "UNKNOWN" if error else "OK"
    say({"method": method, "peer": client.peer, "status": status, "identity": client.identity})


def address_of(peer: str) -> str:
    """HOST:PORT of a peer that gRPC calls `ipv4:127.0.0.1:5` or `ipv6:%5B::1%5D:5`."""
    return unquote(peer).partition(":")[2]


def say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


async def serve(listen: str, files: TlsFiles | None, allowed: Sequence[str]) -> None:
    # Two servers must not share a port unnoticed, as SO_REUSEPORT would let them.
    server = grpc.aio.server(interceptors=[Witness(allowed)], options=[("grpc.so_reuseport", 0)])
    user_service.add_to_server(Users(), server)
    for service, (add, package) in OPTIONAL.items():
        try:
            await add(server)
        except ImportError:
            # Of the same release: another would bring its own grpcio in the place of the one here.
            release = ".".join(grpc.__version__.split(".")[:2])
            install = f"pip install '{package}~={release}.0'"
            print(f"server: without {service}: {install}", file=sys.stderr)
    port = bind(server, listen, files)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start()
    host = listen.rpartition(":")[0]
    say({"listening": f"{host}:{port}", "tls": files is not None})
    await stop.wait()
    await server.stop(GRACE_SECONDS)


def bind(server: grpc.aio.Server, listen: str, files: TlsFiles | None) -> int:
    """Listen on every address of a name, for clients may try any of them; returns the port.

    grpcio is content with one, and somebody else may have the same port of another.
    """
    try:
        host, port = addresses.split(listen)
    except ValueError:
        sys.exit(usage(f"cannot listen on {listen}: write HOST:PORT"))
    found = addresses.addresses_of(host)
    if not found:
        sys.exit(usage(f"cannot listen on {listen}: the host is not here"))
    for address in found:
        at = f"[{address}]" if ":" in address else address
        try:
            if files:
                # Of its own for each port, or only one of them would learn of a renewal.
                port = server.add_secure_port(f"{at}:{port}", files.credentials())
            else:
                port = server.add_insecure_port(f"{at}:{port}")
        except RuntimeError:
            of = "" if address == host else f", which is {host}"
            sys.exit(usage(f"cannot listen on {at}:{port}{of}: {what_hinders(address, port)}"))
    return port


def what_hinders(address: str, port: int) -> str:
    """Why nobody can listen there, which gRPC does not tell."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind((address, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return str(error.strerror)
    return "the port is taken"


def usage(message: str) -> int:
    print(f"server: {message}", file=sys.stderr)
    return 2


def main() -> int:
    parser = argparse.ArgumentParser(
        "server", description="A gRPC server for users.v1.UserService.", usage=argparse.SUPPRESS
    )
    parser.add_argument("--listen", default="127.0.0.1:50051", metavar="HOST:PORT")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="certificate chain, PEM")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key to it, PEM")
    parser.add_argument(
        "--client-ca", type=Path, metavar="FILE", help="the CAs of its clients' certificates, PEM"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="NAME",
        help="a DNS name or URI of a client's certificate: others are refused",
    )
    arguments = parser.parse_args()
    if bool(arguments.cert) != bool(arguments.key):
        return usage("--cert and --key go together")
    if arguments.client_ca and not arguments.cert:
        return usage("--client-ca needs --cert and --key: without TLS no client has a certificate")
    if arguments.allow and not arguments.client_ca:
        return usage("--allow needs --client-ca: a name is one of a client's certificate")
    if not all(arguments.allow):
        return usage("--allow is empty: write a name of a client's certificate")
    try:
        files = (
            TlsFiles(arguments.cert, arguments.key, arguments.client_ca) if arguments.cert else None
        )
    except UnusableError as error:
        return usage(str(error))
    asyncio.run(serve(arguments.listen, files, arguments.allow))
    return 0


if __name__ == "__main__":
    sys.exit(main())
