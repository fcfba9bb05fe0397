"""x509-limbo's test suite, made ready to be played as live handshakes.

The format is that of the C2SP project (https://x509-limbo.com): each test case is a chain with the
result that path validation should come to. A TLS client is a path validator that is told three
things only: whom to trust, which name to expect, and the time that its clock shows. Whatever a test
case asks for beyond these cannot be played live.
"""

import re
import ssl
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from mitm.address import LOCALHOST
from mitm.audit.case import Case, Suite, forge_suite
from mitm.errors import UserError
from mitm.pki import Chain
from mitm.pki.own import name_in
from mitm.pki.recipe import Severity

# Not what is dialled: a client that takes its name from there would reject every test case for its
# name alone, and so prove nothing. With this name its control fails.
CONTROL_NAME = "genuine.mitm-demo.test"

# What these test cases ask for are parameters of a verifier, and a TLS client has no such.
_NEEDED_FEATURES = {
    "has-crl": "needs a client that is given CRLs",
    "max-chain-depth": "needs a client that is told how long a chain may be",
}

# What a TLS client requires of a server's certificate without being told (RFC 5280 section
# 4.2.1.12), and so the only purpose that a test case can ask for.
_SERVER_AUTH = "serverAuth"

# Rules that bind CAs, and no client: the CA/Browser Forum has no others, and RFC 5280 says where it
# speaks to CAs.
_BINDS_CAS = re.compile(
    r"\bCABF\b|\bCA/B\b|\bCA/Browser\b|\bBaseline Requirements\b"
    r"|\b(conforming|conformant) CAs?\b|\bCAs? MUST\b|\bonly in a CA certificate\b",
    re.IGNORECASE,
)

# Described by the CA's duty, but path validation makes it the client's as well (RFC 5280 section
# 6.1.4 (k)): without it, the holder of any certificate is a CA.
_BINDS_CLIENTS = frozenset({"rfc5280::intermediate-ca-missing-basic-constraints"})

_FIX = "Leave path validation to a current TLS library, and switch none of it off"


class PeerName(msgspec.Struct, frozen=True):
    """The name that a certificate has to prove; `kind` is `DNS`, `IP` or `RFC822`."""

    kind: str
    value: str


class TestCase(msgspec.Struct, frozen=True):
    """One test case, as limbo's `models.py` documents it; fields of no use here are passed over."""

    __test__ = False  # not for pytest to collect

    id: str
    description: str
    validation_kind: str
    trusted_certs: tuple[str, ...]
    untrusted_intermediates: tuple[str, ...]
    peer_certificate: str
    expected_result: Literal["SUCCESS", "FAILURE"]
    conflicts_with: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    importance: str = "undetermined"
    peer_certificate_key: str | None = None
    validation_time: datetime | None = None
    signature_algorithms: tuple[str, ...] = ()
    key_usage: tuple[str, ...] = ()
    extended_key_usage: tuple[str, ...] = ()
    expected_peer_name: PeerName | None = None
    max_chain_depth: int | None = None
    crls: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True):
    version: Literal[1]
    testcases: tuple[TestCase, ...]


def load_limbo(path: Path) -> Suite:
    """Read a suite of limbo's, to be tried on a client like the catalogue.

    The control is a genuine certificate made here. It is for a name that is not the one dialled, as
    in the test cases: the client under test has to expect `{name}`.

    Args:
        path: a JSON file in limbo's format, version 1.

    Returns:
        All of its test cases, in the order of the file. Those that cannot be played live are
        `unsupported`, with the reason.

    Raises:
        UserError: the file cannot be read, or is not in that format; file, place and reason are
            named.
    """
    return Suite(
        control=forge_suite((), CONTROL_NAME).control,
        cases=tuple(_case(test) for test in read_limbo(path)),
    )


