"""What a ClientHello must not offer, or must: of OpenSSL, and of older libraries."""

import socket
import ssl
import struct
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from ssl import TLSVersion

import pytest

from mitm import audit
from mitm.audit import find_causes
from mitm.audit.conclusion import conclude
from mitm.audit.explanation import explain_failure
from mitm.audit.offer import OfferRule, judge_offers, load_offer_rule, offer_rules
from mitm.audit.reports import Source, as_json, as_junit, as_sarif
from mitm.errors import UserError
from mitm.evidence import Offer
from mitm.tls import read_client_hello
from tests.audit import hand_made
from tests.plugin import clients
from tests.programs import mitm_demo

NAME = "server.lab.mitm-demo.test"
RULES = {rule.name: rule for rule in offer_rules()}

# What a sound client offers, on the wire: TLS_AES_128_GCM_SHA256 and an ECDHE suite with AES-GCM.
SOUND = (0x1301, 0xC02F)

NULL, ANONYMOUS, RC4 = "offers-null", "offers-anonymous", "offers-rc4"
TRIPLE_DES, EXPORT, STATIC = "offers-3des", "offers-export", "offers-static-rsa"

# By the numbers of the registry (RFC 8447 section 8): what is wrong with a suite.
SUITES = {
    0x0001: {NULL, STATIC},  # TLS_RSA_WITH_NULL_MD5
    0x003B: {NULL, STATIC},  # TLS_RSA_WITH_NULL_SHA256
    0x002C: {NULL},  # TLS_PSK_WITH_NULL_SHA
    0xC006: {NULL},  # TLS_ECDHE_ECDSA_WITH_NULL_SHA
    0xC010: {NULL},  # TLS_ECDHE_RSA_WITH_NULL_SHA
    0xC00B: {NULL, STATIC},  # TLS_ECDH_RSA_WITH_NULL_SHA
    0xC015: {NULL, ANONYMOUS},  # TLS_ECDH_anon_WITH_NULL_SHA
    0xC0B4: {NULL},  # TLS_SHA256_SHA256
    0xC0B5: {NULL},  # TLS_SHA384_SHA384
    0x0034: {ANONYMOUS},  # TLS_DH_anon_WITH_AES_128_CBC_SHA
    0x006D: {ANONYMOUS},  # TLS_DH_anon_WITH_AES_256_CBC_SHA256
    0x00A6: {ANONYMOUS},  # TLS_DH_anon_WITH_AES_128_GCM_SHA256
    0xC018: {ANONYMOUS},  # TLS_ECDH_anon_WITH_AES_128_CBC_SHA
    0x0018: {ANONYMOUS, RC4},  # TLS_DH_anon_WITH_RC4_128_MD5
    0x001B: {ANONYMOUS, TRIPLE_DES},  # TLS_DH_anon_WITH_3DES_EDE_CBC_SHA
    0x0019: {ANONYMOUS, EXPORT},  # TLS_DH_anon_EXPORT_WITH_DES40_CBC_SHA
    0x001A: {ANONYMOUS, EXPORT},  # TLS_DH_anon_WITH_DES_CBC_SHA
    0x0004: {RC4, STATIC},  # TLS_RSA_WITH_RC4_128_MD5
    0x0005: {RC4, STATIC},  # TLS_RSA_WITH_RC4_128_SHA
    0x0003: {RC4, EXPORT, STATIC},  # TLS_RSA_EXPORT_WITH_RC4_40_MD5
    0x0066: {RC4},  # TLS_DHE_DSS_WITH_RC4_128_SHA
    0x008A: {RC4},  # TLS_PSK_WITH_RC4_128_SHA
    0xC007: {RC4},  # TLS_ECDHE_ECDSA_WITH_RC4_128_SHA
    0xC011: {RC4},  # TLS_ECDHE_RSA_WITH_RC4_128_SHA
    0x000A: {TRIPLE_DES, STATIC},  # TLS_RSA_WITH_3DES_EDE_CBC_SHA
    0x0016: {TRIPLE_DES},  # TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA
    0x008B: {TRIPLE_DES},  # TLS_PSK_WITH_3DES_EDE_CBC_SHA
    0xC008: {TRIPLE_DES},  # TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA
    0xC012: {TRIPLE_DES},  # TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA
    0x0006: {EXPORT, STATIC},  # TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5
    0x0008: {EXPORT, STATIC},  # TLS_RSA_EXPORT_WITH_DES40_CBC_SHA
    0x0009: {EXPORT, STATIC},  # TLS_RSA_WITH_DES_CBC_SHA
    0x0014: {EXPORT},  # TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA
    0x0015: {EXPORT},  # TLS_DHE_RSA_WITH_DES_CBC_SHA
    0x0062: {EXPORT, STATIC},  # TLS_RSA_EXPORT1024_WITH_DES_CBC_SHA
    0x002F: {STATIC},  # TLS_RSA_WITH_AES_128_CBC_SHA
    0x009D: {STATIC},  # TLS_RSA_WITH_AES_256_GCM_SHA384
    0x0031: {STATIC},  # TLS_DH_RSA_WITH_AES_128_CBC_SHA
    0xC004: {STATIC},  # TLS_ECDH_ECDSA_WITH_AES_128_CBC_SHA
    0xC00E: {STATIC},  # TLS_ECDH_RSA_WITH_AES_128_CBC_SHA
}


