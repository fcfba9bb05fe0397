"""Makes the chain that a recipe describes."""

import functools
import ipaddress
import re
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from mitm.errors import UserError
from mitm.pki import der
from mitm.pki.authority import LIFETIME, WARNING, Authorities, constrained_to, key_usage
from mitm.pki.chain import Chain, Unsupported
from mitm.pki.recipe import BasicConstraints, Link, NameConstraints, Recipe

Key = CertificateIssuerPrivateKeyTypes

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha1": hashes.SHA1(),  # noqa: S303
    "md5": hashes.MD5(),  # noqa: S303
}

# What `cryptography` does not sign certificates with: the algorithm identifiers, DER without tag
# and length, and whether parameters are NULL. RFC 3279 section 2.2.
_OLD_ALGORITHMS = {
    ("md5", "rsa"): (bytes.fromhex("2a864886f70d010104"), True),
    ("sha1", "rsa"): (bytes.fromhex("2a864886f70d010105"), True),
    ("sha1", "ec"): (bytes.fromhex("2a8648ce3d0401"), False),
}

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def forge(recipe: Recipe, name: str, authorities: Authorities, now: datetime) -> Chain:
    """Make the chain that a recipe describes.

    Every CA made on the way keeps to the guard rails: a warning in its subject, a day to live at
    the most, and constrained to the names under test unless the recipe constrains it otherwise.

    Args:
        recipe: which certificate.
        name: DNS name or IP address under test; takes the place of `{name}`.
        authorities: the run's own, whose names the constraints are made of.
        now: what the recipe's times are relative to, aware of its time zone.

    Raises:
        Unsupported: the libraries here cannot make it.
        UserError: a value in the recipe is of the right form but makes no sense.
    """
    try:
        return _Forge(recipe, name, authorities, now).chain()
    except ValueError as error:
        raise UserError(f"certificate {recipe.name}: {error}") from None


