"""The user's own server, in place of the stand-in: that it is the right one is checked first."""

import asyncio
import ssl
from pathlib import Path

from mitm.address import Address
from mitm.audit.listener import Upstream
from mitm.errors import UserError

# Seconds for the connection and the TLS handshake.
_SECONDS = 10.0


async def own_server(address: Address, ca_file: Path | None, name: str | None = None) -> Upstream:
    """Make sure that a server speaks TLS and is the one that it should be.

    The interceptor does not ask whom it relays to. What a careless client sends is its user's real
    data, and must reach no other server than the user's own.

    Args:
        address: where it is.
        ca_file: PEM file of the CA that signed its certificate; None for the system's.
        name: the name that its certificate must be for, None for the host of the address.

    Raises:
        UserError: it is not there, speaks no TLS, or its certificate does not verify.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise UserError(f"--ca: {ca_file} holds no PEM certificate") from None
    except OSError as error:
        raise UserError(f"--ca: cannot read {ca_file}: {error.strerror}") from None
    # gRPC servers turn down a client that does not offer it.
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(
                *address, ssl=context, server_hostname=name or address.host
            )
    except ssl.SSLCertVerificationError as error:
        hint = "" if ca_file else "; name the CA that signed it with --ca"
        raise UserError(
            f"--upstream {address}: its certificate does not verify: {error.verify_message}{hint}"
        ) from None
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise UserError(f"--upstream {address}: no TLS handshake with it: {reason}") from None
    except TimeoutError:
        raise UserError(f"--upstream {address}: no answer within {_SECONDS:g} s") from None
    except OSError as error:
        reason = error.strerror or "it closed the connection"
        raise UserError(f"--upstream {address}: not reached: {reason}") from None
    writer.transport.abort()
    return Upstream(address, tls=True)
