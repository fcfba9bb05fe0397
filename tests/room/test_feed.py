"""What pages are told: in order, bounded, and by nobody waited for."""

import asyncio

from mitm.room.feed import Feed


def test_a_page_is_told_what_it_has_not_seen_in_order() -> None:
    feed = Feed()
    feed.append("stage", b"a")
    feed.append("own", b"b")
    feed.append("stage", b"c")
    assert [record for _, record in feed.after(0)] == [b"a", b"b", b"c"]
    assert feed.after(2) == [(3, b"c")]
    assert feed.after(3) == []


def test_what_begins_anew_forgets_its_own_part_alone() -> None:
    feed = Feed()
    feed.append("stage", b"a")
    feed.append("own", b"b")
    feed.begin("stage")
    feed.append("stage", b"c")
    assert [record for _, record in feed.after(0)] == [b"b", b"c"]


def test_a_page_of_another_life_is_told_all() -> None:
    feed = Feed()
    feed.append("stage", b"a")
    assert feed.after(1000) == [(1, b"a")]


def test_a_client_in_a_loop_fills_no_memory_and_drives_out_no_stage() -> None:
    feed = Feed()
    feed.append("stage", b"first")
    for number in range(10_000):
        feed.append("own", b"%d" % number)
    records = feed.after(0)
    assert records[0] == (1, b"first")
    assert records[-1][1] == b"9999"
    assert len(records) < 1000


def test_where_it_is_listened_is_told_however_much_a_client_has_said() -> None:
    feed = Feed()
    feed.append("listening", b"elsewhere")
    feed.append("listening", b"here")
    for number in range(10_000):
        feed.append("own", b"%d" % number)
    assert feed.after(0)[0][1] == b"here"


def test_of_the_class_the_latest_is_enough() -> None:
    feed = Feed()
    feed.append("class", b"old")
    feed.append("class", b"new")
    assert [record for _, record in feed.after(0)] == [b"new"]


def test_whoever_waits_is_told_at_once_and_goes_when_it_is_over() -> None:
    async def wait() -> None:
        feed = Feed()
        waiting = [asyncio.create_task(feed.news(0, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        feed.append("stage", b"a")
        assert await asyncio.gather(*waiting) == [[(1, b"a")]] * 3
        last = asyncio.create_task(feed.news(1, 60))
        await asyncio.sleep(0)
        feed.close()
        assert await last == []
        assert await feed.news(1, 60) == []

    asyncio.run(wait())


def test_silence_ends_a_wait() -> None:
    assert asyncio.run(Feed().news(0, 0.01)) == []