class _Forge:
    """The making of one chain, from the root down: an issuer is there before what it signs."""

    def __init__(self, recipe: Recipe, name: str, authorities: Authorities, now: datetime) -> None:
        self._recipe = recipe
        self._name = name
        self._authorities = authorities
        self._now = now
        self._links = [link for link in recipe.chain if isinstance(link, Link)]

    def chain(self) -> Chain:
        subjects: list[str] = []
        issuers: list[str] = []
        made: list[tuple[bytes, bool]] = []
        anchor = self._authorities.lab.pem
        *_, last = self._recipe.chain
        issuer: tuple[x509.Name, Key] | None = None
        if not isinstance(last, Link):
            authority = self._authorities[last.authority]
            issuer = authority.certificate.subject, authority.key
            if last.send:
                made.append((authority.certificate.public_bytes(Encoding.DER), True))
                subjects.append(authority.certificate.subject.rfc4514_string())
        key: Key = ec.generate_private_key(ec.SECP256R1())
        for depth in reversed(range(len(self._links))):
            link = self._links[depth]
            key = _generate(link.key)
            subject = self._subject(link, depth)
            signer_name, signer_key = self._signer(link, issuer) or (subject, key)
            signer_name = self._rfc4514(link.issuer) if link.issuer else signer_name
            certificate = self._certificate(link, depth, subject, key, signer_name, signer_key)
            root = signer_key is key and depth > 0
            if link.send if link.send is not None else not root:
                made.append((certificate, link.trusted))
                subjects.append(subject.rfc4514_string())
            if link.trusted:
                anchor = _pem(certificate)
            issuers.append(signer_name.rfc4514_string())
            issuer = subject, key
        if "other-key" in self._links[0].breakages:
            key = _generate(self._links[0].key)
        certificates = [certificate for certificate, _ in reversed(made)]
        subjects.reverse()
        if self._recipe.reverse:
            certificates[1:] = reversed(certificates[1:])
            subjects[1:] = reversed(subjects[1:])
        if not certificates:
            raise UserError(f"certificate {self._recipe.name}: nothing of the chain is sent")
        return Chain(
            name=self._recipe.name,
            certificates=tuple(certificates),
            key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            anchor_pem=anchor,
            subjects=tuple(subjects),
            issuer=issuers[-1],
        )

    def _signer(
        self, link: Link, issuer: tuple[x509.Name, Key] | None
    ) -> tuple[x509.Name, Key] | None:
        """Name and key that sign a link, None for itself."""
        if link.signed_by in ("lab", "attacker"):
            authority = self._authorities[link.signed_by]
            return authority.certificate.subject, authority.key
        return None if link.signed_by == "self" else issuer

    def _subject(self, link: Link, depth: int) -> x509.Name:
        if link.subject is not None:
            subject = self._rfc4514(link.subject)
        elif depth == 0:
            subject = self._rfc4514("CN={name}")
        else:
            subject = self._rfc4514(f"CN=Forged CA {depth}")
        if _is_ca(link, depth) and WARNING not in subject.rfc4514_string():
            warning = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, f"mitm-demo: {WARNING}")
            subject = x509.Name([*subject, warning])
        return subject

    def _certificate(
        self,
        link: Link,
        depth: int,
        subject: x509.Name,
        key: Key,
        issuer: x509.Name,
        issuer_key: Key,
    ) -> bytes:
        not_after = self._now + _offset(link.not_after)
        if _is_ca(link, depth):
            not_after = min(not_after, self._now + LIFETIME)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(link.serial or x509.random_serial_number())
            .not_valid_before(self._now + _offset(link.not_before))
            .not_valid_after(not_after)
        )
        for extension, critical in self._extensions(link, depth, key, issuer_key):
            builder = builder.add_extension(extension, critical)
        ed25519_key = isinstance(issuer_key, ed25519.Ed25519PrivateKey)
        old = link.hash in ("sha1", "md5")
        chosen = None if ed25519_key else _HASHES["sha256" if old else link.hash]
        certificate = builder.sign(issuer_key, chosen).public_bytes(Encoding.DER)  # type: ignore[arg-type]
        if old or link.version == 1:
            certificate = _signed_again(certificate, link, issuer_key)
        if "bad-signature" in link.breakages:
            tbs, algorithm, signature = der.split(certificate)
            broken = signature[:-1] + bytes([signature[-1] ^ 1])
            certificate = der.join(tbs, algorithm, broken)
        return certificate

    def _extensions(
        self, link: Link, depth: int, key: Key, issuer_key: Key
    ) -> list[tuple[x509.ExtensionType, bool]]:
        ca = _is_ca(link, depth)
        extensions: list[tuple[x509.ExtensionType, bool]] = []
        basic = link.basic_constraints
        if basic is None:
            basic = BasicConstraints(ca=depth > 0)
        if basic != "absent":
            assert isinstance(basic, BasicConstraints)
            extensions.append((x509.BasicConstraints(basic.ca, basic.path_length), basic.critical))
        usages = link.key_usage
        if usages is None:
            usages = ("key_cert_sign", "crl_sign") if ca else ("digital_signature",)
        if usages:
            extensions.append((key_usage(usages), True))
        purposes = link.extended_key_usage
        if purposes is None:
            purposes = () if ca else ("server_auth",)
        if purposes:
            oids = [_purpose(purpose) for purpose in purposes]
            extensions.append((x509.ExtendedKeyUsage(oids), link.extended_key_usage_critical))
        names = link.san
        if names is None:
            names = () if depth else (_general(self._name),)
        if names:
            san = x509.SubjectAlternativeName([self._general_name(n) for n in names])
            extensions.append((san, link.san_critical))
        if link.name_constraints is None and ca:
            extensions.append((constrained_to(self._authorities.names), True))
        elif isinstance(link.name_constraints, NameConstraints):
            extensions.append(self._constraints(link.name_constraints))
        extensions += [
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                False,
            ),
        ]
        extensions += [
            (
                x509.UnrecognizedExtension(x509.ObjectIdentifier(raw.oid), bytes.fromhex(raw.der)),
                raw.critical,
            )
            for raw in link.extensions
        ]
        # A raw extension takes the place of the one that would have been made.
        given = {raw.oid for raw in link.extensions}
        return [
            (extension, critical)
            for extension, critical in extensions
            if isinstance(extension, x509.UnrecognizedExtension)
            or extension.oid.dotted_string not in given
        ]

    def _constraints(self, constraints: NameConstraints) -> tuple[x509.ExtensionType, bool]:
        permitted = [self._general_name(n, network=True) for n in constraints.permitted]
        excluded = [self._general_name(n, network=True) for n in constraints.excluded]
        extension = x509.NameConstraints(permitted or None, excluded or None)
        return extension, constraints.critical

    def _general_name(self, text: str, *, network: bool = False) -> x509.GeneralName:
        kind, _, value = self._fill(text).partition(":")
        match kind:
            case "DNS":
                return x509.DNSName(value)
            case "IP" if network:
                return x509.IPAddress(ipaddress.ip_network(value))
            case "IP":
                return x509.IPAddress(ipaddress.ip_address(value))
            case "URI":
                return x509.UniformResourceIdentifier(value)
        return x509.RFC822Name(value)

    def _rfc4514(self, text: str) -> x509.Name:
        return x509.Name.from_rfc4514_string(self._fill(text))

    def _fill(self, text: str) -> str:
        return text.replace("{name}", self._name)


