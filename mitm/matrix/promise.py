"""What a policy promises of a case: the table of docs/matrix.md, as a pure function."""

import functools
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mitm.audit import Case
from mitm.pki import Chain

Promised = Literal["take", "refuse", "open"]

# The key is checked by TLS itself, whatever is made of the certificate (CWE-322: key exchange
# without entity authentication).
_POSSESSION = 322


class Promise(NamedTuple):
    """What a client of a policy is to do with a case.

    Attributes:
        what: `take` or `refuse` it; `open` where the policy says nothing of it, or where sound
            clients differ.
        binding: whether a client that does otherwise breaks what the policy is there for; if not,
            it is less good than others.
    """

    what: Promised
    binding: bool


_OPEN = Promise("open", binding=False)


def promise_of(policy: str, case: Case, genuine: Chain) -> Promise:
    """What a policy promises of a case.

    Args:
        policy: one of client/README.md.
        case: which.
        genuine: the chain of the control, whose leaf and key are pinned.
    """
    if case.family == "offer":
        # Whomever it trusts, its first message is the same.
        return _OPEN if policy == "insecure" else _as_any_client(case)
    match policy:
        case "insecure":
            return Promise("take", binding=True) if case.expect == "accept" else _OPEN
        case "skip-verify":
            # TLS is promised all the same, in a version of today.
            verified = case.expect == "reject" and case.family != "protocol"
            return _OPEN if verified else _as_any_client(case)
        case "no-ca":
            return Promise("refuse", binding=True)
        case "pinned":
            if case.expect == "accept" and _is_same_leaf(case.chain, genuine):
                return _as_any_client(case)
            return Promise("refuse", binding=True)
        case "pinned-key":
            return _by_key(case, genuine)
        case "skip-hostname" if case.family == "name" and case.expect == "reject":
            return _OPEN
    return _as_any_client(case)


def _as_any_client(case: Case) -> Promise:
    """What is promised by whoever verifies: what the catalogue expects."""
    if case.severity == "info":
        return _OPEN
    what: Promised = "take" if case.expect == "accept" else "refuse"
    return Promise(what, binding=case.severity == "must")


def _by_key(case: Case, genuine: Chain) -> Promise:
    if case.attack or not _is_same_key(case.chain, genuine):
        return Promise("refuse", binding=True)
    of_tls = case.family == "protocol" or _POSSESSION in case.cwe
    if case.expect == "accept" or of_tls:
        return _as_any_client(case)
    # Whose key it is was all that was asked.
    return _OPEN


def _is_same_leaf(chain: Chain | None, genuine: Chain) -> bool:
    return chain is not None and chain.certificates[0] == genuine.certificates[0]


def _is_same_key(chain: Chain | None, genuine: Chain) -> bool:
    if chain is None:
        return False
    key = _public_key(chain.certificates[0])
    return bool(key) and key == _public_key(genuine.certificates[0])


@functools.lru_cache(maxsize=1024)
def _public_key(certificate: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate; b"" if it cannot be read."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