def offer(
    suites: tuple[int, ...] = SOUND,
    versions: tuple[int, ...] = (0x0304, 0x0303),
    name: str | None = NAME,
    alpn: tuple[str, ...] = ("h2",),
    protocol: str = "HTTP/2",
) -> Offer:
    """What is read of a ClientHello that is put together here (RFC 8446 section 4.1.2)."""
    extensions = b""
    if name is not None:
        entry = b"\0" + _vector(2, name.encode())
        extensions += struct.pack(">H", 0) + _vector(2, _vector(2, entry))
    if alpn:
        protocols = b"".join(_vector(1, each.encode()) for each in alpn)
        extensions += struct.pack(">H", 16) + _vector(2, _vector(2, protocols))
    if 0x0304 in versions:
        offered = b"".join(struct.pack(">H", each) for each in versions)
        extensions += struct.pack(">H", 43) + _vector(2, _vector(1, offered))
    legacy = min(max(versions), 0x0303)
    body = struct.pack(">H", legacy) + bytes(32) + b"\0"
    body += _vector(2, b"".join(struct.pack(">H", each) for each in suites)) + b"\1\0"
    handshake = b"\1" + _vector(3, body + _vector(2, extensions))
    return read(b"\x16\3\1" + _vector(2, handshake), protocol)


def _vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def read(data: bytes, protocol: str = "HTTP/2") -> Offer:
    hello = read_client_hello(data)
    assert hello is not None
    return Offer(hello.server_name, hello.alpn, hello.versions, hello.cipher_suites, protocol)


def of_openssl(context: ssl.SSLContext) -> Offer:
    """What Python's ssl really offers."""
    context.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return read(outgoing.read())


def broken(*offers: Offer, name: str = NAME) -> set[str]:
    """The rules that a client breaks which has offered this."""
    return {n for n, rule in RULES.items() if judge_offers(rule, offers, name)[0] is False}


# What a client breaks that leaves everything to its Python. Debian builds it with OpenSSL's own
# list of suites and versions (--with-ssl-default-suites): static RSA, and up to Debian 12 TLS 1.0.
DEFAULT = ssl.create_default_context()
BY_DEFAULT = {
    name
    for name, offered in {
        "offers-static-rsa": any(each["kea"] == "kx-rsa" for each in DEFAULT.get_ciphers()),
        "offers-old-tls": {"TLSv1", "TLSv1.1"} & {*of_openssl(DEFAULT).versions},
    }.items()
    if offered
}


def test_a_sound_client_breaks_no_rule() -> None:
    assert broken(offer()) == set()
    assert broken(of_openssl(ssl.create_default_context())) == BY_DEFAULT


@pytest.mark.parametrize("suite", SUITES, ids=hex)
def test_a_suite_that_must_not_be_offered_is_found_among_others(suite: int) -> None:
    offered = offer((*SOUND, suite))
    assert broken(offered) == SUITES[suite]
    for rule in SUITES[suite]:
        _, reason = judge_offers(RULES[rule], [offered], NAME)
        # By its name, though OpenSSL may have none for it any more.
        assert reason == f"offers {offered.cipher_suites[-1]}"
        assert "0x" not in reason


