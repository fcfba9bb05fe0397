#!/usr/bin/env bash
# Writes two lists of versions with their hashes, for every Python that the project supports:
# constraints.txt is what development and CI install, and constraints-run.txt, part of it, what it takes
# to build and run mitm-demo. What is pinned already stays, unless --upgrade is given.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-uv}
command -v "$uv" >/dev/null || { echo "uv is needed: pip install uv, or UV=/path/to/uv" >&2; exit 1; }

# A registry of one's own is nobody else's: it stays out of the files.
compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-emit-index-url --no-emit-package mitm-demo --custom-compile-command 'make constraints' "$@"
}

compile --output-file constraints.txt --extra dev "$@" pyproject.toml
echo hatchling | compile --output-file constraints-run.txt --constraint constraints.txt pyproject.toml -
