"""Whose turn it is."""

import asyncio

from mitm.room.turns import Turns


async def _let_go_on() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Player:
    """Takes a turn, until it is told to end."""

    def __init__(self, turns: Turns) -> None:
        self.places: list[int] = []
        self.plays = False
        self._enough = asyncio.Event()
        self._turns = turns
        self.task = asyncio.create_task(self._play())

    async def _play(self) -> None:
        async with self._turns.taken(self.places.append):
            self.plays = True
            await self._enough.wait()
        self.plays = False

    async def end(self) -> None:
        self._enough.set()
        await _let_go_on()


def test_so_many_play_at_once_and_the_others_in_their_order() -> None:
    async def play() -> None:
        turns = Turns(2)
        players = [Player(turns) for _ in range(5)]
        await _let_go_on()
        assert [each.plays for each in players] == [True, True, False, False, False]
        assert [each.places for each in players] == [[], [], [0], [1], [2]]
        await players[1].end()
        assert [each.plays for each in players] == [True, False, True, False, False]
        assert [each.places[-1:] for each in players] == [[], [], [0], [0], [1]]
        for each in players:
            await each.end()
        assert all(each.task.done() for each in players)

    asyncio.run(play())


def test_who_gives_up_holds_up_nobody() -> None:
    async def play() -> None:
        turns = Turns(1)
        first, second, third = (Player(turns) for _ in range(3))
        await _let_go_on()
        second.task.cancel()
        await _let_go_on()
        assert third.places == [1, 0]
        await first.end()
        assert third.plays
        third.task.cancel()
        await _let_go_on()
        assert Player(turns)
        fourth = Player(turns)
        await _let_go_on()
        assert not fourth.plays

    asyncio.run(play())


def test_a_turn_that_is_given_to_whoever_gives_up_in_that_moment_is_not_lost() -> None:
    async def play() -> None:
        turns = Turns(1)
        first, second, third = (Player(turns) for _ in range(3))
        await _let_go_on()
        first._enough.set()
        await asyncio.sleep(0)  # the turn is given to the second, who has not yet noticed
        second.task.cancel()
        await _let_go_on()
        assert third.plays
        await third.end()

    asyncio.run(play())
