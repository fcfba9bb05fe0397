"""TLS on both legs of a connection: what the server is asked for, and what the client is shown."""

import ssl
from functools import lru_cache

from mitm import pki
from mitm.address import is_ip
from mitm.proxy.tap import Tap
from mitm.tls import Hello, TlsLeg


def upstream_leg(hello: Hello, host: str, tap: Tap | None) -> TlsLeg:
    """TLS towards the server, with the name and the protocols that the client asked for."""
    # A protocol is 255 bytes at the most (RFC 7301 section 3.1), but not always when spelled out.
    alpn = tuple(protocol for protocol in hello.alpn if len(protocol) < 256)
    name = hello.server_name or (None if is_ip(host) else host)
    return TlsLeg(_upstream_context(alpn, tap), server_side=False, server_name=name)


@lru_cache(maxsize=64)
def _upstream_context(alpn: tuple[str, ...], tap: Tap | None) -> ssl.SSLContext:
    """TLS towards the server. It is not verified: an attacker has no reason to ask who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return _logged(context, tap)


@lru_cache(maxsize=256)
def client_context(chain: pki.Chain, alpn: str | None, tap: Tap | None) -> ssl.SSLContext:
    """TLS towards the client, which is offered just the protocol that the server chose."""
    return _logged(pki.ssl_context(chain, alpn), tap)


def forget_contexts() -> None:
    """Let go of the contexts, each of which holds the key log of its tap open."""
    _upstream_context.cache_clear()
    client_context.cache_clear()


def _logged(context: ssl.SSLContext, tap: Tap | None) -> ssl.SSLContext:
    """Have the secrets of a context's connections written to the tap's key log."""
    if tap:
        context.keylog_filename = tap.key_log
    return context


def preferred_alpn(hello: Hello) -> str | None:
    """The protocol for a client whose server has no say in it: HTTP/2 if that is offered."""
    return "h2" if "h2" in hello.alpn else next(iter(hello.alpn), None)
