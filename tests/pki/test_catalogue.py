"""The certificates of certs/: complete, honest, each with one flaw, each really served."""

import ipaddress
import itertools
import re
import ssl
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from mitm import content
from mitm.address import is_ip
from mitm.pki import (
    Authorities,
    Chain,
    Presentation,
    Recipe,
    Tls,
    Unsupported,
    der,
    forge,
    load_recipe,
)
from mitm.pki.recipe import Family, Link
from tests.pki.verifiers import (
    cryptography_verifies,
    handshake,
    lax_client,
    needs_openssl,
    openssl_verifies,
    verifying_client,
)
from tests.programs import run

ROOT = Path(__file__).resolve().parents[2]

RECIPES = {name: load_recipe(name) for name in content.markdown_files(content.CERTS)}
ACCEPTED = [name for name, recipe in RECIPES.items() if recipe.expect == "accept"]
REJECTED = [name for name, recipe in RECIPES.items() if recipe.expect == "reject"]

# Long enough for every placeholder.
NAME = "server.lab.mitm-demo.test"

each = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)

# What a name is too short for, or is none.
UNSUPPORTED = {
    NAME: set[str](),
    "server.mitm-demo.test": set[str](),
    "localhost": {
        "excluded-wildcard",
        "excluded-wildcard-other-case",
        "matching-wildcard",
        "parent-domain",
        "partial-wildcard",
        "wildcard-across-labels",
        "wildcard-in-a-label",
        "wildcard-not-leftmost",
        "wildcard-not-permitted",
        "wildcard-top-level",
    },
    "127.0.0.1": {
        "excluded-other-case",
        "excluded-wildcard",
        "excluded-wildcard-other-case",
        "unicode-name",
        "wildcard-in-a-label",
        "wildcard-not-permitted",
        "lookalike-prefix",
        "lookalike-suffix",
        "matching-wildcard",
        "mixed-case",
        "name-constraints-kept",
        "name-excluded",
        "name-not-permitted",
        "nul-in-san",
        "parent-domain",
        "partial-wildcard",
        "san-injection",
        "several-names",
        "trailing-dot",
        "wildcard-across-labels",
        "wildcard-not-leftmost",
        "wildcard-too-deep",
        "wildcard-top-level",
    },
}


def leaf_of(recipe: Recipe) -> Link:
    leaf = recipe.chain[0]
    assert isinstance(leaf, Link)
    return leaf


def rejected(family: Family) -> list[str]:
    """Of a family, what is to be rejected."""
    return [name for name in REJECTED if RECIPES[name].family == family]


def test_there_are_as_many_as_the_readme_promises() -> None:
    assert len(RECIPES) >= 110


def test_each_stands_in_a_family_and_each_family_has_some() -> None:
    own = [recipe.name for recipe in RECIPES.values() if recipe.family == "own"]
    assert not own, f"say `family:`, see certs/README.md: {own}"
    of_attacks = {"sequence", "configuration", "offer"}
    families = {*get_args(Family)} - {"own"} - of_attacks
    assert {recipe.family for recipe in RECIPES.values()} == families


def test_the_readme_tells_the_families_and_what_is_in_them(tmp_path: Path) -> None:
    readme = content.CERTS / "README.md"
    fresh = tmp_path / "README.md"
    result = run(sys.executable, "-m", "docs.catalogue", fresh)
    assert result.code == 0, result.err
    assert fresh.read_text() == readme.read_text(), "write it anew: make catalogue"
    (row,) = (line for line in fresh.read_text().splitlines() if line.startswith("| `family` |"))
    assert re.findall(r"`(\w+)`", row) == ["family", *get_args(Family)]


def test_in_a_family_what_binds_most_comes_first() -> None:
    by_place = sorted(RECIPES.values(), key=lambda recipe: recipe.place)
    assert [recipe.name for recipe in by_place if recipe.family == "time"] == [
        "expired",
        "expired-intermediate",
        "not-yet-valid",
        "expired-root",
        "outlives-issuer",
    ]


