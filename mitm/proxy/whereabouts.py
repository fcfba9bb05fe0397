"""Where a host really is: looked up once, checked, and then dialled or listened on as it was found.

A name that is looked up again may lead elsewhere by then.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from functools import lru_cache

from mitm.address import LOCALHOST, Address, guard, is_ip, is_loopback, normal

# Addresses that are remembered as such: each connection asks for the same few.
_REMEMBERED = 128


async def found_at(address: Address, allowed: Collection[str]) -> list[Address]:
    """The addresses of a host.

    Those of `localhost` have to be this machine's: it needs no permission, and a hosts file may say
    anything.

    Args:
        address: the host, by name or IP address, and the port.
        allowed: hosts that may be elsewhere.

    Raises:
        OSError: it is not to be found.
        UnicodeError: it is no host name.
        UserError: it is `localhost`, and leads to another machine.
    """
    if is_ip(address.host):
        return [address]
    # Not every resolver knows it with the dot of the root.
    host = LOCALHOST if normal(address.host) == LOCALHOST else address.host
    loop = asyncio.get_running_loop()
    looked_up = await loop.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)
    found = [Address(str(where[0]), address.port) for *_, where in looked_up]
    if host == LOCALHOST and LOCALHOST not in map(normal, allowed):
        for each in found:
            guard(each, allowed)
    return list(dict.fromkeys(found))


def is_here(host: str) -> bool:
    """Whether an IP address is this machine's own, as far as it can tell: not behind a NAT."""
    address = ipaddress.ip_address(normal(host))
    return address.is_unspecified or is_loopback(str(address)) or is_ours(str(address))


def is_ours(host: str) -> bool:
    """Whether an IP address is one of this machine's interfaces: only such a one can be bound to.

    Args:
        host: the address; it may have a zone, as those of a link do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


@lru_cache(_REMEMBERED)
def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(normal(host))


def is_listened_on(address: Address, listeners: Collection[Address]) -> bool:
    """Whether a connection to an address comes to one of these sockets of this machine."""
    there = _ip(address.host)
    for listener in listeners:
        here = _ip(listener.host)
        if (listener.port, here.version) == (address.port, there.version) and (
            here == there or there.is_unspecified or (here.is_unspecified and is_here(str(there)))
        ):
            return True
    return False
