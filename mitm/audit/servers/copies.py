"""What can be made of the good certificate without the key of any CA."""

import secrets
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from mitm import pki
from mitm.audit.servers.credentials import Credentials
from mitm.audit.servers.identities import named
from mitm.audit.servers.way import Show
from mitm.pki import der, keys
from mitm.pki.names import alternative
from mitm.pki.recipe import KeyKind

Signing = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
"""Keys that sign certificates here."""


def shown(show: Show, given: Credentials) -> tuple[bytes, bytes] | None:
    """What a client shows: chain and key, PEM; None for nothing.

    Args:
        show: which.
        given: the good certificate, of which it is made.

    Raises:
        Unsupported: it cannot be made with a key of its kind.
    """
    leaf, *above = given.good.certificates
    key = given.good.key_pem
    match show:
        case "none":
            return None
        case "altered":
            tbs, algorithm, signature = der.split(leaf)
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
            leaf = der.join(tbs, algorithm, signature)
        case "other-key":
            key = _without_the_key(given.key)
        case "replaced-key":
            own = _key_like(given.key)
            leaf, key = der.with_key_replaced(leaf, keys.public_info(own)), _pem(own)
        case "copied":
            own = _key_like(given.key)
            leaf, key, above = _copied(given, own), _pem(own), []
        case "renamed":
            leaf, above = _renamed(given), []
    certificates = [leaf, *above]
    return b"".join(der.pem("CERTIFICATE", each) for each in certificates), key


def key_kind(key: object) -> KeyKind:
    """The kind of a key for another client, that a server which takes this one will take."""
    match key:
        case rsa.RSAPrivateKey():
            return "rsa-2048"
        case ec.EllipticCurvePrivateKey(curve=ec.SECP384R1()):
            return "ec-p384"
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
    return "ec-p256"


def _key_like(key: object) -> Signing:
    if isinstance(key, rsa.RSAPrivateKey):
        # One a process is enough elsewhere, and the good one may be that.
        return rsa.generate_private_key(65537, 2048)
    own = keys.generate(key_kind(key))
    assert isinstance(own, Signing)
    return own


def _hash_for(key: Signing) -> hashes.SHA256 | None:
    plain = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return None if plain else hashes.SHA256()


def _pem(key: Signing) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _without_the_key(key: object) -> bytes:
    """A key that OpenSSL takes for that of the certificate, and that is not."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return keys.mismatched_pem(key)
        case rsa.RSAPrivateKey():
            # RSAPrivateKey (RFC 8017 appendix A.1.2): OpenSSL compares modulus and exponent.
            right = key.public_key().public_numbers()
            wrong = rsa.generate_private_key(65537, key.key_size).private_numbers()
            numbers: tuple[int, ...] = (0, right.n, right.e, wrong.d, wrong.p, wrong.q)
            numbers += (wrong.dmp1, wrong.dmq1, wrong.iqmp)
            return der.pem("RSA PRIVATE KEY", der.sequence(b"".join(map(der.integer, numbers))))
    raise pki.Unsupported(
        "for a key of its kind no other can be made that the TLS library here takes for it"
    )


def _builder(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _copied(given: Credentials, own: Signing) -> bytes:
    """All by which a careless server looks a certificate up, around another key."""
    good = given.certificate
    builder = _builder(good.subject, good.issuer).public_key(own.public_key())
    builder = builder.serial_number(good.serial_number)
    for extension in good.extensions:
        if extension.oid != ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS:
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(own, _hash_for(own)).public_bytes(Encoding.DER)


def _renamed(given: Credentials) -> bytes:
    """Another name around the good key, signed by that key itself."""
    key, other = given.key, named("other", given.identity)
    if not isinstance(key, Signing):
        raise pki.Unsupported("the good certificate's kind of key signs no certificates here")
    names = b"".join(alternative(name) for name in other.names)
    oid = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    builder = (
        _builder(other.subject, given.certificate.issuer)
        .public_key(key.public_key())
        .serial_number(given.certificate.serial_number)
        .add_extension(x509.UnrecognizedExtension(oid, der.sequence(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    return builder.sign(key, _hash_for(key)).public_bytes(Encoding.DER)


def imitation_of_the_ca(given: Credentials) -> pki.Authority:
    """What has the name of the clients' CA and the identifier of its key, and neither key nor use.

    It is there so that others name it as their issuer; it is sent to nobody.
    """
    good, own = given.certificate, ec.generate_private_key(ec.SECP256R1())
    identifier = secrets.token_bytes(20)
    try:
        found = good.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        identifier = found.key_identifier or identifier
    except x509.ExtensionNotFound:
        pass
    certificate = (
        _builder(good.issuer, good.issuer)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
        .sign(own, hashes.SHA256())
    )
    return pki.Authority(certificate, own, certificate.public_bytes(Encoding.PEM), own=True)


def holder_as_signer(given: Credentials) -> pki.Authority:
    """The good client, who signs certificates with the key of its own.

    Raises:
        Unsupported: it has a kind of key that signs none here.
    """
    key = given.key
    if not isinstance(key, Signing):
        raise pki.Unsupported("the good certificate's kind of key signs no certificates here")
    return pki.Authority(given.certificate, key, given.good.pem, own=True)
