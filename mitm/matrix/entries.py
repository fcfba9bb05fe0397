"""Which rows there are: clients and their policies, and why some cannot be tried here."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from mitm.errors import UserError
from mitm.lab.batch import BatchClient
from mitm.lab.builds import made_of, ready, version_of
from mitm.lab.clients import Client
from mitm.lab.policies import POLICIES
from mitm.matrix.ladder import chosen, client_with, read_range, versions_of
from mitm.matrix.record import Row
from mitm.matrix.run import Entry

# What is asked of past versions, if nothing is said: do they verify?
_OF_LADDER = ("ca-file",)

_NOT_NAMED = "it is none of the policies that the client's README names"


async def entries_of(
    clients: Iterable[Client], policies: Sequence[str], timeout: float, *, named: bool
) -> list[Entry]:
    """The rows of these clients and policies.

    Nothing is built: a client that is not, or whose tools are missing, has rows that say so.

    Args:
        clients: which.
        policies: which; () for all.
        timeout: seconds that a client is given for each run.
        named: whether these clients were asked for by their names.
    """
    of_each = await asyncio.gather(
        *(_of_client(client, policies or POLICIES, timeout, named=named) for client in clients)
    )
    return [entry for entries in of_each for entry in entries]


async def ladder_of(
    words: str, policies: Sequence[str], timeout: float, on_step: Callable[[str], None]
) -> list[Entry]:
    """The rows of several versions of a stack, the oldest first.

    Args:
        words: the stack and its versions, `grpcio=1.60..1.85`.
        policies: which; () for `ca-file` alone.
        timeout: seconds that a client is given for each run.
        on_step: told what is made, before that.

    Raises:
        UserError: there is no such stack or version, or its package manager does not answer.
    """
    name, wanted = read_range(words)
    entries = []
    for version in chosen(await versions_of(name), wanted):
        on_step(f"{name} {version}")
        try:
            client = await client_with(name, version)
        except UserError as error:
            for policy in policies or _OF_LADDER:
                row = Row(f"{name} {version}", "", policy, "missing", reason=str(error))
                entries.append(Entry(row, None))
        else:
            entries += await _of_client(client, policies or _OF_LADDER, timeout, named=False)
    return entries


async def _of_client(
    client: Client, policies: Sequence[str], timeout: float, *, named: bool
) -> list[Entry]:
    rows = [Row(client.name, client.title, policy, "tried", named=named) for policy in policies]
    try:
        made = await ready(client, build=False)
        version = await version_of(made)
        files = made_of(client)
    except UserError as error:
        return [Entry(replace(row, state="missing", reason=str(error)), None) for row in rows]
    return [_entry(replace(row, version=version, made_of=files), made, timeout) for row in rows]


def _entry(row: Row, client: Client, timeout: float) -> Entry:
    if row.policy not in client.policies:
        return Entry(replace(row, state="unsupported", reason=_NOT_NAMED), None)
    return Entry(row, partial(BatchClient, client, row.policy, timeout))
