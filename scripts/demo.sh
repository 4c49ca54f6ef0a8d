#!/usr/bin/env bash
# A Markdown renderer answers requests from each language: every request in an instance that was never used before.
#
#   scripts/demo.sh [REQUESTS]     from each language; by default 200 000, and from Rust, which comes last, 1 000 000
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
requests=${1:-200000}
rust_requests=${1:-1000000}
results=target/demo.jsonl
mkdir -p target
: >"$results"

say() { printf '\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '%s\n' "$*"; }

tests/guests/build.sh || exit 1

demo() { # demo LANGUAGE REQUESTS BUILD RUN…
    local name=$1 requests=$2 build=$3 reason
    shift 3
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
demo python "$requests" "bindings/python/build.sh release" target/venv-python/bin/python bindings/python/examples/demo.py
demo node "$requests" "bindings/node/build.sh release" node bindings/node/examples/demo.mjs
demo dotnet "$requests" "bindings/dotnet/build.sh release" run_dotnet
demo go "$requests" "bindings/go/build.sh release" run_go
demo rust "$rust_requests" "cargo build --release -p instar --example demo" target/release/examples/demo

echo
if command -v python3 >/dev/null; then
    python3 - "$results" <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
print(f"{'language':10} {'requests':>9} {'requests/s':>12} {'ns/request':>11}   secret of one request in the next")
for row in rows:
    gone = "gone" if row["secret_gone"] else "STILL THERE"
    print(f"{row['language']:10} {row['requests']:>9} {row['rate']:>12,.0f} {row['ns_per_request']:>11,.0f}   {gone}")
for row in rows:
    if "p50_ns" in row:
        us = [f"{row[key] / 1000:.1f}" for key in ("p50_ns", "p99_ns", "p999_ns")]
        calls = "system calls not counted (no strace)" if row["system_calls"] is None else f"{row['system_calls']:.2f} system calls"
        print(f"""
{row['language']}: {row['requests']:,} requests, each answered by an instance that was never used before
  {row['rate']:,.0f} a second; p50 {us[0]} us, p99 {us[1]} us, p99.9 {us[2]} us, rendering included
  {calls} and {row['page_faults']:.2f} page faults a request
  a secret that one request left behind: {'gone in the next' if row['secret_gone'] else 'STILL THERE'}""")
sys.exit(not rows or not all(row["secret_gone"] for row in rows))
PYTHON
    [ $? -eq 0 ] || failed=1
fi
exit $failed
