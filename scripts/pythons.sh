#!/usr/bin/env bash
# Runs tests on every other Python that the project supports and this machine has, each in an
# environment of its own: scripts/pythons.sh TEST...
set -euo pipefail
cd "$(dirname "$0")/.."

# The newest of a version: on the PATH, or of pyenv's. A shim of pyenv's is there for a version that is not.
find_python() {
  local each
  for each in "$(command -v "python$1" || true)" $(ls -d "$HOME/.pyenv/versions/$1".*/bin/python 2>/dev/null | sort --version-sort --reverse); do
    if [ -n "$each" ] && "$each" -c 'import venv, ensurepip' 2>/dev/null; then
      echo "$each"
      return
    fi
  done
}

own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in 3.11 3.12 3.13 3.14; do
  if [ "$version" = "$own" ]; then
    echo "Python $version: that of .venv, on which make test runs all tests"
    continue
  fi
  python=$(find_python "$version")
  if [ -z "$python" ]; then
    echo "Python $version: not here; with pyenv install $version, or uv python install $version, it is"
    continue
  fi
  environment=".venv/pythons/$version"
  if [ ! "$environment/ready" -nt constraints.txt ] || [ ! "$environment/ready" -nt pyproject.toml ]; then
    "$python" -m venv --clear "$environment"
    "$environment/bin/pip" install --quiet --require-hashes --requirement constraints.txt
    "$environment/bin/pip" install --quiet --no-deps --no-build-isolation --editable .
    touch "$environment/ready"
  fi
  echo "Python $version: $("$environment/bin/python" -V)"
  "$environment/bin/pytest" --quiet -n 2 "$@"
done
