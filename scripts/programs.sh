#!/usr/bin/env bash
# Installs the few programs of docs/programs.md that the tests run, in these versions, into
# .venv/programs. What cannot be installed is told, and its tests are skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

packages=(opentelemetry-exporter-otlp-proto-grpc==1.45.2)
modules=(
  github.com/grpc-ecosystem/grpc-health-probe@v0.4.62
  github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
)

folder=$PWD/.venv/programs
code=0
missing() {
  echo "not installed: $1; its tests are skipped" >&2
  code=1
}

# An environment of their own, in which the grpcio is the one that they resolve to.
if [ ! -x "$folder/python/bin/python" ]; then
  mkdir -p "$folder" && "${PYTHON:-python3}" -m venv "$folder/python"
fi
for package in "${packages[@]}"; do
  "$folder/python/bin/pip" install --quiet "$package" || missing "$package"
done

if command -v go >/dev/null; then
  for module in "${modules[@]}"; do
    GOBIN=$folder/bin CGO_ENABLED=0 go install "$module" || missing "$module"
  done
else
  missing "${modules[*]}, without Go"
fi
exit "$code"
