#!/usr/bin/env bash
# The sources in other languages, looked at by their own tools: client/, session/ to be copied, and
# in C++ the exercises.
# What is not installed is left out, and told. Nothing is written beside the sources.
set -euo pipefail
cd "$(dirname "$0")/.."

clang_format=20.1.8
google_java_format=1.28.0 # the last ones for JDK 17

outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT
code=0

has() { # TOOL FOLDER...: whether there is something to look at, and something to look with
  local tool=$1
  shift
  [ -e "$1" ] && [ -e "$2" ] || return 1
  command -v "$tool" >/dev/null || { echo "left out, without $tool: $*" >&2; return 1; }
}

check() { # WHAT COMMAND...
  local what=$1
  shift
  "$@" || { echo "$what: see above" >&2; code=1; }
}

if has go client/go session/go; then
  unformatted=$(gofmt -l client/go session/go)
  [ -z "$unformatted" ] || { echo "gofmt would change: $unformatted" >&2; code=1; }
  check 'go vet' go -C client/go vet ./...
  check 'go vet' go vet session/go/*.go
fi

if has npm client/node session/node; then
  # Prettier is of the version in package-lock.json.
  cp -R client/node "$outside/node"
  rm -rf "$outside/node/node_modules"
  (cd "$outside/node" && npm ci --silent --ignore-scripts)
  prettier=$outside/node/node_modules/.bin/prettier
  check prettier "$prettier" --log-level warn --check client/node/*.js session/node/*.cjs
fi

if has cargo client/rust session/rust; then
  export CARGO_TARGET_DIR=$outside/target
  check 'cargo fmt' cargo fmt --manifest-path client/rust/Cargo.toml --check
  check clippy cargo clippy --quiet --locked --manifest-path client/rust/Cargo.toml --all-targets -- -D warnings
  check rustfmt rustfmt --check --edition 2021 session/rust/*.rs
fi

if has mvn client/java session/java; then
  mvn --batch-mode --quiet dependency:copy -DoutputDirectory="$outside" \
    -Dartifact="com.google.googlejavaformat:google-java-format:$google_java_format:jar:all-deps"
  mapfile -t sources < <(find client/java session/java -name '*.java' -not -path '*/target/*' -not -path '*/users/*')
  check google-java-format java -jar "$outside/google-java-format-$google_java_format-all-deps.jar" \
    --dry-run --set-exit-if-changed "${sources[@]}"
fi

if has python3 client/cpp session/cpp; then
  python3 -m venv "$outside/venv"
  "$outside/venv/bin/pip" install --quiet "clang-format==$clang_format"
  mapfile -t sources < <(find client/cpp session/cpp exercises tests/learn/solutions \
    -name '*.cc' -o -name '*.cpp' -o -name '*.h')
  check clang-format "$outside/venv/bin/clang-format" --style=file:client/cpp/.clang-format \
    --dry-run --Werror "${sources[@]}"
fi

exit "$code"
