"""
---
title: Reads an option as text, in which "false" is true
case: "CVE-2015-1852: keystonemiddleware and python-keystoneclient"
flaw: [no-verification]
---
`insecure = false` in the configuration file came as the text `false`. A text that is not empty is
true, so that verification was off because it had been switched on.
"""

import os
import ssl
import sys
from configparser import ConfigParser

from rpc import call, verifying

MENDED = "MENDED" in os.environ

PASTE_INI = """
[filter:s3_token]
insecure = false
"""


def main(target: str, ca: str, name: str) -> None:
    config = ConfigParser()
    config.read_string(PASTE_INI)
    section = config["filter:s3_token"]
    insecure = section.getboolean("insecure") if MENDED else section["insecure"]
    context = verifying(ca)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    call(target, context, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
