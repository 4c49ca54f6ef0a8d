#!/usr/bin/env bash
# Everything that must hold for the Go binding, on the dev profile: formatting, vet, generated code, tests (plain, with the race detector, with
# the collector always running, with cgo's checks), examples, the package in a module of its own.
#
#   bindings/go/test.sh
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"
passed=0 failed=0

step() { # step NAME COMMAND…: one test that passes if the command succeeds
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "--- PASS: $name"
    else
        failed=$((failed + 1))
        echo "--- FAIL: $name"
    fi
}

finish() {
    # Not "N passed, M failed" at the start of the line: scripts/test.sh counts the lines above.
    echo "Go: $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

same() { # same FILE COMMAND…: the command prints what is in the file
    local file=$1
    shift
    diff "$file" <("$@")
}

formatted() {
    local files
    files=$(gofmt -l .)
    [ -z "$files" ] || { echo "not formatted: $files"; return 1; }
}

generated() {
    local fresh
    fresh=$(mktemp)
    go run ./internal/gen "$fresh" && diff typed_gen.go "$fresh" || { echo "run: go generate ./..."; return 1; }
}

main_tests() {
    local log=$here/../../target/go-test.log
    go test -count=1 -v . 2>&1 | tee "$log" | grep -v '^=== '
    local status=${PIPESTATUS[0]}
    passed=$((passed + $(grep -c '^ *--- PASS:' "$log")))
    failed=$((failed + $(grep -c '^ *--- FAIL:' "$log")))
    return "$status"
}

hello() { echo '# Hello *there*' | go run ./examples/markdown ../../target/guests/markdown.wasm; }

step "native library" ./build.sh dev
[ "$failed" -eq 0 ] || finish
step "formatting" formatted
step "vet" go vet ./...
if (cd bench && GOPROXY=off go list -deps ./... >/dev/null 2>&1); then
    step "vet of the benchmarks" sh -c 'cd bench && go vet ./...'
else
    echo "left out: vet of the benchmarks: wazero is not in the module cache"
fi
step "generated code" generated
step "all tests" main_tests
step "tests with the race detector" go test -count=1 -race .
step "tests with the collector always running" env GOGC=1 GODEBUG=invalidptr=1 go test -count=1 .
step "tests with cgo's pointer checks" env GOEXPERIMENT=cgocheck2 go test -count=1 .
step "example hostfunc" same examples/hostfunc/expected.txt go run ./examples/hostfunc
if [ -f ../../target/guests/markdown.wasm ]; then
    step "example markdown" same examples/markdown/expected.txt hello
    step "demo" go run ./examples/demo 2000
fi
step "package in a module of its own" ./test-package.sh dev
finish
