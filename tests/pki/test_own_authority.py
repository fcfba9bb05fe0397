"""An authority of the user's own: it signs what the lab's would, and nothing of use elsewhere."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from mitm import content
from mitm.address import is_ip
from mitm.errors import UserError
from mitm.pki import (
    Authorities,
    Authority,
    Chain,
    Recipe,
    Unsupported,
    authority_from_files,
    forge,
    load_recipe,
)
from mitm.pki.authority import key_usage
from mitm.pki.names import foreign
from mitm.pki.own import parsed
from tests.pki.test_catalogue import OPENSSL_DIFFERS
from tests.pki.test_recipe import recipe_file
from tests.pki.verifiers import needs_openssl, openssl_verifies

Key = CertificateIssuerPrivateKeyTypes

NAME = "server.lab.mitm-demo.test"
RECIPES = [load_recipe(name) for name in content.markdown_files(content.CERTS)]

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
KINDS = [RSA, EC, ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()]

# Not made of the key, as some CAs have it.
KEY_ID = x509.SubjectKeyIdentifier(b"of its own making")


class Files:
    """A CA's certificate and key in a folder."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "ca.pem", folder / "ca.key"

    def write(
        self,
        key: Key = RSA,
        *,
        ca: bool | None = True,
        path_length: int | None = None,
        usages: tuple[str, ...] = ("key_cert_sign",),
        subject: str = "CN=Corp Root,O=Corp",
        issuer: str = "",
        begins: int = -1,
        days: int = 3650,
    ) -> None:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name.from_rfc4514_string(subject))
            .issuer_name(x509.Name.from_rfc4514_string(issuer or subject))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) + timedelta(days=begins))
            .not_valid_after(datetime.now(UTC) + timedelta(days=days))
            .add_extension(KEY_ID, critical=False)
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        if usages:
            builder = builder.add_extension(key_usage(usages), critical=True)
        plain = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        hashing = None if plain else hashes.SHA256()
        self.cert.write_bytes(builder.sign(key, hashing).public_bytes(Encoding.PEM))
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def read(self) -> Authority:
        return authority_from_files(self.cert, self.key)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.write()
    return made


def forged(recipe: Recipe | str, authority: Authority, name: str = NAME) -> Chain:
    if isinstance(recipe, str):
        recipe = load_recipe(recipe)
    names = [name, "localhost", "127.0.0.1", "::1"]
    return forge(recipe, name, Authorities(names, authority), datetime.now(UTC))


def why_not(recipe: Recipe | str, authority: Authority, name: str = NAME) -> str:
    """Why a certificate cannot be made, "" if it can."""
    try:
        forged(recipe, authority, name)
    except Unsupported as error:
        return str(error)
    return ""


@needs_openssl
@pytest.mark.parametrize("key", KINDS, ids=lambda key: type(key).__name__)
def test_what_is_to_be_accepted_leads_to_it(files: Files, key: Key) -> None:
    files.write(key)
    authority = files.read()
    tried = 0
    for recipe in RECIPES:
        sound = recipe.expect == "accept" and recipe.name not in OPENSSL_DIFFERS
        if sound and not why_not(recipe, authority):
            chain = forged(recipe, authority)
            assert chain.anchor_pem == files.cert.read_bytes()
            name = recipe.dialled(NAME)
            expected = "-verify_ip" if is_ip(name) else "-verify_hostname"
            assert openssl_verifies(chain, "-purpose", "sslserver", expected, name), recipe.name
            tried += 1
    assert tried > 10


@needs_openssl
def test_what_is_to_be_rejected_is_wrong_as_ever(files: Files) -> None:
    authority = files.read()
    for name, flaw in (("genuine", ""), ("wrong-host", "name"), ("expired", "time")):
        chain = forged(name, authority)
        assert openssl_verifies(chain, "-verify_hostname", NAME) == (not flaw)
        lenient = ["-no_check_time"] if flaw == "time" else []
        assert openssl_verifies(chain, *lenient)


