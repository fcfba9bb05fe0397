"""The server of the endurance run: calls of each kind, and a record of each.

python -m bench.soak.server PORT CERT KEY RECORD
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from bench.soak.calls import ID, Call, write

# A User with id and name.
_USER = b"\x08\x01\x12\x07Nicolas"

Context = Any  # grpc.aio.ServicerContext, which cannot be subscripted when this runs


class _Record:
    """A call that goes on, for `with`."""

    def __init__(self, file: Path, method: str, context: Context) -> None:
        self._file = file
        self._method = method
        self._context = context
        self.requests = self.answers = 0
        metadata = dict(context.invocation_metadata() or ())
        self.asked = {name: str(value) for name, value in metadata.items()}

    def __enter__(self) -> "_Record":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Hostile peers have no id.
        if id_ := self.asked.get(ID):
            status = "OK" if kind is None else "CANCELLED"
            if kind is not None and self._context.code() is grpc.StatusCode.NOT_FOUND:
                status = "NOT_FOUND"
            # Before the client can see that it has ended.
            call = Call(id_, self._method, status, self.requests, self.answers)
            write(self._file, [call])

    async def wait(self) -> None:
        await asyncio.sleep(float(self.asked.get("wait", "0")))


class _Users(grpc.GenericRpcHandler):
    """The service's four methods, on bytes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        handlers: dict[str, tuple[Any, Any]] = {
            "GetUser": (grpc.unary_unary_rpc_method_handler, self._get),
            "ListUsers": (grpc.unary_stream_rpc_method_handler, self._list),
            "ImportUsers": (grpc.stream_unary_rpc_method_handler, self._import),
            "Chat": (grpc.stream_stream_rpc_method_handler, self._chat),
        }
        if known := handlers.get(details.method.rpartition("/")[2]):
            make, behaviour = known
            return make(behaviour)
        return None

    def _record(self, method: str, context: Context) -> _Record:
        return _Record(self._file, method, context)

    async def _get(self, request: bytes, context: Context) -> bytes:
        with self._record("GetUser", context) as record:
            record.requests = 1
            await record.wait()
            if request.endswith(b"\x09"):
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such user")
            record.answers = 1
            return _USER

    async def _list(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        with self._record("ListUsers", context) as record:
            record.requests = 1
            for _ in range(int(record.asked.get("messages", "3"))):
                await record.wait()
                record.answers += 1
                yield _USER

    async def _import(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        with self._record("ImportUsers", context) as record:
            async for _ in requests:
                record.requests += 1
            await record.wait()
            record.answers = 1
            return bytes([8, min(record.requests, 127)])

    async def _chat(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        with self._record("Chat", context) as record:
            async for request in requests:
                record.requests += 1
                await record.wait()
                record.answers += 1
                yield request


async def serve(port: int, cert: Path, key: Path, file: Path) -> None:
    """Serve until SIGTERM."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((_Users(file),))
    pair = await asyncio.to_thread(lambda: (key.read_bytes(), cert.read_bytes()))
    credentials = grpc.ssl_server_credentials([pair])
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await server.start()
    await over.wait()
    await server.stop(1)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *map(Path, sys.argv[2:5])))
