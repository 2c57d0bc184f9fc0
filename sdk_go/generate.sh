#!/bin/sh
# Makes internal/gen anew from ../proto; with --check it only tells whether that would change anything.
set -eu
cd "$(dirname "$0")"
buf=${BUF:-../.venv/bin/buf}
if [ "${1:-}" = --check ]; then
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    "$buf" generate ../proto --template buf.gen.yaml --output "$fresh"
    diff -r "$fresh/internal/gen" internal/gen >&2 || { echo "internal/gen is stale; run sdk_go/generate.sh" >&2; exit 1; }
else
    rm -rf internal/gen
    "$buf" generate ../proto --template buf.gen.yaml
fi
