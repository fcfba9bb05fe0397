"""
---
title: Takes the host in a URI for the name of a server
case: "CVE-2021-44531: Node.js"
flaw: [uri-as-name]
---
The URIs among the alternative names counted as host names. Name constraints for DNS names do not
hold for them.
"""

import os
import sys
from urllib.parse import urlsplit

from chains import covers, extension
from cryptography.x509 import SubjectAlternativeName, UniformResourceIdentifier
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        leaf = sent_chain(connection)[0]
        names = extension(leaf, SubjectAlternativeName)
        uris = names.get_values_for_type(UniformResourceIdentifier) if names else []
        hosts = [urlsplit(uri).hostname for uri in uris]
        if not covers(leaf, name) and (MENDED or name not in hosts):
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
