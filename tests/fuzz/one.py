"""One target, fuzzed by this process: `python -m tests.fuzz.one TARGET [options of libFuzzer]`."""

import json
import sys

import atheris

from tests.fuzz.__main__ import KEPT, Count

with atheris.instrument_imports(include=["mitm", "hpack", "yaml"]):
    from tests.fuzz.targets import TARGETS

# Executions between two notes of how many there have been: the process may end at any of them.
_EVERY = 512


def main() -> None:
    """Fuzz until the time is up, or a promise is broken."""
    name = sys.argv.pop(1)
    target = TARGETS[name]
    folder = KEPT / name
    corpus = folder / "corpus"
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    executions, size = Count.of(name)
    since = 0

    def one(data: bytes) -> None:
        nonlocal executions, size, since
        executions, size, since = executions + 1, size + len(data), since + 1
        if since == _EVERY:
            since = 0
            note = {"executions": executions, "bytes": size}
            (folder / "count.json").write_text(json.dumps(note))
        target.run(data)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
