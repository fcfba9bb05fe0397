"""What is known of a call, by the client that made it and by the server; and whether they agree."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

# The header by which both know a call.
ID = "call-id"

SERVICE = "users.v1.UserService"

# What a call may be meant to come to, and what it may come to if it is given up: the server may
# have been done, or never have been asked.
GIVEN_UP = {"CANCELLED", "DEADLINE_EXCEEDED"}


class Call(msgspec.Struct, frozen=True):
    """A call, as one side has it.

    Attributes:
        id: of the call.
        method: its name.
        status: the gRPC status that it has ended with, by name.
        requests: how many messages of the client there were.
        answers: how many of the server.
        meant: the status that it was made to end with; "" for the server, who does not know.
    """

    id: str
    method: str
    status: str
    requests: int
    answers: int
    meant: str = ""


def write(file: "Path", calls: Iterable[Call]) -> None:
    """Append calls to a file, a JSON line each."""
    with file.open("ab") as lines:
        for call in calls:
            lines.write(msgspec.json.encode(call) + b"\n")


def read(file: Path) -> Iterator[Call]:
    """The calls of a file."""
    decode = msgspec.json.Decoder(Call).decode
    with file.open("rb") as lines:
        yield from map(decode, lines)


def differences(made: Iterable[Call], served: Iterable[Call]) -> list[str]:
    """Where client and server disagree, or a call came to something else than it was made for.

    Args:
        made: calls as their clients have them.
        served: as the server has them.

    Returns:
        A line for each; none if all is right.
    """
    by_id: dict[str, list[Call]] = {}
    for call in served:
        by_id.setdefault(call.id, []).append(call)
    found = []
    for call in made:
        found += [f"{call.method} {call.id}: {what}" for what in _wrong(call, by_id)]
        by_id.pop(call.id, None)
    found += [f"{id_}: the server has a call that nobody made" for id_ in by_id]
    return found


def _wrong(call: Call, by_id: dict[str, list[Call]]) -> Iterator[str]:
    records = by_id.get(call.id, [])
    if len(records) > 1:
        yield f"the server has it {len(records)} times"
    given_up = call.meant in GIVEN_UP
    # The server has the deadline too, and may have cancelled the call before its client does.
    by_server = (call.meant, call.status) == ("DEADLINE_EXCEEDED", "CANCELLED")
    if call.status != call.meant and not by_server and not (given_up and call.status == "OK"):
        yield f"ended with {call.status}, meant for {call.meant}"
    if not records:
        if not given_up:
            yield "the server does not know it"
        return
    served = records[0]
    if served.method != call.method:
        yield f"the server has it as {served.method}"
    if call.status in GIVEN_UP:
        # It is over for one side before the other knows, and messages are on their way.
        if served.status not in {*GIVEN_UP, "OK"}:
            yield f"{call.status} here, {served.status} there"
        if call.answers > served.answers or served.requests > call.requests:
            yield "somebody received what nobody sent"
        return
    here = (call.status, call.requests, call.answers)
    there = (served.status, served.requests, served.answers)
    if here != there:
        yield f"{here} here, {there} there"


def summary(made: Iterable[Call]) -> str:
    """How many calls of each kind came to what, in a line of JSON."""
    counts = Counter(f"{call.method} {call.status}" for call in made)
    return json.dumps(dict(sorted(counts.items())))
