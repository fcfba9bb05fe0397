"""TLS on both legs of a connection: what the server is asked for, and what the client is shown."""

import ssl
from collections.abc import Callable
from typing import TypeVar

from mitm.address import is_ip
from mitm.pki import Chain, Presentation, load_chain
from mitm.tls import Hello, TlsLeg, client_certificate

K = TypeVar("K")

TLS_1_3 = "TLSv1.3"

# Contexts that are kept for one leg. A context costs a millisecond; what it is made for, the
# protocols that a client offers, is the client's to choose.
MAX_KEPT = 64


class Contexts:
    """The TLS contexts of an interceptor, which are gone when it is.

    Args:
        key_log: file that the secrets of all connections go to; None for none.
        certificate: what servers are given that ask for a client certificate, None for nothing.
    """

    def __init__(self, key_log: str | None, certificate: Chain | None = None) -> None:
        self._key_log = key_log
        self._certificate = certificate
        self._established: ssl.SSLContext | None = None
        self._towards_server: dict[tuple[str, ...], ssl.SSLContext] = {}
        self._towards_client: dict[tuple[Presentation, str | None], ssl.SSLContext] = {}

    def upstream_leg(self, hello: Hello, host: str) -> TlsLeg:
        """TLS towards the server, with the name and the protocols that the client asked for."""
        # A protocol is 255 bytes at the most (RFC 7301 section 3.1), but not always when spelled
        # out.
        alpn = tuple(protocol for protocol in hello.alpn if len(protocol) < 256)
        context = self._kept(self._towards_server, alpn, lambda: self._unverifying(alpn))
        name = hello.askable_name
        if hello.server_name is None and not is_ip(host):
            # RFC 6066 section 3: SNI is without the dot of the root.
            name = host.removesuffix(".")
        if self._established is None:
            self._established = self._logged(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        return TlsLeg(context, server_side=False, server_name=name, afterwards=self._established)

    def client_leg(
        self, hello: Hello, presented: Presentation, alpn: str | None, *, asking: bool = False
    ) -> TlsLeg:
        """TLS towards the client, which is offered just the protocol that the server chose.

        Args:
            hello: of the client.
            presented: what it is shown.
            alpn: the protocol, None for none.
            asking: whether it is asked for a certificate; not where sessions may be resumed, in
                which nobody is asked.

        A client that resumes a session is shown no certificate, so none is to be resumed. Of TLS
        1.3 no ticket is given out. Up to TLS 1.2 a context keeps sessions by their id (RFC 5246
        section 7.3), which `ssl` cannot be told not to: each connection gets one of its own.
        """
        late = not _agree_on_tls_1_3(hello, presented)
        if asking and not presented.resumable:
            asks = self._logged(presented.context(alpn))
            client_certificate.ask_client(asks)
            afterwards = self._towards(presented, alpn)
            return TlsLeg(asks, server_side=True, secrets_late=late, afterwards=afterwards)
        if late:
            return TlsLeg(self._logged(presented.context(alpn)), server_side=True)
        return TlsLeg(self._towards(presented, alpn), server_side=True, secrets_late=False)

    def _towards(self, presented: Presentation, alpn: str | None) -> ssl.SSLContext:
        key = (presented, alpn)
        return self._kept(self._towards_client, key, lambda: presented.context(alpn))

    def clear(self) -> None:
        """Let go of them, and of the key log, which each holds open."""
        self._towards_server.clear()
        self._towards_client.clear()
        self._established = None

    def rehearse(self) -> None:
        """See whether the client certificate can be presented.

        Raises:
            Unsupported: OpenSSL refuses it, with its reason.
        """
        if self._certificate:
            self._unverifying(())

    def _unverifying(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        """TLS towards the server. It is not verified: an attacker need not ask who it is."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if self._certificate:
            load_chain(context, self._certificate)
        client_certificate.note_request(context)
        return context

    def _kept(
        self, kept: dict[K, ssl.SSLContext], key: K, make: Callable[[], ssl.SSLContext]
    ) -> ssl.SSLContext:
        if key not in kept:
            if len(kept) >= MAX_KEPT:
                kept.clear()
            kept[key] = self._logged(make())
        return kept[key]

    def _logged(self, context: ssl.SSLContext) -> ssl.SSLContext:
        if self._key_log:
            context.keylog_filename = self._key_log
        return context


def _agree_on_tls_1_3(hello: Hello, presented: Presentation) -> bool:
    highest = presented.chain.tls.maximum or TLS_1_3
    return highest == TLS_1_3 and TLS_1_3 in hello.versions


def preferred_alpn(hello: Hello) -> str | None:
    """The protocol for a client whose server has no say in it: HTTP/2 if that is offered."""
    return "h2" if "h2" in hello.alpn else next(iter(hello.alpn), None)
