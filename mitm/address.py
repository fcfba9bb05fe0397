"""Addresses to listen on and to dial, and the guard rail around them: loopback by default."""

import ipaddress
import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from mitm.errors import UserError

# What clients dial, and the name under test unless another is asked for.
LOCALHOST = "localhost"

# RFC 952 and 1123, and the underscore that some hosts have all the same. The limits are those of
# RFC 1035 section 2.3.4.
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", re.IGNORECASE)

# RFC 5280 appendix A.1: ub-common-name, in characters.
_COMMON_NAME = 64

# Hosts whose form is remembered: each connection asks for the same few again and again. They may
# come from a client, as long as it likes.
_REMEMBERED = 128


class Address(NamedTuple):
    """A host, by name or IP address, and a TCP port; port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse(text: str) -> Address:
    """Read `HOST:PORT` or `[IPv6]:PORT`.

    Raises:
        UserError: it is not of that form, or the port is not within 0 to 65535.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    is_number = port.isascii() and port.isdigit() and len(port) <= 5
    if not colon or not host or not is_number or int(port) > 65535:
        raise UserError(f"{text!r} is not an address: write HOST:PORT, for example localhost:50051")
    return Address(host, int(port))


@lru_cache(_REMEMBERED)
def normal(host: str) -> str:
    """A host in the one form in which it can be compared with others.

    Names are the same in any case (RFC 4343) and with the dot of the root; an IPv6 address has many
    forms (RFC 5952), and so has an IPv4 address in IPv6.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower().removesuffix(".")
    # An IPv4 address within IPv6 (RFC 4291 section 2.5.5.2) is that IPv4 address.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine: `localhost` (RFC 6761) or a loopback address."""
    host = normal(host)
    return host == LOCALHOST or (is_ip(host) and ipaddress.ip_address(host).is_loopback)


def guard(address: Address, allowed: Collection[str]) -> Address:
    """Let an address pass if it is on loopback or was allowed by name.

    Raises:
        UserError: it is neither; the option that would allow it is named.
    """
    if is_loopback(address.host) or normal(address.host) in map(normal, allowed):
        return address
    raise UserError(
        f"{address} is not on this machine: add --allow-host {address.host} "
        "if you own that host and may test it"
    )


@lru_cache(_REMEMBERED)
def is_ip(host: str) -> bool:
    """Whether a host is given as an IP address, which SNI must not carry (RFC 6066 section 3)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_host_name(text: str) -> bool:
    """Whether this is a host's name, for which a certificate can be made, and no IP address."""
    return _HOST_NAME.fullmatch(text.removesuffix(".")) is not None and not is_ip(text)


def must_be_a_name(text: str) -> None:
    """Insist on something that certificates can be made for.

    Raises:
        UserError: it is neither a host name nor an IP address, or too long for a common name.
    """
    if not is_ip(text) and not _HOST_NAME.fullmatch(text):
        raise UserError(
            f"{text!r} is neither a host name nor an IP address: write localhost, say, or "
            "api.example.com; a name with other letters in its ASCII form (xn--…)"
        )
    if len(text) > _COMMON_NAME:
        raise UserError(
            f"{text!r} has {len(text)} characters, and a certificate's common name holds "
            f"{_COMMON_NAME}: take a shorter name"
        )
