"""The authorities of a run: the lab's CA, which clients trust, the system's, the attacker's."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

# In the subject of every CA that is made here, so that nobody takes it for a real one.
WARNING = "DO NOT TRUST"

# A CA that outlives the class it was made for is a danger without a use.
LIFETIME = timedelta(days=1)

# It was there before anything that it signs, a leaf that expired yesterday included.
BACKDATED = timedelta(days=8)


AuthorityName = Literal["lab", "attacker", "system"]


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
        extension = self.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        return extension.value.path_length


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
        names: DNS names and IP addresses under test.
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
        # The leaves that the server really has, by name, for those who make a copy.
        self.genuine: dict[str, bytes] = {}

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

    A constraint binds only names of its own form, so both forms get one, even if only to exclude
    all of it.
    """
    permitted: list[x509.GeneralName] = []
    excluded: list[x509.GeneralName] = []
    networks = []
    for name in names:
        try:
            networks.append(ipaddress.ip_network(name))
        except ValueError:
            permitted.append(x509.DNSName(name))
    permitted += map(x509.IPAddress, networks)
    if len(permitted) == len(networks):
        excluded.append(x509.DNSName(""))
    if not networks:
        excluded += [
            x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
            x509.IPAddress(ipaddress.ip_network("::/0")),
        ]
    return x509.NameConstraints(permitted or None, excluded or None)
