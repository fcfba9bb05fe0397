"""Events from several sources, whenever they arrive, make one log in order of time."""

from hypothesis import given
from hypothesis import strategies as st

from mitm.events import Connected, Event
from mitm.proxy.ordered_log import PATIENCE, OrderedLog


def at(time: float, connection: int = 1) -> Event:
    return Connected(time=time, connection=connection, client="")


class Log(list[Event]):
    """An ordered log, and what has come out of it."""

    def __init__(self, count: int, now: float = 0.0) -> None:
        self.now = now
        self.of = OrderedLog(count, self.append, clock=lambda: self.now)

    @property
    def times(self) -> list[float]:
        return [event.time for event in self]


def test_an_event_is_held_until_nobody_can_tell_of_an_earlier_one() -> None:
    log = Log(2)
    log.of.add(0, 5.0, [at(4.0)])
    assert log.times == []
    log.of.add(1, 3.9)
    assert log.times == []
    log.of.add(1, 4.5, [at(4.2)])
    assert log.times == [4.0, 4.2]


def test_a_source_that_has_ended_is_not_waited_for_and_what_it_told_is_kept() -> None:
    log = Log(3)
    log.of.add(0, 5.0, [at(4.0)])
    log.of.add(1, 2.0, [at(1.0)])
    log.of.end(2)
    assert log.times == [1.0]
    log.of.end(1)
    assert log.times == [1.0, 4.0]


def test_a_source_that_gives_no_sign_of_life_holds_nobody_up_for_long() -> None:
    log = Log(2, now=10.0)
    log.of.add(0, 10.0, [at(10.0)])
    assert log.times == []
    log.now = 10.0 + PATIENCE
    log.of.add(0, 11.0)
    assert log.times == [10.0]
    # What comes late is told late, and not lost.
    log.of.add(1, 11.0, [at(9.0)])
    assert log.times == [10.0, 9.0]


def test_the_order_of_one_source_is_kept_whatever_its_times_say() -> None:
    """Bytes that were held back are told of with the time at which they came."""
    log = Log(2)
    log.of.add(0, 9.0, [at(3.0, 1), at(2.0, 1), at(4.0, 1)])
    log.of.add(1, 9.0, [at(2.5, 2)])
    assert [event.time for event in log if event.connection == 1] == [3.0, 2.0, 4.0]


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=20).map(sorted), min_size=1, max_size=4),
    st.data(),
)
def test_nothing_is_lost_and_all_is_in_order_however_the_sources_alternate(
    told: list[list[int]], data: st.DataObject
) -> None:
    log = Log(len(told))
    left = {source: list(times) for source, times in enumerate(told)}
    while left:
        source = data.draw(st.sampled_from(sorted(left)))
        word = data.draw(st.integers(0, 5))
        times, left[source] = left[source][:word], left[source][word:]
        if left[source]:
            # A mark that promises too little holds up; one that promises too much would be a lie.
            log.of.add(source, left[source][0], [at(time, source) for time in times])
        else:
            log.of.add(source, 51, [at(time, source) for time in times])
            log.of.end(source)
            del left[source]
        assert log.times == sorted(log.times)
    assert log.times == sorted(time for times in told for time in times)
