"""Reports as pages: each is one file that needs nothing else, neither a network nor a script."""

from mitm.html.audit import audit_page
from mitm.html.matrix import matrix_page

__all__ = ["audit_page", "matrix_page"]
