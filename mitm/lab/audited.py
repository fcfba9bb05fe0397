"""A client of the lab under audit: described by its README, it needs no placeholders."""

import asyncio

from mitm.address import Address
from mitm.audit import Endpoint, Subject
from mitm.evidence import ClientRun
from mitm.lab.client_run import run_client
from mitm.lab.clients import Client
from mitm.lab.policies import Trust

# A credential to be stolen; it opens nothing.
_TOKEN = "demo-token-of-the-audit"  # noqa: S105


class AuditedClient:
    """Runs a client of the lab once against each certificate.

    Args:
        client: which one.
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

    @property
    def told_trust(self) -> bool:
        """Whether it is told whom to trust, by its policy."""
        return self._policy in ("ca-file", "pinned")

    async def __call__(self, endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        """Run it to its end, or until it has done enough to be judged.

        Raises:
            UserError: it cannot be started.
        """
        more = ["--token", _TOKEN]
        if endpoint.name != endpoint.host:
            more += ["--server-name", endpoint.name]
        return await run_client(
            self._client,
            self._policy,
            Address(endpoint.host, endpoint.port),
            Trust(endpoint.ca_file, endpoint.pin_file),
            timeout=self._time_limit,
            more=more,
            enough=enough,
            planted=endpoint.surroundings,
        )
