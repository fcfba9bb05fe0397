"""Where a server listens: HOST:PORT, and all the addresses that a host has here."""

import contextlib
import socket


def split(address: str) -> tuple[str, int]:
    """The parts of HOST:PORT, an IPv6 address without its brackets.

    Raises:
        ValueError: it is not of that form.
    """
    host, _, number = address.rpartition(":")
    port = int(number) if number.isdecimal() else -1
    if not host or not 0 <= port <= 65535:
        raise ValueError(address)
    return host.strip("[]"), port


def addresses_of(host: str) -> list[str]:
    """The addresses of a host, as far as this machine has them: it may be one without IPv6."""
    found = []
    # gRPC's clients take localhost for both, whatever /etc/hosts says (RFC 6761 section 6.3).
    for name in ("127.0.0.1", "::1") if host.lower() == "localhost" else (host,):
        with contextlib.suppress(OSError, UnicodeError):
            for family, kind, _, _, address in socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM):
                with contextlib.suppress(OSError), socket.socket(family, kind) as probe:
                    probe.bind(address)
                    found.append(str(address[0]))
    return list(dict.fromkeys(found))
