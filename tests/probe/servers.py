"""A gRPC server by `ssl` and `h2` that can be as careless as real ones are, one check at a time."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from mitm.tls import MalformedError, read_client_hello
from tests.probe.lab import CLIENT, METHOD, SERVER, Lab

OK, DENIED, UNIMPLEMENTED, UNAUTHENTICATED = "0", "7", "12", "16"


class Caller(NamedTuple):
    """Who has made a request, as a server knows it.

    Attributes:
        certificate: as `ssl` tells it; {} for none.
        server_name: of the ClientHello, as it came.
        headers: of the request.
        resumed: whether it came over a resumed session.
        version: of TLS; "" without.
    """

    certificate: dict[str, Any]
    server_name: str | None
    headers: Mapping[str, str]
    resumed: bool
    version: str = ""

    @property
    def names(self) -> list[str]:
        """Its DNS names."""
        return [v for kind, v in self.certificate.get("subjectAltName", ()) if kind == "DNS"]

    @property
    def all_names(self) -> list[str]:
        """Its alternative names of whatever kind."""
        return [value for _, value in self.certificate.get("subjectAltName", ())]

    @property
    def common_names(self) -> list[str]:
        """Its common names."""
        subject = self.certificate.get("subject", ())
        return [value for rdn in subject for key, value in rdn if key == "commonName"]


def by_name(caller: Caller) -> bool:
    """The sound rule."""
    return CLIENT in caller.names


class Rules(NamedTuple):
    """How a server decides; what is left out is sound.

    Attributes:
        verify: whether a certificate must be shown.
        allow: who may call.
        required_under: whether, under this server name, a certificate must be shown.
        plaintext: whether it answers without TLS as well.
        oldest, newest: versions of TLS.
        first_record_only: whether it looks for the server name in the first record alone.
        route: the method that a path leads to.
        authority: by which it is called; "" for any.
        denied: whether a rule by path forbids a path to those who may not call.
    """

    verify: ssl.VerifyMode = ssl.CERT_REQUIRED
    allow: Callable[[Caller], bool] = by_name
    required_under: Callable[[str | None], bool] = lambda name: True
    plaintext: bool = False
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    first_record_only: bool = False
    route: Callable[[str], str] = lambda path: path
    denied: Callable[[str], bool] = lambda path: True
    authority: str = SERVER


@contextmanager
def serving(lab: Lab, rules: Rules) -> Iterator[int]:
    """A server with these rules on a port of loopback, while the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = _Server(lab, rules)
        thread = threading.Thread(target=server.accept, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


class _Server:
    def __init__(self, lab: Lab, rules: Rules) -> None:
        self._rules = rules
        self._strict = _context(lab.folder, rules, rules.verify)
        self._loose = _context(lab.folder, rules, ssl.CERT_NONE)

    def accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, h2.exceptions.ProtocolError, MalformedError):
            connection.settimeout(20)
            first = connection.recv(3, socket.MSG_PEEK)
            if first == b"PRI" and self._rules.plaintext:
                _Answering(connection, Caller({}, None, {}, False), self._rules, open_=True).run()
                return
            name = self._server_name(connection)
            strict = self._rules.required_under(name)
            context = self._strict if strict else self._loose
            with context.wrap_socket(connection, server_side=True) as tls:
                resumed = bool(tls.session_reused)
                caller = Caller(tls.getpeercert() or {}, name, {}, resumed, tls.version() or "")
                _Answering(tls, caller, self._rules, open_=not strict).run()

    def _server_name(self, connection: socket.socket) -> str | None:
        """Looked for in what has come, and left there for the TLS library."""
        while True:
            data = connection.recv(16_384, socket.MSG_PEEK)
            if data[:1] != b"\x16":
                raise MalformedError("no TLS")
            if self._rules.first_record_only and len(data) >= 5:
                end = 5 + int.from_bytes(data[3:5], "big")
                if len(data) >= end:
                    hello = read_client_hello(data[:end])
                    return hello.server_name if hello else None
            elif hello := read_client_hello(data):
                return hello.server_name


def _context(folder: Path, rules: Rules, verify: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "clients.pem")
    context.verify_mode = verify
    context.set_alpn_protocols(["h2"])
    if rules.oldest < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = rules.oldest
    context.maximum_version = rules.newest
    return context


class _Answering:
    """A connection, on which each request is answered by its status alone."""

    def __init__(
        self, connection: socket.socket, caller: Caller, rules: Rules, *, open_: bool
    ) -> None:
        self._connection = connection
        self._caller = caller
        self._rules = rules
        self._open = open_
        config = h2.config.H2Configuration(client_side=False, validate_inbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)

    def run(self) -> None:
        self._h2.initiate_connection()
        self._connection.sendall(self._h2.data_to_send())
        while data := self._connection.recv(65_536):
            for event in self._h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = {_text(name): _text(value) for name, value in event.headers}
                    answer = self._status(self._caller._replace(headers=headers))
                    fields = [
                        (":status", "200"),
                        ("content-type", "application/grpc"),
                        ("grpc-status", answer),
                    ]
                    self._h2.send_headers(event.stream_id, fields, end_stream=True)
            self._connection.sendall(self._h2.data_to_send())

    def _status(self, caller: Caller) -> str:
        path = caller.headers[":path"]
        if self._rules.authority not in ("", caller.headers[":authority"]):
            return UNIMPLEMENTED
        allowed = self._open or self._rules.allow(caller)
        if not allowed and self._rules.denied(path):
            return DENIED
        return OK if self._rules.route(path) == METHOD else UNIMPLEMENTED


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def splits_subject(caller: Caller) -> bool:
    """Who takes a subject apart by its commas."""
    subject = ",".join(f"CN={name}" for name in caller.common_names)
    return f"CN={CLIENT}" in re.split(r",\s*", subject)
