"""The names in recipes: placeholders made of the name under test, and the forms of X.509."""

import ipaddress
import itertools
import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

from cryptography import x509

from mitm.address import is_ip
from mitm.pki import der
from mitm.pki.unsupported import Unsupported

# How many labels the name under test needs for what a placeholder stands for. A parent of one
# label is a top-level name, and nobody's host has its parent's certificate then.
_LABELS_NEEDED = {
    "name": 1,
    "NAME": 1,
    "initial": 1,
    "label": 1,
    "unicode": 1,
    "idn_star": 1,
    "top": 2,
    "stars": 3,
    "parent": 3,
    "PARENT": 3,
    "grandparent": 3,
}

# What is made of an IPv4 address.
_OF_ADDRESSES = ("octets", "mapped", "compatible")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def fill(text: str, name: str) -> str:
    """Put the name under test, and what is made of it, in the place of placeholders.

    Args:
        text: of a recipe; `{name}`, `{NAME}` (in capitals), `{initial}` (its first character),
            `{label}` (the first label), `{top}` (the last one), `{parent}`, `{PARENT}` and
            `{grandparent}` (without its first one or two labels), `{stars}` (a star for each label
            but the last), `{unicode}` (the same name in other characters), `{idn_star}` (a star
            within the ASCII form of a label); `{octets}` (an address without its first octet),
            `{mapped}` and `{compatible}` (the address within IPv6).
        name: DNS name or IP address under test.

    Raises:
        Unsupported: the name is too short, or an address, which has no labels.
        ValueError: a placeholder is unknown.
    """
    labels = name.split(".")

    def value(match: re.Match[str]) -> str:
        kind = match[1]
        if kind in _OF_ADDRESSES:
            return _of_address(kind, name)
        if kind not in _LABELS_NEEDED:
            known = ", ".join(f"{{{known}}}" for known in (*_LABELS_NEEDED, *_OF_ADDRESSES))
            raise ValueError(f"unknown placeholder {match[0]} in {text!r}; known: {known}")
        if kind not in ("name", "NAME") and is_ip(name):
            raise Unsupported(f"the name under test, {name}, is an address and has no {match[0]}")
        if len(labels) < _LABELS_NEEDED[kind]:
            raise Unsupported(
                f"the name under test, {name}, has too few labels for {match[0]} "
                f"({_LABELS_NEEDED[kind]} are needed): give a longer one with --name"
            )
        if kind == "unicode":
            return _in_unicode(labels)
        return {
            "name": name,
            "NAME": name.upper(),
            "initial": name[0],
            "label": labels[0],
            # Of Punycode (RFC 3492), "*-" stands for the star alone.
            "idn_star": f"{_ACE}*" if labels[0].lower().startswith(_ACE) else f"{_ACE}*-",
            "top": labels[-1],
            "stars": ".".join("*" for _ in labels[1:]),
            "parent": ".".join(labels[1:]),
            "PARENT": ".".join(labels[1:]).upper(),
            "grandparent": ".".join(labels[2:]),
        }[kind]

    return _PLACEHOLDER.sub(value, text)


def form_of(name: str) -> Literal["DNS", "IP", "URI"]:
    """The form in which a name stands among the alternative names of a certificate."""
    if "://" in name:
        return "URI"
    return "IP" if is_ip(name) else "DNS"


def host_of(name: str) -> str:
    """The host in a URI, such as the trust domain of a SPIFFE ID; any other name as it is."""
    return urlsplit(name).hostname or name if "://" in name else name


def of_address(text: str) -> bool:
    """Whether a placeholder in a text takes an IPv4 address."""
    return any(kind in _OF_ADDRESSES for kind in _PLACEHOLDER.findall(text))


def _of_address(kind: str, name: str) -> str:
    try:
        address = ipaddress.IPv4Address(name)
    except ValueError:
        raise Unsupported(
            f"the name under test, {name}, is no IPv4 address and has no {{{kind}}}"
        ) from None
    if kind == "octets":
        return str(address).partition(".")[2]
    return str(ipaddress.IPv6Address(int(address) + (0xFFFF << 32 if kind == "mapped" else 0)))


# Before what is the ASCII form of a label in other letters (RFC 5890 section 2.3.2.1).
_ACE = "xn--"

# From ASCII to the fullwidth forms, which Unicode takes for the same letters (NFKC; RFC 5895).
_FULLWIDTH = {ord(c): ord(c) + 0xFEE0 for c in string.ascii_letters + string.digits + "-"}