@pytest.mark.parametrize("suite", [0xC009, 0xC013, 0xC02B, 0xCCA8, 0x009E, 0x0033, 0x1302, 0x1303])
def test_a_suite_with_encryption_a_certificate_and_a_key_of_its_own_is_none_of_them(
    suite: int,
) -> None:
    assert broken(offer((suite,))) == set()


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302])
def test_an_old_version_on_offer_is_found(version: int) -> None:
    assert broken(offer(versions=(0x0304, 0x0303, version))) == {"offers-old-tls"}
    assert broken(offer(versions=(version,))) == {"offers-old-tls"}


def test_what_openssl_offers_under_a_policy_of_old_is_found() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = TLSVersion.TLSv1
    assert broken(of_openssl(context)) >= {
        "offers-old-tls",
        "offers-null",
        "offers-anonymous",
        "offers-static-rsa",
    }


def test_a_client_that_offers_nothing_with_forward_secrecy_is_found() -> None:
    static, signal = 0x009C, 0x00FF
    assert "no-forward-secrecy" in broken(offer((static, signal), versions=(0x0303,)))
    assert "no-forward-secrecy" not in broken(offer((static, 0xC02F), versions=(0x0303,)))
    # Nobody knows what it is: that is no proof.
    assert "no-forward-secrecy" not in broken(offer((static, 0xFE42), versions=(0x0303,)))


def test_a_name_that_is_not_told_is_found_where_it_could_be() -> None:
    assert broken(offer(name=None)) == {"no-sni"}
    for name in ("localhost", "127.0.0.1", "::1"):
        kept, reason = judge_offers(RULES["no-sni"], [offer(name=None)], name)
        assert kept is None
        assert name in reason
        # An address has dots enough.
        assert ("try a name" if name != "localhost" else "with a dot in it") in reason


def test_http_2_that_was_not_offered_is_found_and_what_speaks_none_need_not_offer_it() -> None:
    assert broken(offer(alpn=())) == {"no-h2"}
    assert broken(offer(alpn=("grpc-exp", "http/1.1"))) == {"no-h2"}
    assert broken(offer(alpn=("http/1.1", "h2"))) == set()
    for protocol in ("HTTP/1.1", "bytes"):
        assert broken(offer(alpn=(), protocol=protocol)) == set()
    assert judge_offers(RULES["no-h2"], [offer(protocol="HTTP/1.1")], NAME)[0] is None


