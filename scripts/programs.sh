#!/usr/bin/env bash
# Programs that nobody here wrote, run by the program `instar`: what they print is what native builds print.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
cargo build --quiet -p instar-cli
# Not the largest: a development build takes minutes to compile it.
GUESTS=${GUESTS:-kernels lua sqlite simd go} tests/guests/cases.sh "${CARGO_TARGET_DIR:-target}/debug/instar" run
