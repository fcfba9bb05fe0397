"""Clients as users of the plugin have them: of each kind a correct one and its careless twin.

The tests of the plugin put a copy of this file beside the tests that they run.
"""

import asyncio
import socket
import ssl
from typing import Protocol

import grpc
import grpc.aio

METHOD = "/users.v1.UserService/GetUser"
TOKEN = (("authorization", "Bearer s3cret-t0ken"),)
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIMIT = 20


class Server(Protocol):
    """What both fixtures tell a client."""

    @property
    def target(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def ca_pem(self) -> bytes: ...


def checks(server: Server) -> bytes:
    """Python's ssl with the CA given: correct."""
    return _exchange(server, ssl.create_default_context(cadata=server.ca_pem.decode()))


def checks_nothing(server: Server) -> bytes:
    """Python's ssl with verification switched off."""
    return _exchange(server, _verifying_nothing())


def _verifying_nothing() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _exchange(server: Server, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((server.host, server.port), LIMIT) as plain,
        context.wrap_socket(plain, server_hostname=server.host) as connection,
    ):
        connection.sendall(REQUEST)
        return connection.recv(1000)


async def checks_async(server: Server) -> bytes:
    """asyncio with the CA given: correct."""
    return await _exchange_async(server, ssl.create_default_context(cadata=server.ca_pem.decode()))


async def checks_nothing_async(server: Server) -> bytes:
    """asyncio with verification switched off."""
    return await _exchange_async(server, _verifying_nothing())


async def _exchange_async(server: Server, context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
    try:
        writer.write(REQUEST)
        return await reader.read(1000)
    finally:
        writer.close()
        await writer.wait_closed()


def calls(server: Server) -> bytes:
    """grpcio with the CA given: correct."""
    return _call(server, server.ca_pem)


def calls_whom_it_meets(server: Server) -> bytes:
    """grpcio, and trust on first use: whatever certificate the server shows is the root."""
    return _call(server, ssl.get_server_certificate((server.host, server.port)).encode())


def _call(server: Server, roots: bytes) -> bytes:
    with grpc.secure_channel(server.target, grpc.ssl_channel_credentials(roots)) as channel:
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        return method(b"", metadata=TOKEN, timeout=LIMIT)


async def calls_async(server: Server) -> bytes:
    """grpc.aio with the CA given: correct."""
    return await _call_async(server, server.ca_pem)


async def calls_whom_it_meets_async(server: Server) -> bytes:
    """grpc.aio, and trust on first use."""
    shown = await asyncio.to_thread(ssl.get_server_certificate, (server.host, server.port))
    return await _call_async(server, shown.encode())


async def _call_async(server: Server, roots: bytes) -> bytes:
    credentials = grpc.ssl_channel_credentials(roots)
    async with grpc.aio.secure_channel(server.target, credentials) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        return await method(b"", metadata=TOKEN, timeout=LIMIT)
