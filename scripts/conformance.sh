#!/usr/bin/env bash
# The conformance cases through every language whose toolchain is there, merged into one matrix.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
languages=rust
rm -f target/conformance/*.jsonl

run() { # run LANGUAGE COMMAND…
    local name=$1 reason
    shift
    if reason=$("has_$name"); then
        "$@"
        languages+=,$name
    else
        echo "left out: $name: $reason"
    fi
}

cargo test --quiet -p instar-conformance
run python bindings/python/test.sh -k conformance
run node bindings/node/test.sh
run dotnet bindings/dotnet/test.sh
run go bindings/go/test.sh
cargo run --quiet -p instar-conformance -- --require "$languages"
