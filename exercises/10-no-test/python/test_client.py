"""Tests of the client.

The fixtures of mitm-demo are there: `mitm_audit`, which takes a function of a server with the
attributes `target` and `ca_file`, and calls it once for each certificate.
"""

from client import get_user  # noqa: F401