@each
def test_rule_fix_and_weakness_are_told(recipe: Recipe) -> None:
    source = r"(RFC \d{4}|CABF BR|NIST SP|FIPS) .*(section|appendix|\d)"
    said = f"`rule:` names its source, 'RFC 5280 section 6.1.4' say, not {recipe.rule!r}"
    assert re.search(source, recipe.rule), said
    assert "\n" not in recipe.rule + recipe.fix + recipe.title, "each is one line"
    if recipe.expect == "reject":
        assert recipe.fix, "say with `fix:` what to change in a client that accepts it"
        assert recipe.cwe, "say with `cwe:` which weakness that is, [295] at least"
    else:
        assert not recipe.fix, "there is nothing to fix in a client that accepts it: no `fix:`"
        assert not recipe.cwe, "it is no weakness to accept it: no `cwe:`"


# Stands above what is said of single stacks, in a list.
BY_STACK = "**In which stack.**"

# A fix is told to whoever accepted the certificate, and in most stacks the others' words are noise.
STACKS = re.compile(
    r"\b(Java|JDK|Node(\.js)?|Go|Python|Ruby|Rust|rustls|tonic|grpc-\w+|grpcio|OpenSSL|BoringSSL)\b"
)


@each
def test_a_fix_names_no_stack_that_its_reader_may_not_have(recipe: Recipe) -> None:
    assert not STACKS.search(recipe.fix), f"say it under {BY_STACK}: {recipe.fix}"


@pytest.mark.parametrize(
    ("name", "stack", "says"),
    [
        # What is said of stacks is said where their users look for it: at the start of an item.
        ("ca-without-cert-sign", "Rust", "An update does not help"),
        ("rsa-512", "Go", "`go` line in the `go.mod`"),
        ("rsa-1024", "Go", "every version takes 1024 bits"),
        ("sha1-signature", "Java", "an update does not help: write `SHA1 usage TLSServer`"),
    ],
)
def test_what_decides_in_a_stack_is_told_under_its_name(name: str, stack: str, says: str) -> None:
    _, _, by_stack = RECIPES[name].lesson.partition(BY_STACK)
    items = [" ".join(item.split()) for item in by_stack.split("\n- ")]
    (told,) = (item for item in items if item.startswith(f"{stack}: "))
    assert says in told


@each
def test_the_lesson_is_its_own_and_names_its_source(recipe: Recipe) -> None:
    assert len(recipe.lesson) > 350, (
        "the lesson says what is wrong, who gains by it, when it happened"
    )
    dated = re.search(r"RFC\s+\d{4}|BR\s+\d|CVE-\d{4}-\d+|20\d\d", recipe.lesson)
    assert dated, "the lesson names a source: an RFC, a CVE, a year in which it happened"
    for other in RECIPES.values():
        if other is not recipe:
            assert not paragraphs(recipe) & paragraphs(other), f"a lesson of its own: {other.name}"
            assert other.title != recipe.title, f"a title of its own: {other.name}"


def paragraphs(recipe: Recipe) -> set[str]:
    return {*recipe.lesson.strip().split("\n\n")} - {BY_STACK}


@each
def test_names_are_reserved_ones(recipe: Recipe) -> None:
    # RFC 2606 and RFC 5737: names and addresses that are nobody's.
    for link in recipe.chain:
        if isinstance(link, Link):
            for text in (link.subject or "", *(link.san or ())):
                for name in re.findall(r"[\w-]+(?:\.[\w-]+)*\.[a-z]+\b", text):
                    reserved = name.endswith((".example", ".invalid", ".test"))
                    assert reserved, f"{name} may be somebody's: end it in .example (RFC 2606)"
                for address in re.findall(r"\d+\.\d+\.\d+\.\d+", text):
                    assert address.startswith("192.0.2."), f"{address}: take 192.0.2.x (RFC 5737)"


