"""Makes the chain that a recipe describes."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID

from mitm.address import LOCALHOST, is_ip, is_loopback
from mitm.errors import UserError
from mitm.pki import der, keys
from mitm.pki.authority import (
    LAB_SUBJECT,
    LIFETIME,
    WARNING,
    Authorities,
    AuthorityName,
    Purpose,
    constrained_to,
    key_usage,
)
from mitm.pki.chain import Chain
from mitm.pki.identity import Identity
from mitm.pki.keys import Key
from mitm.pki.names import (
    alternative,
    distinguished,
    fill,
    foreign,
    form_of,
    further,
    general,
    lies_within,
)
from mitm.pki.recipe import (
    AuthorityLink,
    BasicConstraints,
    Link,
    NameConstraints,
    Recipe,
    key_purpose,
    load_recipe,
    offset,
)
from mitm.pki.unsupported import Unsupported

# What the server really has, and others copy.
_GENUINE = "genuine"

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha1": hashes.SHA1(),  # noqa: S303
    "md5": hashes.MD5(),  # noqa: S303
}

# What `cryptography` does not sign certificates with: the algorithm identifiers, DER without tag
# and length, and whether parameters are NULL. RFC 3279 section 2.2.
_OLD_ALGORITHMS = {
    ("md5", "rsa"): (bytes.fromhex("2a864886f70d010104"), True),
    ("sha1", "rsa"): (bytes.fromhex("2a864886f70d010105"), True),
    ("sha1", "ec"): (bytes.fromhex("2a8648ce3d0401"), False),
}


def forge(
    recipe: Recipe,
    name: str,
    authorities: Authorities,
    now: datetime | None = None,
    *,
    purpose: Purpose = "server",
    identity: Identity | None = None,
) -> Chain:
    """Make the chain that a recipe describes.

    What the recipe leaves out takes the sound value for the purpose: a certificate for clients has
    `clientAuth`, and the name of who holds it, which may be a URI as in SPIFFE.

    Every CA made on the way keeps to the guard rails: a warning in its subject, and a day to live
    at the most. Those that the client has no reason to trust are constrained to the names under
    test as well. Those that lead to the CA that it does trust are not: that would be a second flaw
    in a certificate for a wrong name. Their keys are gone when this returns.

    Where the CA that the client trusts is the user's own, others may trust it, too, and for longer
    than a day. So what it signs lives for a day, CAs below it are constrained, and leaves have no
    names but those under test and such as are reserved, hence nobody's.

    Args:
        recipe: which certificate.
        name: DNS name or IP address under test, or a client's identity, which may be a URI as well;
            placeholders are made of it.
        authorities: the run's own, whose names the constraints are made of.
        now: what the recipe's times are relative to, aware of its time zone; None for this moment.
        purpose: whether a server shows it or a client does.
        identity: what the leaf has for subject and names where the recipe leaves them out; None for
            the name alone.

    Raises:
        Unsupported: the libraries here cannot make it, or not for this name.
        UserError: a value in the recipe is of the right form but makes no sense.
    """
    try:
        return _Forge(
            recipe, name, authorities, now or datetime.now(UTC), purpose, identity
        ).chain()
    except ValueError as error:
        raise UserError(f"certificate {recipe.name}: {error}") from None


class _Signer(NamedTuple):
    """Who signs a link.

    Attributes:
        key_id: by which the certificates that it signs name its key.
        anchored: whether its certificate leads to one that the client trusts.
    """

    name: x509.Name
    key: Key
    key_id: x509.SubjectKeyIdentifier
    not_after: datetime
    anchored: bool


class _Made(NamedTuple):
    """A certificate of the chain, and who it makes of its holder: the signer of the next."""

    certificate: bytes
    issuer: x509.Name
    holder: _Signer
    send: bool


class _Forge:
    """The making of one chain, from the root down: an issuer is there before what it signs."""

    def __init__(
        self,
        recipe: Recipe,
        name: str,
        authorities: Authorities,
        now: datetime,
        purpose: Purpose,
        identity: Identity | None,
    ) -> None:
        self._recipe = recipe
        self._identity = identity
        self._purpose: Purpose = purpose
        self._name = recipe.dialled(name)
        self._authorities = authorities
        self._now = now
        self._own = authorities.lab.own
        self._keys: dict[int, Key] = {}
        self._anchored: dict[int, bool] = {}

    def chain(self) -> Chain:
        if self._own:
            self._must_fit_the_authority()
        anchor = lab = self._authorities.lab.pem
        above: list[_Made] = []
        for depth, link in reversed(list(enumerate(self._recipe.chain))):
            if isinstance(link, Link):
                made = self._link(link, depth, above[-1].holder if above else None)
                if link.trusted:
                    anchor = der.pem("CERTIFICATE", made.certificate)
                if link.trusted == "also":
                    anchor = lab + anchor
            else:
                made = self._authority(link)
            above.append(made)
        leaf = above[-1]
        if self._recipe.name == _GENUINE:
            self._authorities.genuine[self._name, self._purpose] = leaf.certificate
        sent = [made for made in reversed(above) if made.send]
        if self._recipe.reverse:
            sent[1:] = reversed(sent[1:])
        return Chain(
            name=self._recipe.name,
            certificates=tuple(made.certificate for made in sent),
            key_pem=_private_pem(self._recipe.chain[0], leaf.holder.key),
            anchor_pem=anchor,
            subjects=tuple(made.holder.name.rfc4514_string() for made in sent),
            issuer=leaf.issuer.rfc4514_string(),
            # Any other name would have to be resolved to this machine first.
            host=self._name if is_loopback(self._name) else LOCALHOST,
            server_name=self._name,
            tls=self._recipe.tls,
            system_pem=self._authorities.system.pem if self._recipe.needs_system_ca else b"",
        )

    def _must_fit_the_authority(self) -> None:
        """See that the user's own authority can play the part of the lab's here.

        Raises:
            Unsupported: it cannot.
        """
        chain, path_length = self._recipe.chain, self._authorities.lab.path_length
        if any(isinstance(link, Link) and link.trusted for link in chain):
            raise Unsupported("it takes another root than the authority that is given")
        top = chain[-1]
        signed = [
            n for n, link in enumerate(chain) if isinstance(link, Link) and link.signed_by == "lab"
        ]
        if isinstance(top, AuthorityLink) and top.authority == "lab":
            signed.append(len(chain) - 2)
        # The leaf is number 0, and each before the one that is signed stands below it.
        if path_length is not None and max(signed, default=0) > path_length:
            raise Unsupported(
                f"the authority that is given may have {path_length} CAs below it, and this takes "
                f"{max(signed)}"
            )

    def _authority(self, link: AuthorityLink) -> _Made:
        authority = self._authorities[link.authority]
        certificate = authority.certificate
        # The client may hold nothing but the root above one of the user's own.
        intermediate = authority.own and certificate.issuer != certificate.subject
        return _Made(
            certificate.public_bytes(Encoding.DER),
            certificate.issuer,
            self._authority_as_signer(link.authority),
            link.send or intermediate,
        )

    def _authority_as_signer(self, which: AuthorityName) -> _Signer:
        authority = self._authorities[which]
        certificate = authority.certificate
        return _Signer(
            certificate.subject,
            authority.key,
            authority.key_id,
            certificate.not_valid_after_utc,
            which == "lab",
        )

    def _link(self, link: Link, depth: int, above: _Signer | None) -> _Made:
        holder = self._holder(link, depth)
        if link.genuine:
            certificate = x509.load_der_x509_certificate(self._genuine())
            holder = holder._replace(name=certificate.subject)
            return _Made(self._genuine(), certificate.issuer, holder, send=True)
        match link.signed_by:
            case "lab" | "attacker" | "system":
                signer = self._authority_as_signer(link.signed_by)
            case "self":
                signer = holder
            case int() as position:
                signer = self._holder(self._link_at(position), position)
            case _:
                signer = above or holder
        send = link.send if link.send is not None else depth == 0 or signer.key is not holder.key
        if link.issuer is not None:
            name = self._distinguished(link.issuer)
            signer = signer._replace(name=name, key_id=self._key_id(name, signer.key))
        if "replaced-key" in link.breakages:
            copy = der.with_key_replaced(self._genuine(), keys.public_info(holder.key))
            return _Made(copy, signer.name, holder, send)
        made, not_after = self._certificate(link, depth, holder, signer)
        return _Made(made, signer.name, holder._replace(not_after=not_after), send)

    def _link_at(self, position: int) -> Link:
        link = self._recipe.chain[position]
        assert isinstance(link, Link)
        return link

    def _holder(self, link: Link, depth: int) -> _Signer:
        """Who holds the key of a link, which need not be made yet."""
        subject, key = self._subject(link, depth), self._key(link, depth)
        end = self._now + (offset(link.not_after) if link.not_after else LIFETIME)
        key_id = self._key_id(subject, key)
        if depth not in self._anchored:
            self._anchored[depth] = self._leads_to_trust(depth)
        return _Signer(subject, key, key_id, end, self._anchored[depth])

    def _key(self, link: Link, depth: int) -> Key:
        match link.same_key_as:
            case "lab" | "attacker" | "system":
                return self._authorities[link.same_key_as].key
            case int() as position:
                return self._key(self._link_at(position), position)
        if depth not in self._keys:
            self._keys[depth] = keys.generate("ec-p256" if link.key == "rsa-512" else link.key)
        return self._keys[depth]

    def _key_id(self, name: x509.Name, key: Key) -> x509.SubjectKeyIdentifier:
        """By what a key is named. Who takes the name of the trusted CA takes that, too.

        A verifier that looks for the issuer by it would go no further otherwise, and never come to
        the signature.
        """
        lab = self._authorities.lab
        if name == lab.certificate.subject:
            return self._authority_as_signer("lab").key_id
        return x509.SubjectKeyIdentifier.from_public_key(key.public_key())

    def _leads_to_trust(self, depth: int, seen: frozenset[int] = frozenset()) -> bool:
        """Whether a link, or one that has the same key, leads to a CA that the client trusts."""
        link = self._recipe.chain[depth]
        if depth in self._anchored:
            # A chain of a hundred is made from the root down: each need not be walked to its end.
            return self._anchored[depth]
        if not isinstance(link, Link):
            return link.authority == "lab"
        seen |= {depth}
        by = depth + 1 if link.signed_by in (None, "next") else link.signed_by
        if link.trusted or "lab" in (by, link.same_key_as):
            return True
        owner = depth if link.same_key_as is None else link.same_key_as
        leads_to = {
            number
            for number, other in enumerate(self._recipe.chain)
            if number == by or (isinstance(other, Link) and owner in (number, other.same_key_as))
        }
        return any(self._leads_to_trust(number, seen) for number in leads_to - seen)

    def _genuine(self) -> bytes:
        """The genuine leaf of this run, that others have a copy of."""
        key = self._name, self._purpose
        if key not in self._authorities.genuine:
            recipe = load_recipe(_GENUINE)
            forge(recipe, self._name, self._authorities, self._now, purpose=self._purpose)
        return self._authorities.genuine[key]

    def _subject(self, link: Link, depth: int) -> x509.Name:
        if link.subject is not None:
            subject = self._distinguished(link.subject)
        elif depth == 0 and self._identity:
            subject = self._identity.subject
        elif depth == 0:
            subject = self._distinguished("CN={name}")
        else:
            subject = self._distinguished(f"CN=Forged CA {depth}")
        if _signs(link, depth) and WARNING not in subject.rfc4514_string():
            if self._own and subject == self._authorities.lab.certificate.subject:
                raise Unsupported(
                    "what imitates a CA here says DO NOT TRUST in its name, and the authority that "
                    "is given does not"
                )
            warning = x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, f"mitm-demo: {WARNING}")
            subject = x509.Name([*subject, warning])
        return subject

    def _certificate(
        self, link: Link, depth: int, holder: _Signer, issuer: _Signer
    ) -> tuple[bytes, datetime]:
        end = self._now + LIFETIME
        not_after = min(issuer.not_after, end)
        if link.not_after:
            not_after = self._now + offset(link.not_after)
        if _signs(link, depth):
            not_after = min(not_after, end)
        # Who only takes its name has not signed it.
        by_own = self._own and issuer.anchored
        if by_own and not_after > end:
            raise Unsupported("what the authority that is given signs lives for a day at the most")
        if by_own and not (depth and _is_ca(link, depth)):
            self._must_name_nobody_else(link, holder.name)
        if "zero-signature" in link.breakages and not isinstance(
            issuer.key, ec.EllipticCurvePrivateKey
        ):
            raise Unsupported("it takes an issuer with an ECDSA key")
        builder = (
            x509.CertificateBuilder()
            .subject_name(holder.name)
            .issuer_name(issuer.name)
            .public_key(holder.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now + offset(link.not_before))
            .not_valid_after(not_after)
        )
        for extension, critical in self._extensions(link, depth, holder, issuer):
            builder = builder.add_extension(extension, critical)
        hashes_itself = isinstance(issuer.key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        old = link.hash in ("sha1", "md5")
        chosen = None if hashes_itself else _HASHES["sha256" if old else link.hash]
        large = isinstance(issuer.key, keys.LargeKey)
        signs = keys.generate("rsa-2048") if large else issuer.key
        certificate = builder.sign(signs, chosen).public_bytes(Encoding.DER)  # type: ignore[arg-type]
        if old or large or _is_odd(link):
            certificate = _signed_again(certificate, link, holder.key, issuer.key)
        if link.breakages:
            certificate = _broken(certificate, link)
        return certificate, not_after

    def _extensions(
        self, link: Link, depth: int, holder: _Signer, issuer: _Signer
    ) -> list[tuple[x509.ExtensionType, bool]]:
        ca, signs = _is_ca(link, depth), _signs(link, depth)
        extensions: list[tuple[x509.ExtensionType, bool]] = []
        basic = link.basic_constraints
        if basic is None:
            basic = BasicConstraints(ca=depth > 0)
        if basic != "absent":
            assert isinstance(basic, BasicConstraints)
            extensions.append((x509.BasicConstraints(basic.ca, basic.path_length), basic.critical))
        usages = link.key_usage
        if usages is None:
            usages = ("key_cert_sign", "crl_sign") if ca else ("digital_signature",)
        if usages:
            extensions.append((key_usage(usages), True))
        purposes = link.extended_key_usage
        if purposes is None:
            purposes = () if ca else (f"{self._purpose}_auth",)
        if purposes:
            oids = [key_purpose(text) for text in purposes]
            extensions.append((x509.ExtendedKeyUsage(oids), link.extended_key_usage_critical))
        names = link.san
        encoded = b""
        if names is None and depth == 0 and self._identity:
            encoded = b"".join(map(alternative, self._identity.names))
        elif names is None:
            names = () if depth else (f"{form_of(self._name)}:{{name}}",)
        if names:
            encoded = b"".join(self._alternative_names(names, link.san_more))
        if encoded:
            oid = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
            san = x509.UnrecognizedExtension(oid, der.sequence(encoded))
            extensions.append((san, link.san_critical))
        if isinstance(link.name_constraints, NameConstraints):
            extensions.append(self._constraints(link.name_constraints))
        elif (self._own and ca) if issuer.anchored else (link.name_constraints is None and signs):
            extensions.append((constrained_to(self._authorities.names), True))
        extensions += [
            (holder.key_id, False),
            (
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.key_id),
                False,
            ),
        ]
        # A raw extension takes the place of the one that would have been made.
        given = {raw.oid for raw in link.extensions}
        extensions = [
            (e, critical) for e, critical in extensions if e.oid.dotted_string not in given
        ]
        return extensions + [
            (
                x509.UnrecognizedExtension(x509.ObjectIdentifier(raw.oid), bytes.fromhex(raw.der)),
                raw.critical,
            )
            for raw in link.extensions
        ]

    def _must_name_nobody_else(self, link: Link, subject: x509.Name) -> None:
        """See that a leaf of the user's own authority is of no use elsewhere."""
        common_names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names = [str(name.value) for name in common_names]
        names += [fill(name.partition(":")[2], self._name) for name in link.san or ()]
        if link.san is None and self._identity:
            names += [name.partition(":")[2] for name in self._identity.names]
        names += [bytes.fromhex(raw.der).decode("latin-1") for raw in link.extensions]
        for name in names:
            if foreign(name, self._authorities.names):
                raise Unsupported(
                    "it names a host that is neither under test nor reserved for tests, and the "
                    "authority that is given signs for no other"
                )

    def _alternative_names(self, names: Iterable[str], more: int) -> Iterator[bytes]:
        for name in further(more):
            yield alternative(f"DNS:{name}")
        for name in names:
            yield alternative(self._filled(name))

    def _constraints(self, constraints: NameConstraints) -> tuple[x509.ExtensionType, bool]:
        permitted = [self._general(n, network=True) for n in constraints.permitted]
        excluded = [self._general(n, network=True) for n in constraints.excluded]
        excluded += [x509.DNSName(f"{name}.example") for name in further(constraints.more)]
        extension = x509.NameConstraints(permitted or None, excluded or None)
        return extension, constraints.critical

    def _general(self, text: str, *, network: bool = False) -> x509.GeneralName:
        return general(self._filled(text), network=network)

    def _filled(self, text: str) -> str:
        filled = fill(text, self._name)
        if (
            filled != text
            and text.startswith("DNS:")
            and is_ip(self._name)
            and self._recipe.dial == "name"
        ):
            raise Unsupported(f"the name under test, {self._name}, is an address, not a DNS name")
        if filled == text:
            self._must_be_anothers(text.partition(":")[2])
        return filled

    def _must_be_anothers(self, name: str) -> None:
        """See that a name which a recipe has for somebody else is not the one under test."""
        if self._recipe.expect == "reject" and lies_within(self._name, name):
            raise Unsupported(
                f"the name under test, {self._name}, is the one that the certificate has for "
                "somebody else"
            )

    def _distinguished(self, text: str) -> x509.Name:
        name = distinguished(fill(text, self._name))
        for attribute in name if "{" not in text else ():
            self._must_be_anothers(str(attribute.value))
        return self._authorities.lab.certificate.subject if name == LAB_SUBJECT else name


