"""Which rows there are: clients and their policies, and why some cannot be tried here."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from mitm.errors import UserError
from mitm.lab.batch import BatchClient
from mitm.lab.builds import ready, version_of
from mitm.lab.clients import Client
from mitm.lab.policies import POLICIES
from mitm.matrix.record import Row
from mitm.matrix.run import Entry

_NOT_NAMED = "it is none of the policies that the client's README names"


async def entries_of(
    clients: Iterable[Client], policies: Sequence[str], timeout: float
) -> list[Entry]:
    """The rows of these clients and policies.

    Nothing is built: a client that is not, or whose tools are missing, has rows that say so.

    Args:
        clients: which.
        policies: which; () for all.
        timeout: seconds that a client is given for each run.
    """
    of_each = await asyncio.gather(
        *(_of_client(client, policies or POLICIES, timeout) for client in clients)
    )
    return [entry for entries in of_each for entry in entries]


async def _of_client(client: Client, policies: Sequence[str], timeout: float) -> list[Entry]:
    rows = [Row(client.name, client.title, policy, "tried") for policy in policies]
    try:
        made = await ready(client, build=False)
        version = await version_of(made)
    except UserError as error:
        return [Entry(replace(row, state="missing", reason=str(error)), None) for row in rows]
    return [_entry(replace(row, version=version), made, timeout) for row in rows]


def _entry(row: Row, client: Client, timeout: float) -> Entry:
    if row.policy not in client.policies:
        return Entry(replace(row, state="unsupported", reason=_NOT_NAMED), None)
    return Entry(row, partial(BatchClient, client, row.policy, timeout))
