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
    # Nobody is asked who it is.
    "no-verification": Flaw(
        "nothing is checked of the certificate",
        ("attacker-ca", "self-signed", "wrong-host", "expired", "eku-client-auth", "leaf-as-ca"),
        # The handshake itself: possession of the key, RFC 8446 section 4.4.3.
        ("other-key",),
    ),
    "no-tls": Flaw("everything is in plaintext", ("attacker-ca", "wrong-host", "expired")),
    # Who vouches for the certificate.
    "roots-from-peer": Flaw(
        "the leaf that the server shows is fetched first, and trusted",
        ("attacker-ca", "imitated-ca", "replaced-key"),
        ("wrong-host", "wrong-san", "expired"),
    ),
    "leaf-as-root": Flaw(
        "what the server sends are the roots, so that each path ends with the leaf",
        (
            "attacker-ca",
            "self-signed",
            "imitated-ca",
            "incomplete-chain",
            "bad-signature",
            "ca-another",
            "ca-crlf",
        ),
        ("wrong-host", "expired", "eku-client-auth"),
    ),
    "sent-root-trusted": Flaw(
        "a root is trusted because it was sent",
        ("attacker-ca", "imitated-ca"),
        ("self-signed", "replaced-key", "bad-signature", "wrong-host", "expired"),
    ),
    "system-roots-too": Flaw(
        "what the machine trusts is trusted beside the CA that was given",
        ("system-root", "ca-expired"),
        ("attacker-ca", "imitated-ca", "wrong-host", "expired"),
    ),
    # What if the file with the CA is not what it should be?
    "unusable-ca-is-none": Flaw(
        "a file that cannot be read, or holds no certificate, counts for none: the machine's do",
        ("ca-missing", "ca-directory", "ca-empty", "ca-garbage", "ca-der", "ca-private-key"),
        ("ca-expired", "ca-another", "ca-crlf", "system-root", "attacker-ca", "wrong-host"),
    ),
    "unusable-ca-unverified": Flaw(
        "a file that cannot be read, or holds no certificate, ends verification",
        ("ca-missing", "ca-directory", "ca-empty", "ca-garbage", "ca-der", "ca-private-key"),
        ("ca-expired", "ca-another", "ca-crlf", "attacker-ca", "wrong-host", "expired"),
    ),
    "missing-ca-is-none": Flaw(
        "a file that is not there counts for none: the machine's CAs do",
        ("ca-missing",),
        ("ca-empty", "ca-garbage", "ca-directory", "ca-another", "system-root", "attacker-ca"),
    ),
    "unparsed-ca-is-none": Flaw(
        "a file that holds no certificate counts for none: the machine's do",
        ("ca-empty", "ca-garbage", "ca-der", "ca-private-key"),
        ("ca-missing", "ca-directory", "ca-expired", "ca-another", "system-root", "attacker-ca"),
    ),
    "empty-ca-is-none": Flaw(
        "an empty file counts for none: the machine's CAs do",
        ("ca-empty",),
        ("ca-missing", "ca-garbage", "ca-der", "ca-another", "system-root", "attacker-ca"),
    ),
    "pin-anywhere": Flaw(
        "a pin is compared with all that was sent, and not with the leaf alone",
        ("genuine-appended", "another-name-first"),
        ("attacker-ca", "replaced-key", "self-signed", "wrong-host", "other-key"),
    ),
    "serial-number": Flaw(
        "a certificate is known by its serial number and the identifier of its issuer's key",
        ("replaced-key",),
        ("attacker-ca", "imitated-ca", "genuine-appended", "wrong-host", "other-key"),
    ),
    "issuer-by-name": Flaw(
        "the issuer is compared by name, and the signature is not verified",
        ("imitated-ca", "replaced-key", "bad-signature", "zero-signature"),
        ("attacker-ca", "self-signed", "wrong-host", "expired"),
    ),
    "stale-result": Flaw(
        "one signature that is right makes up for all above it",
        ("forged-intermediate", "imitated-ca", "bad-signature-intermediate"),
        ("attacker-ca", "replaced-key", "bad-signature", "wrong-host", "expired"),
    ),
    "unknown-issuer-forgiven": Flaw(
        "a leaf whose issuer is neither known nor sent is taken",
        ("incomplete-chain",),
        ("attacker-ca", "imitated-ca", "self-signed", "replaced-key", "wrong-host", "expired"),
    ),
    # Whose certificate it is.
    "no-name-check": Flaw(
        "the chain is verified, and whose certificate it is is all one",
        ("wrong-host", "wrong-san", "ip-mismatch", "lookalike-suffix", "parent-domain"),
        ("attacker-ca", "self-signed", "expired", "leaf-as-ca", "eku-client-auth"),
    ),
    "name-from-peer": Flaw(
        "the name that must be proved is the one that the peer says",
        ("wrong-host", "lookalike-suffix", "parent-domain"),
        # Its subject says one name, and its alternative names another.
        ("attacker-ca", "wrong-san", "expired"),
    ),
    "name-suffix": Flaw(
        "the expected name may stand at the end of another",
        ("lookalike-prefix",),
        ("wrong-host", "lookalike-suffix", "parent-domain", "attacker-ca"),
    ),
    "name-prefix": Flaw(
        "the expected name may stand at the beginning of another",
        ("lookalike-suffix",),
        ("wrong-host", "lookalike-prefix", "parent-domain", "attacker-ca"),
    ),
    "common-name": Flaw(
        "the common name is compared, and no other",
        ("wrong-san", "no-san"),
        ("wrong-host", "lookalike-suffix", "nul-in-cn", "attacker-ca", "expired"),
    ),
    "or-common-name": Flaw(
        "the common name is compared where there are no other names",
        ("no-san",),
        ("wrong-host", "wrong-san", "nul-in-cn", "attacker-ca", "expired"),
    ),
    "common-name-suffix": Flaw(
        "the end of the common name is compared with the domain",
        ("lookalike-prefix", "parent-domain", "wildcard-too-deep", "wrong-san"),
        ("wrong-host", "lookalike-suffix", "attacker-ca", "expired"),
    ),
    "subject-as-text": Flaw(
        "a common name is looked for in the text of the subject, also beside other names",
        ("cn-injection", "wrong-san"),
        ("wrong-host", "uri-san", "nul-in-san", "attacker-ca"),
    ),
    "names-as-text": Flaw(
        "the alternative names are made one text, which is split again",
        ("san-injection",),
        ("wrong-host", "uri-san", "nul-in-san", "attacker-ca"),
    ),
    "uri-as-name": Flaw(
        "the host in a URI counts as a name",
        ("uri-san",),
        ("wrong-host", "cn-injection", "san-injection", "attacker-ca"),
    ),
    "name-as-c-string": Flaw(
        "a name ends at its first zero byte",
        ("nul-in-san",),
        ("wrong-host", "nul-in-cn", "lookalike-suffix", "attacker-ca"),
    ),
    "star-anywhere": Flaw(
        "a star stands for a label, or a part of one, in whichever place",
        ("wildcard-not-leftmost", "partial-wildcard"),
        ("wrong-host", "wildcard-too-deep", "parent-domain", "attacker-ca"),
    ),
    "star-for-address": Flaw(
        "a star stands for octets of an address",
        ("wildcard-ip",),
        ("ip-mismatch", "wrong-host", "attacker-ca"),
    ),
    "ip-not-checked": Flaw(
        "who dials an address checks no name",
        ("ip-mismatch", "wildcard-ip"),
        ("wrong-host", "lookalike-suffix", "attacker-ca"),
    ),
    # When, what for, and by whom.
    "no-dates": Flaw(
        "the dates are not looked at",
        ("expired", "not-yet-valid", "expired-intermediate"),
        ("attacker-ca", "wrong-host", "eku-client-auth"),
    ),
    "as-of-its-end": Flaw(
        "the chain is verified as of the last day of the leaf",
        ("expired", "not-yet-valid"),
        ("expired-intermediate", "wrong-host", "attacker-ca", "self-signed"),
    ),
    "anybody-is-a-ca": Flaw(
        "who signs need not be a CA",
        (
            "leaf-as-ca",
            "ca-without-basic-constraints",
            "path-length-exceeded",
            "version-1-intermediate",
        ),
        ("attacker-ca", "wrong-host", "expired", "eku-client-auth", "name-excluded"),
    ),
    "version-1-is-a-ca": Flaw(
        "a certificate of version 1 counts as a CA",
        ("version-1-intermediate",),
        ("leaf-as-ca", "ca-without-basic-constraints", "path-length-exceeded", "attacker-ca"),
    ),
    "result-overwritten": Flaw(
        "what one check of the issuer found is lost in the next one",
        ("leaf-as-ca", "ca-without-basic-constraints", "path-length-exceeded"),
        ("version-1-intermediate", "attacker-ca", "wrong-host"),
    ),
    "no-name-constraints": Flaw(
        "the names that a CA may sign for are not looked at",
        ("name-excluded", "name-not-permitted"),
        ("attacker-ca", "wrong-host", "expired", "leaf-as-ca", "eku-client-auth"),
    ),
    "any-purpose": Flaw(
        "what a certificate was issued for is not looked at",
        ("eku-client-auth", "eku-code-signing"),
        ("attacker-ca", "wrong-host", "expired", "leaf-as-ca", "name-excluded"),
    ),
    "critical-ignored": Flaw(
        "what must be understood, and is not, is passed over",
        ("unknown-critical-extension",),
        ("attacker-ca", "wrong-host", "expired", "leaf-as-ca", "eku-client-auth"),
    ),
    # What proves it.
    "zero-is-a-signature": Flaw(
        "ECDSA without the range of its numbers: zeros are a signature by every key",
        ("zero-signature",),
        ("bad-signature", "replaced-key", "attacker-ca", "wrong-host", "expired"),
    ),
    "security-level-0": Flaw(
        "weak hashes and keys are taken, and ciphers without a certificate",
        ("md5-signature", "sha1-signature", "rsa-1024", "anonymous-cipher"),
        # It takes what OpenSSL calls ALL, and that leaves out those that do not encrypt.
        ("null-cipher", "attacker-ca", "wrong-host", "expired"),
    ),
    "old-protocol": Flaw(
        "TLS 1.0 and 1.1 are allowed",
        ("tls-1.0", "tls-1.1"),
        ("wrong-host", "attacker-ca", "expired"),
    ),
    "no-sni": Flaw(
        "the name is not told in the ClientHello",
        ("no-sni",),
        ("wrong-host", "wrong-san", "attacker-ca", "expired"),
    ),
    # When, and on which of its connections.
    "second-connection": Flaw(
        "the first connection is verified, and the second is not",
        ("second-connection", "at-position"),
        ("attacker-ca", "wrong-host", "expired"),
    ),
    "name-at-first-only": Flaw(
        "on the first connection the name is checked, and not on the second",
        ("second-connection", "at-position"),
        ("attacker-ca", "wrong-host", "expired"),
    ),
    "unverified-after-reconnect": Flaw(
        "a channel is verified when it connects first, and not when it does so again",
        ("reconnect",),
        ("attacker-ca", "wrong-host", "expired", "handshake-reset"),
    ),
    "reconnect-plaintext": Flaw(
        "a connection that was lost is made again without TLS",
        ("reconnect", "late-forgery"),
        ("attacker-ca", "wrong-host", "expired", "handshake-reset"),
    ),
    "verified-once": Flaw(
        "a process remembers for each host that it was the right one",
        ("same-process",),
        ("attacker-ca", "wrong-host", "expired"),
    ),
    "first-connection-believed": Flaw(
        "what an unverified connection brought is believed after a verified one",
        ("first-connection",),
        ("attacker-ca", "wrong-host", "expired", "second-connection", "at-position"),
    ),
    "resumed-unverified": Flaw(
        "what was verified once is not verified when the session is resumed",
        ("resumed-session",),
        ("attacker-ca", "wrong-host", "expired", "second-connection"),
    ),
    "first-leg-unverified": Flaw(
        "the first connection is not verified, and the second is",
        ("attacker-ca", "wrong-host", "expired", "at-position"),
        ("second-connection",),
    ),
    "first-leg-without-name": Flaw(
        "on the first connection no name is checked, and on the second it is",
        ("wrong-host", "lookalike-suffix", "at-position"),
        ("second-connection",),
    ),
    # What if it fails?
    "fallback-unverified": Flaw(
        "what was refused is tried again without verification",
        ("attacker-ca", "wrong-host", "expired", "eku-client-auth"),
        ("other-key", "plaintext-http2"),
    ),
    "fallback-plaintext": Flaw(
        "what failed is tried again without TLS",
        ("attacker-ca", "wrong-host", "expired", "plaintext-http2"),
    ),
    "fallback-to-http-1": Flaw(
        "a server that answers as one without TLS does, in HTTP/1.1, is spoken to in plaintext",
        ("plaintext-http1", "no-tls-today"),
        ("plaintext-http2", "attacker-ca", "wrong-host", "expired", "handshake-reset"),
    ),
    "fallback-if-not-offered": Flaw(
        "a server that answers in plaintext is spoken to in plaintext",
        ("plaintext-http2", "no-tls-today"),
        ("attacker-ca", "wrong-host", "expired", "other-key", "handshake-reset"),
    ),
    "fallback-if-blocked": Flaw(
        "a connection that is reset is tried again without TLS",
        ("handshake-reset",),
        ("attacker-ca", "wrong-host", "expired", "plaintext-http2", "no-tls-today"),
    ),
    "fallback-for-unknown-issuer": Flaw(
        "a chain that leads to no known CA is tried again without verification",
        ("attacker-ca", "self-signed", "imitated-ca", "incomplete-chain", "replaced-key"),
        ("wrong-host", "expired", "eku-client-auth"),
    ),
}
