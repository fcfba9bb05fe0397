"""All cases at once, each on a port of its own, for whoever comes: a test framework, a browser."""

from mitm.audit.session.command import run_session
from mitm.audit.session.index import Index
from mitm.audit.session.presented import Session

__all__ = ["Index", "Session", "run_session"]
