"""Clients whose flaw shows only over several connections, and the same without it.

Each is a function of the endpoint that makes the contexts of its connections, `Verify`: the flawed
client is given one that verifies nothing where its flaw is, its twin one that does.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator

from tests.audit.hand_made import (
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OPENING,
    PING,
    Connection,
    Server,
    call,
    check_health,
    frame,
    tcp,
    unverifying,
    verifying,
)

Verify = Callable[[Server], ssl.SSLContext]
Client = Callable[[Server], None]


def nothing(server: Server) -> ssl.SSLContext:
    return unverifying()


def everything(server: Server) -> ssl.SSLContext:
    return verifying(server)


@contextlib.contextmanager
def connected(
    server: Server, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Iterator[Connection]:
    """A connection with its handshake complete."""
    with Connection(server, context, session=session) as connection:
        try:
            connection.handshake()
        except ssl.SSLCertVerificationError:
            connection.alert()
            raise
        yield connection


def talk(server: Server, context: ssl.SSLContext) -> None:
    with connected(server, context) as connection:
        connection.ask()
        connection.notify()


def checks_then_talks(server: Server, verify: Verify) -> None:
    """Looks at the certificate on a connection of its own, and talks on the next."""
    with connected(server, verifying(server)) as connection:
        connection.notify()
    talk(server, verify(server))


def third_of_three(server: Server, verify: Verify) -> None:
    """A token, a look at the service, and the call."""
    talk(server, verifying(server))
    talk(server, verifying(server))
    talk(server, verify(server))


def health_without_data(server: Server, verify: Verify) -> None:
    """Calls, and looks in between whether the service is healthy, over HTTP/1.1."""
    talk(server, verifying(server))
    context = verify(server)
    context.set_alpn_protocols(["http/1.1"])
    with contextlib.suppress(ssl.SSLError):
        check_health(server, context)
    talk(server, verifying(server))


def fetches_checks_talks(server: Server, verify: Verify) -> None:
    """Fetches a certificate, checks the host on another connection, and trusts what it fetched."""
    with connected(server, unverifying()) as connection:
        fetched = connection.tls.getpeercert(binary_form=True)
        connection.notify()
    with connected(server, verifying(server)) as connection:
        connection.notify()
    context = verify(server)
    if context.verify_mode == ssl.CERT_NONE:
        context = ssl.create_default_context(cadata=fetched)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.set_alpn_protocols(["h2"])
    talk(server, context)


def trusts_what_it_fetches_after(verified: int) -> Callable[[Server, Verify], None]:
    """A token and a look at the service, verified; then it fetches a certificate, and trusts it."""

    def client(server: Server, verify: Verify) -> None:
        for _ in range(verified):
            talk(server, verifying(server))
        with connected(server, unverifying()) as connection:
            fetched = connection.tls.getpeercert(binary_form=True)
            connection.notify()
        context = verify(server)
        if context.verify_mode == ssl.CERT_NONE:
            context = ssl.create_default_context(cadata=fetched)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.set_alpn_protocols(["h2"])
        talk(server, context)

    client.__name__ = f"trusts_what_it_fetches_after_{verified}"
    return client


def reconnects(server: Server, verify: Verify) -> None:
    """Keeps one connection for its calls, and makes it anew when it is gone."""
    with connected(server, verifying(server)) as connection:
        connection.ask()
        if not _gone(connection):
            connection.send(call(3))
            connection.wait_for(HEADERS, END_STREAM)
            connection.notify()
            return
    talk(server, verify(server))


def reconnects_twice(server: Server, verify: Verify) -> None:
    """The same, and what it does wrong it does at the third connection."""
    for context in (verifying(server), verifying(server), verify(server)):
        with connected(server, context) as connection:
            connection.ask()
            if not _gone(connection):
                connection.notify()
                return


def _gone(connection: Connection) -> bool:
    """Whether the server has taken the connection away, or is about to."""
    try:
        connection.send(frame(PING, payload=bytes(8)))
        return connection.first_of(PING, GOAWAY) == GOAWAY
    except OSError:
        return True


def retries(attempts: int) -> Callable[[Server, Verify], None]:
    """Tries again when a handshake is reset; the last attempt is the one to look at."""

    def client(server: Server, verify: Verify) -> None:
        for _ in range(attempts - 1):
            with contextlib.suppress(ConnectionError):
                return talk(server, verifying(server))
        talk(server, verify(server))

    client.__name__ = f"retries_up_to_{attempts}_times"
    return client


def in_plaintext_after_a_reset(server: Server, verify: Verify) -> None:
    try:
        talk(server, verifying(server))
    except ConnectionError:
        if verify is everything:
            raise
        talk_in_plaintext(server)


def unverified_after_a_second_reset(server: Server, verify: Verify) -> None:
    """Takes a reset for a hiccup once it has got through."""
    talk(server, verifying(server))
    try:
        talk(server, verifying(server))
    except ConnectionResetError:
        talk(server, verify(server))


def unverified_after_an_end(server: Server, verify: Verify) -> None:
    """Takes a server that says nothing and closes for one that is too old."""
    try:
        talk(server, verifying(server))
    # In the words of Python since 3.11.4, and before.
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        talk(server, verify(server))


def in_plaintext_if_told_so(server: Server, verify: Verify) -> None:
    try:
        talk(server, verifying(server))
    except ssl.SSLError as error:
        if verify is everything or error.reason != "WRONG_VERSION_NUMBER":
            raise
        talk_in_plaintext(server)


def unverified_if_told_so(server: Server, verify: Verify) -> None:
    """Takes a plaintext answer for a server that is too old, and tries again with less."""
    try:
        talk(server, verifying(server))
    except ssl.SSLError as error:
        if error.reason != "WRONG_VERSION_NUMBER":
            raise
        talk(server, verify(server))


def in_plaintext_on_the_same_connection(server: Server, verify: Verify) -> None:
    """Answers a refusal of TLS by going on without, on the connection that it has."""
    with Connection(server, verifying(server)) as connection:
        try:
            while not connection.shaken():
                connection.flush()
                connection.read()
        except ssl.SSLCertVerificationError:
            connection.alert()
            raise
        except ssl.SSLError:
            connection.flush()  # the alert
            if verify is everything:
                raise
            connection.plain.sendall(OPENING + call())
            connection.plain.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while connection.plain.recv(65_536):
                    pass
            return
        connection.flush()
        connection.ask()
        connection.notify()


def talk_in_plaintext(server: Server) -> None:
    with tcp(server) as plain:
        plain.sendall(OPENING + call())
        plain.recv(65_536)


def takes_up_its_stream(server: Server, verify: Verify) -> None:
    """Reads a stream, and takes it up again where it was cut."""
    with connected(server, verifying(server)) as connection:
        connection.send(OPENING + call())
        connection.wait_for(DATA)
        try:
            connection.wait_for(HEADERS, END_STREAM)
        except OSError:
            pass
        else:
            connection.notify()
            return
    talk(server, verify(server))


class VerifiesOnce:
    """Remembers of a host that it was verified."""

    def __init__(self) -> None:
        self._verified: set[tuple[str, int]] = set()

    def __call__(self, server: Server, verify: Verify) -> None:
        known = (server.host, server.port) in self._verified
        talk(server, verify(server) if known else verifying(server))
        self._verified.add((server.host, server.port))


class Resumes:
    """Calls twice, each time with the session of the last one, if it is to resume any.

    Args:
        version: of TLS that it speaks.
        tickets: whether it takes them; without, a session of TLS 1.2 has an id.
        calls: how many calls it makes before it returns.
        resume: whether it resumes.
    """

    def __init__(
        self, version: ssl.TLSVersion, *, tickets: bool = True, calls: int = 2, resume: bool = True
    ) -> None:
        self._version = version
        self._tickets = tickets
        self._calls = calls
        self._resume = resume
        self._known: dict[int, tuple[ssl.SSLContext, ssl.SSLSession | None]] = {}

    def __call__(self, server: Server) -> None:
        for _ in range(self._calls):
            self._call(server)

    def _call(self, server: Server) -> None:
        context, session = self._known.get(server.port) or (verifying(server), None)
        context.minimum_version = context.maximum_version = self._version
        if not self._tickets:
            context.options |= ssl.OP_NO_TICKET
        with connected(server, context, session) as connection:
            connection.ask()
            connection.notify()
            if self._resume:
                self._known[server.port] = context, connection.tls.session
