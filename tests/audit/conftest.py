"""What the tests of the audit share."""

from tests.proxy.conftest import loop

__all__ = ["loop"]