def _is_ca(link: Link, depth: int) -> bool:
    """Whether a link could sign others: it says so, or it stands above a leaf."""
    if isinstance(link.basic_constraints, BasicConstraints):
        return link.basic_constraints.ca
    return depth > 0


def _general(name: str) -> str:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return f"DNS:{name}"
    return f"IP:{name}"


def _offset(text: str) -> timedelta:
    match = re.fullmatch(r"([+-]\d+)([smhd])", text)
    assert match is not None
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _purpose(text: str) -> x509.ObjectIdentifier:
    if text[:1].isdigit():
        return x509.ObjectIdentifier(text)
    oid = getattr(ExtendedKeyUsageOID, text.upper(), None)
    if oid is None:
        raise ValueError(f"unknown extended key usage {text!r}: write its OID, or server_auth")
    assert isinstance(oid, x509.ObjectIdentifier)
    return oid


def _generate(kind: str) -> Key:
    family, _, size = kind.partition("-")
    if family == "ec":
        return ec.generate_private_key(ec.SECP384R1() if size == "p384" else ec.SECP256R1())
    if family == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return _rsa(int(size))


@functools.cache
def _rsa(bits: int) -> rsa.RSAPrivateKey:
    # Half a second for 3,072 bits: one a process is enough for a demonstration.
    return rsa.generate_private_key(65537, bits)


def _signed_again(certificate: bytes, link: Link, issuer_key: Key) -> bytes:
    """The same certificate as version 1, or under a hash that nobody should use any more."""
    tbs, algorithm, _ = der.split(certificate)
    if link.hash in ("sha1", "md5"):
        family = "rsa" if isinstance(issuer_key, rsa.RSAPrivateKey) else "ec"
        if (link.hash, family) not in _OLD_ALGORITHMS or isinstance(
            issuer_key, ed25519.Ed25519PrivateKey
        ):
            raise Unsupported(f"there is no {link.hash} signature with the issuer's kind of key")
        oid, null = _OLD_ALGORITHMS[link.hash, family]
        algorithm = der.algorithm_identifier(oid, null=null)
        tbs = der.with_algorithm(tbs, algorithm)
    if link.version == 1:
        tbs = der.as_version_1(tbs)
    chosen = _HASHES[link.hash]
    match issuer_key:
        case rsa.RSAPrivateKey():
            signature = issuer_key.sign(tbs, padding.PKCS1v15(), chosen)
        case ec.EllipticCurvePrivateKey():
            signature = issuer_key.sign(tbs, ec.ECDSA(chosen))
        case ed25519.Ed25519PrivateKey():
            signature = issuer_key.sign(tbs)
        case _:
            raise Unsupported("no signature with this kind of key")
    return der.join(tbs, algorithm, signature)


def _pem(certificate: bytes) -> bytes:
    import ssl

    return ssl.DER_cert_to_PEM_cert(certificate).encode()
