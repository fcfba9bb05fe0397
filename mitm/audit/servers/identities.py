"""Whom the certificates of a probe name, beside the good client: who must not pass for it."""

from cryptography import x509

from mitm import pki
from mitm.audit.servers.way import Who
from mitm.pki.identity import NOBODY
from mitm.pki.names import distinguished, host_of


def named(who: Who, good: pki.Identity) -> pki.Identity:
    """An identity for a certificate.

    Args:
        who: which.
        good: that of the client that gets in.

    Raises:
        Unsupported: it takes a name of another kind than the good client has.
    """
    other = _other(good)
    match who:
        case "good":
            return good
        case "other":
            return other
        case "common-name":
            _must_have_names(good, "its common name is all that tells who it is")
            return pki.Identity(_subject(good.common_name or good.name), other.names)
        case "common-name-alone":
            _must_have_names(good, "its common name is all that tells who it is")
            return pki.Identity(_subject(good.common_name or good.name), ())
        case "none":
            return pki.Identity(distinguished(""), ())
        case "injected":
            return pki.Identity(_subject(f"nobody,CN={good.name}"), other.names)
        case "lookalike":
            return pki.Identity(other.subject, tuple(map(_longer, _names(good))))
        case "wildcard":
            return pki.Identity(other.subject, _wildcard(good))
        case "nul":
            hosts = _hosts(good)
            return pki.Identity(other.subject, tuple(f"DNS:{h}\0.{NOBODY}" for h in hosts))
        case "other-kind":
            name = _hosts(good)[0]
            return pki.Identity(
                other.subject, (f"EMAIL:{name}@{NOBODY}", f"URI:https://{name}.{NOBODY}/{name}")
            )


def _other(good: pki.Identity) -> pki.Identity:
    """Somebody else, whose name is of the same form."""
    uris = [name[4:] for name in good.names if name.startswith("URI:") and "://" in name]
    names = [f"URI:{uri.partition('://')[0]}://{host_of(uri)}/nobody" for uri in uris[:1]]
    return pki.Identity(_subject(NOBODY), tuple(names) or (f"DNS:{NOBODY}",))


def _subject(common_name: str) -> x509.Name:
    attribute = x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name[:64])
    return x509.Name([attribute])


def _must_have_names(good: pki.Identity, reason: str) -> None:
    if not good.names:
        raise pki.Unsupported(f"the good certificate has no alternative names: {reason}")


def _names(good: pki.Identity) -> list[str]:
    names = [name for name in good.names if name.startswith(("DNS:", "URI:"))]
    return names or [f"DNS:{good.name}"]


def _hosts(good: pki.Identity) -> list[str]:
    hosts = [name[4:] for name in good.names if name.startswith("DNS:")]
    if not hosts:
        raise pki.Unsupported("the good certificate has no DNS name")
    return hosts


def _longer(name: str) -> str:
    """A name that begins with the good one, and is nobody's, or somebody else's."""
    form, _, value = name.partition(":")
    return f"{name}-nobody" if form == "URI" else f"{form}:{value}.{NOBODY}"


def _wildcard(good: pki.Identity) -> tuple[str, ...]:
    wide = [f"DNS:*.{host.partition('.')[2]}" for host in _hosts(good) if host.count(".") > 1]
    if not wide:
        raise pki.Unsupported("the good certificate's DNS name has too few labels for a wildcard")
    return tuple(wide)
