#!/usr/bin/env bash
# Programs that nobody here wrote, run by the program `instar`: what they print is what native builds print.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
# The whole workspace decides about features, so that what the tests have built is used again.
cargo build --quiet --workspace --bin instar
# Not the largest: a development build takes minutes to compile it.
GUESTS=${GUESTS:-kernels lua sqlite simd go} tests/guests/cases.sh "${CARGO_TARGET_DIR:-target}/debug/instar" run