def _in_unicode(labels: Sequence[str]) -> str:
    """The labels in the letters that they stand for, or, if all are ASCII, in fullwidth ones."""
    if not any(label.lower().startswith(_ACE) for label in labels):
        return ".".join(labels).translate(_FULLWIDTH)
    try:
        return ".".join(
            label[len(_ACE) :].encode().decode("punycode")
            if label.lower().startswith(_ACE)
            else label
            for label in labels
        )
    except UnicodeError:
        name = ".".join(labels)
        raise Unsupported(f"the name under test, {name}, stands for no other letters") from None


def further(count: int) -> Iterator[str]:
    """So many names of one label and three characters."""
    first, other = string.ascii_lowercase, string.digits + string.ascii_lowercase
    return map("".join, itertools.islice(itertools.product(first, other, other), count))


# Nobody has a host by these names: RFC 2606, RFC 6761.
_NOBODYS_DOMAINS = (
    "test",
    "example",
    "invalid",
    "localhost",
    "example.com",
    "example.net",
    "example.org",
)

# Nor by these addresses: RFC 5737, RFC 3849, and each machine's own.
_NOBODYS_NETWORKS = [
    ipaddress.ip_network(network)
    for network in (
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8::/32",
        "127.0.0.0/8",
        "::1/128",
    )
]


def foreign(text: str, under_test: Sequence[str]) -> str:
    """A host in a text that is neither under test nor nobody's; "" if there is none.

    Args:
        text: a name of whatever form; a browser, or a careless program, may find a host in a part
            of it.
        under_test: DNS names, IP addresses and URIs. What is below a name belongs to its owner.
    """
    domains = [host_of(name).lower() for name in (*_NOBODYS_DOMAINS, *under_test)]
    # What is the same in other characters, is the same here.
    for part in re.split(r"[^\w.*:-]+", unicodedata.normalize("NFKC", text).lower()):
        host = part.strip(".:-")
        if is_ip(host):
            address = ipaddress.ip_address(host)
            if host not in domains and not any(address in each for each in _NOBODYS_NETWORKS):
                return host
            continue
        for piece in (piece.strip(".") for piece in host.split(":")):
            # Without a dot it is no name in the DNS, nor is it with digits at its end.
            known = any(f".{piece}".endswith(f".{domain}") for domain in domains)
            if "." in piece and not piece.rpartition(".")[2].isdigit() and not known:
                return piece
    return ""


def lies_within(name: str, top: str) -> bool:
    """Whether a DNS name is, or lies below, another; or an address is in a network."""
    if not is_ip(name):
        return f".{name}".lower().endswith(f".{top}".lower())
    try:
        return ipaddress.ip_address(name) in ipaddress.ip_network(top)
    except ValueError:
        return False


def distinguished(text: str) -> x509.Name:
    """A distinguished name from its RFC 4514 form; "" is the empty one.

    Raises:
        ValueError: it is not in that form.
    """
    if not text:
        # `cryptography` takes it only since 43.
        return x509.Name([])
    try:
        return x509.Name.from_rfc4514_string(text)
    except ValueError as error:
        reason = f": {error}" if str(error) else ", such as 'CN=localhost,O=Lab'"
        raise ValueError(f"{text!r} is not a name in RFC 4514 form{reason}") from None


# dNSName in the choice GeneralName (RFC 5280 section 4.2.1.6).
_DNS_NAME_TAG = 0x82


def alternative(text: str) -> bytes:
    """A general name as in `general`, DER; a DNS name that is none, since not in ASCII, in UTF-8.

    Raises:
        ValueError: the value is not of its kind.
    """
    if text.startswith("DNS:"):
        return der.element(_DNS_NAME_TAG, text.removeprefix("DNS:").encode())
    ((_, names, _),) = der.elements(x509.SubjectAlternativeName([general(text)]).public_bytes())
    return names


def general(text: str, *, network: bool = False) -> x509.GeneralName:
    """A general name (RFC 5280 section 4.2.1.6) from `DNS:`, `IP:`, `URI:` or `EMAIL:` and a value.

    Args:
        text: in that form.
        network: whether an address stands for a network, `IP:127.0.0.0/8`, as in constraints.

    Raises:
        ValueError: the value is not of its kind.
    """
    kind, _, value = text.partition(":")
    try:
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
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from None
