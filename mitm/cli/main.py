"""The entry point: how a command ends, whatever becomes of it. The commands stand in `group`.

Nothing is imported before Ctrl-C can be answered, not even `typing`.
"""

import errno
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn

USER_ERROR = 2
# A verdict has codes of its own, and a crash is none (BSD's sysexits.h: EX_SOFTWARE).
UNFORESEEN = 70
# 128 and the signal, as shells have it for programs that a signal has ended.
INTERRUPTED = 128 + signal.SIGINT
READER_GONE = 128 + signal.SIGPIPE

# The variable that asks for the traceback of what was not foreseen.
DEBUG = "MITM_DEBUG"


_TOO_MANY = (errno.EMFILE, errno.ENFILE)


def main() -> "NoReturn":
    """Run the command line.

    Whatever goes wrong is one line on stderr. Exit code 2 is for what a user can mend, 70 for what
    was not foreseen.
    """
    signal.signal(signal.SIGINT, leave)
    from mitm.cli import streams

    streams.prepare()
    try:
        code = _main()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as end:
        # So click 8.1 ends when a shell has asked for names. With a code, it is nobody's verdict.
        code = _unforeseen(end) if end.code else 0
    except BaseException as error:
        code = _unforeseen(error)
    # From here on there is nothing left to interrupt.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = _of_output(code)
    # All is told. What libraries say while the interpreter ends is for nobody.
    if not os.environ.get(DEBUG):
        streams.be_quiet()
    sys.exit(code)


def leave(number: int, frame: "FrameType | None") -> None:
    """End at once on Ctrl-C: while things are loaded, nothing has begun that would have to end."""
    os._exit(INTERRUPTED)


def _main() -> int:
    import warnings

    import click

    from mitm.cli.group import cli
    from mitm.errors import UserError

    # A library's warnings are for programmers, who ask for them (-W, PYTHONWARNINGS). To load odd
    # certificates, with a negative serial number say, is what this program is for.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    _log_in_lines()
    # Programs that a script starts with & ignore SIGINT (POSIX, "Asynchronous Lists"): they could
    # be ended neither by that nor by what is made of SIGTERM below.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        return _complain(error.format_message())
    except click.Abort:
        return INTERRUPTED
    except UserError as error:
        return _complain(str(error))
    return int(code or 0)


def _complain(message: str) -> int:
    from mitm.cli import streams

    streams.tell(message)
    return USER_ERROR


def _unforeseen(error: BaseException) -> int:
    """Tell of what is a mistake of this program's, or of its surroundings."""
    import traceback
    from pathlib import Path

    from mitm.cli import streams
    from mitm.errors import UserError
    from mitm.masking import shortened, without_secrets

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if os.environ.get(DEBUG):
        streams.tell_as_it_is("".join(traceback.format_exception(error)))
    if isinstance(error, UserError):
        return _complain(str(error))
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if any(isinstance(e, OSError) and e.errno in _TOO_MANY for e in _behind(error)):
        return _complain("too many open files: allow more, with 'ulimit -n 1024' say")
    where = ""
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        where = f" in {Path(frame.filename).name}, line {frame.lineno}"
    # The text may quote what a client or a server has said.
    text = shortened(without_secrets(" ".join(str(error).split()), ()))
    told = f"{type(error).__name__}{where}" + (f": {text}" if text else "")
    streams.tell(
        f"unforeseen: {told}; this is a mistake of mitm-demo's own, and proves nothing: "
        f"with {DEBUG}=1 it shows its traceback"
    )
    return UNFORESEEN


def _behind(error: BaseException | None) -> "Iterator[BaseException]":
    """An error, and those that it was raised in the middle of."""
    while error:
        yield error
        error = error.__context__


def _of_output(code: int) -> int:
    """The exit code, with what has become of the output: it is whole, or it is an error."""
    from mitm.cli import streams

    error = streams.finish()
    if error is None:
        return code
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        # It has all that it wanted (`| head`).
        return READER_GONE
    return _complain(f"cannot write standard output: {error.strerror}")


def _interrupt(number: int, frame: "FrameType | None") -> None:
    """End on SIGTERM and SIGHUP as on Ctrl-C: in order."""
    signal.raise_signal(signal.SIGINT)


def _log_in_lines() -> None:
    """Have what libraries log told in lines; tracebacks only where they are asked for."""
    import logging

    from mitm.cli import streams

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            streams.tell(record.getMessage() + (f": {error!r}" if error else ""))

    if not os.environ.get(DEBUG):
        logging.basicConfig(handlers=[Lines()], level=logging.WARNING)
        sys.unraisablehook = lambda unraisable: None
