"""What all tests share."""

import os
import signal

pytest_plugins = ["pytester", "tests.browser"]

# What the tests audit is none of the summary of the job that they run in.
os.environ.pop("GITHUB_STEP_SUMMARY", None)

# Programs that a script starts with & ignore SIGINT (POSIX, "Asynchronous Lists"), and so would all
# that the tests start: none of them could be ended as Ctrl-C ends it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
