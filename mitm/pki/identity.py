"""Who a client is by its certificate, and whom others are made to look like."""

import ipaddress
from typing import NamedTuple

from cryptography import x509

from mitm.address import is_host_name, is_ip
from mitm.errors import UserError
from mitm.pki.names import form_of, host_of
from mitm.pki.own import parsed

# Who nobody is: a name that is reserved for tests (RFC 6761).
NOBODY = "nobody.mitm-demo.test"


class Identity(NamedTuple):
    """The names that a client has in its certificate.

    Attributes:
        subject: its distinguished name.
        names: alternative names, as `DNS:billing.example`; those of other forms are left out.
    """

    subject: x509.Name
    names: tuple[str, ...]

    @property
    def common_name(self) -> str:
        """The last common name in the subject; "" if there is none."""
        found = self.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(found[-1].value) if found else ""

    @property
    def name(self) -> str:
        """The one that it goes by: a host or a URI before others, and the common name at last."""
        by_form = {
            form: value for form, _, value in (n.partition(":") for n in reversed(self.names))
        }
        found = (by_form[form] for form in ("DNS", "URI", "IP", "EMAIL") if form in by_form)
        return next(found, self.common_name)

    @property
    def under_test(self) -> list[str]:
        """Hosts, addresses and URIs in it, to which what is signed for it is held."""
        values = [self.common_name, *(name.partition(":")[2] for name in self.names)]
        hosts = [value for value in values if value and (is_host_name(value) or is_ip(value))]
        uris = [v for v in values if form_of(v) == "URI" and is_host_name(host_of(v))]
        mails = [v.rpartition("@")[2] for v in values if "@" in v and form_of(v) == "DNS"]
        return list(dict.fromkeys([*hosts, *uris, *filter(is_host_name, mails)]))


def identity_of(certificate: bytes, path: object = "the certificate") -> Identity:
    """Read who a client is.

    Args:
        certificate: its own, DER.
        path: where it is from, for error messages.

    Raises:
        UserError: it cannot be read, or names nobody.
    """
    found = parsed(certificate)
    try:
        assert found is not None
        subject = found.subject
        try:
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            told = tuple(filter(None, map(_told, names)))
        except x509.ExtensionNotFound:
            told = ()
    except (AssertionError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error or 'it is malformed'}") from None
    identity = Identity(subject, told)
    if not identity.name:
        raise UserError(f"{path} names nobody: it has neither a common name nor another name")
    return identity


def _told(name: x509.GeneralName) -> str:
    match name:
        case x509.DNSName():
            return f"DNS:{name.value}"
        case x509.UniformResourceIdentifier():
            return f"URI:{name.value}"
        case x509.RFC822Name():
            return f"EMAIL:{name.value}"
        case x509.IPAddress(value=ipaddress.IPv4Address() | ipaddress.IPv6Address()):
            return f"IP:{name.value}"
    return ""
