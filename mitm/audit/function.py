"""The client under test as a Python function, sync or async: threads, time limit, last words."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from mitm.audit.finding import ClientRun
from mitm.audit.listener import Endpoint

_LAST_WORDS = 200


class Function:
    """A function that connects to a server once, and returns.

    Args:
        function: called with the endpoint in a thread of its own, with the context variables of
            the thread that made this. A coroutine that it returns is run in that thread.
        time_limit: seconds until it counts as hung. A coroutine is then cancelled; a thread cannot
            be, and is left to itself.
    """

    def __init__(self, function: Callable[[Endpoint], object], time_limit: float) -> None:
        self._function = function
        self._time_limit = time_limit
        self._context = contextvars.copy_context()

    async def __call__(self, endpoint: Endpoint) -> ClientRun:
        """Run it to its end."""
        outcome: Future[ClientRun] = Future()
        # From now on it cannot be cancelled, so that a late outcome is no error.
        outcome.set_running_or_notify_cancel()
        context = self._context.copy()

        def play() -> None:
            outcome.set_result(context.run(self._play, endpoint))

        # A daemon: a function that hangs must not keep the interpreter from ending.
        threading.Thread(target=play, name="mitm-demo client", daemon=True).start()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(outcome), self._time_limit)
        except TimeoutError:
            return self._hung()

    def _play(self, endpoint: Endpoint) -> ClientRun:
        try:
            answer = self._function(endpoint)
            if inspect.iscoroutine(answer):
                return asyncio.run(self._finish(answer))
        except BaseException as error:
            # Whatever it is, it has ended the client's thread and nothing else.
            return ended_by(error)
        return ClientRun()

    async def _finish(self, answer: Awaitable[object]) -> ClientRun:
        try:
            async with asyncio.timeout(self._time_limit) as limit:
                await answer
        except TimeoutError:
            if not limit.expired():
                raise
            return self._hung()
        return ClientRun()

    def _hung(self) -> ClientRun:
        return ClientRun(
            problem=f"the client did not end within {self._time_limit:g} s", failed=True
        )


def ended_by(error: BaseException) -> ClientRun:
    """What an exception says of the client's run that it ended."""
    if isinstance(error, SystemExit):
        return ClientRun(said=f"exit code {error.code or 0}", failed=bool(error.code))
    # The text of grpcio's errors goes over several lines, of which two things matter.
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    if callable(code) and callable(details):
        text = f"{getattr(code(), 'name', code())}: {details()}"
    else:
        text = str(error)
    words = f"{type(error).__name__}: {' '.join(text.split())}".removesuffix(": ")
    return ClientRun(said=words[:_LAST_WORDS], failed=True)
