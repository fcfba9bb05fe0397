"""The authorities of a run: the lab's CA, which clients trust, the system's, the attacker's."""

import ipaddress
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mitm.errors import UserError
from mitm.pki.names import foreign, form_of, host_of
from mitm.pki.unsupported import Unsupported

# In the subject of every CA that is made here, so that nobody takes it for a real one.
WARNING = "DO NOT TRUST"

# A CA that outlives the class it was made for is a danger without a use.
LIFETIME = timedelta(days=1)

# It was there before anything that it signs, a leaf that expired yesterday included.
BACKDATED = timedelta(days=8)


AuthorityName = Literal["lab", "attacker", "system"]

# What a leaf is for, as its extended key usage says it (RFC 5280 section 4.2.1.12).
Purpose = Literal["server", "client"]
_PURPOSES = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}


E = TypeVar("E", bound=x509.ExtensionType)


class Authority(NamedTuple):
    """A CA that signs here; its key is held in memory alone.

    Attributes:
        certificate: its own.
        key: the key to it.
        pem: what goes into a client's CA file.
        own: whether it is the user's own, which others may trust, and for longer than a day.
    """

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes
    pem: bytes
    own: bool = False

    @property
    def path_length(self) -> int | None:
        """How many CAs may stand below it (RFC 5280 section 4.2.1.9); None for any number."""
        try:
            found = self.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        except x509.ExtensionNotFound:
            # Of what is no CA, and signs all the same.
            return None
        return found.value.path_length

    def issue(
        self,
        csr: x509.CertificateSigningRequest,
        *,
        purpose: Purpose = "server",
        under_test: Sequence[str] = (),
        lifetime: timedelta = LIFETIME,
    ) -> x509.Certificate:
        """Sign what a certificate signing request (RFC 2986) asks for: its subject, its names.

        Args:
            csr: from whoever holds the key.
            purpose: what the certificate is for, whatever the request says of that.
            under_test: names that an authority of the user's own signs for, besides those that are
                reserved for tests; any other signs for all.
            lifetime: from now; a day at the most, and no longer than the authority itself.

        Raises:
            UserError: its signature does not hold, it names nobody, or asks to become a CA.
            Unsupported: it names a host that the user's own authority does not sign for here, or
                its key is of a kind that is not known.
        """
        names = _asked_for(csr)
        for name in (*_values_of(names), *_common_names(csr)) if self.own else ():
            if foreign(name, under_test):
                raise Unsupported(
                    f"{name} is neither under test nor reserved for tests, and the authority that "
                    "is given signs for no other"
                )
        now = datetime.now(UTC)
        end = min(now + min(lifetime, LIFETIME), self.certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(self.certificate.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            # Clocks differ.
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(["digital_signature"]), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_PURPOSES[purpose]]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(csr.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self.key_id),
                critical=False,
            )
        )
        if names is not None:
            # Without a subject it is the names that must be understood (section 4.2.1.6).
            builder = builder.add_extension(names, critical=not csr.subject.rdns)
        hashes_itself = isinstance(self.key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        return builder.sign(self.key, None if hashes_itself else hashes.SHA256())

    @property
    def key_id(self) -> x509.SubjectKeyIdentifier:
        """By which what it signs names its key (RFC 5280 section 4.2.1.1)."""
        extensions = self.certificate.extensions
        try:
            return extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            return x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())


def _asked_for(csr: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    """The names that a request asks for, once it is known to be one that may be signed."""
    try:
        held = csr.is_signature_valid
        basic, names = (
            _extension(csr, x509.BasicConstraints),
            _extension(csr, x509.SubjectAlternativeName),
        )
    except UnsupportedAlgorithm as error:
        raise Unsupported(f"the request cannot be read here: {error}") from None
    except ValueError as error:
        raise UserError(f"the request cannot be read: {error}") from None
    if not held:
        raise UserError("the signature of the request does not hold: nobody proves to have its key")
    if basic is not None and basic.ca:
        raise UserError("the request is for a CA: only leaves are signed here")
    if not csr.subject.rdns and not names:
        raise UserError("the request names nobody: it has no subject and no alternative name")
    return names


def _extension(csr: x509.CertificateSigningRequest, kind: type[E]) -> E | None:
    try:
        return csr.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _values_of(names: x509.SubjectAlternativeName | None) -> Iterator[str]:
    return (str(name.value) for name in names or ())


def _common_names(csr: x509.CertificateSigningRequest) -> Iterator[str]:
    return (str(n.value) for n in csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME))


def make_authority(common_name: str, names: Sequence[str] | None) -> Authority:
    """Make a CA that lives for a day.

    Args:
        common_name: what it is called.
        names: DNS names and IP addresses that it may sign for, None for all.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = _subject(common_name)
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage(["key_cert_sign", "crl_sign"]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(constrained_to(names), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    return Authority(certificate, key, certificate.public_bytes(Encoding.PEM))


def _subject(common_name: str) -> x509.Name:
    return x509.Name.from_rfc4514_string(f"CN={common_name},O=mitm-demo: {WARNING}")


_LAB = "Lab CA"

# By this name recipes imitate the authority that the client trusts, whatever that is called.
LAB_SUBJECT = _subject(_LAB)


class Authorities:
    """The authorities of a run; nothing installs them in a trust store of the machine.

    The lab's is what the client is told to trust. The system's stands for the CAs that a machine
    trusts without being told. The attacker's is trusted by nobody.

    Args:
        names: DNS names and IP addresses under test, and URIs that are a client's identity.
        lab: the user's own in the place of the lab's, if the client trusts that.
    """

    def __init__(self, names: Sequence[str], lab: Authority | None = None) -> None:
        self.names = tuple(names)
        # The client trusts this one, so its constraints would be one more reason to refuse what it
        # signs: a certificate for a wrong name is to be wrong in that alone.
        self.lab = lab or make_authority(_LAB, None)
        self.attacker = make_authority("Attacker CA", names)
        # What is planted in the environment of a client may be read by more than was meant.
        self.system = make_authority("System CA", names)
        # The leaves that server and client really have, for those who make a copy.
        self.genuine: dict[tuple[str, Purpose], bytes] = {}

    def __getitem__(self, which: AuthorityName) -> Authority:
        return {"lab": self.lab, "attacker": self.attacker, "system": self.system}[which]


def key_usage(usages: Sequence[str]) -> x509.KeyUsage:
    """The KeyUsage extension with just these bits (RFC 5280 section 4.2.1.3)."""
    bits = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**(bits | dict.fromkeys(usages, True)))


def constrained_to(names: Sequence[str]) -> x509.NameConstraints:
    """Name constraints that leave room for these names alone (RFC 5280 section 4.2.1.10).

    A constraint binds only names of its own form, so hosts and addresses get one, even if only to
    exclude all of it; URIs, which are a client's, where one is under test.
    """
    by_form: dict[str, list[str]] = {"DNS": [], "IP": [], "URI": []}
    for name in names:
        by_form[form_of(name)].append(host_of(name))
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in by_form["DNS"]]
    permitted += [x509.IPAddress(ipaddress.ip_network(name)) for name in by_form["IP"]]
    permitted += [x509.UniformResourceIdentifier(name) for name in by_form["URI"]]
    excluded: list[x509.GeneralName] = []
    if not by_form["DNS"]:
        excluded.append(x509.DNSName(""))
    if not by_form["IP"]:
        excluded += [
            x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
            x509.IPAddress(ipaddress.ip_network("::/0")),
        ]
    return x509.NameConstraints(permitted or None, excluded or None)
