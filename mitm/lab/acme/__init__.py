"""A public CA: Pebble, Let's Encrypt's own test server, and those who obtain certificates of it."""

from mitm.lab.acme.account import Account
from mitm.lab.acme.needs import NotPlayed, missing, must_be_here
from mitm.lab.acme.server import AcmeServer, running_acme_server

__all__ = [
    "Account",
    "AcmeServer",
    "NotPlayed",
    "missing",
    "must_be_here",
    "running_acme_server",
]
