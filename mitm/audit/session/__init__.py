"""All cases at once, each on a port of its own, for whoever comes: a test framework, a browser."""

from mitm.audit.session.command import INTERRUPTED, run_session
from mitm.audit.session.index import Index
from mitm.audit.session.listing import as_object, left_out
from mitm.audit.session.presented import Session

__all__ = ["INTERRUPTED", "Index", "Session", "as_object", "left_out", "run_session"]
