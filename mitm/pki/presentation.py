"""The one door from a recipe to something that is presented to a client."""

import contextlib
import ssl
from datetime import UTC, datetime
from functools import cache

from mitm.pki.authority import Authorities
from mitm.pki.chain import Chain
from mitm.pki.forge import forge
from mitm.pki.loading import load_chain, refused_by_openssl, set_protocol
from mitm.pki.recipe import Recipe, Tls


def present(recipe: Recipe, name: str, authorities: Authorities) -> "Presentation":
    """Make the chain that a recipe describes, and see to it that it can be served.

    Args:
        recipe: which certificate.
        name: DNS name or IP address under test.
        authorities: the run's own.

    Raises:
        Unsupported: the libraries here cannot make it or serve it, or not for this name.
        UserError: a value in the recipe is of the right form but makes no sense.
    """
    return Presentation(forge(recipe, name, authorities, datetime.now(UTC)))


class Presentation:
    """A chain that is ready to be presented.

    Its `chain` says what the client dials, which name it is to expect, and whom it is told to
    trust. The handshake has been rehearsed, and the context of the rehearsal is the first to be
    used.

    Args:
        chain: what to present, and how.
        resumable: whether sessions may be resumed, also those of the chains that were presented
            before this one: what a thief of the server's ticket keys can do.

    Raises:
        Unsupported: OpenSSL refuses it, with its reason.

    Attributes:
        chain: the same.
        key_kind: see `Chain.key_kind`.
    """

    def __init__(self, chain: Chain, *, resumable: bool = False) -> None:
        self.chain = chain
        self.key_kind = chain.key_kind
        self._rehearsed: ssl.SSLContext | None = _context(chain)
        _rehearse(self._rehearsed)
        self._shared = _context(chain, resumable=True) if resumable else None

    @property
    def resumable(self) -> bool:
        """Whether its sessions may be resumed, and its context is one for all connections."""
        return self._shared is not None

    def replace(self, chain: Chain) -> None:
        """Present another chain from now on, to those who resume no session.

        Args:
            chain: with the same kind of key.

        Raises:
            Unsupported: OpenSSL refuses it, with its reason.
        """
        assert self._shared is not None
        # OpenSSL holds one chain for each kind of key, and chooses among them.
        assert chain.key_kind == self.key_kind
        self.chain = chain
        _load(self._shared, chain)

    def context(self, alpn: str | None = None) -> ssl.SSLContext:
        """A server's TLS context that presents the chain, a new one each time unless resumable.

        Args:
            alpn: the application protocol to choose, unless the chain says another; None for none.
        """
        context, self._rehearsed = self._shared or self._rehearsed or _context(self.chain), None
        chosen = self.chain.tls.alpn or alpn
        if chosen and chosen != "none":
            context.set_alpn_protocols([chosen])
        return context


def _context(chain: Chain, *, resumable: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not resumable:
        # A resumed session shows no certificate (RFC 8446 section 2.2): each must be a full one.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    _load(context, chain)
    return context


def _load(context: ssl.SSLContext, chain: Chain) -> None:
    set_protocol(context, chain.tls)
    load_chain(context, chain)


def _rehearse(context: ssl.SSLContext) -> None:
    """Play the handshake with a client that takes everything.

    What the local OpenSSL cannot serve, or is configured not to, often shows only then. It has to
    be told apart from a client that left.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _lenient_client().wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    # A full handshake takes two round trips at the most.
    for _ in range(3):
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
        except ssl.SSLError:
            # It has its reasons, such as a signature by the wrong key: the server did its part.
            return
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                server.do_handshake()
        except ssl.SSLError as error:
            raise refused_by_openssl(error, "cannot serve it") from None
        answer = to_client.read()
        if is_whole_answer(answer):
            return
        to_client.write(answer)


# RFC 8446 section 5.1: the header of a record, and the type of those that are encrypted.
_RECORD_HEADER, _APPLICATION_DATA = 5, 23


def is_whole_answer(answer: bytes) -> bool:
    """Whether a server has done its part: in TLS 1.3, all behind its ServerHello is encrypted.

    Its signature is among that, and its Finished. What a client makes of it takes twice as long.
    """
    at = 0
    while at < len(answer) and answer[at] != _APPLICATION_DATA:
        at += _RECORD_HEADER + int.from_bytes(answer[at + 3 : at + _RECORD_HEADER], "big")
    return at < len(answer)


@cache
def _lenient_client() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    set_protocol(context, Tls(minimum="TLSv1", ciphers="ALL:COMPLEMENTOFALL"))
    return context