def test_most_of_the_catalogue_can_be_made_and_the_rest_says_why(files: Files) -> None:
    reasons = {r.name: reason for r in RECIPES if (reason := why_not(r, files.read()))}
    assert set(reasons) == {
        "expired-root",
        "sha1-root",
        "outlives-issuer",
        "imitated-ca",
        "zero-signature",
        "expired-cross-sign",
    }
    assert reasons["sha1-root"] == "it takes another root than the authority that is given"
    assert "lives for a day at the most" in reasons["outlives-issuer"]
    assert "DO NOT TRUST" in reasons["imitated-ca"]
    files.write(EC, subject="CN=Corp Test,O=DO NOT TRUST")
    assert not why_not("imitated-ca", files.read())
    assert not why_not("zero-signature", files.read())


# The guard rails


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: str(recipe.name))
def test_what_is_signed_is_of_no_use_elsewhere(files: Files, recipe: Recipe) -> None:
    authority = files.read()
    if why_not(recipe, authority):
        return
    now = datetime.now(UTC)
    chain = forged(recipe, authority)
    own = authority.certificate
    for der in chain.certificates:
        certificate = parsed(der)
        assert certificate is not None
        if certificate == own:
            continue
        assert certificate.not_valid_after_utc <= now + timedelta(days=1, seconds=5)
        if certificate.version is x509.Version.v3 and recipe.name != "malformed-san":
            found = {extension.oid: extension.value for extension in certificate.extensions}
            basic = found.get(x509.BasicConstraints.oid)
            is_ca = isinstance(basic, x509.BasicConstraints) and basic.ca
            assert not is_ca or x509.NameConstraints.oid in found
    assert b"PRIVATE KEY" in chain.key_pem
    assert files.key.read_bytes() not in chain.key_pem


@pytest.mark.parametrize(
    ("recipe", "signed"),
    [
        ("genuine", True),
        ("wildcard-too-deep", True),
        ("unicode-name", True),
        ("wrong-host", True),
        ("several-names", True),
        ("nul-in-san", True),
        ("mixed-case", True),
        ("lookalike-suffix", True),
        ("parent-domain", False),
        ("matching-wildcard", False),
        ("wildcard-across-labels", False),
        ("lookalike-prefix", False),
    ],
)
def test_leaves_have_no_names_but_those_under_test_and_nobodys(
    files: Files, recipe: str, signed: bool
) -> None:
    reason = why_not(recipe, files.read(), "api.shop.corp.com")
    assert ("neither under test nor reserved" in reason) != signed
    # The twin: the lab's own, which nobody else trusts, signs them all.
    names = ["api.shop.corp.com", "localhost"]
    assert forge(load_recipe(recipe), names[0], Authorities(names), datetime.now(UTC))


@pytest.mark.parametrize(
    ("leaf", "signed"),
    [
        ('san: ["DNS:{name}"]', True),
        ('san: ["DNS:www.corp.com"]', False),
        ('san: ["DNS:{name}", "DNS:*.corp.com"]', False),
        ('san: ["IP:192.168.1.1"]', False),
        ('san: ["IP:127.0.0.1", "IP:2001:db8::1"]', True),
        ('san: ["URI:https://www.corp.com/"]', False),
        ('subject: "CN=www.corp.com"', False),
        # A name that ends early for some, and what reads like two.
        ('san: ["DNS:www.corp.com\\0.attacker.example"]', False),
        ('san: ["DNS:a.example, DNS:www.corp.com"]', False),
        # DER of a dNSName, byte by byte.
        ('extensions: [{oid: 2.5.29.17, der: "300e820c7777772e636f72702e636f6d"}]', False),
        # It would sign no more, but is a server's certificate as well.
        ('san: ["DNS:www.corp.com"], basic_constraints: {ca: true}', False),
        ("not_after: +2d", False),
        ("not_after: +12h", True),
    ],
)
def test_a_recipe_of_ones_own_is_held_to_the_same(files: Files, leaf: str, signed: bool) -> None:
    path = recipe_file(files.cert.parent, f"chain: [{{{leaf}}}, {{authority: lab}}]\n")
    assert (why_not(load_recipe(path), files.read()) == "") == signed


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("api.corp.com", ""),
        ("API.corp.com.", ""),
        ("*.api.corp.com", ""),
        ("corp.com", "corp.com"),
        ("evilapi.corp.com", "evilapi.corp.com"),
        ("wrong.example", ""),
        ("www.example.com", ""),
        ("Lab server", ""),
        ("*.0.0.1", ""),
        ("\uff41pi.\uff43orp.com", ""),
        ("\uff45vil.com", "evil.com"),
        ("10.0.0.1", ""),
        ("10.0.0.2", "10.0.0.2"),
        ("198.51.100.7", ""),
        ("fe80::1", "fe80::1"),
        ("user@corp.com", "corp.com"),
        ("a.example\0www.corp.com", "www.corp.com"),
    ],
)
def test_a_foreign_host_is_found_in_any_text(text: str, found: str) -> None:
    assert foreign(text, ["api.corp.com", "10.0.0.1"]) == found


