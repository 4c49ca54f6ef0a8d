#!/usr/bin/env bash
# A Markdown renderer answers requests from each language: every request in an instance that was never used before.
#
#   scripts/demo.sh [REQUESTS]     200 000 by default
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
requests=${1:-200000}
results=target/demo.jsonl
mkdir -p target
: >"$results"

say() { printf '\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '%s\n' "$*"; }

tests/guests/build.sh || exit 1

demo() { # demo LANGUAGE BUILD RUN…
    local name=$1 build=$2 reason
    shift 2
    if [ "$name" != rust ] && ! reason=$("has_$name"); then
        echo "left out: $name: $reason"
        return
    fi
    say "$name: building"
    if ! $build >"target/demo-$name.log" 2>&1; then
        tail -n 20 "target/demo-$name.log"
        echo "$name: the build failed; all of its output is in target/demo-$name.log"
        failed=1
        return
    fi
    say "$name: $requests requests, one fresh instance each"
    if ! "$@" "$requests" | tee -a "$results"; then
        echo "$name: the demo failed"
        failed=1
    fi
}

run_dotnet() {
    (. bindings/dotnet/environment.sh && dotnet run -c Release --project bindings/dotnet/examples/Demo -- "$@")
}

run_go() {
    (cd bindings/go && go run ./examples/demo "$@")
}

failed=0
demo rust "cargo build --release -p instar --example demo" target/release/examples/demo
demo python "bindings/python/build.sh release" target/venv-python/bin/python bindings/python/examples/demo.py
demo node "bindings/node/build.sh release" node bindings/node/examples/demo.mjs
demo dotnet "bindings/dotnet/build.sh release" run_dotnet
demo go "bindings/go/build.sh release" run_go

echo
if command -v python3 >/dev/null; then
    python3 - "$results" <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
print(f"{'language':10} {'requests':>9} {'requests/s':>12} {'ns/request':>11}   secret of one request in the next")
for row in rows:
    gone = "gone" if row["secret_gone"] else "STILL THERE"
    print(f"{row['language']:10} {row['requests']:>9} {row['rate']:>12,.0f} {row['ns_per_request']:>11,.0f}   {gone}")
sys.exit(not rows or not all(row["secret_gone"] for row in rows))
PYTHON
    [ $? -eq 0 ] || failed=1
fi
exit $failed
