#!/usr/bin/env bash
# Everything that must hold for the .NET binding: generated files are current, the tests pass on .NET 8 and 10, the package works in a
# project of its own, the example runs, also compiled ahead of time. Ends with "N passed, M failed".
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/environment.sh"
passed=0 failed=0

step() { # step NAME COMMAND...: one test that passes if the command succeeds
    local name=$1
    shift
    echo "== $name"
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name"; fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

step "generated files are current" "$here/generate.py" --check
step "native library" "$here/build.sh" dev
[ "$failed" -eq 0 ] || finish

results=$here/TestResults
rm -rf "$results"
for framework in net8.0 net10.0; do
    echo "== tests on $framework"
    dotnet test "$here/tests/Instar.Tests" -f "$framework" -c Debug -nologo -v quiet -p:InstarVersion="$INSTAR_VERSION" \
        --logger "trx;LogFileName=$framework.trx" --logger "console;verbosity=minimal" --results-directory "$results"
    status=$?
    # Read the figures, not the summary: <Counters total="…" executed="…" passed="…" failed="…" …>
    counters=$(grep -o '<Counters [^>]*>' "$results/$framework.trx" 2>/dev/null || true)
    number() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$counters"; }
    total=$(number total) good=$(number passed)
    passed=$((passed + ${good:-0}))
    failed=$((failed + ${total:-0} - ${good:-0}))
    # A run that broke off has no figures, or none that show it.
    if [ "$status" -ne 0 ] && [ "${total:-0}" -eq "${good:-0}" ]; then
        failed=$((failed + 1))
        echo "FAILED: the test run on $framework ended with status $status"
    fi
done

hello() { diff "$here/examples/Hello/expected.txt" <(dotnet run --project "$here/examples/Hello" -v quiet -p:InstarVersion="$INSTAR_VERSION"); }
step "example Hello" hello
step "package in a project of its own" "$here/tests/PackageTest/run.sh"
# The compiler for NativeAOT is in the repository's own SDK; another SDK would have to ask a feed for it.
if command -v gcc >/dev/null && [ -d "${RestoreFallbackFolders:-/nowhere}/microsoft.dotnet.ilcompiler" ]; then
    step "NativeAOT" "$here/tests/AotTest/run.sh"
else
    echo "== NativeAOT: left out, no gcc or no ILCompiler package here"
fi
finish
