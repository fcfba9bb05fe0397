"""Reports as pages: each is one file that needs nothing else, neither a network nor a script."""

from mitm.html.audit import audit_page
from mitm.html.matrix import matrix_page
from mitm.html.run import LeftOut, Scene, run_page

__all__ = ["LeftOut", "Scene", "audit_page", "matrix_page", "run_page"]
