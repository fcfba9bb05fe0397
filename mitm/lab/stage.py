"""The cast of a scenario, made ready: certificates, servers that run, what clients are given."""

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, cast

from mitm import content, pki
from mitm.address import LOCALHOST, Address
from mitm.descriptors import load_descriptor_set
from mitm.errors import UserError
from mitm.events import Event, Issued, Renewed, ServerCertificate
from mitm.lab import acme
from mitm.lab.cast import (
    AcmeServerRole,
    AuthorityRole,
    ClientRole,
    IngressRole,
    InterceptorRole,
    Role,
    ServerRole,
)
from mitm.lab.ingress import running_ingress
from mitm.lab.issued import issued, new_key
from mitm.lab.policies import Trust
from mitm.lab.renewal import open_call
from mitm.lab.server import RunningServer, running_server
from mitm.masking import token_for_show
from mitm.messages import Schema
from mitm.pki.authority import AuthorityName, Purpose
from mitm.surroundings import TrustStore

# Where an ACME server finds whom its DNS points to: the server's machine, and an attacker's.
_OWN_ADDRESS = "127.0.0.1"
_ATTACKERS_ADDRESS = "127.0.0.2"


class Stage:
    """Servers and certificates of one playing, thrown away afterwards.

    Attributes:
        schema: what the server's messages are made of.
        authorities: the run's own.
        servers: those of the cast, by name; they run.
        token: a credential of the clients, to be stolen; it opens nothing.
    """

    def __init__(
        self, directory: Path, authorities: pki.Authorities, tell: Callable[[Event], None]
    ) -> None:
        self.schema = Schema(load_descriptor_set(content.PROTO / "users.binpb"))
        self.authorities = authorities
        self.servers: dict[str, RunningServer] = {}
        self.token = token_for_show()
        self._directory = directory
        self._now = datetime.now(UTC)
        # Of each member that has one: at first, and now.
        self._first: dict[str, pki.Chain] = {}
        self._chains: dict[str, pki.Chain] = {}
        self._next: dict[str, pki.Chain] = {}
        self._presented: dict[str, pki.Presentation] = {}
        self._signs: dict[str, AuthorityName] = {}
        self._stores: dict[str, TrustStore] = {}
        self._public: dict[str, acme.AcmeServer] = {}
        self._accounts: dict[str, tuple[str, acme.Account]] = {}
        self._tell = tell

    @classmethod
    @asynccontextmanager
    async def prepared(
        cls, members: Sequence[Role], tell: Callable[[Event], None] = lambda event: None
    ) -> AsyncIterator[Self]:
        """Make certificates and start the servers.

        Args:
            members: the cast.
            tell: called with each event as it happens.

        Raises:
            NotPlayed: there is an ACME server in the cast, and it is not installed, or the library
                of its clients is not.
            UserError: a server does not come up, or a certificate cannot be made.
        """
        authorities = pki.Authorities([LOCALHOST, "127.0.0.1", "::1"])
        async with AsyncExitStack() as running:
            name = running.enter_context(tempfile.TemporaryDirectory(prefix="mitm-demo-"))
            stage = cls(Path(name), authorities, tell)
            for role in members:
                if isinstance(role, AcmeServerRole):
                    folder = stage._directory / f"acme-{len(stage._public)}"
                    folder.mkdir()
                    stage._public[role.name] = await running.enter_async_context(
                        acme.running_acme_server(folder)
                    )
            for role in members:
                if isinstance(role, ClientRole) and role.certificate:
                    chain = stage._forged(role.certificate, role.identity, "client")
                    stage._write_pair(role.name, chain)
                elif isinstance(role, AuthorityRole):
                    stage._signs[role.name] = role.authority
                elif isinstance(role, ServerRole):
                    await stage._start(role, running)
            for role in members:
                if isinstance(role, InterceptorRole) and role.hijacks_dns:
                    await stage._hijack(role)
            yield stage

    async def _start(self, role: ServerRole, running: AsyncExitStack) -> None:
        cert = key = client_ca = None
        if role.mode != "plaintext":
            if role.issued_by:
                account = acme.Account(self._public[role.issued_by], _OWN_ADDRESS)
                self._accounts[role.name] = role.issued_by, account
                chain = await self._obtained(role.name)
            else:
                chain = self._forged(role.certificate, LOCALHOST)
                self._next[role.name] = issued(
                    "renewed", LOCALHOST, chain.key_pem, self.authorities.lab
                )
            cert, key = self._write_pair(role.name, chain)
        if role.mode == "mutual-tls":
            client_ca = self._directory / f"{len(self._chains)}-clients.pem"
            pki.write_private(client_ca, b"".join(self.authorities[a].pem for a in role.clients))
        self.servers[role.name] = await running.enter_async_context(
            running_server(cert, key, client_ca=client_ca, allow=role.allow)
        )

    async def _hijack(self, attacker: InterceptorRole) -> None:
        """Have an attacker obtain a certificate for the server's name, with an account of its own.

        Afterwards the DNS is what it was: nobody is to notice.
        """
        public = self._public[attacker.issued_by]
        await public.resolve(LOCALHOST, _ATTACKERS_ADDRESS)
        account = acme.Account(public, _ATTACKERS_ADDRESS)
        self._accounts[attacker.name] = attacker.issued_by, account
        chain = await self._obtained(attacker.name)
        await public.resolve(LOCALHOST, _OWN_ADDRESS)
        self._presented[attacker.name] = pki.Presentation(chain)

    async def _obtained(self, member: str) -> pki.Chain:
        """Have a member obtain a certificate for the server's name by ACME, for a new key."""
        authority, account = self._accounts[member]
        chain = await account.obtain(LOCALHOST)
        self._tell(
            Issued(
                time=time.time(),
                authority=authority,
                member=member,
                name=LOCALHOST,
                address=account.address,
                sha256=chain.sha256,
            )
        )
        return chain

    def _forged(self, certificate: str, name: str, purpose: Purpose = "server") -> pki.Chain:
        recipe = pki.load_recipe(certificate)
        try:
            return pki.forge(recipe, name, self.authorities, self._now, purpose=purpose)
        except pki.Unsupported as error:
            raise UserError(f"{certificate}: {error}") from None

    def _write_pair(self, name: str, chain: pki.Chain) -> tuple[Path, Path]:
        """Write a member's chain and key, and remember whose it is."""
        self._first[name] = self._chains[name] = chain
        cert, key = self._pair(name)
        pki.write_private(key, chain.key_pem)
        pki.write_private(cert, chain.pem)
        return cert, key

    def _pair(self, name: str) -> tuple[Path, Path]:
        # A name is free of choice, and need not do for a file.
        number = list(self._chains).index(name)
        return self._directory / f"{number}.pem", self._directory / f"{number}.key"

    def presented(self, attacker: InterceptorRole) -> pki.Presentation:
        """What an attacker shows its clients; the same in all legs.

        Raises:
            UserError: the certificate cannot be presented here.
        """
        if attacker.name not in self._presented:
            stolen = [self._chains[name] for name in attacker.steals if name in self.servers]
            if stolen:
                presented = pki.Presentation(stolen[0])
            elif attacker.issued_by:
                authority = self.authorities[self._signs[attacker.issued_by]]
                chain = issued("misissued", LOCALHOST, new_key(), authority)
                presented = pki.Presentation(chain)
            else:
                presented = self._made(attacker.certificate)
            self._presented[attacker.name] = presented
        return self._presented[attacker.name]

    def _made(self, certificate: str) -> pki.Presentation:
        recipe = pki.load_recipe(certificate)
        try:
            return pki.present(recipe, LOCALHOST, self.authorities)
        except pki.Unsupported as error:
            raise UserError(f"{recipe.name}: {error}") from None

    def held_of_client(self, attacker: InterceptorRole) -> pki.Chain | None:
        """The client's chain and key that an attacker holds, if it does: made, or stolen."""
        if attacker.client_certificate:
            return self._forged(attacker.client_certificate, pki.CLIENT_IDENTITY, "client")
        stolen = [self._chains[name] for name in attacker.steals if name not in self.servers]
        return stolen[0] if stolen else None

    async def in_front(
        self, ingress: IngressRole | None, of: Address, running: AsyncExitStack
    ) -> Address:
        """Start what ends the clients' TLS in front of somebody.

        Args:
            ingress: as what; None for nothing.
            of: who comes next.
            running: ends it.

        Returns:
            What clients dial.

        Raises:
            UserError: it does not come up.
        """
        if ingress is None:
            return of
        if ingress.name not in self._chains:
            self._write_pair(ingress.name, self._forged("genuine", LOCALHOST))
        cert, key = self._pair(ingress.name)
        hop: Literal["plaintext", "unverified"] | Path
        if ingress.last_hop == "verified":
            hop = self._directory / "lab-ca.pem"
            pki.write_private(hop, self.authorities.lab.pem)
        else:
            hop = ingress.last_hop
        return await running.enter_async_context(
            running_ingress(
                cert,
                key,
                Address(LOCALHOST, of.port),
                last_hop=hop,
                client_certificates=ingress.client_certificates or None,
            )
        )

    def shown_by(self, member: str) -> ServerCertificate | None:
        """What a server or an ingress shows its clients now; None if it speaks no TLS.

        Args:
            member: by its name in the cast.
        """
        chain = self._chains.get(member)
        if chain is None:
            return None
        return ServerCertificate(
            time=time.time(),
            member=member,
            certificate=chain.name,
            subjects=chain.subjects,
            issuer=chain.issuer,
            sha256=chain.sha256,
            key=chain.key_kind,
            **pki.leaf_in(chain.certificates[0])._asdict(),
        )

    def trust(self, client: ClientRole, server: str, anchor_pem: bytes) -> Trust:
        """Write what a client is given.

        Args:
            client: who.
            server: the name of the one that it means to reach.
            anchor_pem: the CA that it is to trust.
        """
        ca, pin = self._directory / "ca.pem", self._directory / "pin.pem"
        pki.write_private(ca, anchor_pem)
        pins = [chains[server].leaf_pem for chains in (self._first, self._next) if server in chains]
        pki.write_private(pin, b"".join(pins if client.backup_pin else pins[:1]))
        cert, key = self._pair(client.name) if client.certificate else (None, None)
        return Trust(ca, pin, cert, key)

    def store(self, client: ClientRole) -> TrustStore | None:
        """The trust store of a client's machine, where it holds more than the lab's CA."""
        if client.store == ("lab",):
            return None
        if client.name not in self._stores:
            folder = self._directory / f"store-{len(self._stores)}"
            pem = b"".join(map(self._root, client.store))
            self._stores[client.name] = pki.write_trust_store(folder, pem)
        return self._stores[client.name]

    def _root(self, name: str) -> bytes:
        if name in self._public:
            return self._public[name].root_pem
        return self.authorities[cast(AuthorityName, name)].pem

    async def renew(self, server: str) -> Renewed:
        """Give a server its next certificate, while it runs and a call to it is open.

        Of a server whose certificate has expired there is nobody who could have one.

        Returns:
            What has come of it.
        """
        running = self.servers[server]
        if server in self._accounts:
            # For a new key, as certbot does it if nothing else is said.
            chain = await self._obtained(server)
        else:
            chain = self._next[server]
        kept = lost = 0
        async with AsyncExitStack() as calls:
            call = None
            if self._chains[server].is_valid_at(datetime.now(UTC)):
                call = await calls.enter_async_context(
                    open_call(running.address, self._chains[server])
                )
            cert, key = self._pair(server)
            pki.write_private(key, chain.key_pem)
            pki.write_private(cert, chain.pem)
            self._chains[server] = chain
            if call:
                kept = int(await call.is_answered())
                lost = 1 - kept
        # It was ours, and is no client's.
        running.take_calls()
        return Renewed(
            time=time.time(),
            server=server,
            sha256=chain.sha256,
            calls_kept=kept,
            calls_lost=lost,
        )
