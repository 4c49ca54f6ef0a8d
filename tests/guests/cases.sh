#!/usr/bin/env bash
# Runs programs and kernels and compares what they print with a native build of the same source.
#
#   cases.sh                   in node, as a second opinion on the guests themselves
#   cases.sh COMMAND...        by a runtime: COMMAND FILE.wasm <INPUT, and COMMAND --invoke run FILE.wasm N for kernels;
#                              for instance: cases.sh target/release/instar run
#   cases.sh --expected-only   builds the guests, and writes what is expected for tests that compare by themselves
#
# What is expected goes to target/guests/expected (OUTPUT/expected): GUEST/CASE.out, GUEST/CASE.code with the exit code, and
# kernels.txt with lines `KERNEL N ANSWER`. The inputs are cases/GUEST/CASE.*. GUESTS="lua simd" runs those only.
# Exit codes: 1 something differs, 3 a compiler is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${OUTPUT:-$here/../../target/guests}
read -ra guests <<<"${GUESTS:-kernels lua sqlite simd go big}"
command=("$@")
[ ${#command[@]} -gt 0 ] || command=(node --no-warnings "$here/check/wasi.mjs")
failures=0
passed=0

NATIVE=1 "$here/build.sh" "$output" "${guests[@]}"
expected=$output/expected
actual=$(mktemp -d)
trap 'rm -rf "$actual"' EXIT

complain() {
    echo "cases.sh: $*" >&2
    failures=$((failures + 1))
}

# expect GUEST INPUT NAME: what the native build prints, unless that is known already.
expect() {
    local guest=$1 input=$2 out=$expected/$1/$3.out code=0
    if [ -e "$out" ] && [ ! "$input" -nt "$out" ] && [ ! "$output/native/$guest" -nt "$out" ]; then return; fi
    mkdir -p "$expected/$guest"
    "$output/native/$guest" <"$input" >"$actual/native" 2>/dev/null || code=$?
    echo "$code" >"$expected/$guest/$3.code"
    mv "$actual/native" "$out"
}

run_case() {
    local guest=$1 input=$2 name=$3 code=0
    "${command[@]}" "$output/$guest.wasm" <"$input" >"$actual/out" 2>"$actual/errors" || code=$?
    if [ "$code" != "$(cat "$expected/$guest/$name.code")" ]; then
        complain "$guest $name: exit code $code, natively $(cat "$expected/$guest/$name.code")"
        head -5 "$actual/errors" >&2
    elif ! cmp -s "$actual/out" "$expected/$guest/$name.out"; then
        complain "$guest $name: another output:"
        diff "$expected/$guest/$name.out" "$actual/out" | head -10 >&2 || true
    else
        passed=$((passed + 1))
    fi
}

run_kernel() {
    local kernel=$1 n=$2 answer=$3 actual_answer
    actual_answer=$("${command[@]}" --invoke run "$output/$kernel.wasm" "$n" 2>&1) || true
    if [ "$actual_answer" = "$answer" ]; then
        passed=$((passed + 1))
    else
        complain "$kernel $n: $actual_answer instead of $answer"
    fi
}

mkdir -p "$expected"
only_expected=
if [ "${command[0]}" = --expected-only ]; then only_expected=1; fi
for guest in "${guests[@]}"; do
    if [ "$guest" = kernels ]; then
        while read -r kernel n; do echo "$kernel $n $("$output/native/$kernel" "$n")"; done <"$here/kernels/cases.txt" \
            >"$actual/kernels.txt"
        mv "$actual/kernels.txt" "$expected/kernels.txt"
        [ -z "$only_expected" ] || continue
        while read -r kernel n answer; do run_kernel "$kernel" "$n" "$answer" </dev/null; done <"$expected/kernels.txt"
        continue
    fi
    for input in "$here/cases/$guest"/*; do
        name=${input##*/}
        name=${name%.*}
        expect "$guest" "$input" "$name"
        [ -n "$only_expected" ] || run_case "$guest" "$input" "$name"
    done
done

if [ -z "$only_expected" ]; then echo "$passed passed, $failures failed"; fi
[ "$failures" = 0 ]
