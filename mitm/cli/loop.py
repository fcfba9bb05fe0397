"""The event loop that commands run in."""

import asyncio
import resource
from collections.abc import Coroutine
from importlib.metadata import version
from typing import Any, TypeVar

from mitm.errors import UserError

T = TypeVar("T")

# A run of a scenario takes some 40 files. libuv aborts if it finds none for an event loop.
_FILES = 64

# Older ones tell a reset as an end, which then is neither recorded nor handed on as what it is.
_FIRST_SOUND = (0, 23)


def in_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the fastest event loop there is.

    Raises:
        UserError: too few files may be open for any.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        if allowed != resource.RLIM_INFINITY and allowed < _FILES:
            raise UserError(
                f"no more than {allowed} files may be open here: allow {_FILES} at least, "
                f"with 'ulimit -n {_FILES}' say"
            )
        results: list[T] = []

        async def work() -> None:
            # A result of the task's own would be written out (`repr`), an audit's in 50 ms, when
            # the runner gives SIGINT back: `signal` makes an error's text of the task, for itself.
            results.append(await coroutine)

        with asyncio.Runner(loop_factory=_factory()) as runner:
            runner.run(work())
        return results[0]
    finally:
        # Ctrl-C may have come before it was begun.
        coroutine.close()


def _factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    release = tuple(int(part) for part in version("uvloop").split(".")[:2])
    return uvloop.new_event_loop if release >= _FIRST_SOUND else None