def test_an_imitated_ca_has_the_name_of_the_real_one(authorities: Authorities) -> None:
    lab = authorities.lab.certificate.subject
    for name in ("imitated-ca", "forged-intermediate", "replaced-key"):
        chain = forge(RECIPES[name], NAME, authorities, datetime.now().astimezone())
        issuers = [x509.load_der_x509_certificate(c).issuer for c in chain.certificates]
        assert issuers[-1] == lab


# Served


@pytest.mark.parametrize("name", UNSUPPORTED)
@each
def test_each_is_forged_and_served_or_says_why_not(
    recipe: Recipe, name: str, authorities: Authorities, now: datetime
) -> None:
    if recipe.name in UNSUPPORTED[name]:
        with pytest.raises(Unsupported, match="the name under test"):
            forge(recipe, name, authorities, now)
        return
    try:
        chain = forge(recipe, name, authorities, now)
    except Unsupported as error:
        here = f"add {recipe.name!r} to UNSUPPORTED[{name!r}] in {Path(__file__).name}"
        pytest.fail(f"it cannot be made for {name}: {error}; if that is right, {here}")
    if recipe.tls.plaintext:
        return
    done = handshake(Presentation(chain).context("h2"), lax_client(), chain.server_name)
    if "other-key" in leaf_of(recipe).breakages:
        # Its owner cannot complete a handshake with anybody who checks what TLS itself demands.
        assert done.refusal is not None
        assert "BAD_SIGNATURE" in done.refusal
    else:
        assert done.refusal is None


# Python's `ssl` where it does otherwise, and why. Only for those of severity `must`.
PYTHON_DIFFERS: dict[str, str] = {}


@pytest.mark.parametrize("name", [NAME, "localhost"])
@each
def test_pythons_ssl_does_what_every_client_must(
    recipe: Recipe, name: str, authorities: Authorities, now: datetime
) -> None:
    if recipe.severity != "must" or recipe.name in UNSUPPORTED[name] or recipe.tls.plaintext:
        return
    chain = forge(recipe, name, authorities, now)
    try:
        done = handshake(
            Presentation(chain).context("h2"), verifying_client(chain), chain.server_name
        )
        refusal = done.refusal
    except ssl.SSLError as error:
        # The server found nothing in common with it.
        refusal = str(error)
    accepted = refusal is None
    assert accepted == ((recipe.expect == "accept") != (recipe.name in PYTHON_DIFFERS)), (
        f"`severity: must` binds every client, and Python's ssl, which verifies, does otherwise "
        f"({refusal or 'it accepts'}): if ssl is right, say `should` or `info`; if not, say why in "
        f"PYTHON_DIFFERS in {Path(__file__).name}"
    )


# Sound but for one thing


def strict(name: str) -> list[str]:
    return ["-x509_strict", *purpose(), *matching(name)]


def purpose() -> list[str]:
    return ["-purpose", "sslserver"]


def matching(name: str) -> list[str]:
    return ["-verify_ip" if is_ip(name) else "-verify_hostname", name]


# What `openssl verify` refuses, as others that are sound do: of severity `info`.
OPENSSL_DIFFERS = {
    "any-purpose-intermediate": "it wants to see its own purpose",
    "any-purpose-leaf": "it wants to see its own purpose",
    "many-constraints": "it makes a million comparisons and no more",
}


@needs_openssl
@pytest.mark.parametrize("name", ACCEPTED)
def test_openssl_accepts_at_its_strictest_what_is_to_be_accepted(
    name: str, authorities: Authorities, now: datetime
) -> None:
    recipe = RECIPES[name]
    chain = forge(recipe, NAME, authorities, now)
    accepted = openssl_verifies(chain, *strict(recipe.dialled(NAME)))
    assert accepted == (name not in OPENSSL_DIFFERS), (
        f"to be accepted, yet not sound; if `info` says why, say it in OPENSSL_DIFFERS in "
        f"{Path(__file__).name}"
    )
    assert accepted or recipe.severity == "info"


