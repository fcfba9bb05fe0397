"""From a way to the requests that it is made of."""

import ssl
from typing import NamedTuple

import msgspec

from mitm import pki
from mitm.address import is_ip
from mitm.audit.servers.caller import Request
from mitm.audit.servers.copies import holder_as_signer, imitation_of_the_ca, key_kind, shown
from mitm.audit.servers.credentials import Credentials
from mitm.audit.servers.identities import named
from mitm.audit.servers.target import Target
from mitm.audit.servers.way import Path_, ServerName, Way
from mitm.pki.identity import NOBODY
from mitm.pki.loading import load_pair, set_protocol
from mitm.pki.recipe import Link, Tls

NEEDS_THE_CA = (
    "it takes the key of the CA that signs clients: give --client-ca-cert and --client-ca-key"
)


class NotExercised(Exception):  # noqa: N818
    """This way cannot be tried with what is given; the text says why, in one line."""


class Plan(NamedTuple):
    """What is sent.

    Attributes:
        request: by which the server is judged.
        before: a request that comes first, for a session that the other resumes; None for none.
    """

    request: Request
    before: Request | None = None


class Planner:
    """Makes plans of ways, all with the same credentials.

    Args:
        target: the server.
        given: the credentials.
    """

    def __init__(self, target: Target, given: Credentials) -> None:
        self._target = target
        self._given = given
        self._authority = target.authority or target.server_name
        # A CA that nobody trusts is constrained to these, and nothing else is to be wrong with it.
        names = [*given.identity.under_test, NOBODY]
        authority = given.authority or imitation_of_the_ca(given)
        self._authorities = pki.Authorities(names, authority)
        # What others copy is the certificate that there really is.
        self._authorities.genuine[given.identity.name, "client"] = given.good.certificates[0]
        self._by_good: pki.Authorities | None = None

    def control(self, *, verified: bool) -> Request:
        """The request of the good client.

        Args:
            verified: whether the server's certificate is looked at.

        Raises:
            ssl.SSLError: what is to be trusted cannot be read.
        """
        context = _context((self._given.good.pem, self._given.good.key_pem), Tls())
        if verified:
            context.verify_mode = ssl.CERT_REQUIRED
            context.check_hostname = True
            if self._target.ca_pem is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(cadata=self._target.ca_pem)
        return self._request(context)

    def plan(self, way: Way) -> Plan:
        """What is sent for a way.

        Raises:
            NotExercised: it takes something that is not given.
            Unsupported: the libraries here cannot make or speak it.
            UserError: a value in its file makes no sense.
        """
        if way.needs_client_ca and self._given.authority is None:
            raise NotExercised(NEEDS_THE_CA)
        name = self._server_name(way.server_name)
        path = _path(way.path, self._target.method)
        authority = NOBODY if way.authority == "other" else self._authority
        context = None if way.plaintext else _context(self._shown(way), way.tls)
        request = self._request(context)._replace(
            server_name=name,
            authority=authority,
            path=path,
            metadata=(*self._target.metadata, *way.metadata.items()),
            fragmented=way.fragmented,
        )
        match way.resume:
            case "other-name":
                return Plan(request, request._replace(server_name=NOBODY))
            case "same":
                return Plan(request, request)
        return Plan(request)

    def _request(self, context: ssl.SSLContext | None) -> Request:
        target = self._target
        return Request(
            context,
            target.server_name,
            self._authority,
            target.method,
            target.metadata,
            target.message,
        )

    def _shown(self, way: Way) -> tuple[bytes, bytes] | None:
        if way.show:
            return shown(way.show, self._given)
        identity = named(way.who, self._given.identity)
        authorities = self._authorities
        if way.signed_by == "good":
            self._by_good = self._by_good or pki.Authorities(
                self._given.identity.under_test, holder_as_signer(self._given)
            )
            authorities = self._by_good
        chain = pki.forge(
            self._recipe(way),
            self._given.identity.name,
            authorities,
            purpose="client",
            identity=identity,
        )
        above = b""
        if way.signed_by == "good":
            # Its holder sends all that lies between it and the root.
            above = b"".join(
                ssl.DER_cert_to_PEM_cert(c).encode() for c in self._given.good.certificates[1:]
            )
        return chain.pem + above, chain.key_pem

    def _recipe(self, way: Way) -> pki.Recipe:
        """The recipe, with a key of the good one's kind: a server may take no other."""
        leaf, *above = way.chain
        if isinstance(leaf, Link) and leaf.key == Link().key:
            leaf = msgspec.structs.replace(leaf, key=key_kind(self._given.key))
        return msgspec.structs.replace(way.recipe, chain=(leaf, *above))

    def _server_name(self, which: ServerName) -> str | None:
        name = self._target.server_name
        if which in ("right", "other", "none"):
            return {"right": name, "other": NOBODY, "none": None}[which]
        if is_ip(name):
            raise NotExercised(
                f"{name} is an address, which no ClientHello names: give the server's name with "
                "--server-name"
            )
        if which == "trailing-dot":
            return f"{name}."
        return "".join(c.upper() if n % 2 == 0 else c.lower() for n, c in enumerate(name))


def _path(which: Path_, method: str) -> str:
    match which:
        case "without-slash":
            return method.removeprefix("/")
        case "double-slash":
            return f"/{method}"
        case "encoded":
            service, _, name = method.rpartition("/")
            return f"{service}/%{ord(name[0]):02X}{name[1:]}"
    return method


def _context(shows: tuple[bytes, bytes] | None, tls: Tls) -> ssl.SSLContext:
    """A client's TLS context, which takes any server: it is looked at in the control.

    Raises:
        Unsupported: the TLS library here refuses.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    set_protocol(context, tls)
    if shows:
        load_pair(context, *shows)
    return context
