"""
---
title: Switches the host name check off, and makes it itself before it speaks
case: "the documentation of Python's ssl: with check_hostname off, the application must check"
---
What looks like a hole is none: the names are those of the subject alternative name, compared as
RFC 9525 section 6 says, and compared before the first byte.
"""

import ipaddress
import sys

from cryptography import x509
from rpc import ask, connected, sent_chain, verifying


def covers(leaf: x509.Certificate, name: str) -> bool:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    try:
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        first, _, rest = name.lower().partition(".")
        accepted = {name.lower(), f"*.{rest}"} if first and "." in rest else {name.lower()}
        return any(n.lower() in accepted for n in names.get_values_for_type(x509.DNSName))


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        if not covers(sent_chain(connection)[0], name):
            sys.exit("not the server's certificate")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
