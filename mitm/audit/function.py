"""The client under test as a Python function, sync or async: threads, time limit, last words."""

import asyncio
import contextlib
import contextvars
import inspect
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

from mitm.audit.listener import Endpoint
from mitm.evidence import ClientRun
from mitm.masking import without_secrets
from mitm.programs import PARTING_SECONDS, secrets_of


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

    async def __call__(self, endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        """Run it to its end; a coroutine, until it has done enough to be judged."""
        play = _Play(self._function, endpoint)
        context = self._context.copy()
        # A daemon: a function that hangs must not keep the interpreter from ending.
        threading.Thread(
            target=context.run, args=(play.run,), name="mitm-demo client", daemon=True
        ).start()
        ended = asyncio.wrap_future(play.outcome)
        stopping = asyncio.ensure_future(play.until_enough(enough))
        try:
            await asyncio.wait(
                (ended, stopping),
                timeout=self._time_limit,
                return_when=asyncio.FIRST_COMPLETED,
            )
            stopped = stopping.done()
            if stopped and not ended.done():
                await asyncio.wait([ended], timeout=PARTING_SECONDS)
            if ended.done():
                return ended.result()
            until = time.time()
            play.cancel()
            # So that a coroutine has closed what it closes before somebody else is called.
            await asyncio.wait([ended], timeout=PARTING_SECONDS)
        finally:
            stopping.cancel()
        return ClientRun(
            "stopped" if stopped else "still-running",
            failed=True,
            until=until,
            seconds=self._time_limit,
        )


class _Play:
    """One call of the function, in a thread; a coroutine that it returns can be ended.

    Attributes:
        outcome: of the call.
    """

    def __init__(self, function: Callable[[Endpoint], object], endpoint: Endpoint) -> None:
        self.outcome: Future[ClientRun] = Future()
        # From now on it cannot be cancelled, so that a late outcome is no error.
        self.outcome.set_running_or_notify_cancel()
        self._function = function
        self._endpoint = endpoint
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def run(self) -> None:
        """Call it, in the thread."""
        try:
            answer = self._function(self._endpoint)
            if inspect.iscoroutine(answer):
                asyncio.run(self._finish(answer))
        except BaseException as error:
            # Whatever it is, it has ended the client's thread and nothing else.
            self.outcome.set_result(ended_by(error))
        else:
            self.outcome.set_result(ClientRun("returned"))

    async def _finish(self, answer: Awaitable[object]) -> None:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        await answer

    async def until_enough(self, enough: asyncio.Event) -> None:
        """Wait until the call need not go on; for ever if it cannot be ended, as a thread."""
        await enough.wait()
        if self._loop is None:
            await asyncio.get_running_loop().create_future()

    def cancel(self) -> None:
        """End it, if it is a coroutine; a thread is left to itself."""
        if self._loop and self._task:
            # The loop may be closed by now.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)


def ended_by(error: BaseException) -> ClientRun:
    """What an exception says of the client's run that it ended."""
    if isinstance(error, SystemExit):
        said = f"exit code {error.code or 0}"
        return ClientRun("returned", said=said, failed=bool(error.code))
    words = f"{type(error).__name__}: {' '.join(_text(error).split())}".removesuffix(": ")
    # Whole: what was read of the client is masked in it before it is cut.
    said = without_secrets(words, secrets_of((), os.environ))
    return ClientRun("returned", said=said, failed=True)


def _text(error: BaseException) -> str:
    """What an exception says of itself."""
    try:
        # The text of grpcio's errors goes over several lines, of which two things matter.
        code, details = getattr(error, "code", None), getattr(error, "details", None)
        if callable(code) and callable(details):
            return f"{getattr(code(), 'name', code())}: {details()}"
        return str(error)
    except Exception:
        # It is the client's own code, too.
        return "(its text cannot be had)"