# How it is taken


def test_its_name_and_its_key_are_called_by_what_it_calls_them(files: Files) -> None:
    authority = files.read()
    own = authority.certificate.subject
    for name in ("genuine", "forged-intermediate", "replaced-key"):
        last = x509.load_der_x509_certificate(forged(name, authority).certificates[-1])
        assert last.issuer == own
    leaf = x509.load_der_x509_certificate(forged("genuine", authority).certificates[0])
    identifier = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert identifier.key_identifier == KEY_ID.digest


def test_one_below_a_root_is_sent_along(files: Files) -> None:
    assert len(forged("genuine", files.read()).certificates) == 1
    files.write(issuer="CN=Corp Root above")
    authority = files.read()
    sent = forged("genuine", authority).certificates
    assert sent[1] == authority.certificate.public_bytes(Encoding.DER)


def test_its_path_length_is_kept(files: Files) -> None:
    files.write(path_length=1)
    authority = files.read()
    assert not why_not("intermediate", authority)
    assert why_not("long-chain", authority) == (
        "the authority that is given may have 1 CAs below it, and this takes 4"
    )
    files.write(path_length=0)
    assert not why_not("genuine", files.read())
    assert "may have 0 CAs" in why_not("intermediate", files.read())


def test_of_several_certificates_the_one_of_the_key_signs(files: Files) -> None:
    mine = files.cert.read_bytes()
    files.write(EC, subject="CN=Another")
    other = files.cert.read_bytes()
    files.write()
    files.cert.write_bytes(other + mine)
    authority = files.read()
    assert authority.certificate.subject.rfc4514_string() == "CN=Corp Root,O=Corp"
    # The client trusts what it trusts.
    assert authority.pem == other + mine


def spoilt(**changed: object) -> Callable[[Files], None]:
    return lambda files: files.write(**changed)  # type: ignore[arg-type]


def encrypted(files: Files) -> None:
    files.key.write_bytes(
        RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    )


def of_another(files: Files) -> None:
    mine = files.cert.read_bytes()
    files.write(EC)
    files.cert.write_bytes(mine)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoilt(ca=False), "is not a CA's certificate: its basic constraints say CA:FALSE"),
        (spoilt(ca=None), "is not a CA's certificate: it has no basic constraints"),
        (spoilt(usages=("crl_sign",)), "may not sign certificates: its key usage lacks"),
        (spoilt(begins=-9, days=-1), "has expired, on 20"),
        (spoilt(begins=2), "is not valid yet"),
        (spoilt(key=dsa.generate_private_key(1024)), "a kind of key that signs no certificates"),  # noqa: S505
        (encrypted, "is encrypted"),
        (of_another, "does not fit the authority"),
        (lambda files: files.cert.unlink(), "cannot read"),
        (lambda files: files.key.unlink(), "cannot read"),
        (lambda files: files.cert.write_bytes(b"?"), "no PEM certificate"),
        (lambda files: files.key.write_bytes(files.cert.read_bytes()), "no PEM private key"),
    ],
)
def test_what_is_no_authority_is_refused_in_one_line(
    files: Files, spoil: Callable[[Files], None], said: str
) -> None:
    files.read()
    spoil(files)
    with pytest.raises(UserError) as caught:
        files.read()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_openssl
@pytest.mark.parametrize("kind", ["rsa-pss", "sm2"])
def test_kinds_of_keys_that_sign_nothing_here_are_told(files: Files, kind: str) -> None:
    command = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=CA", "-newkey", kind]
    command += ["-keyout", str(files.key), "-out", str(files.cert)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(UserError, match="a kind of key that signs no certificates here"):
        files.read()


def test_key_usage_may_be_absent(files: Files) -> None:
    files.write(usages=())
    assert not why_not("genuine", files.read())
