"""What a message means, without I/O: schema, guess, status, error details, rules for rewriting."""

from mitm.messages.rules import Rules
from mitm.messages.schema import Schema

__all__ = ["Rules", "Schema"]
