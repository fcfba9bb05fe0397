"""What a TLS context, of a server or a client, speaks and presents."""

import ssl
import tempfile
import warnings

from mitm.pki.chain import Chain
from mitm.pki.recipe import Tls
from mitm.pki.unsupported import Unsupported

_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def set_protocol(context: ssl.SSLContext, tls: Tls) -> None:
    """Have a context speak as a recipe says, however weak that is.

    Raises:
        Unsupported: OpenSSL refuses it, with its reason.
    """
    try:
        # Weak keys and signatures are what some recipes are about; the peer is to judge them.
        context.set_ciphers(f"{tls.ciphers or 'DEFAULT'}:@SECLEVEL=0")
        with warnings.catch_warnings():
            # TLS 1.0 and 1.1 are deprecated, which is the point of speaking them.
            warnings.simplefilter("ignore", DeprecationWarning)
            # By itself a context speaks 1.2 at the least, which a lower maximum excludes.
            if lowest := tls.minimum or tls.maximum:
                context.minimum_version = _VERSIONS[lowest]
            if tls.maximum:
                context.maximum_version = _VERSIONS[tls.maximum]
    except (ssl.SSLError, ValueError) as error:
        raise refused_by_openssl(error) from None


def load_chain(context: ssl.SSLContext, chain: Chain) -> None:
    """Give a context a chain and its key to present.

    Raises:
        Unsupported: OpenSSL refuses it, with its reason.
    """
    load_pair(context, chain.pem, chain.key_pem)


def load_pair(context: ssl.SSLContext, certificates: bytes, key: bytes) -> None:
    """The same of PEM.

    Raises:
        Unsupported: OpenSSL refuses it, with its reason.
    """
    # The only way into an SSLContext is through a file. It has mode 0600 from the first byte.
    with tempfile.NamedTemporaryFile(prefix="mitm-demo-") as file:
        file.write(certificates + key)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except (ssl.SSLError, ValueError) as error:
            raise refused_by_openssl(error) from None


def refused_by_openssl(error: Exception, what: str = "refuses to present it") -> Unsupported:
    """What OpenSSL has against something, in a line."""
    reason = getattr(error, "reason", None) or error.args[-1]
    return Unsupported(f"OpenSSL {what}: {str(reason).lower().replace('_', ' ')}")
