#!/usr/bin/env bash
# Proves the guests right without the runtime: check.sh
#
#   native   the same C under the address and undefined-behaviour sanitizers: every case, inputs
#            that are hard on parsers, and mutated inputs for FUZZ_SECONDS (3) with FUZZ_SEED (1)
#   wasm     the built guests in node, if there is one: every case, what misbehave promises, and by cases.sh the
#            programs and kernels beside native builds, if there are a C library for WASI and Go
#
# BLESS=1 writes the expected outputs anew instead of comparing; look at the difference then.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${OUTPUT:-$here/../../target/guests}
read -ra cc <<<"${CC:-cc}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0
mkdir -p "$output"

# The optimiser is kept low: the work is small, and the reports name lines.
native_flags=(-std=gnu11 -O1 -g -Wall -Wextra -Wshadow -Werror -fsanitize=address,undefined -fno-sanitize-recover=all)
lib=("$here"/lib/{array,buffer,utf8,heap_native}.c)

complain() {
    echo "check.sh: $*" >&2
    failures=$((failures + 1))
}

compile() {
    local guest=$1 sources=() source
    for source in "$here/$guest"/*.c; do
        # The ABI with its 32-bit addresses is the one file that makes no sense here.
        if [ "${source##*/}" != guest.c ]; then sources+=("$source"); fi
    done
    "${cc[@]}" "${native_flags[@]}" -o "$scratch/$guest" "$here/check/native.c" "$here/check/subject_$guest.c" \
        "${sources[@]}" "${lib[@]}"
}

# check_case GUEST INPUT EXPECTED
check_case() {
    local guest=$1 input=$2 expected=$3
    "$scratch/$guest" run "$input" >"$scratch/actual" || { complain "$guest fails on $input"; return; }
    if [ "${BLESS:-}" = 1 ]; then
        cmp -s "$scratch/actual" "$expected" || cp "$scratch/actual" "$expected"
    elif ! cmp -s "$scratch/actual" "$expected"; then
        complain "$guest: another output for $input:"
        diff -u "$expected" "$scratch/actual" | head -20 >&2 || true
    fi
}

# check_guest GUEST INPUT_SUFFIX EXPECTED_SUFFIX
check_guest() {
    local guest=$1 from=$2 to=$3 input count=0
    compile "$guest"
    for input in "$here/$guest/cases"/*."$from"; do
        check_case "$guest" "$input" "${input%."$from"}.$to"
        count=$((count + 1))
    done
    echo "$guest: $count cases"
    (cd "$scratch" && "./$guest" slow 256) || complain "$guest is slow"
    if ! (cd "$scratch" && "./$guest" fuzz "${FUZZ_SECONDS:-3}" "${FUZZ_SEED:-1}" "$here/$guest/cases"/*."$from"); then
        cp "$scratch/fuzz-failure.bin" "$output/$guest-fuzz-failure.bin" 2>/dev/null || true
        complain "$guest fails on a mutated input; if it could be kept, it is $output/$guest-fuzz-failure.bin"
    fi
}

check_guest markdown md html
check_guest json json out

"$here/wat/data64k.sh" | cmp -s - "$here/wat/data64k.wat" || complain "wat/data64k.wat is not what wat/data64k.sh makes"

"$here/build.sh" "$output"
if command -v node >/dev/null; then
    node "$here/check/wasm.mjs" "$output" || complain "the built guests are wrong"
    status=0
    OUTPUT=$output "$here/cases.sh" || status=$?
    case $status in
    0) ;;
    3) echo "check.sh: programs were left out (see above)" >&2 ;;
    *) complain "programs or kernels do not do what their native builds do" ;;
    esac
else
    echo "check.sh: no node, so the built guests were not run" >&2
fi

if [ "$failures" != 0 ]; then
    echo "check.sh: $failures failures" >&2
    exit 1
fi
echo "check.sh: all is well"
