#!/bin/sh
# What a change of Go code must pass, beside the tests: format, vet, staticcheck, modules that are tidy, generated code that is fresh.
set -eu
cd "$(dirname "$0")"
tools=$PWD/bin
go build -modfile=tools/go.mod -o "$tools/" honnef.co/go/tools/cmd/staticcheck
for module in . ../examples/weekly_email/go ../tests/acceptance ../benchmarks/go_worker; do
    (
        cd "$module"
        unformatted=$(gofmt -l .)
        test -z "$unformatted" || { echo "not formatted; run gofmt -w in $module:" "$unformatted" >&2; exit 1; }
        go mod tidy -diff
        go vet ./...
        "$tools/staticcheck" ./...
    )
done
(cd tools && go mod tidy -diff)
./generate.sh --check
