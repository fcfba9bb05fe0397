"""The cases of gRPC and of connections once more, where messages are to be changed.

With rules, the interceptor speaks HTTP/2 itself. Nothing here is what the rules are about: it must
go as it does straight to the server.
"""

import pytest

from tests.transparency.play import Way
from tests.transparency.test_connections import (  # noqa: F401
    test_a_thousand_streams_at_once_on_one_connection,
    test_graceful_shutdown_lets_calls_end_and_the_client_comes_back,
    test_keepalive_pings_are_answered_and_too_many_are_the_servers_to_refuse,
    test_many_connections_at_once,
    test_max_connection_age_moves_calls_to_a_new_connection_and_fails_none,
    test_shutdown_without_grace_cancels_calls,
)
from tests.transparency.test_interop import *  # noqa: F403


@pytest.fixture
def way() -> Way:
    return "rewriting"
