"""The answer to an HTTP-01 challenge (RFC 8555 section 8.3), by whoever the DNS points to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from mitm.errors import UserError, explain

# Bytes that a request may have: a CA's is a few hundred.
_LIMIT = 8192
_SECONDS = 5.0


@contextlib.asynccontextmanager
async def answering(address: str, port: int, answers: Mapping[str, bytes]) -> AsyncIterator[None]:
    """Answer HTTP requests while the block lasts.

    Args:
        address: where, on loopback.
        port: which.
        answers: what to say, by the path that is asked for; it may grow meanwhile.

    Raises:
        UserError: it cannot listen there.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, ValueError, EOFError):
            async with asyncio.timeout(_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
                body = answers.get(request.split(b" ", 2)[1].decode("ascii"))
                status = "404 Not Found" if body is None else "200 OK"
                head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body or b'')}\r\n"
                head += "Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + (body or b""))
                await writer.drain()

    try:
        server = await asyncio.start_server(answer, address, port, limit=_LIMIT)
    except OSError as error:
        reason = explain(error)
        raise UserError(f"cannot answer challenges on {address}:{port}: {reason}") from None
    async with server:
        yield
