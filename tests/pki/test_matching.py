"""Each certificate for a wrong name deceives who has just its flaw, and nobody else.

That is so for names of any length, or the certificate is unsupported for that name.
"""

import fnmatch
import ipaddress
import unicodedata
from collections.abc import Callable
from datetime import datetime
from functools import cache

import pytest
from cryptography.x509.oid import NameOID

from mitm.address import is_ip
from mitm.pki import Authorities, Unsupported, der, forge, load_recipe
from mitm.pki.own import parsed
from tests.pki.test_catalogue import RECIPES, rejected

HOSTS = [
    "localhost",
    "db",
    "x",
    "api.test",
    "a.test",
    "api.lab.test",
    "a.b.test",
    "server.lab.mitm-demo.test",
    "one.two.three.four.test",
    "one.two.three.four.five.test",
    "xn--bcher-kva.test",
    "xn--bcher-kva.lab.test",
    "shop.xn--bcher-kva.lab.test",
    "x1.a.b.c.d.test",
    "UPPER.Lab.test",
    # By these names others are called in the recipes.
    "wrong.example",
    "attacker.example",
    "a.permitted.example",
]
ADDRESSES = ["127.0.0.1", "127.1.2.3", "192.0.2.1", "192.0.2.77", "::1"]


class Given:
    """The names in a leaf, as they stand there."""

    def __init__(self, certificate: bytes) -> None:
        leaf = parsed(certificate)
        assert leaf is not None
        self.common = [
            str(attribute.value)
            for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
        self.subject = ", ".join(f"{a.rfc4514_attribute_name}={a.value!s}" for a in leaf.subject)
        self.kinds: dict[int, list[bytes]] = {}
        # Byte by byte: a library refuses what is not in ASCII.
        tbs, _, _ = der.split(certificate)
        marker = bytes.fromhex("0603551d11")
        if marker in tbs:
            rest = tbs[tbs.index(marker) + len(marker) :]
            tag, octets, _ = next(iter(der.elements(rest)))
            if tag == 0x01:
                _, (tag, octets, _), *_ = der.elements(rest)
            ((_, names, _),) = der.elements(octets)
            for tag, value, _ in der.elements(names):
                self.kinds.setdefault(tag, []).append(value)

    @property
    def dns(self) -> list[str]:
        return [value.decode("utf-8") for value in self.kinds.get(0x82, [])]

    @property
    def addresses(self) -> list[bytes]:
        return self.kinds.get(0x87, [])


def right(given: Given, host: str) -> bool:
    """RFC 9525 section 6: whole labels, one star for the left-most, addresses by their octets."""
    if is_ip(host):
        return ipaddress.ip_address(host).packed in given.addresses
    labels = host.lower().split(".")
    for name in given.dns:
        first, *others = name.lower().split(".")
        if [first, *others] == labels:
            return True
        if first == "*" and others and others == labels[1:]:
            return True
    return False


# Each with one flaw.
Matcher = Callable[[Given, str], bool]


def any_name(given: Given, host: str) -> bool:
    return True


def stars_anywhere(given: Given, host: str) -> bool:
    """Label by label, as many as there are, and a star is good for any."""
    labels = host.lower().split(".")
    return any(
        len(labels) == len(name.split("."))
        and all(p in ("*", label) for p, label in zip(name.lower().split("."), labels, strict=True))
        for name in given.dns
    )


def shell(given: Given, host: str) -> bool:
    return any(fnmatch.fnmatchcase(host.lower(), name.lower()) for name in given.dns)


def decoded_first(given: Given, host: str) -> bool:
    """Reads what stands behind `xn--` before it looks for stars."""

    def decode(label: str) -> str:
        if not label.startswith("xn--"):
            return label
        try:
            return label[4:].encode().decode("punycode")
        except UnicodeError:
            return label

    names = [".".join(map(decode, name.lower().split("."))) for name in given.dns]
    readings = (host.lower(), ".".join(map(decode, host.lower().split("."))))
    return any(fnmatch.fnmatchcase(reading, name) for reading in readings for name in names)


def within_a_label(given: Given, host: str) -> bool:
    first, _, rest = host.lower().partition(".")
    return any(
        name.lower().partition(".")[2] == rest
        and fnmatch.fnmatchcase(first, name.lower().partition(".")[0])
        for name in given.dns
    )


def without_the_star(given: Given, host: str) -> bool:
    names = [name.lower().removeprefix("*.") for name in given.dns]
    return any(f".{host.lower()}".endswith(f".{name}") for name in names)


def host_ends_so(given: Given, host: str) -> bool:
    return any(host.lower().endswith(name.lower()) for name in given.dns)


def ends_so(given: Given, host: str) -> bool:
    return any(name.lower().endswith(host.lower()) for name in given.dns)


def begins_so(given: Given, host: str) -> bool:
    return any(name.lower().startswith(host.lower()) for name in given.dns)


def c_string(given: Given, host: str) -> bool:
    names = [*given.dns, *given.common]
    return any(name.partition("\0")[0].lower() == host.lower() for name in names)


def as_text(given: Given, host: str) -> bool:
    """Prints the names in one line, and splits that at the commas."""
    line = ", ".join(f"DNS:{name}" for name in given.dns)
    return f"DNS:{host}".lower() in line.lower().split(", ")


def subject_as_text(given: Given, host: str) -> bool:
    return f"CN={host}" in given.subject.split(", ")


def common_name(given: Given, host: str) -> bool:
    return host.lower() in [name.lower() for name in given.common]


def any_kind(given: Given, host: str) -> bool:
    """Takes e-mail addresses and URIs for hosts."""
    texts = [v.decode() for tag in (0x81, 0x86) for v in given.kinds.get(tag, [])]
    hosts = [text.partition("://")[2].strip("/") or text for text in texts]
    return host.lower() in [found.lower().strip("[]") for found in hosts]


def text_of_addresses(given: Given, host: str) -> bool:
    return host in given.dns or any(fnmatch.fnmatchcase(host, name) for name in given.dns)


def as_numbers(given: Given, host: str) -> bool:
    number = int(ipaddress.ip_address(host))
    return number in [int.from_bytes(octets, "big") for octets in given.addresses]


def unmapped(given: Given, host: str) -> bool:
    mapped = bytes(10) + b"\xff\xff" + ipaddress.ip_address(host).packed
    return mapped in given.addresses


def normalised(given: Given, host: str) -> bool:
    def plain(name: str) -> str:
        labels = unicodedata.normalize("NFKC", name).lower().split(".")
        ascii_labels = [
            label if label.isascii() else "xn--" + label.encode("punycode").decode()
            for label in labels
        ]
        return ".".join(ascii_labels)

    return host.lower() in map(plain, given.dns)


def without_dots_at_the_end(given: Given, host: str) -> bool:
    return host.lower() in [name.lower().removesuffix(".") for name in given.dns]


FLAWS: dict[str, Matcher] = {
    "another-name-first": any_name,
    "cn-injection": subject_as_text,
    "email-san": any_kind,
    "ip-in-dns-san": text_of_addresses,
    "ip-mismatch": any_name,
    "ipv4-compatible": as_numbers,
    "ipv4-mapped": unmapped,
    "lookalike-prefix": ends_so,
    "lookalike-suffix": begins_so,
    "no-san": common_name,
    "nul-in-cn": c_string,
    "nul-in-san": c_string,
    "parent-domain": without_the_star,
    "partial-wildcard": within_a_label,
    "san-injection": as_text,
    "trailing-dot": without_dots_at_the_end,
    "unicode-name": normalised,
    "uri-san": any_kind,
    "wildcard-across-labels": shell,
    "wildcard-alone": shell,
    "wildcard-in-a-label": decoded_first,
    "wildcard-ip": text_of_addresses,
    "wildcard-not-leftmost": stars_anywhere,
    "wildcard-too-deep": without_the_star,
    "wildcard-top-level": stars_anywhere,
    "wrong-host": any_name,
    "wrong-host-tls-1.2": any_name,
    "wrong-san": common_name,
}


def test_each_certificate_for_a_wrong_name_has_its_flaw() -> None:
    missing = {*rejected("name")} ^ {*FLAWS}
    assert not missing, "which matcher does it deceive? Say so in FLAWS"


@cache
def run_for(name: str) -> Authorities:
    return Authorities([name, "localhost", "127.0.0.1", "::1"])


@pytest.mark.parametrize("host", [*HOSTS, *ADDRESSES])
@pytest.mark.parametrize("name", FLAWS)
def test_it_bites_who_has_that_flaw_and_nobody_else(name: str, host: str, now: datetime) -> None:
    recipe = load_recipe(name)
    try:
        chain = forge(recipe, host, run_for(host), now)
    except Unsupported as error:
        assert "the name under test" in str(error)  # noqa: PT017
        return
    given, expected = Given(chain.certificates[0]), recipe.dialled(host)
    assert FLAWS[name](given, expected), (given.kinds, given.common)
    assert not right(given, expected)


@pytest.mark.parametrize("host", [*HOSTS, *ADDRESSES])
def test_what_is_to_be_accepted_has_the_right_name(host: str, now: datetime) -> None:
    for recipe in RECIPES.values():
        if recipe.expect == "accept":
            try:
                chain = forge(recipe, host, run_for(host), now)
            except Unsupported:
                continue
            assert right(Given(chain.certificates[0]), recipe.dialled(host)), recipe.name


def test_names_of_three_labels_leave_nothing_out(now: datetime) -> None:
    for name in rejected("name"):
        assert forge(load_recipe(name), "api.lab.test", run_for("api.lab.test"), now)
