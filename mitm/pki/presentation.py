"""The one door from a recipe to something that is presented to a client."""

import contextlib
import ssl
import tempfile
import warnings
from datetime import UTC, datetime
from functools import cache

from mitm.pki.authority import Authorities
from mitm.pki.chain import Chain
from mitm.pki.forge import forge
from mitm.pki.recipe import Recipe, Tls
from mitm.pki.unsupported import Unsupported

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


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
    try:
        _set_protocol(context, chain.tls)
    except (ssl.SSLError, ValueError) as error:
        raise Unsupported(f"OpenSSL refuses to present it: {_reason(error)}") from None
    load_chain(context, chain)


def load_chain(context: ssl.SSLContext, chain: Chain) -> None:
    """Give a context, of a server or a client, a chain and its key to present.

    Raises:
        Unsupported: OpenSSL refuses it, with its reason.
    """
    # The only way into an SSLContext is through a file. It has mode 0600 from the first byte.
    with tempfile.NamedTemporaryFile(prefix="mitm-demo-") as file:
        file.write(chain.pem + chain.key_pem)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except (ssl.SSLError, ValueError) as error:
            raise Unsupported(f"OpenSSL refuses to present it: {_reason(error)}") from None


def _set_protocol(context: ssl.SSLContext, tls: Tls) -> None:
    # Weak keys and signatures are what some recipes are about; the client is to judge them.
    context.set_ciphers(f"{tls.ciphers or 'DEFAULT'}:@SECLEVEL=0")
    with warnings.catch_warnings():
        # TLS 1.0 and 1.1 are deprecated, which is the point of presenting them.
        warnings.simplefilter("ignore", DeprecationWarning)
        if tls.minimum:
            context.minimum_version = _VERSIONS[tls.minimum]
        if tls.maximum:
            context.maximum_version = _VERSIONS[tls.maximum]


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
            raise Unsupported(f"OpenSSL cannot serve it: {_reason(error)}") from None
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
    _set_protocol(context, Tls(minimum="TLSv1", ciphers="ALL:COMPLEMENTOFALL"))
    return context


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error.args[-1]
    return str(reason).lower().replace("_", " ")
