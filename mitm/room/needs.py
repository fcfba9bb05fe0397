"""What it takes to serve the page, and whether that is here."""

import importlib.util

# The extra `room`, by the names that are imported.
_LIBRARIES = ("starlette", "uvicorn")


def missing() -> str:
    """What of it is not here, and how one comes by it, in a line; "" if nothing is missing."""
    absent = [name for name in _LIBRARIES if not importlib.util.find_spec(name)]
    if not absent:
        return ""
    return (
        f"the page is served with {' and '.join(_LIBRARIES)}, and here is no "
        f"{' and no '.join(absent)}: pip install 'mitm-demo[room]'"
    )