def _signs(link: Link, depth: int) -> bool:
    """Whether a link signs others, rightly or not, or might: it is bound by the guard rails."""
    return depth > 0 or _is_ca(link, depth)


def _is_ca(link: Link, depth: int) -> bool:
    """Whether a link is a CA by what it says, or, if it says nothing, by its place."""
    if isinstance(link.basic_constraints, BasicConstraints):
        return link.basic_constraints.ca
    return depth > 0


def _private_pem(leaf: object, key: Key) -> bytes:
    """The key that the presenter of the chain holds."""
    assert isinstance(leaf, Link)
    if leaf.key == "rsa-512":
        return keys.rsa_512().pem
    if isinstance(key, keys.LargeKey):
        raise Unsupported("a key of that size is for a CA here, not for the leaf")
    if "other-key" in leaf.breakages:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return keys.mismatched_pem(key)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _broken(certificate: bytes, link: Link) -> bytes:
    """The same certificate with a signature that does not hold."""
    tbs, algorithm, signature = der.split(certificate)
    if "bad-signature" in link.breakages:
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    if "zero-signature" in link.breakages:
        signature = encode_dss_signature(0, 0)
    return der.join(tbs, algorithm, signature)


def _is_odd(link: Link) -> bool:
    """Whether `cryptography` makes no certificate such as this one."""
    serial = link.serial is not None
    return serial or link.version == 1 or link.key in ("rsa-512", "ec-p256-explicit")