# What `cryptography` refuses on top of RFC 5280.
CRYPTOGRAPHY_DIFFERS = {
    "critical-eku": "it holds leaves to BR 7.1.2.7.6, by which extKeyUsage is not critical",
    "any-purpose-leaf": "it wants to see the purpose of a server",
    "chain-of-100": "it follows eight intermediates",
    "many-constraints": "it has a limit to the comparisons that it makes",
    "negative-serial": "it holds CAs to RFC 5280 section 4.1.2.2",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_cryptography_accepts_what_is_to_be_accepted(
    name: str, authorities: Authorities, now: datetime
) -> None:
    recipe = RECIPES[name]
    chain = forge(recipe, NAME, authorities, now)
    accepted = cryptography_verifies(chain, recipe.dialled(NAME), now)
    assert accepted == (name not in CRYPTOGRAPHY_DIFFERS), (
        f"if the verifier of `cryptography` is too strict here, say why in CRYPTOGRAPHY_DIFFERS in "
        f"{Path(__file__).name}"
    )


OTHERS_KEY = [name for name in REJECTED if "other-key" in leaf_of(RECIPES[name]).breakages]

# For each certificate to be rejected: what a verifier overlooks that accepts it.
OVERLOOKED = {
    "the name": [*rejected("name"), "malformed-san"],
    "the time": rejected("time"),
    "the purpose": ["eku-client-auth", "eku-code-signing", "intermediate-eku"],
    "strength": ["rsa-512", "rsa-1024", "sha1-signature", "sha1-intermediate", "md5-signature"],
    "that a curve has no name": ["explicit-curve"],
    "critical extensions": ["unknown-critical-extension"],
    "who is trusted": [name for name in rejected("trust") if name not in OTHERS_KEY],
    "a signature": ["bad-signature", "zero-signature", "bad-signature-intermediate"],
    "what a CA may do": rejected("authority"),
    # It is not in the certificates, or OpenSSL does not see it.
    "nothing": [*rejected("protocol"), *OTHERS_KEY, "no-digital-signature", "must-staple"],
}
FLAWS = [(flaw, name) for flaw, names in OVERLOOKED.items() for name in names]


def test_each_flaw_has_a_verifier_that_overlooks_it() -> None:
    listed = [name for _, name in FLAWS]
    missing = sorted({*REJECTED} - {*listed})
    assert not missing, (
        f"add {missing} to OVERLOOKED in {Path(__file__).name}: what must a verifier overlook that "
        "accepts it? If nothing that openssl can be told to, then 'nothing'"
    )
    assert sorted(listed) == sorted(REJECTED)


@needs_openssl
@pytest.mark.parametrize(("flaw", "name"), FLAWS)
def test_a_verifier_that_overlooks_the_one_flaw_accepts(
    flaw: str, name: str, authorities: Authorities, now: datetime
) -> None:
    recipe = RECIPES[name]
    chain = forge(recipe, NAME, authorities, now)
    expected = matching(recipe.dialled(NAME))
    sent = [ssl.DER_cert_to_PEM_cert(c).encode() for c in chain.certificates]
    top = sent[-1]
    match flaw:
        case "the name":
            assert openssl_verifies(chain, "-x509_strict", *purpose())
        case "the time":
            then = now + timedelta(hours=8) if name == "not-yet-valid" else now - timedelta(days=3)
            moment = ["-attime", str(int(then.timestamp()))]
            assert openssl_verifies(chain, "-x509_strict", *purpose(), *expected, *moment)
        case "the purpose":
            assert openssl_verifies(chain, "-x509_strict", *expected)
        case "strength":
            assert openssl_verifies(
                chain, "-x509_strict", *purpose(), *expected, "-auth_level", "0"
            )
        case "critical extensions":
            assert openssl_verifies(chain, *strict(NAME), "-ignore_critical")
        case "who is trusted":
            attackers = authorities.attacker.pem
            trusted = attackers if name in ("attacker-ca", "genuine-appended") else top
            assert openssl_verifies(chain, *purpose(), *expected, "-partial_chain", anchor=trusted)
        case "a signature":
            # An anchor's own signature is not verified: trust what it is on.
            assert openssl_verifies(chain, *strict(NAME), "-partial_chain", anchor=top)
        case "that a curve has no name":
            assert signed_by_a_named_curve(chain)
        case "what a CA may do":
            assert signed_all_along(chain, authorities, recipe.dialled(NAME))
        case _:
            assert openssl_verifies(chain, *strict(NAME))


@needs_openssl
@pytest.mark.parametrize(
    ("flaw", "name"), [(f, n) for f, n in FLAWS if RECIPES[n].severity == "must" and f != "nothing"]
)
def test_a_verifier_that_overlooks_nothing_refuses(
    flaw: str, name: str, authorities: Authorities, now: datetime
) -> None:
    recipe = RECIPES[name]
    chain = forge(recipe, NAME, authorities, now)
    level = ["-auth_level", "1"]
    assert not openssl_verifies(chain, *strict(recipe.dialled(NAME)), *level)


def signed_by_a_named_curve(chain: Chain) -> bool:
    """Whether the leaf is signed by the key of the next, once openssl has found a name for it."""
    leaf, issuer = (der.split(certificate) for certificate in chain.certificates)
    info = der.element(0x30, der.public_key_info_of(chain.certificates[1]))
    command = ["openssl", "pkey", "-pubin", "-inform", "DER", "-ec_param_enc", "named_curve"]
    done = subprocess.run(command, input=info, capture_output=True, check=True, timeout=60)
    key = load_pem_public_key(done.stdout)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(leaf[2], leaf[0], ec.ECDSA(hashes.SHA256()))
    return issuer[0] != leaf[0] and key.curve.name == "secp256r1"


def signed_all_along(chain: Chain, authorities: Authorities, name: str) -> bool:
    """A verifier that looks at signatures, names of issuers, and that of the leaf."""
    path = [x509.load_der_x509_certificate(c) for c in chain.certificates]
    path.append(authorities.lab.certificate)
    for certificate, issuer in itertools.pairwise(path):
        certificate.verify_directly_issued_by(issuer)
    try:
        names = path[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        (common,) = path[0].subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return common.value == name
    if is_ip(name):
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    fitting = {name, f"*.{name.partition('.')[2]}"}
    return bool(fitting & {n.lower() for n in names.get_values_for_type(x509.DNSName)})


def test_what_is_served_oddly_has_nothing_wrong_with_its_certificates() -> None:
    for recipe in RECIPES.values():
        if recipe.tls != Tls() and recipe.name not in ("rsa-512", *OTHERS_KEY):
            # The twin of another certificate is that one, served oddly.
            twins = [n for n in ("attacker-ca", "wrong-host") if recipe.name.startswith(f"{n}-")]
            assert recipe.chain == RECIPES[(*twins, "genuine")[0]].chain


def test_the_proof_of_possession_in_tls_1_2_is_the_servers_half_of_the_key_exchange(
    authorities: Authorities, now: datetime
) -> None:
    # ServerKeyExchange (RFC 5246 section 7.4.3): in the clear, after Certificate.
    for name, refused in (("other-key-tls-1.2", True), ("tls-1.2", False)):
        chain = forge(RECIPES[name], NAME, authorities, now)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = verifying_client(chain).wrap_bio(to_client, to_server, server_hostname=NAME)
        server = Presentation(chain).context("h2").wrap_bio(to_server, to_client, server_side=True)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        flight = to_client.read()
        assert messages(flight)[:3] == [2, 11, 12]
        to_client.write(flight)
        with pytest.raises(ssl.SSLError, match="BAD_SIGNATURE" if refused else "did not complete"):
            client.do_handshake()


def messages(flight: bytes) -> list[int]:
    """The types of the handshake messages in a flight (RFC 5246 section 7.4)."""
    content = bytearray()
    while flight:
        length = int.from_bytes(flight[3:5], "big")
        content += flight[5 : 5 + length]
        flight = flight[5 + length :]
    types = []
    while content:
        types.append(content[0])
        del content[: 4 + int.from_bytes(content[1:4], "big")]
    return types
