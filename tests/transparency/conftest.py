"""The ways from a client to its server, each test taken over all of them."""

from functools import partial

import pytest

from tests.proxy.conftest import loop as loop
from tests.proxy.conftest import props as props
from tests.proxy.stage import Props
from tests.transparency.play import WAYS, Play, Way, played


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Straight to the server, which is the control, and through the interceptor."""
    chosen: Way = request.param
    return chosen


@pytest.fixture
def play(way: Way, props: Props) -> Play:
    """Starts a server with the test's own methods, and whatever lies on the way to it."""
    return partial(played, way, props)
