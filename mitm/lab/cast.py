"""The cast of a scenario: who takes part, by name, and which program plays the part."""

from collections.abc import Collection
from typing import Literal

import msgspec

from mitm import pki
from mitm.errors import UserError
from mitm.lab.policies import Policy
from mitm.pki.authority import AuthorityName


class _Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="program"):
    """What all members of a cast have in common.

    Attributes:
        name: by which paths and other members speak of it; free of choice.
    """

    name: str


class ClientRole(_Role, frozen=True, tag="client"):
    """The client program that `run --client` names, told to follow a policy.

    Attributes:
        policy: how it decides whom to trust.
        certificate: the recipe of the certificate that it presents to a server that asks; "" for
            none.
        identity: the name in that certificate.
        server_name: the name that the server must prove; "" for the one that is dialled.
        store: whose CAs stand in its machine's trust store, for `system-roots`: authorities of the
            run, and ACME servers of the cast by their names.
        backup_pin: whether it is given the server's next certificate as well, for the policies that
            pin.
    """

    policy: Policy
    certificate: str = ""
    identity: str = pki.CLIENT_IDENTITY
    server_name: str = ""
    store: tuple[str, ...] = ("lab",)
    backup_pin: bool = False

    def lacking(self, known: Collection[str]) -> str:
        """The policy that a client has to know for this part, and does not; "" for none.

        How to present a certificate, under whatever policy, is known to whoever knows `mutual-tls`.

        Args:
            known: the policies that it knows.
        """
        needed = (self.policy, "mutual-tls") if self.certificate else (self.policy,)
        return next((policy for policy in needed if policy not in known), "")

    @property
    def told(self) -> str:
        """What there is to say of it, in a line."""
        said = f"policy {self.policy}"
        if self.server_name:
            said += f", asks for the name {self.server_name}"
        if self.store != ("lab",):
            cas = "CA" if len(self.store) == 1 else "CAs"
            said += f"; its machine trusts the {cas} {' and '.join(self.store)}"
        if self.backup_pin:
            said += ", with the next certificate as a second pin"
        if self.certificate:
            said += f"; has a certificate of its own, {self.certificate!r} for {self.identity}"
        return said


class ServerRole(_Role, frozen=True, tag="server"):
    """The victim, `server/server.py`.

    Attributes:
        mode: whether it speaks TLS, and whether it asks its clients for certificates.
        certificate: the recipe of its own; the run's genuine one if left out.
        issued_by: an ACME server of the cast, of which it obtains its certificates in the place of
            that; "" for none.
        clients: the CAs whose clients it lets in, with `mutual-tls`.
        allow: the identities that it serves, with `mutual-tls`; none for all that are let in.
    """

    mode: Literal["plaintext", "tls", "mutual-tls"] = "tls"
    certificate: str = "genuine"
    issued_by: str = ""
    clients: tuple[AuthorityName, ...] = ("lab",)
    allow: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What there is to say of it, in a line."""
        said = "users.v1.UserService, "
        if self.mode == "plaintext":
            return said + "no TLS"
        said += "TLS, "
        if self.issued_by:
            said += f"a certificate that it has obtained of the {self.issued_by} by ACME"
        elif self.certificate == "genuine":
            said += "a certificate from the lab's CA"
        else:
            said += f"the certificate {self.certificate!r}"
        if self.mode == "mutual-tls":
            said += f"; takes clients with a certificate of the CA {' or '.join(self.clients)}"
            if self.allow:
                said += f", and serves {', '.join(self.allow)} alone"
        return said


class InterceptorRole(_Role, frozen=True, tag="interceptor"):
    """An attacker between two others: an interceptor of `mitm.proxy`.

    Attributes:
        certificate: the recipe that it presents; "" if it has stolen it, or was issued one.
        issued_by: a CA of the cast that has signed for it, for the server's name and a key of its
            own; "" for none. An ACME server signs for it while it hijacks the DNS.
        hijacks_dns: whether it has the DNS answer with its own address for a moment, under the
            server's name.
        steals: members whose certificate and key it holds: a server's to present it, a client's
            to present that to the server.
        client_certificate: the recipe of one that it has made itself, for the client's identity, to
            present that to the server; "" for none.
        rewrite: rules by which it changes what passes, as of `proxy --rewrite`.
    """

    certificate: str = ""
    issued_by: str = ""
    hijacks_dns: bool = False
    steals: tuple[str, ...] = ()
    client_certificate: str = ""
    rewrite: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What there is to say of it, in a line."""
        said = []
        if self.certificate:
            said.append(f"presents the certificate {self.certificate!r}")
        if self.hijacks_dns:
            said.append("has had the DNS answer with its own address under the server's name")
        if self.issued_by:
            said.append(f"has a certificate for the server's name, issued by the {self.issued_by}")
        if self.steals:
            said.append(f"has stolen the key of the {' and the '.join(self.steals)}")
        if self.client_certificate:
            said.append(f"has made itself a client's certificate, {self.client_certificate!r}")
        said += [f"changes what passes: {rule}" for rule in self.rewrite]
        return "; ".join(said)


class IngressRole(_Role, frozen=True, tag="ingress"):
    """A proxy in front of a server, at which the client's TLS ends: `server/ingress.py`.

    Attributes:
        last_hop: how it goes on to the server: without TLS, with TLS that it does not verify, or
            verified against the lab's CA.
        client_certificates: `any` if it asks its clients for a certificate, and takes whatever
            somebody has signed.
    """

    last_hop: Literal["plaintext", "unverified", "verified"] = "plaintext"
    client_certificates: Literal["", "any"] = ""

    @property
    def told(self) -> str:
        """What there is to say of it, in a line."""
        hop = {
            "plaintext": "goes on without TLS",
            "unverified": "goes on with TLS, and verifies nothing",
            "verified": "goes on with TLS, verified against the lab's CA",
        }
        said = f"ends the client's TLS, {hop[self.last_hop]}"
        if self.client_certificates:
            said += "; asks for a client certificate, and takes whatever somebody has signed"
        return said


class AuthorityRole(_Role, frozen=True, tag="ca"):
    """A CA of the run, which signs and is otherwise at rest.

    Attributes:
        authority: which.
        does: its part in the story, in a line.
    """

    authority: AuthorityName
    does: str

    @property
    def told(self) -> str:
        """What there is to say of it, in a line."""
        return self.does


class AcmeServerRole(_Role, frozen=True, tag="acme-server"):
    """A public CA that issues by ACME (RFC 8555): Pebble, with the DNS that it asks."""

    @property
    def told(self) -> str:
        """What there is to say of it, in a line."""
        return "Pebble, a public CA: issues to whoever answers its challenge under the name"


Role = ClientRole | ServerRole | InterceptorRole | IngressRole | AuthorityRole | AcmeServerRole


def check(role: Role) -> None:
    """See that the recipes that a member names are there.

    Raises:
        UserError: one is not.
    """
    for key in ("certificate", "client_certificate"):
        try:
            if recipe := getattr(role, key, ""):
                pki.load_recipe(recipe)
        except UserError as error:
            raise UserError(f"{key}: {error}") from None
