"""A trust store that stands for the machine's, as the stacks themselves read it."""

import shutil
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from mitm import pki
from mitm.pki.trust_store import PASSWORD, subject_hash


def named(name: x509.Name, *, old: bool = False) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime(1955, 1, 1, tzinfo=UTC) if old else datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


TYPES = [_ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString]
NAMES = {
    "the lab's": x509.Name.from_rfc4514_string("CN=Lab CA,O=mitm-demo: DO NOT TRUST"),
    "spaces and capitals": x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "  An  Old\tCA ")]),
    "other letters": x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Zürcher CA Ä")]),
    "several in one": x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Zoo"),
                    x509.NameAttribute(NameOID.COMMON_NAME, "A"),
                ]
            )
        ]
    ),
    "none": x509.Name([]),
} | {
    kind.name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Some CA", kind)])
    for kind in TYPES
}


@pytest.mark.parametrize("name", NAMES)
def test_openssl_looks_for_a_ca_by_this_name(name: str) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is needed: apt install openssl")
    certificate = named(NAMES[name])
    command = ["openssl", "x509", "-noout", "-subject_hash"]
    said = subprocess.run(command, input=pem(certificate), capture_output=True, check=True).stdout
    assert subject_hash(certificate.subject) == said.decode().strip()


def test_openssl_trusts_what_is_in_the_directory_and_nothing_else(tmp_path: Path) -> None:
    authorities = pki.Authorities(["localhost"])
    store = pki.write_trust_store(tmp_path / "store", authorities.system.pem)
    for recipe, trusted in (("system-root", True), ("genuine", False)):
        presented = pki.present(pki.load_recipe(recipe), "localhost", authorities)
        context = ssl.create_default_context(capath=store.directory)
        assert handshake(context, presented.context()) == trusted


def handshake(context: ssl.SSLContext, presented: ssl.SSLContext) -> bool:
    """Whether a client goes through with it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = presented.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_java_reads_the_key_store(tmp_path: Path) -> None:
    if not shutil.which("keytool"):
        pytest.skip("keytool is needed: apt install default-jre-headless")
    first, second = named(NAMES["the lab's"], old=True), named(NAMES["other letters"])
    store = pki.write_trust_store(tmp_path / "store", pem(first) + pem(second))
    command = ["keytool", "-list", "-rfc", "-keystore", str(store.key_store)]
    command += ["-storepass", PASSWORD]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert listed.count("trustedCertEntry") == 2
    read = x509.load_pem_x509_certificates(listed.encode())
    assert set(read) == {first, second}


def test_it_is_nobody_elses_and_holds_cas_of_one_name(tmp_path: Path) -> None:
    twins = [named(NAMES["the lab's"]) for _ in range(2)]
    store = pki.write_trust_store(tmp_path / "store", b"".join(map(pem, twins)))
    assert x509.load_pem_x509_certificates(store.file.read_bytes()) == twins
    files = sorted(store.directory.iterdir())
    assert [file.suffix for file in files] == [".0", ".1"]
    assert [x509.load_pem_x509_certificate(f.read_bytes()) for f in files] == twins
    for file in (store.file, store.key_store, *files):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.file.parent.stat().st_mode) == 0o700


def test_a_root_that_cannot_be_read_is_unsupported_and_none_is_trusted(tmp_path: Path) -> None:
    broken = pem(named(NAMES["the lab's"])).replace(b"MII", b"AII", 1)
    with pytest.raises(pki.Unsupported, match="no trust store"):
        pki.write_trust_store(tmp_path / "broken", broken)
    nothing = pki.write_trust_store(tmp_path / "nothing", b"")
    assert nothing.file.read_bytes() == b""
    assert list(nothing.directory.iterdir()) == []
