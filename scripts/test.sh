#!/usr/bin/env bash
# Every test of every language whose toolchain is there; says what it left out. Ends with `N passed, N failed`.
#
#   scripts/test.sh [SUITE …]     suites: rust runtime guests dwarf programs python node dotnet go conformance; all of them by default
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
logs=target/test-logs
mkdir -p "$logs"
wanted=("$@")
[ $# -gt 0 ] || wanted=(guests rust runtime dwarf programs python node dotnet go conformance)
passed=0 failed=0 rows=() left_out=() languages=(rust)

# count LOG: "passed failed", added up from the closing lines of the test runners in a log.
count() {
    awk '
        /^test result:/                         { p += $4; f += $6 }            # cargo test
        /^# pass [0-9]+/ || /^ℹ pass [0-9]+/    { p += $3 }                     # node --test
        /^# fail [0-9]+/ || /^ℹ fail [0-9]+/    { f += $3 }
        /^[0-9]+ passed, [0-9]+ failed/         { p += $1; f += $3; next }      # the plain line
        /^(=+ )?([0-9]+ failed, )?[0-9]+ passed.* in [0-9.]+s/ {                # pytest
            for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) p += $i; if ($(i + 1) ~ /^failed/) f += $i }
        }
        /^ *--- PASS:/                          { p++ }                         # go test -v
        /^ *--- FAIL:/                          { f++ }
        END { print p + 0, f + 0 }' "$1"
}

suite() { # suite NAME COMMAND…
    local name=$1 log=$logs/$1.log start=$SECONDS status good bad
    shift
    echo "== $name: $*"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    read -r good bad < <(count "$log")
    # A run that broke off counts as a failure even where no single test did.
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    passed=$((passed + good)) failed=$((failed + bad))
    rows+=("$(printf '%-14s %8d %8d %7ds' "$name" "$good" "$bad" $((SECONDS - start)))")
}

language() { # language NAME COMMAND…
    local name=$1 reason
    shift
    if reason=$("has_$name"); then
        suite "$name" "$@"
        languages+=("$name")
    else
        left_out+=("$name: $reason")
    fi
}

for name in "${wanted[@]}"; do
    case $name in
        guests)
            if tests/guests/build.sh; then suite guests tests/guests/check.sh; else left_out+=("guests: no clang (see above)"); fi ;;
        rust) suite rust cargo test --workspace --no-fail-fast ;;
        runtime) suite runtime scripts/runtime-only.sh ;;
        dwarf)
            if tests/guests/build.sh; then suite dwarf cargo test --workspace --test suite dwarf -- --include-ignored
            else left_out+=("dwarf: no clang (see above)"); fi ;;
        programs)
            if tests/guests/build.sh; then suite programs scripts/programs.sh; else left_out+=("programs: no clang (see above)"); fi ;;
        python) language python bindings/python/test.sh ;;
        node) language node bindings/node/test.sh ;;
        dotnet) language dotnet bindings/dotnet/test.sh ;;
        go) language go bindings/go/test.sh ;;
        conformance)
            suite conformance cargo run --quiet -p instar-conformance -- --require "$(IFS=,; echo "${languages[*]}")" ;;
        *) echo "test.sh: no suite '$name'; there are: guests rust runtime dwarf programs python node dotnet go conformance" >&2; exit 2 ;;
    esac
done

echo
printf '%-14s %8s %8s %8s\n' suite passed failed time
printf '%s\n' "${rows[@]}"
for line in ${left_out[@]+"${left_out[@]}"}; do echo "left out: $line"; done
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
