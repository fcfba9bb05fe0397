"""An ingress: a reverse proxy that ends TLS in front of a server.

What its clients verify is this program. The last hop is another client, and as careful as it is
told to be: in plaintext, over TLS with whoever answers, or over TLS with a verified server.

On stdout, one JSON line when it listens.
"""

import signal

if __name__ == "__main__":
    # Until it serves, Ctrl-C ends it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import contextlib
import json
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import addresses
from byte_stream import Plain, Tls

HANDSHAKE_SECONDS = 10.0  # seconds that a peer has to shake hands
CONNECT_SECONDS = 5.0  # seconds that the server behind has to be reached
ALPN = ["h2"]  # gRPC is nothing else: RFC 9113 section 3.2


class UnusableError(Exception):
    """What is wrong with a file, in a line."""


Contexts = Callable[[], ssl.SSLContext]


class Ingress:
    """Takes connections and relays each, byte for byte, to one of its own to the server behind.

    Args:
        contexts: gives the TLS of each connection that comes.
        upstream: host and port of the server behind.
        onwards: the TLS to it; None for plaintext.
    """

    def __init__(
        self, contexts: Contexts, upstream: tuple[str, int], onwards: ssl.SSLContext | None
    ) -> None:
        self._contexts = contexts
        self._upstream = upstream
        self._onwards = onwards

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection to its end."""
        client = Tls(reader, writer, self._contexts())
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(writer.close)
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    await client.handshake()
                try:
                    server = await self._reached(stack)
                except OSError as error:
                    why = error or "no answer in time"
                    print(f"ingress: no server behind: {why}", file=sys.stderr, flush=True)
                    await client.end()
                    return
                async with asyncio.TaskGroup() as both:
                    both.create_task(_pump(client, server))
                    both.create_task(_pump(server, client))
        except* OSError:
            # Clients come and go as they like. TLS's errors and time limits are of this kind, too.
            pass

    async def _reached(self, stack: contextlib.ExitStack) -> Plain:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(*self._upstream)
        stack.callback(writer.close)
        if not self._onwards:
            return Plain(reader, writer)
        server = Tls(reader, writer, self._onwards, self._upstream[0])
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            await server.handshake()
        return server


async def _pump(source: Plain, sink: Plain) -> None:
    while data := await source.read():
        await sink.write(data)
    await sink.end()


def verifying(cert: Path, key: Path, client_ca: Path | None) -> Contexts:
    """TLS of a server: of these CAs its clients must have certificates, if there are any.

    Raises:
        UnusableError: a file is of the wrong kind.
    """
    context = _presenting(cert, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, client_ca)
    return lambda: context


def taking_any(cert: Path, key: Path) -> Contexts:
    """TLS of a server that insists on a client certificate, and takes any that somebody signed.

    It is what nginx does with `ssl_verify_client optional_no_ca`: whoever is to judge the issuer is
    the program behind. That the client has the key is still proved, and that the certificate is of
    today and for clients.

    Raises:
        UnusableError: a file is of the wrong kind.
        NotImplementedError: this Python cannot.
    """
    _presenting(cert, key)
    if not shows_messages():
        raise NotImplementedError("this Python's ssl does not show the messages of a handshake")
    # A context of its own for each, for what one client shows must not become another's CA.
    return lambda: _taking_the_next(_presenting(cert, key))


def shows_messages() -> bool:
    """Whether this Python's `ssl` shows the messages of a handshake: that is not documented."""
    return hasattr(ssl.SSLContext, "_msg_callback")


def _taking_the_next(context: ssl.SSLContext) -> ssl.SSLContext:
    def trust(
        connection: Any, direction: str, version: Any, content: Any, kind: Any, data: bytes
    ) -> None:
        # ssl knows no callback for judging a certificate. But OpenSSL shows each message before it
        # looks at it itself: a leaf that has become a trust anchor by then is verified.
        if direction == "read" and content == _HANDSHAKE and kind == _CERTIFICATE:
            with contextlib.suppress(ssl.SSLError, ValueError, IndexError):
                context.load_verify_locations(cadata=leaf_of(data, version))

    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context._msg_callback = trust  # type: ignore[attr-defined]
    return context


# RFC 8446 sections 5.1 and 4.
_HANDSHAKE = 22
_CERTIFICATE = 11


