"""`--mode transparent`: where a connection was going before the kernel redirected it; Linux alone.

REDIRECT, a form of NAT, gives the connection this machine's address; the kernel's connection
tracking remembers the one before. TPROXY leaves the address as it is: the socket itself is bound to
an address that is not this machine's.
"""

import contextlib
import ipaddress
import socket
import struct

from mitm.address import Address
from mitm.proxy.whereabouts import is_ours

# linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h (IP6T_SO_ORIGINAL_DST).
_SO_ORIGINAL_DST = 80
_IPV6_TRANSPARENT = 75  # linux/in6.h

# struct sockaddr_in: family, port, address; sockaddr_in6: family, port, flow, address, scope.
_SOCKADDR_IN = struct.Struct("!2xH4s8x")
_SOCKADDR_IN6 = struct.Struct("!2xH4x16s4x")


class NotRedirectedError(Exception):
    """The client has dialled the interceptor itself: there is nowhere to go on to."""


def original_destination(client: socket.socket) -> Address:
    """Where a redirected connection was going.

    Args:
        client: the accepted socket.

    Raises:
        NotRedirectedError: it was going to this very socket.
        OSError: the socket is gone.
    """
    local = Address(*client.getsockname()[:2])
    before = _before_nat(client)
    if before and before != local:
        return before
    # Dialling on would lead back here, in a circle. After TPROXY the address is somebody else's.
    if is_ours(local.host):
        raise NotRedirectedError(f"the client has dialled {local} itself, and was not redirected")
    return local


def _before_nat(client: socket.socket) -> Address | None:
    try:
        if client.family == socket.AF_INET6:
            raw = client.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, _SOCKADDR_IN6.size)
            port, host = _SOCKADDR_IN6.unpack(raw)
        else:
            raw = client.getsockopt(socket.IPPROTO_IP, _SO_ORIGINAL_DST, _SOCKADDR_IN.size)
            port, host = _SOCKADDR_IN.unpack(raw)
    except OSError:
        # ENOENT: connection tracking knows nothing of it. ENOPROTOOPT: it is not loaded.
        return None
    return Address(str(ipaddress.ip_address(host)), port)


def take_foreign(listener: socket.socket) -> None:
    """Let a listening socket take connections to addresses of other machines, as TPROXY sends them.

    This takes CAP_NET_ADMIN. REDIRECT does without, so its lack is no error.
    """
    with contextlib.suppress(PermissionError):
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        else:
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_TRANSPARENT, 1)
