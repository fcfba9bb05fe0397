"""One's own client: what is kept of it, whatever it does."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mitm.room import own as module
from mitm.room.captures import Captures
from mitm.room.feed import Feed
from mitm.room.own import OwnClient


def told(feed: Feed) -> list[dict[str, Any]]:
    return [json.loads(record) for _, record in feed.after(0)]


async def call(target: str) -> None:
    """Be a client that speaks no TLS, and see the end of it."""
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    writer.write_eof()
    await reader.read()
    writer.close()


@pytest.mark.parametrize("limit", [10, 1024 * 1024])
def test_what_is_not_recorded_is_told_and_where_it_is_listened_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(module, "Captures", partial(Captures, limit=limit))

    async def listen() -> list[dict[str, Any]]:
        feed = Feed()
        client = OwnClient(feed, tmp_path)
        await client.present("attacker-ca")
        await call(told(feed)[0]["target"])
        while not any(record["kind"] == "judged" for record in told(feed)):
            await feed.news(feed.after(0)[-1][0], 10)
        judged = told(feed)[-1]
        for _ in range(1000):
            feed.append("own", b"{}")
        assert told(feed)[0]["kind"] == "listening"
        await client.stop()
        (stopped,) = told(feed)
        return [judged, stopped]

    for record in asyncio.run(listen()):
        lost = " ".join(record["lost"])
        assert ("events could not be written" in lost) is (limit == 10)


def test_of_an_earlier_time_nothing_is_kept(tmp_path: Path) -> None:
    async def listen() -> None:
        client = OwnClient(Feed(), tmp_path)
        for _ in range(2):
            await client.present("genuine")
            await client.stop()

    asyncio.run(listen())
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["own-2"]
