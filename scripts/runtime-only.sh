#!/usr/bin/env bash
# The crate without a compiler: what it depends on, and that it runs what the crate with one has made.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
passed=0 failed=0
check() { # check NAME COMMAND…
    local name=$1
    shift
    if "$@"; then passed=$((passed + 1)); else echo "failed: $name" >&2; failed=$((failed + 1)); fi
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

no_compiler_in_the_tree() {
    local tree
    tree=$(cargo tree --quiet -p instar --no-default-features --edges normal --prefix none) || return 1
    ! grep -E '^(cranelift|wasmparser|wast|wat|object|rayon|regalloc)' <<<"$tree"
}
runs_an_artifact() {
    cat >"$folder/module.wat" <<'WAT'
(module
  (memory 1) (data (i32.const 100) "\28")
  (table 2 funcref) (elem (i32.const 1) $two)
  (func $two (result i32) (i32.const 2))
  (func (export "answer") (result i32) (i32.add (i32.load8_u (i32.const 100)) (call_indirect (result i32) (i32.const 1)))))
WAT
    cargo run --quiet -p instar --example precompiled -- compile "$folder/module.wat" "$folder/module.cwasm" || return 1
    cargo run --quiet -p instar --example precompiled --no-default-features -- run "$folder/module.cwasm" answer |
        tee "$folder/out"
    grep -qxF '[I32(42)]' "$folder/out"
}
compiles_nothing() {
    ! cargo run --quiet -p instar --example precompiled --no-default-features -- \
        compile "$folder/module.wat" "$folder/other.cwasm" 2>"$folder/err" &&
        grep -qF 'not WebAssembly' "$folder/err"
}
check "no compiler in the dependency tree" no_compiler_in_the_tree
check "a build without a compiler runs an artifact" runs_an_artifact
check "a build without a compiler refuses source text with a reason" compiles_nothing
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
