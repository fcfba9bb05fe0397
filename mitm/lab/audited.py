"""A client of the lab under audit: described by its README, it needs no placeholders."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import NamedTuple, Self

from mitm import pki
from mitm.address import Address
from mitm.audit import Endpoint, Subject
from mitm.evidence import ClientRun
from mitm.lab.client_run import must_be_supported, run_client
from mitm.lab.clients import Client
from mitm.lab.policies import TOLD_TRUST, Trust

# Who the client says it is, with a certificate of its own.
_IDENTITY = "client.mitm-demo.example"

# A credential to be stolen; it opens nothing.
_TOKEN = "demo-token-of-the-audit"  # noqa: S105


class AuditedClient:
    """Runs a client of the lab once against each certificate; for `async with`.

    Args:
        client: which one, ready to be run.
        policy: how it is to decide whom to trust.
        time_limit: seconds that one run may take.

    Raises:
        UserError: the client does not know the policy.
    """

    def __init__(self, client: Client, policy: str, time_limit: float) -> None:
        self.subject = Subject(client.name, client.title, policy=policy)
        self._client = client
        self._policy = client.must_know(policy)
        self._time_limit = time_limit
        self._is_control = True
        self._stack = AsyncExitStack()
        self._cert: Path | None = None
        self._key: Path | None = None

    async def __aenter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="mitm-demo-")))
        if self._policy == "mutual-tls":
            self._cert, self._key = _identity(self._folder)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def told_trust(self) -> bool:
        """Whether it is told whom to trust, by its policy."""
        return self._policy in TOLD_TRUST

    async def __call__(self, endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        """Run it to its end, or until it has done enough to be judged.

        The first call is taken for the control: there its word that it does not support the policy
        is enough. Later it is one witness among others.

        Raises:
            UserError: it cannot be started.
            PolicyUnsupported: its stack cannot do what the policy says.
        """
        is_control, self._is_control = self._is_control, False
        run = await self._run(endpoint, enough)
        return must_be_supported(self._client, self._policy, run) if is_control else run

    async def _run(self, endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        asked = asked_of(endpoint)
        return await run_client(
            self._client,
            self._policy,
            asked.target,
            self._presenting(asked.trust),
            timeout=self._time_limit,
            more=asked.more,
            enough=enough,
            planted=endpoint.surroundings,
        )

    def _presenting(self, trust: Trust) -> Trust:
        """The same with what the client presents, where its policy needs something."""
        return trust._replace(cert=self._cert, key=self._key)


def _identity(folder: Path) -> tuple[Path, Path]:
    """Make what a client presents: a leaf for clients, of a CA called like the lab's, and its key.

    Whoever asks for it here takes it from whatever CA, so that one of its own will do.
    """
    authorities = pki.Authorities([_IDENTITY])
    chain = pki.forge(pki.load_recipe("genuine"), _IDENTITY, authorities, purpose="client")
    cert, key = folder / "client.pem", folder / "client.key"
    pki.write_private(cert, chain.pem)
    pki.write_private(key, chain.key_pem)
    return cert, key


class Asked(NamedTuple):
    """What a client is asked for at an endpoint.

    Attributes:
        more: options of client/README.md besides, by their names.
    """

    target: Address
    trust: Trust
    more: dict[str, str]


def asked_of(endpoint: Endpoint) -> Asked:
    """What a client is to be asked for, so that it connects to an endpoint."""
    more = {"token": _TOKEN}
    if endpoint.name != endpoint.host:
        more["server-name"] = endpoint.name
    target = Address(endpoint.host, endpoint.port)
    return Asked(target, Trust(endpoint.ca_file, endpoint.pin_file), more)
