"""Which rows there are: clients and their policies, and why some cannot be tried here."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from msgspec.structs import replace

from mitm.lab.audited import AuditedClient
from mitm.lab.clients import Client
from mitm.lab.policies import POLICIES
from mitm.matrix.record import Row
from mitm.matrix.run import Entry


def entries_of(clients: Iterable[Client], policies: Sequence[str], timeout: float) -> list[Entry]:
    """The rows of these clients and policies.

    Args:
        clients: which.
        policies: which; () for all.
        timeout: seconds that a client is given for each run.
    """
    return [
        entry for client in clients for entry in _of_client(client, policies or POLICIES, timeout)
    ]


def _of_client(client: Client, policies: Sequence[str], timeout: float) -> Iterator[Entry]:
    missing = [program for program in client.requires if shutil.which(program) is None]
    for policy in policies:
        row = Row(client.name, client.title, policy, "tried")
        if policy not in client.policies:
            reason = "it is none of the policies that the client's README names"
            yield Entry(replace(row, state="unsupported", reason=reason), None)
        elif missing:
            yield Entry(
                replace(row, state="missing", reason=f"{missing[0]} is not installed"), None
            )
        else:
            yield Entry(row, partial(AuditedClient, client, policy, timeout))
