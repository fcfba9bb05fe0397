"""The audit finds exactly the holes that a client has.

What it should find is worked out here, from two things that know nothing of the audit: the checks
of which each would keep a client from accepting a certificate, read from the recipe; and the checks
that a client makes, from what its code and its library do. A client accepts what no check of its is
against.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
from msgspec import structs

from mitm import audit
from mitm.audit.cause import CauseName, find_causes
from mitm.pki import Recipe, load_recipe
from mitm.pki.names import fill
from mitm.pki.recipe import Link, NameConstraints, offset
from tests.audit import mutants

# Attacks in several steps are played elsewhere. With this one, who makes several connections is not
# told that a certificate has met one of them alone.
AT_POSITION = "at-position"

RECIPES = [entry for entry in audit.catalogue() if isinstance(entry, Recipe)]

NAME = "server.lab.mitm-demo.test"
ADDRESS = "127.0.0.1"

# What a TLS library does in every handshake, unless it is told otherwise: see that the server holds
# the leaf's key, and refuse what it has not offered.
HANDSHAKE = frozenset({"possession", "version", "anonymous", "null cipher", "plaintext"})

PATH = frozenset(
    {
        "trust",
        "validity",
        "validity of the root",
        "basic constraints",
        "CA",
        "certificate signing",
        "path length",
        "name constraints",
        "purpose",
        "purpose of a CA",
        "critical extensions",
    }
)

# At security level 2, the default of OpenSSL 3 and of Python.
STRENGTH = frozenset({"key size", "SHA-1", "MD5"})

# What a wildcard could stand for is held against the names that a CA must not sign for. OpenSSL
# does not do so: openssl/openssl issue 30706.
WILDCARDS = frozenset({"wildcards in name constraints"})

# What is told to take the common name for a name holds it to the constraints.
COMMON_NAME = frozenset({"constraints of the common name"})

OPENSSL = HANDSHAKE | PATH | STRENGTH | {"named curves"}
ALPN = frozenset({"ALPN"})

# BoringSSL asks for digitalSignature when a leaf signs a handshake. It does not mind SHA-1 below a
# root of one's own, nor short RSA keys.
GRPCIO = (OPENSSL | ALPN | WILDCARDS | COMMON_NAME | {"key usage"}) - {"key size", "SHA-1"}


FOR_SERVERS = {"server_auth", "any_extended_key_usage"}


def checks_against(recipe: Recipe) -> frozenset[str]:
    """The checks that would each keep a client from accepting a certificate, but for its name."""
    links = path_of(recipe)
    leaf, *authorities = links
    checks = {"pin"}
    if recipe.tls.plaintext:
        checks.add("plaintext")
    if recipe.tls.alpn:
        checks.add("ALPN")
    ciphers = (recipe.tls.ciphers or "").split(":")
    if "aNULL" in ciphers:
        checks.add("anonymous")
    if "eNULL" in ciphers:
        checks.add("null cipher")
    if recipe.tls.maximum in ("TLSv1", "TLSv1.1"):
        checks.add("version")
    if "other-key" in leaf.breakages:
        checks.add("possession")
    if not _leads_to_what_is_trusted(recipe):
        checks.add("trust")
    for link in links:
        if offset(link.not_before).total_seconds() > 0 or (link.not_after or "+")[0] == "-":
            checks.add("validity of the root" if link.trusted else "validity")
        if link.key in ("rsa-512", "rsa-1024"):
            checks.add("key size")
        # A root's own signature is nobody's concern.
        if link.hash in ("sha1", "md5") and not link.trusted:
            checks.add({"sha1": "SHA-1", "md5": "MD5"}[link.hash])
        if any(raw.critical for raw in link.extensions):
            checks.add("critical extensions")
        # id-pe-tlsfeature, RFC 7633: a response by OCSP must come with it.
        if any(raw.oid == "1.3.6.1.5.5.7.1.24" for raw in link.extensions):
            checks.add("revocation")
    if leaf.extended_key_usage and not FOR_SERVERS & set(leaf.extended_key_usage):
        checks.add("purpose")
    if leaf.key_usage is not None and "digital_signature" not in leaf.key_usage:
        checks.add("key usage")
    for depth, link in enumerate(authorities):
        if link.basic_constraints == "absent":
            # With the key usage of a CA it may have been meant for one.
            checks |= {"basic constraints", *(["CA"] if link.key_usage == () else [])}
        elif link.version == 1 or (link.basic_constraints and not link.basic_constraints.ca):
            checks.add("CA")
        elif link.basic_constraints:
            limit = link.basic_constraints.path_length
            # As many CAs stand between this one and the leaf as its place says.
            checks |= {"path length"} if limit is not None and limit < depth else set()
        if link.key_usage and "key_cert_sign" not in link.key_usage:
            checks.add("certificate signing")
        if link.extended_key_usage and not FOR_SERVERS & set(link.extended_key_usage):
            checks.add("purpose of a CA")
        if link.key == "ec-p256-explicit":
            checks.add("named curves")
        if isinstance(constraints := link.name_constraints, NameConstraints):
            checks |= constraining(constraints, names_of(recipe))
    return frozenset(checks)


def constraining(constraints: NameConstraints, names: "Names") -> set[str]:
    """The checks of name constraints that a leaf does not pass (RFC 5280 section 4.2.1.10)."""
    permitted, excluded = (
        [fill(text, names.expected).lower() for text in texts]
        for texts in (constraints.permitted, constraints.excluded)
    )
    # Without alternative names, those who take the common name for one have to constrain that.
    alone = not names.dns and not names.ip
    check = "constraints of the common name" if alone else "name constraints"
    given = [f"DNS:{n.lower()}" for n in ((names.common,) if alone else names.dns or ())]
    given += [f"IP:{address}" for address in names.ip or ()]
    failed = set[str]()
    for name in given:
        kind = name.partition(":")[0]
        of_kind = [tree for tree in permitted if tree.partition(":")[0] == kind.lower()]
        if of_kind and not any(within(name, tree) for tree in of_kind):
            failed.add(check)
        if any(within(name, tree) for tree in excluded):
            failed.add(check)
        if name.startswith("DNS:*.") and any(
            within(tree, f"dns:{name[6:]}") for tree in excluded if tree.startswith("dns:")
        ):
            failed |= WILDCARDS
    return failed


def within(name: str, tree: str) -> bool:
    """Whether a name lies within a subtree; both with their kinds."""
    (kind, _, value), (other, _, top) = name.lower().partition(":"), tree.partition(":")
    if kind != other:
        return False
    if kind == "ip":
        return ipaddress.ip_address(value) in ipaddress.ip_network(top)
    return f".{value}".endswith(f".{top}")


def path_of(recipe: Recipe) -> list[Link]:
    """The links from the leaf upwards, of those with one key the one that leads to a trusted CA."""
    path: list[Link] = []
    at = 0
    while at < len(recipe.chain):
        link = recipe.chain[at]
        if not isinstance(link, Link) or link in path:
            break
        path.append(link)
        if link.trusted:
            break
        if isinstance(link.signed_by, str) and link.signed_by != "next":
            break
        at = link.signed_by if isinstance(link.signed_by, int) else at + 1
        other = recipe.chain[at] if at < len(recipe.chain) else None
        if isinstance(other, Link) and isinstance(other.same_key_as, int):
            at = other.same_key_as
    return path


def _leads_to_what_is_trusted(recipe: Recipe) -> bool:
    """Whether sound signatures lead from the leaf to the CA that the client trusts."""
    path = path_of(recipe)
    if any(
        {"bad-signature", "zero-signature", "replaced-key"} & {*link.breakages} for link in path
    ):
        return False
    if any(link.send is False for link in path[1:]):
        return False
    last, end = path[-1], recipe.chain[-1]
    if last.trusted or last.signed_by in ("lab", "attacker", "system", "self"):
        return bool(last.trusted) or last.signed_by == "lab"
    return not isinstance(end, Link) and end.authority == "lab"


class Names(NamedTuple):
    """The names in a leaf, for the name under test.

    Attributes:
        common: the first relative name of the subject.
        dns, ip: None if the extension cannot be read, empty if there is none.
    """

    expected: str
    common: str
    dns: tuple[str, ...] | None
    ip: tuple[str, ...] | None


def names_of(recipe: Recipe) -> Names:
    leaf = recipe.chain[0]
    assert isinstance(leaf, Link)
    expected = recipe.dialled(NAME) if recipe.dial == "name" else ADDRESS
    subject = "CN={name}" if leaf.subject is None else leaf.subject
    # RFC 4514 writes a NUL byte as `\00`.
    common = fill(subject.split(",")[0].removeprefix("CN="), expected).replace("\\00", "\0")
    if any(raw.oid == "2.5.29.17" for raw in leaf.extensions):
        return Names(expected, common, None, None)
    san = ("DNS:{name}",) if leaf.san is None else leaf.san
    filled = [fill(text, expected).partition(":") for text in san]
    dns, ip = (tuple(v for kind, _, v in filled if kind == k) for k in ("DNS", "IP"))
    return Names(expected, common, dns, ip)


# Ways to compare the name that is expected with those in the leaf.
Comparison = Callable[[Names], bool]


def rfc_9525(names: Names) -> bool:
    """The right one. A `*` stands for the leftmost label, and a name has a dot left without it."""
    if names.expected == ADDRESS:
        return ADDRESS in (names.ip or ())
    rest = names.expected.partition(".")[2]
    return bool({names.expected, f"*.{rest}"} & {n.lower() for n in names.dns or ()})


def none_at_all(names: Names) -> bool:
    return True


def common_name(names: Names) -> bool:
    return names.common == names.expected


def or_common_name(names: Names) -> bool:
    return rfc_9525(names) or (not names.dns and not names.ip and common_name(names))


def substring(names: Names) -> bool:
    return any(names.expected in n for n in names.dns or ())


def c_string(names: Names) -> bool:
    return names.expected in [n.partition("\0")[0] for n in names.dns or ()]


def shell_wildcards(names: Names) -> bool:
    patterns = [re.escape(n).replace(r"\*", ".*") for n in names.dns or ()]
    return any(re.fullmatch(pattern, names.expected) for pattern in patterns)


def grpcio(names: Names) -> bool:
    """gRPC's C core, in `HostNameCertificateVerifier` and `VerifySubjectAlternativeName`.

    It compares C strings; without their last dot; addresses with DNS names as well; and the common
    name if the leaf has no DNS names. What cannot be read makes the handshake fail.
    """
    if names.dns is None:
        return False
    given = names.dns or (() if names.ip else (names.common,))
    read = tuple(n.partition("\0")[0].removesuffix(".") for n in given)
    rest = names.expected.partition(".")[2]
    return rfc_9525(names) or bool({names.expected, f"*.{rest}"} & set(read))


# What is sound, and OpenSSL refuses by right: it wants to see its own purpose, and makes a million
# comparisons and no more.
OPENSSL_REFUSES = frozenset({"any-purpose-intermediate", "any-purpose-leaf", "many-constraints"})
NOTHING = frozenset[str]()


class Expected(NamedTuple):
    """What a client does.

    Attributes:
        checks: those that it makes, besides the name.
        compares: how it compares names.
        refuses_sound: sound certificates that it rejects; None for clients whose hole makes them
            too strict as well, which is not what is looked at here.
    """

    checks: frozenset[str]
    compares: Comparison = rfc_9525
    refuses_sound: frozenset[str] | None = OPENSSL_REFUSES


# grpcio offers no Ed25519 signatures, and of two intermediates it takes the first.
GRPCIO_REFUSES = frozenset({"ed25519-leaf", "two-intermediates"})

# `cryptography` holds to the profile of the CA/Browser Forum (7.1.2.7.10), where the extended key
# usage is not critical. It leaves the size of a leaf's key to its caller.
CABF = frozenset({"critical-eku", "any-purpose-leaf"})
# It follows eight intermediates, counts comparisons, and knows no negative numbers.
LIMITS = frozenset({"chain-of-100", "many-constraints", "negative-serial"})
CRYPTOGRAPHY = (OPENSSL | ALPN | WILDCARDS) - {"key size"}

CLIENTS: dict[Callable[[audit.Endpoint], None], Expected] = {
    mutants.ssl_correct: Expected(OPENSSL | ALPN),
    mutants.ssl_as_documented: Expected(OPENSSL | COMMON_NAME, or_common_name),
    mutants.ssl_unverified: Expected(HANDSHAKE | ALPN, none_at_all, NOTHING),
    mutants.ssl_any_name: Expected(OPENSSL | ALPN, none_at_all),
    mutants.ssl_any_time: Expected((OPENSSL | ALPN) - {"validity", "validity of the root"}),
    mutants.ssl_any_ca: Expected(HANDSHAKE | ALPN, refuses_sound=NOTHING),
    # The leaf itself is trusted, but OpenSSL goes on to check the CAs that were sent with it. Not
    # checked are: who signed the topmost of them, and with which hash (SHA-1 here signs a leaf that
    # came alone); whether that one has basic constraints, because an anchor need not; the root,
    # which was not sent.
    mutants.ssl_first_use: Expected(
        (OPENSSL | ALPN) - {"trust", "SHA-1", "basic constraints", "validity of the root"}
    ),
    mutants.ssl_anything_old: Expected(
        (OPENSSL | ALPN) - STRENGTH - {"version", "anonymous", "null cipher"}
    ),
    # What they report of themselves is not what they do.
    mutants.ssl_too_late: Expected(OPENSSL, none_at_all),
    mutants.ssl_silent: Expected(OPENSSL | ALPN),
    mutants.ssl_or_plaintext: Expected(NOTHING, none_at_all, NOTHING),
    mutants.ssl_common_name: Expected(OPENSSL | ALPN, common_name, None),
    mutants.ssl_substring: Expected(OPENSSL | ALPN, substring, None),
    mutants.ssl_c_string: Expected(OPENSSL | ALPN, c_string, None),
    mutants.ssl_shell_wildcards: Expected(OPENSSL | ALPN, shell_wildcards, None),
    # `cryptography` verifies no signature over SHA-1 or MD5 in a certificate.
    mutants.signatures_only: Expected(
        HANDSHAKE | ALPN | {"trust", "validity", "validity of the root", "SHA-1", "MD5"},
        # It takes the first issuer that fits, and does not come back to another.
        refuses_sound=frozenset({"two-intermediates", "cross-signed-cycle"}),
    ),
    mutants.cryptography_correct: Expected(CRYPTOGRAPHY, refuses_sound=CABF | LIMITS),
    mutants.cryptography_any_purpose: Expected(
        CRYPTOGRAPHY - {"purpose", "purpose of a CA"}, refuses_sound=LIMITS
    ),
    # grpclib leaves it to its user to look at the protocol that was chosen.
    mutants.grpclib_correct: Expected(OPENSSL),
    mutants.grpclib_unverified: Expected(HANDSHAKE, none_at_all, NOTHING),
    mutants.grpcio_correct: Expected(GRPCIO, grpcio, GRPCIO_REFUSES | OPENSSL_REFUSES),
    mutants.grpcio_pinned: Expected(frozenset({"pin"}), refuses_sound=None),
    # The leaf itself is trusted, and BoringSSL checks the extensions of untrusted ones only. Times,
    # name constraints and the signatures below the topmost CA it checks in all that was sent.
    mutants.grpcio_first_use: Expected(
        (GRPCIO - PATH) | {"validity", "name constraints"},
        grpcio,
        GRPCIO_REFUSES | {"many-constraints"},
    ),
}

# Why they accept what every client must reject, in the words of their holes.
CAUSES: dict[Callable[[audit.Endpoint], None], set[CauseName]] = {
    mutants.ssl_unverified: {"no-verification"},
    mutants.ssl_any_name: {"no-name-check"},
    mutants.ssl_any_time: {"no-dates"},
    mutants.ssl_any_ca: {"any-issuer", "no-dates"},
    mutants.ssl_first_use: {"any-issuer"},
    mutants.ssl_anything_old: {"weak-cryptography", "old-protocol"},
    mutants.ssl_too_late: {"no-name-check"},
    mutants.ssl_or_plaintext: {"plaintext-fallback"},
    mutants.ssl_common_name: {"lenient-names"},
    mutants.ssl_substring: {"lenient-names"},
    mutants.ssl_c_string: {"lenient-names"},
    mutants.ssl_shell_wildcards: {"lenient-names"},
    mutants.signatures_only: {"ca-limits", "purpose", "not-understood", "weak-cryptography"},
    mutants.cryptography_any_purpose: {"purpose"},
    mutants.grpclib_unverified: {"no-verification"},
    # The names in these tests are all overridden ones.
    mutants.grpcio_correct: {"lenient-names"},
    mutants.grpcio_first_use: {"any-issuer", "lenient-names"},
}


@pytest.fixture(scope="module")
def suite() -> audit.Suite:
    """The whole catalogue, for a name of so many labels that every certificate can be made."""
    entries = audit.catalogue()
    played = [each for each in entries if isinstance(each, Recipe) or each.name == AT_POSITION]
    return audit.forge_suite(played, NAME)


def accepted(expected: Expected, recipe: Recipe) -> bool:
    """Whether nothing keeps a client from accepting a certificate."""
    return not expected.checks & checks_against(recipe) and (
        "pin" in expected.checks or expected.compares(names_of(recipe))
    )


def _name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("client", CLIENTS, ids=_name)
def test_the_audit_finds_exactly_the_holes_that_a_client_has(
    suite: audit.Suite, client: Callable[[audit.Endpoint], None]
) -> None:
    expected = CLIENTS[client]
    with audit.Auditor() as auditor:
        report = auditor.audit(suite, client, timeout=2 * mutants.SECONDS)
    assert report.conclusive, report.controls
    findings = tuple(f for f in report.findings if f.case.name != AT_POSITION)
    report = structs.replace(report, findings=findings)
    tried = [f for f in report.findings if f.outcome not in ("unsupported", "not-exercised")]
    assert {f.outcome for f in tried} <= {"pass", "vulnerable", "too-strict"}, report.findings
    assert {f.case.name for f in tried if f.outcome == "vulnerable"} == {
        f.case.name
        for f in tried
        if f.case.expect == "reject" and accepted(expected, load_recipe(f.case.name))
    }
    causes = find_causes(report)
    assert {c.name for c in causes if c.severity == "must"} == CAUSES.get(client, set())
    # Each is told once, and none is left out.
    told = [finding.case.name for cause in causes for finding in cause.findings]
    assert sorted(told) == sorted(f.case.name for f in tried if f.outcome == "vulnerable")
    if expected.refuses_sound is not None:
        too_strict = {f.case.name for f in tried if f.outcome == "too-strict"}
        assert too_strict == expected.refuses_sound


def test_only_what_openssl_cannot_serve_is_left_out(suite: audit.Suite) -> None:
    for case in suite.cases:
        if case.name == AT_POSITION:
            continue
        recipe = load_recipe(case.name)
        assert not case.unsupported or recipe.tls.maximum or "rsa-512" in case.name, case


# That the rules above are those of the catalogue. They say nothing of the audit.


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: str(recipe.name))
def test_a_certificate_to_be_rejected_has_something_against_it_and_a_sound_one_nothing(
    recipe: Recipe,
) -> None:
    against = checks_against(recipe) - {"pin"}
    flawed = bool(against) or not rfc_9525(names_of(recipe))
    assert flawed == (recipe.expect == "reject"), against


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: str(recipe.name))
def test_every_certificate_to_be_rejected_tells_some_client_from_some_other(
    recipe: Recipe,
) -> None:
    if recipe.expect == "reject":
        verdicts = {accepted(expected, recipe) for expected in CLIENTS.values()}
        assert verdicts == {True, False}
