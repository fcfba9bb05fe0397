"""What can be wrong with a client, and which certificates and attacks that must be caught by.

This is worked out from the flaw and from what is presented, never from what an audit has said: a
client without a check accepts what nothing but that check is against.
"""

from typing import NamedTuple


class Flaw(NamedTuple):
    """A class of what is wrong with clients.

    Attributes:
        says: what it is.
        caught_by: certificates and attacks that a client with this flaw does not withstand.
        rejects: some that it withstands all the same, if nothing else is wrong with it.
    """

    says: str
    caught_by: tuple[str, ...]
    rejects: tuple[str, ...] = ()


FLAWS = {
    "no-verification": Flaw(
        "nothing is checked of the certificate",
        ("attacker-ca", "self-signed", "wrong-host", "expired", "eku-client-auth", "leaf-as-ca"),
        # The handshake itself: possession of the key, RFC 8446 section 4.4.3.
        ("other-key",),
    ),
    "no-name-check": Flaw(
        "the chain is verified, and whose certificate it is is all one",
        ("wrong-host", "wrong-san", "ip-mismatch", "lookalike-suffix", "parent-domain"),
        ("attacker-ca", "self-signed", "expired", "leaf-as-ca", "eku-client-auth"),
    ),
    "roots-from-peer": Flaw(
        "the certificates that the server sends are trusted because it sends them",
        ("attacker-ca", "imitated-ca"),
        ("wrong-host",),
    ),
}