def _signed_again(certificate: bytes, link: Link, key: Key, issuer_key: Key) -> bytes:
    """The same certificate with what `cryptography` does not put into one, and signed for that.

    That is: version 1, a hash that nobody should use any more, a serial number that is none, a key
    that is too short, too long, or of a curve without a name.
    """
    tbs, algorithm, _ = der.split(certificate)
    if link.hash in ("sha1", "md5"):
        family = "rsa" if isinstance(issuer_key, rsa.RSAPrivateKey) else "ec"
        if (link.hash, family) not in _OLD_ALGORITHMS or isinstance(
            issuer_key, ed25519.Ed25519PrivateKey
        ):
            raise Unsupported(f"there is no {link.hash} signature with the issuer's kind of key")
        oid, null = _OLD_ALGORITHMS[link.hash, family]
        algorithm = der.algorithm_identifier(oid, null=null)
        tbs = der.with_algorithm(tbs, algorithm)
    if link.serial is not None:
        tbs = der.with_serial(tbs, link.serial)
    if link.key == "rsa-512":
        tbs = der.with_public_key(tbs, keys.rsa_512().public)
    if link.key == "ec-p256-explicit":
        tbs = der.with_public_key(tbs, keys.with_explicit_curve(key))
    if link.version == 1:
        tbs = der.as_version_1(tbs)
    chosen = _HASHES[link.hash]
    match issuer_key:
        case keys.LargeKey() if link.hash == "sha256":
            signature = issuer_key.sign(tbs)
        case rsa.RSAPrivateKey():
            signature = issuer_key.sign(tbs, padding.PKCS1v15(), chosen)
        case ec.EllipticCurvePrivateKey():
            signature = issuer_key.sign(tbs, ec.ECDSA(chosen))
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            signature = issuer_key.sign(tbs)
        case _:
            raise Unsupported("no signature with this kind of key")
    return der.join(tbs, algorithm, signature)
