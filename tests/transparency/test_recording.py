"""The cases of gRPC and of connections once more, with all that can be written down written down.

That needs streams that show their bytes, and so is another way to relay.
"""

import pytest

from tests.transparency.play import Way
from tests.transparency.test_calls import *  # noqa: F403
from tests.transparency.test_connections import *  # noqa: F403
from tests.transparency.test_interop import *  # noqa: F403


@pytest.fixture
def way() -> Way:
    return "recording"
