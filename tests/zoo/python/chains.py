"""The checks of a path of certificates one by one, for clients that make them themselves.

Each is made as it should be; what a client leaves out, or makes in its own way, is its flaw.
"""

import ipaddress
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Chain = Sequence[x509.Certificate]

E = TypeVar("E", bound=x509.ExtensionType)

KNOWN = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
    x509.NameConstraints,
)


def anchors(ca: str) -> list[x509.Certificate]:
    """What the CA file holds."""
    return x509.load_pem_x509_certificates(Path(ca).read_bytes())


def issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether name and signature say that a certificate is of this issuer."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # of many kinds, by what is wrong
        return False
    return True


def path_to(sent: Chain, trusted: Chain) -> Chain:
    """From the leaf to what is trusted, signature by signature; empty if there is no such path."""
    path = [sent[0]]
    while path[-1] not in trusted:
        candidates = [c for c in (*trusted, *sent[1:]) if c not in path and issued(c, path[-1])]
        if not candidates:
            return []
        path.append(candidates[0])
    return path


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def dns_names(leaf: x509.Certificate) -> list[str]:
    """The DNS names in the alternative names, as they stand there."""
    names = extension(leaf, x509.SubjectAlternativeName)
    return names.get_values_for_type(x509.DNSName) if names else []


def common_name(leaf: x509.Certificate) -> str:
    """The common name of the subject, if there is just one."""
    (name,) = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def covers(leaf: x509.Certificate, name: str) -> bool:
    """RFC 9525 section 6."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        first, _, rest = name.lower().partition(".")
        accepted = {name.lower(), f"*.{rest}"} if first and "." in rest else {name.lower()}
        return any(n.lower() in accepted for n in dns_names(leaf))
    names = extension(leaf, x509.SubjectAlternativeName)
    return names is not None and address in names.get_values_for_type(x509.IPAddress)


def has_the_name(path: Chain, name: str) -> bool:
    return covers(path[0], name)


def in_time(path: Chain, name: str) -> bool:
    """RFC 5280 section 6.1.3 (a) (2)."""
    now = datetime.now(UTC)
    return all(c.not_valid_before_utc <= now <= c.not_valid_after_utc for c in path)


def may_issue(path: Chain, name: str) -> bool:
    """RFC 5280 section 6.1.4 (k) to (n)."""
    return all(is_ca(c, below) for below, c in enumerate(path[1:]))


def is_ca(certificate: x509.Certificate, below: int) -> bool:
    """Whether a certificate is a CA's, with so many intermediates below it."""
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage and not usage.key_cert_sign):
        return False
    return constraints.path_length is None or constraints.path_length >= below


def within_its_names(path: Chain, name: str) -> bool:
    """RFC 5280 section 6.1.4 (g), for the name that counts."""
    for certificate in path[1:]:
        if constraints := extension(certificate, x509.NameConstraints):
            kind = x509.IPAddress if _is_address(name) else x509.DNSName
            permitted = [t for t in constraints.permitted_subtrees or () if isinstance(t, kind)]
            excluded = [t for t in constraints.excluded_subtrees or () if isinstance(t, kind)]
            if permitted and not any(_within(name, t) for t in permitted):
                return False
            if any(_within(name, t) for t in excluded):
                return False
    return True


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _within(name: str, subtree: x509.GeneralName) -> bool:
    if isinstance(subtree, x509.IPAddress):
        return ipaddress.ip_address(name) in ipaddress.ip_network(str(subtree.value))
    return f".{name}".lower().endswith(f".{subtree.value}".lower())


def for_servers(path: Chain, name: str) -> bool:
    """RFC 5280 section 4.2.1.12."""
    usage = extension(path[0], x509.ExtendedKeyUsage)
    return usage is None or ExtendedKeyUsageOID.SERVER_AUTH in usage


def understood(path: Chain, name: str) -> bool:
    """RFC 5280 section 6.1.4 (o) and 6.1.5 (f)."""
    return all(isinstance(e.value, KNOWN) for c in path for e in c.extensions if e.critical)


def on_named_curves(path: Chain, name: str) -> bool:
    """RFC 5480 section 2.1.1: a curve is not described. Whoever may describe it may choose it."""
    return all(
        c.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        in c.tbs_certificate_bytes
        for c in path
    )


Check = Callable[[Chain, str], bool]

EVERY_CHECK: tuple[Check, ...] = (
    has_the_name,
    in_time,
    may_issue,
    within_its_names,
    for_servers,
    understood,
    on_named_curves,
)
