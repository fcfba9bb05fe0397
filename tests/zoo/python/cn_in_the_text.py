"""
---
title: Looks for CN= in the text of the subject
case: "CVE-2014-3577: Apache HttpClient"
flaw: [subject-as-text]
---
The subject was printed, and the line searched for `CN=`. It was found in the organisation as well,
which CAs let their customers choose.
"""

import os
import re
import sys

from chains import covers
from rpc import ask, connected, sent_chain, verifying

MENDED = "MENDED" in os.environ


def main(target: str, ca: str, name: str) -> None:
    context = verifying(ca)
    context.check_hostname = False
    with connected(target, context, name) as connection:
        leaf = sent_chain(connection)[0]
        attributes = [f"{a.rfc4514_attribute_name}={a.value!s}" for a in leaf.subject]
        found = re.findall("CN=([^,]*)", ", ".join(attributes))
        if not covers(leaf, name) and (MENDED or name not in found):
            sys.exit("not the server's name")
        ask(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