def test_each_connection_is_looked_at() -> None:
    assert broken(offer(), offer((*SOUND, 0x0005))) == {"offers-rc4", "offers-static-rsa"}
    assert broken(offer(), offer(alpn=(), protocol="HTTP/1.1")) == set()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_client_without_tls_keeps_and_breaks_none(rule: OfferRule) -> None:
    assert judge_offers(rule, [], NAME) == (None, "it speaks no TLS")


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_is_whole_and_fails_no_build_by_itself(rule: OfferRule) -> None:
    assert rule.title
    assert rule.fix
    assert rule.rule
    assert rule.cwe
    assert rule.lesson.count("\n\n") >= 2
    assert rule.severity != "must"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("offered: {suites: '('}", "offered.suites: no regular expression"),
        ("offered: {suits: x}", "offered: "),
        ("missing: {alpn: h3}", "missing.alpn: "),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_key(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "mine.md"
    path.write_text(
        f"---\ntitle: t\nseverity: info\nrule: r\nfix: f\ncwe: [327]\n{line}\n---\n\nLesson.\n"
    )
    with pytest.raises(UserError) as error:
        load_offer_rule(str(path))
    assert said in str(error.value)


# What real clients offer


def ask(server: audit.Endpoint, context: ssl.SSLContext, *, name: str | None = NAME) -> None:
    """Make a request over HTTP/1.1, for the name that the certificate is for."""
    with (
        socket.create_connection((server.host, server.port), clients.LIMIT) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(clients.REQUEST)
        connection.recv(1000)


def sound(server: audit.Endpoint) -> None:
    ask(server, ssl.create_default_context(cafile=server.ca_file), name=server.name)


def with_a_policy_of_old(server: audit.Endpoint) -> None:
    """It verifies, but would take whatever a server of 2005 has."""
    context = ssl.create_default_context(cafile=server.ca_file)
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = TLSVersion.TLSv1
    ask(server, context, name=server.name)


def without_a_name(server: audit.Endpoint) -> None:
    """It asks for no name, and then looks for one in the certificate by itself."""
    context = ssl.create_default_context(cafile=server.ca_file)
    context.check_hostname = False
    with (
        socket.create_connection((server.host, server.port), clients.LIMIT) as plain,
        context.wrap_socket(plain) as connection,
    ):
        names = (connection.getpeercert() or {}).get("subjectAltName", ())
        if ("DNS", server.name) in names:
            connection.sendall(clients.REQUEST)
            connection.recv(1000)


def http_2_by_prior_knowledge(server: audit.Endpoint) -> None:
    """gRPC by hand, over TLS that was not told of it."""
    context = ssl.create_default_context(cafile=server.ca_file)
    with (
        socket.create_connection((server.host, server.port), clients.LIMIT) as plain,
        context.wrap_socket(plain, server_hostname=server.name) as connection,
    ):
        connection.sendall(hand_made.OPENING + hand_made.call())
        connection.recv(1000)


def outcomes(client: audit.ClientUnderTest, name: str = NAME) -> dict[str, str]:
    report = audit.run(client, only=list(RULES), name=name)
    assert report.conclusive
    assert not report.failing()
    return {finding.case.name: finding.outcome for finding in report.findings}


def test_what_a_sound_client_offers_is_as_it_should_be() -> None:
    as_it_should = dict.fromkeys(RULES, "pass")
    by_python = as_it_should | dict.fromkeys(BY_DEFAULT, "vulnerable")
    assert outcomes(sound) == by_python | {"no-h2": "not-exercised"}
    # grpcio, whose BoringSSL has a list of its own.
    assert outcomes(clients.calls, "localhost") == as_it_should | {"no-sni": "not-exercised"}


@pytest.mark.parametrize(
    ("client", "found"),
    [
        (
            with_a_policy_of_old,
            {"offers-old-tls", "offers-null", "offers-anonymous", "offers-static-rsa"},
        ),
        (without_a_name, {"no-sni"}),
        (http_2_by_prior_knowledge, {"no-h2"}),
    ],
)
def test_what_a_client_must_not_offer_is_found(
    client: Callable[[audit.Endpoint], object], found: set[str]
) -> None:
    told = outcomes(client)
    assert {name for name, outcome in told.items() if outcome == "vulnerable"} == found | BY_DEFAULT


def test_a_client_without_tls_offers_nothing() -> None:
    def plaintext(server: audit.Endpoint) -> None:
        with socket.create_connection((server.host, server.port), clients.LIMIT) as plain:
            plain.sendall(clients.REQUEST)
            plain.recv(1000)

    assert set(outcomes(plaintext).values()) == {"not-exercised"}


def test_a_finding_about_an_offer_is_told_as_any_other() -> None:
    report = audit.run(with_a_policy_of_old, only=["offers-old-tls", "offers-null"], name=NAME)
    assert [cause.name for cause in find_causes(report)] == ["offer", "offer"]
    assert {cause.fix for cause in find_causes(report)} == {
        RULES["offers-old-tls"].fix,
        RULES["offers-null"].fix,
    }
    assert len(report.failing(strict=True)) == 2
    text = explain_failure(report, strict=True)
    assert "offers TLSv1.1, TLSv1" in text
    assert "mitm-demo show offers-null" in text
    conclusion = conclude(report, strict=True)
    assert conclusion.exit_code == 1
    for told in (
        as_json(report, conclusion),
        as_junit(report, conclusion),
        as_sarif(report, conclusion, Source("client"), strict=True),
    ):
        assert "offers-null" in told


def test_the_lesson_is_shown() -> None:
    done = mitm_demo("show", "offers-rc4")
    assert done.code == 0
    assert "RFC 7465" in done.out
    assert "offers-rc4" in mitm_demo("list", "offers").out


def test_the_table_says_what_was_offered() -> None:
    client = (
        "import socket, ssl, sys\n"
        "context = ssl.create_default_context(cafile=sys.argv[3])\n"
        "context.set_ciphers('ALL:@SECLEVEL=0')\n"
        "with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as plain:\n"
        "    with context.wrap_socket(plain, server_hostname=sys.argv[1]) as connection:\n"
        "        connection.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
        "        connection.recv(100)\n"
    )
    only = ("audit", "--only", "offers-anonymous,offers-null", "--")
    done = mitm_demo(*only, sys.executable, "-c", client, "{host}", "{port}", "{ca}")
    assert done.code == 0, done.out
    said = " ".join(done.out.split())
    assert "offers-anonymous (should) offers ADH-" in said or "offers AECDH-" in said
    assert "Passed (1) offers-null" in said
