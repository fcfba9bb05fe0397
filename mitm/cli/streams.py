"""Standard input, output and error: open, in whatever encoding, and what goes out is whole."""

import contextlib
import errno
import io
import os
import select
import signal
import sys
from collections.abc import Callable

_NAME = "mitm-demo"
_DESCRIPTORS = (0, 1, 2)

# Characters of a line on stderr. Our own longest names all certificates; a server can name files of
# any length.
_LINE_LIMIT = 4000


class _Whole(io.RawIOBase):
    """A descriptor that takes all of what it is given, or has failed.

    Whoever holds the other end of a pipe, or the same one, may have set it non-blocking, as libuv
    does: a write to it then is short, or none, and Python leaves the rest to its caller.

    Args:
        descriptor: which.
        on_failure: called once, when it takes no more. What comes after that is left out.
    """

    def __init__(self, descriptor: int, on_failure: Callable[[], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._on_failure = on_failure
        self.failure: OSError | None = None

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        rest = memoryview(data).cast("B")
        whole = len(rest)
        while rest and not self.failure:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError as error:
                self.fail(error)
        return whole

    def fail(self, error: OSError) -> None:
        """Take no more, for this reason; the first counts."""
        if not self.failure:
            self.failure = error
            self._on_failure()


_output: _Whole | None = None


def prepare() -> None:
    """Make the streams what everything else takes them for.

    Characters that an encoding has not (ASCII, Latin-1) are replaced. An output that takes no more
    ends the program in order, as Ctrl-C does; `finish` tells what has become of it.
    """
    global _output
    _open()
    # To the process: it may be a thread of its own that writes.
    _output = _Whole(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    sys.stdout = _text(_output, sys.stdout, "replace")
    sys.stderr = _text(_Whole(2, lambda: None), sys.stderr, "backslashreplace")
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it has no path, and stays


def _open() -> None:
    """Put something in the place of what the caller has closed (`>&-`).

    Else the next file that is opened would be taken for it; libuv aborts. What cannot be used for
    what it is there for fails when somebody tries to, but for stderr: there is nobody to tell.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free is taken, which is this one.
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_WRONLY)
            os.set_inheritable(descriptor, True)


def _text(raw: _Whole, before: object, errors: str) -> io.TextIOWrapper:
    # As the interpreter has set it up, by PYTHONIOENCODING, PYTHONUNBUFFERED and the locale.
    at_once = bool(getattr(before, "write_through", False)) or raw.fileno() == 2
    return io.TextIOWrapper(
        io.BufferedWriter(raw),  # type: ignore[type-var]
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors=errors,
        line_buffering=at_once or raw.isatty(),
    )


def write_output(data: bytes) -> None:
    """Write to standard output, past `sys.stdout`, as soon as all of it is taken; from any thread.

    What cannot be written is told by `finish`.
    """
    assert _output
    _output.write(data)


def leave_out(reason: str) -> None:
    """Have it told at the end that standard output is not whole.

    Args:
        reason: why not.
    """
    assert _output
    if not _output.failure:
        _output.failure = OSError(errno.ETIMEDOUT, reason)


def finish() -> OSError | None:
    """Write what is left; what has gone wrong with the output, None if it is whole."""
    sys.stdout.flush()
    return _output.failure if _output else None


def be_quiet() -> None:
    """Say nothing on stderr any more."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def tell(message: str) -> None:
    """Print a line on stderr, of whatever text."""
    # They take a moment to load.
    from mitm.masking import plain, shortened

    line = plain(shortened(" ".join(message.split()), _LINE_LIMIT))
    tell_as_it_is(f"{_NAME}: {line}")


def tell_as_it_is(text: str) -> None:
    """Print our own text on stderr."""
    sys.stderr.write(text.rstrip("\n") + "\n")
    sys.stderr.flush()