def leaf_of(message: bytes, version: int) -> bytes:
    """The first certificate of a Certificate message, DER; b"" if there is none.

    Args:
        message: with its header.
        version: of TLS, as in the record.
    """
    at = 4
    if version >= ssl.TLSVersion.TLSv1_3:
        # A context comes first: RFC 8446 section 4.4.2; in TLS 1.2, RFC 5246 section 7.4.2.
        at += 1 + message[at]
    at += 3
    size = int.from_bytes(message[at : at + 3])
    return message[at + 3 : at + 3 + size]


def _presenting(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UnusableError(f"the key {key} does not fit the certificate {cert}") from None
        raise UnusableError(f"{cert} or {key} is not a PEM file of the right kind") from None
    context.set_alpn_protocols(ALPN)
    return context


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise UnusableError(f"{ca} holds no certificate in PEM") from None


def to_the_server(ca: Path | None) -> ssl.SSLContext:
    """TLS of the last hop.

    Args:
        ca: that its certificate must come from, under its name; None to take whatever it shows.

    Raises:
        UnusableError: the file is of the wrong kind.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        _trust(context, ca)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(ALPN)
    return context


async def serve(listen: str, upstream: str, ingress: Ingress) -> None:
    """Listen on every address of a name, until a signal comes.

    Raises:
        OSError: it cannot.
    """
    host, port = addresses.split(listen)
    connections = set()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(ingress.serve(reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    with contextlib.ExitStack() as stack:
        found = addresses.addresses_of(host)
        if not found:
            raise OSError("the host is not here")
        for address in found:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            server = await asyncio.start_server(take, address, port, family=family)
            stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        name = f"[{host}]" if ":" in host else host
        line = {"listening": f"{name}:{port}", "tls": True, "upstream": upstream}
        print(json.dumps(line), flush=True)
        await stop.wait()


def usage(message: str) -> int:
    """Say what was wrong; the exit code."""
    print(f"ingress: {message}", file=sys.stderr)
    return 2


def main() -> int:
    """Read the command line and serve; the exit code."""
    parser = argparse.ArgumentParser(
        "ingress", description="Ends TLS in front of a server.", usage=argparse.SUPPRESS
    )
    parser.add_argument("--listen", default="127.0.0.1:50443", metavar="HOST:PORT")
    parser.add_argument("--cert", type=Path, required=True, metavar="FILE", help="chain, PEM")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="its key, PEM")
    parser.add_argument(
        "--upstream", required=True, metavar="HOST:PORT", help="the server behind, in plaintext"
    )
    parser.add_argument("--upstream-tls", action="store_true", help="over TLS that is not verified")
    parser.add_argument(
        "--upstream-ca", type=Path, metavar="FILE", help="over TLS, verified: CA and name"
    )
    parser.add_argument(
        "--client-certificates",
        choices=["any", "required"],
        help="any: whoever signed it; required: one of --client-ca",
    )
    parser.add_argument("--client-ca", type=Path, metavar="FILE", help="PEM")
    arguments = parser.parse_args()
    if (arguments.client_certificates == "required") != bool(arguments.client_ca):
        return usage("--client-certificates required and --client-ca go together")
    for name in ("listen", "upstream"):
        try:
            addresses.split(getattr(arguments, name))
        except ValueError:
            return usage(f"--{name} {getattr(arguments, name)}: write HOST:PORT")
    for path in (arguments.cert, arguments.key, arguments.upstream_ca, arguments.client_ca):
        try:
            if path:
                path.read_bytes()
        except OSError as error:
            return usage(f"cannot read {path}: {error.strerror}")
    try:
        if arguments.client_certificates == "any":
            contexts = taking_any(arguments.cert, arguments.key)
        else:
            contexts = verifying(arguments.cert, arguments.key, arguments.client_ca)
        secure = arguments.upstream_tls or arguments.upstream_ca
        onwards = to_the_server(arguments.upstream_ca) if secure else None
    except NotImplementedError as error:
        return usage(f"--client-certificates any is unsupported: {error}")
    except UnusableError as error:
        return usage(str(error))
    ingress = Ingress(contexts, addresses.split(arguments.upstream), onwards)
    try:
        asyncio.run(serve(arguments.listen, arguments.upstream, ingress))
    except OSError as error:
        return usage(f"cannot listen on {arguments.listen}: {error.strerror or error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
