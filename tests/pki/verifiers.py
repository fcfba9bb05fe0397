"""Independent judges of a chain: the `openssl` command, `cryptography`'s verifier, and `ssl`."""

import contextlib
import ipaddress
import shutil
import ssl
import subprocess
import tempfile
import warnings
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification

from mitm.address import is_ip
from mitm.pki import Chain

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None,
    reason="the openssl command is not here; install the package openssl to run this",
)


def openssl_verifies(chain: Chain, *options: str, anchor: bytes | None = None) -> bool:
    """Whether `openssl verify` finds a path to the anchor, for a TLS server unless told otherwise.

    Args:
        chain: whose first certificate is verified, with the others at hand.
        options: for `openssl verify`.
        anchor: PEM of what is trusted; None for what the client under test is given.
    """
    return not openssl_says(chain, *options, anchor=anchor)


def openssl_says(chain: Chain, *options: str, anchor: bytes | None = None) -> str:
    """What `openssl verify` has against a chain, "" for nothing; see `openssl_verifies`."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        trusted, leaf, others = (directory / f for f in ("ca.pem", "leaf.pem", "others.pem"))
        trusted.write_bytes(chain.anchor_pem if anchor is None else anchor)
        leaf.write_bytes(chain.leaf_pem)
        others.write_bytes(chain.pem)
        files = ["-CAfile", trusted, "-untrusted", others]
        command = ["openssl", "verify", "-no-CApath", "-no-CAstore", *options, *files, leaf]
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=60
        )
    assert done.returncode in (0, 2), done.stderr
    return done.stderr if done.returncode else ""


def cryptography_verifies(chain: Chain, name: str, now: datetime) -> bool:
    """Whether the verifier of `cryptography` accepts the chain for a name."""
    anchors = x509.load_pem_x509_certificates(chain.anchor_pem)
    with warnings.catch_warnings():
        # It warns of serial numbers that it will refuse one day.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        leaf, *others = (x509.load_der_x509_certificate(c) for c in chain.certificates)
    builder = verification.PolicyBuilder().store(verification.Store(anchors)).time(now)
    subject = x509.IPAddress(ipaddress.ip_address(name)) if is_ip(name) else x509.DNSName(name)
    try:
        builder.build_server_verifier(subject).verify(leaf, others)
    except verification.VerificationError:
        return False
    return True


class Handshake(NamedTuple):
    """What came of one.

    Attributes:
        refusal: why the client gave up, None if it did not.
        version, alpn: what was agreed on.
    """

    refusal: str | None
    version: str | None
    alpn: str | None


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = None) -> Handshake:
    """Play a handshake in memory, and send a byte each way if it completes.

    Raises:
        ssl.SSLError: the server gave up first.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        try:
            with contextlib.suppress(ssl.SSLWantReadError):
                ours.do_handshake()
        except ssl.SSLError as error:
            return Handshake(str(error), ours.version(), None)
        with contextlib.suppress(ssl.SSLWantReadError):
            theirs.do_handshake()
    ours.write(b"?")
    assert theirs.read(1) == b"?"
    theirs.write(b"!")
    assert ours.read(1) == b"!"
    return Handshake(None, ours.version(), ours.selected_alpn_protocol())


def verifying_client(chain: Chain) -> ssl.SSLContext:
    """Python's `ssl` as its documentation recommends it, with the CA file of the client under test.

    It is never told to skip anything.
    """
    context = ssl.create_default_context(cadata=chain.anchor_pem.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def lax_client() -> ssl.SSLContext:
    """A client that accepts whatever OpenSSL can speak, and verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