def read_limbo(path: Path) -> tuple[TestCase, ...]:
    """Read the test cases themselves.

    Raises:
        UserError: as for `load_limbo`.
    """
    try:
        tests = msgspec.json.decode(path.read_bytes(), type=_File).testcases
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        raise UserError(f"{path}: {where.strip('.`') or 'the whole'}: {reason}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    if not tests:
        raise UserError(f"{path}: testcases: it holds no test case")
    ((name, count),) = Counter(test.id for test in tests).most_common(1)
    if count > 1:
        raise UserError(f"{path}: testcases: {name} stands there {count} times")
    return tests


def _case(test: TestCase) -> Case:
    rejects = test.expected_result == "FAILURE"
    reasons = obstacles(test)
    chain = None
    if not reasons:
        try:
            chain = _chain(test)
        except ValueError as error:
            reasons = [f"not PEM: {error}"]
    return Case(
        name=test.id,
        title=test.id,  # names are all the titles there are, and they read well
        expect="reject" if rejects else "accept",
        severity=_severity(test),
        cwe=(295,) if rejects else (),
        rule=_rule(test),
        fix=_FIX if rejects else "",
        lesson=test.description.strip() + "\n",
        chain=chain,
        unsupported="; ".join(reasons),
    )


def obstacles(test: TestCase) -> list[str]:
    """Why a test case cannot be played live; none if it can."""
    reasons = []
    if test.validation_kind != "SERVER":
        reasons.append(f"{test.validation_kind.lower()} validation, not a server's certificate")
    if test.peer_certificate_key is None:
        reasons.append("no private key for the leaf")
    if test.validation_time is not None:
        # Most certificates in question have expired by now: another flaw than the one in question.
        reasons.append(f"needs the clock at {test.validation_time.isoformat()}")
    if test.expected_peer_name is None:
        reasons.append("no peer name, and every TLS client is to check one")
    elif test.expected_peer_name.kind not in ("DNS", "IP"):
        reasons.append(f"a peer name of kind {test.expected_peer_name.kind}")
    reasons += [reason for feature, reason in _NEEDED_FEATURES.items() if feature in test.features]
    if test.crls and "has-crl" not in test.features:
        reasons.append(_NEEDED_FEATURES["has-crl"])
    if test.max_chain_depth is not None and "max-chain-depth" not in test.features:
        reasons.append(_NEEDED_FEATURES["max-chain-depth"])
    if test.signature_algorithms:
        reasons.append("needs a client that is told which signature algorithms to accept")
    if test.key_usage:
        reasons.append("needs a client that is told which key usage to ask for")
    if any(purpose != _SERVER_AUTH for purpose in test.extended_key_usage):
        asked = ", ".join(test.extended_key_usage)
        reasons.append(f"needs a client that asks for the purpose {asked}")
    return reasons


def _rule(test: TestCase) -> str:
    rule = f"x509-limbo, {test.id}"
    if test.conflicts_with:
        rule += f"; no client does both as this asks and as {' or '.join(test.conflicts_with)} does"
    return rule


def _severity(test: TestCase) -> Severity:
    """How far a test case binds a client: by its importance, and by whom it speaks to."""
    # Features stand for what the standards leave open, or for what nobody enforces. Of two that
    # conflict, sound clients choose one.
    if test.features or test.conflicts_with:
        return "info"
    match test.importance:
        case "critical" | "high":
            return "must"
        case "medium":
            return "should"
        case "low":
            return "info"
    # Most are undetermined.
    if test.id not in _BINDS_CLIENTS and _BINDS_CAS.search(" ".join(test.description.split())):
        return "info"
    return "must"


def _chain(test: TestCase) -> Chain:
    assert test.peer_certificate_key is not None
    sent = tuple(
        ssl.PEM_cert_to_DER_cert(pem.strip())
        for pem in (test.peer_certificate, *test.untrusted_intermediates)
    )
    return Chain(
        name=test.id,
        certificates=sent,
        key_pem=test.peer_certificate_key.encode(),
        anchor_pem="".join(pem.strip() + "\n" for pem in test.trusted_certs).encode(),
        subjects=tuple(name_in(certificate, "subject") for certificate in sent),
        issuer=name_in(sent[0], "issuer"),
        host=LOCALHOST,
        server_name=test.expected_peer_name.value if test.expected_peer_name else "",
    )
