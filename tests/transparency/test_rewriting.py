"""The cases of gRPC and of connections once more, where messages are to be changed.

With rules, the interceptor speaks HTTP/2 itself. Nothing here is what the rules are about: it must
go as it does straight to the server.
"""

import pytest

from tests.transparency.play import Way
from tests.transparency.test_connections import *  # noqa: F403
from tests.transparency.test_interop import *  # noqa: F403


@pytest.fixture
def way() -> Way:
    return "rewriting"
