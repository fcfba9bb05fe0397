"""Fuzzes everything that reads what strangers wrote, with atheris: `pip install -e .[fuzz]`.

    python -m tests.fuzz [--minutes 10] [TARGET ...]

The targets are those of `tests.fuzz.targets`; all of them share the time. What the fuzzer has
learnt is kept in `.fuzz/`, with the inputs that broke a promise, and how many executions and bytes
there have been in all runs. `python -m tests.fuzz --run FILE TARGET` takes one input again.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".fuzz"

# The order in which they have their turn.
NAMES = ("hello", "certificate", "http2", "http1", "guess", "typed", "replay", "recipe")

# Shares of the time: where there is most to go wrong, and most depends on it.
_SHARES = {"http2": 4, "http1": 2}

# Bytes of an input, seconds and MiB that it may take: the machine may be busy.
_LONGEST, _SLOWEST, _MOST = 2048, 120, 2048


class Count(NamedTuple):
    """What a target has taken in all runs."""

    executions: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, target: str) -> "Count":
        try:
            return cls(**json.loads((KEPT / target / "count.json").read_text()))
        except (OSError, ValueError):
            return cls()


def main() -> int:
    """Fuzz; the exit code: 1 if a promise was broken, 2 if nothing could be done."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description="Fuzz with atheris.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together")
    parser.add_argument("--run", type=Path, metavar="FILE", help="take this input, and no other")
    options = parser.parse_args()
    targets = options.targets or list(NAMES)
    if unknown := [name for name in targets if name not in NAMES]:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if importlib.util.find_spec("atheris") is None:
        print("tests.fuzz: atheris is missing: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    shares = [_SHARES.get(target, 1) for target in targets]
    broken = []
    for target, share in zip(targets, shares, strict=True):
        seconds = options.minutes * 60 * share / sum(shares)
        if _fuzz(target, seconds, options.run):
            broken.append(target)
    for target in targets:
        count = Count.of(target)
        print(f"{target:<8} {count.executions:>12,} executions {count.bytes:>15,} bytes")
    for target in broken:
        print(f"tests.fuzz: {target}: a promise is broken: see {KEPT / target}", file=sys.stderr)
    return 1 if broken else 0


def _fuzz(target: str, seconds: float, run: Path | None) -> int:
    """Fuzz one target for so long, in a process of its own; its exit code."""
    folder = KEPT / target
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.one", target]
    if run:
        command += [str(run)]
    else:
        command += [str(corpus), f"-max_total_time={max(int(seconds), 1)}", f"-max_len={_LONGEST}"]
    command += [f"-timeout={_SLOWEST}", f"-rss_limit_mb={_MOST}", f"-artifact_prefix={folder}/"]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
