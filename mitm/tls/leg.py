"""One side of an intercepted connection, as TLS: bytes in, bytes out, no socket."""

import contextlib
import ssl
from typing import NamedTuple

from mitm.tls.alerts import ALERTS, AlertReader, PlainAlert, received
from mitm.tls.client_certificate import SeenTls

# Bytes in a record at the most (RFC 8446 section 5.1), of which a read gives one.
_RECORD_SIZE = 16_384


class ReceivedAlert(NamedTuple):
    """An alert of the peer, by its name and number in RFC 8446 section 6."""

    name: str
    number: int


def alert_in(error: OSError) -> ReceivedAlert | None:
    """The peer's alert that made TLS fail; None if that was something else."""
    name = received(error) if isinstance(error, ssl.SSLError) else None
    return ReceivedAlert(name, ALERTS[name]) if name else None


class TlsError(Exception):
    """The leg has failed for good.

    Attributes:
        alert: the peer's alert if it was the peer that gave up, None if it was this side.
        verify_message: what this side has against the peer's certificate; "" for nothing.
    """

    def __init__(self, error: ssl.SSLError, plain: PlainAlert | None = None) -> None:
        self.alert = alert_in(error)
        self.verify_message: str = getattr(error, "verify_message", "")
        if plain:
            self.alert = ReceivedAlert(plain.name, plain.number)
        super().__init__((error.reason or str(error)).lower().replace("_", " "))


class TlsLeg:
    """A TLS connection over memory: feed what was received, take what is to be sent.

    After any call, `to_send()` may hold bytes for the peer, an alert among them.

    Args:
        context: what is spoken.
        server_side: whether this is the server.
        server_name: the name to ask the server for, None for none.
        secrets_late: whether OpenSSL may log a secret of the handshake only at its end. A server's
            in TLS 1.3 are all there when it has sent its part.
        afterwards: what goes on once the handshake has completed, where `context` looks at
            messages: that would cost more than small records do. None for the same.
        session: to resume, as a client; of the same context.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_name: str | None = None,
        secrets_late: bool = True,
        afterwards: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.secrets_late = secrets_late
        self._afterwards = afterwards
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_name,
            session=session,
        )
        # OpenSSL's words for an alert differ from version to version. One that is not encrypted, as
        # most within a handshake, is read from its record.
        self._alerts: AlertReader | None = AlertReader()
        self._alert: PlainAlert | None = None
        self._unread = b""
        self.failure: TlsError | None = None
        """Why nothing more can be read; None while it can."""
        self.closed = False
        """Whether the peer has ended its direction with close_notify (RFC 8446 section 6.1)."""

    def receive(self, data: bytes | bytearray) -> None:
        """Take bytes that came from the peer."""
        self._incoming.write(data)
        if self._alerts:
            for alert in self._alerts.feed(data):
                if alert.fatal:
                    self._alert = self._alert or alert

    def to_send(self) -> bytes:
        """Give the bytes that are due to the peer, once."""
        return self._outgoing.read()

    def handshake(self) -> bool:
        """Go on with the handshake; True when it has completed.

        Raises:
            TlsError: it has failed.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError as error:
            if self._alert:
                raise TlsError(error, self._alert) from None
            return False
        except ssl.SSLError as error:
            # What was not looked at yet has not been the reason.
            raise TlsError(error, None if self._incoming.pending else self._alert) from None
        self._alerts = None
        if self._afterwards:
            self._tls.context, self._afterwards = self._afterwards, None
        return True

    def read(self) -> bytes:
        """Decrypt all that has been received; b"" if that makes no application byte yet.

        Nothing is raised: what came before a bad record, or one with a fatal alert, is given, and
        `failure` says that nothing more will be.
        """
        if self._unread:
            plaintext, self._unread = self._unread, b""
            return plaintext
        if self.failure:
            return b""
        chunks = []
        try:
            # An exception costs more than a record: ask before running into SSLWantReadError. What
            # is asked for beyond what there is would be allocated and given back, which leaves the
            # heap in pieces that nothing fits into.
            while there := self._incoming.pending + self._tls.pending():
                chunk = self._tls.read(min(there, _RECORD_SIZE))
                if not chunk:
                    self.closed = True
                    break
                chunks.append(chunk)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            # What close_notify is once this side has sent its own; b"" before that.
            self.closed = True
        except ssl.SSLError as error:
            self.failure = TlsError(error)
        return b"".join(chunks)

    def peek(self) -> bytes:
        """The same, which the next `read` gives again."""
        self._unread = self.read()
        return self._unread

    def write(self, data: bytes) -> None:
        """Encrypt application bytes.

        Raises:
            TlsError: the connection is no longer fit to be written to.
        """
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise TlsError(error) from None

    def close(self) -> None:
        """End this side's direction with close_notify; the peer's may go on."""
        # Python calls SSL_shutdown twice, and the second call looks for the peer's close_notify:
        # application data in its way would be thrown away, and the leg with it.
        self.peek()
        # An error means that the peer's close_notify is still to come (SSLWantReadError), or that
        # the connection is broken and there is nobody to notify.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()

    @property
    def version(self) -> str:
        """The TLS version agreed on, `TLSv1.3`."""
        return self._tls.version() or ""

    @property
    def cipher(self) -> str:
        """The cipher suite agreed on, by OpenSSL's name."""
        cipher = self._tls.cipher()
        return cipher[0] if cipher else ""

    @property
    def resumed(self) -> bool:
        """Whether a session was resumed, which shows no certificate (RFC 8446 section 2.2)."""
        return bool(self._tls.session_reused)

    @property
    def asked(self) -> bool:
        """Whether the server is known to have asked this side for a client certificate."""
        return isinstance(self._tls, SeenTls) and self._tls.asked

    @property
    def client_chain(self) -> tuple[bytes, ...] | None:
        """What the client has presented that was asked, DER, leaf first; () if it had nothing.

        None if it was not asked, or has not answered.
        """
        return self._tls.presented if isinstance(self._tls, SeenTls) else None

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a client may resume; in TLS 1.3 it comes behind the handshake."""
        return self._tls.session

    @property
    def alpn(self) -> str | None:
        """The application protocol agreed on, `h2` for gRPC."""
        return self._tls.selected_alpn_protocol()
