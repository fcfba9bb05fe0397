"""Room for runs: so many at work, and some more of those that only wait."""

import asyncio

import pytest

from mitm.audit.slots import Slots
from tests.proxy.stage import run


async def most_at_once(slots: Slots, *, refused: bool, runs: int = 20) -> int:
    """How many were there at once, of runs that go on until nobody comes any more."""
    present, most = 0, 0

    async def one() -> None:
        nonlocal present, most
        async with slots.taken() as give_way:
            present += 1
            most = max(most, present)
            if refused:
                give_way()
                give_way()
            await settled()
            present -= 1

    async def settled() -> None:
        # More turns of the loop than it takes for all the others to come.
        for _ in range(5 * runs):
            await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(runs)))
    return most


@pytest.mark.parametrize(
    ("at_once", "waiting", "refused", "most"),
    [(2, 5, False, 2), (2, 5, True, 7), (2, 0, True, 2), (1, 3, True, 4)],
)
def test_who_has_been_refused_gives_way_to_some(
    at_once: int, waiting: int, refused: bool, most: int
) -> None:
    async def main() -> None:
        slots = Slots(at_once, waiting)
        # The second time as well: what was given back is not given back again.
        for _ in range(2):
            assert await most_at_once(slots, refused=refused) == most

    run(main())


@pytest.mark.parametrize("early", [True, False])
def test_one_that_fails_leaves_its_room(early: bool) -> None:
    async def main() -> None:
        slots = Slots(1, 1)

        async def fail() -> None:
            async with slots.taken() as give_way:
                if early:
                    give_way()
                raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            await fail()
        assert await most_at_once(slots, refused=False) == 1

    run(main())
