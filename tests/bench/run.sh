#!/usr/bin/env bash
# Measures Instar beside its peers, in every language whose toolchain is here, and merges the figures into
# target/bench/report.json. This is `make bench`. It always ends with status 0: `make bench-check` judges.
#   run.sh [LANGUAGE...]   only these of: rust python node go dotnet; figures of the others are kept from the last run
#
# Each language builds its own release, by its own script, and then runs its bench. A bench prints one JSON object per line,
# {"case","unit","instar","peer","peer_name","peer_version"}; lines that start with anything but { are for readers.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/target/bench
log=$out/log
mkdir -p "$log"
languages=("$@")
[ ${#languages[@]} -gt 0 ] || languages=(rust python node go dotnet)

have() { command -v "$1" >/dev/null 2>&1; }

skip() { # skip LANGUAGE REASON...
    echo "== $1: skipped: ${*:2}"
}

# bench LANGUAGE FOLDER COMMAND...: runs a bench in its folder; its figures go to target/bench/LANGUAGE.jsonl.
bench() {
    local language=$1 folder=$2
    shift 2
    echo "== $language: (cd ${folder#"$root/"} && $*)"
    if (cd "$folder" && "$@") >"$log/$language.out" 2>"$log/$language.err"; then
        grep '^{' "$log/$language.out" >"$out/$language.jsonl"
        echo "   $(wc -l <"$out/$language.jsonl") figures"
    else
        echo "   FAILED with status $?; the end of target/bench/log/$language.err:"
        tail -n 10 "$log/$language.err" | sed 's/^/   | /'
    fi
}

# System calls are counted by strace; without it those figures are left out.
need_strace() {
    have strace && return
    [ "$(id -u)" = 0 ] && have apt-get || { echo "   no strace: system calls are not counted"; return; }
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends strace; } >/dev/null 2>&1 ||
        echo "   strace cannot be installed: system calls are not counted"
    hash -r
}

bench_rust() {
    if ! have cargo; then skip rust "no cargo on PATH"; return; fi
    need_strace
    "$root/tests/guests/build.sh" "$root/target/guests" all || { echo "   FAILED: bench-core needs all guests"; return; }
    echo "== rust: cargo run --release --bin bench-core (in tests/peers; the first build takes minutes)"
    (cd "$root/tests/peers" && cargo run --release --quiet --bin bench-core) || echo "   FAILED"
}

bench_python() {
    local folder=$root/bindings/python
    [ -f "$folder/bench/run.sh" ] || { skip python "no bindings/python/bench/run.sh"; return; }
    have "${PYTHON:-python3}" || { skip python "no python3 on PATH"; return; }
    bench python "$folder" bash -c '../../tests/guests/build.sh >&2 && bench/run.sh'
}

bench_node() {
    local folder=$root/bindings/node
    [ -f "$folder/bench/bench.mjs" ] || { skip node "no bindings/node/bench/bench.mjs"; return; }
    have node || { skip node "no node on PATH"; return; }
    bench node "$folder" bash -c './build.sh release >&2 && node bench/bench.mjs'
}

bench_go() {
    local folder=$root/bindings/go
    compgen -G "$folder/bench/*" >/dev/null || { skip go "no bindings/go/bench"; return; }
    have go || { skip go "no go on PATH"; return; }
    if [ -f "$folder/bench/run.sh" ]; then
        bench go "$folder" bench/run.sh
    else
        # A module of its own, so that wazero is no dependency of the binding.
        bench go "$folder/bench" go run .
    fi
}

bench_dotnet() {
    local folder=$root/bindings/dotnet
    compgen -G "$folder/bench/*.csproj" >/dev/null || { skip dotnet "no project in bindings/dotnet/bench"; return; }
    (. "$folder/environment.sh") >/dev/null 2>&1 || { skip dotnet "no .NET SDK 10"; return; }
    bench dotnet "$folder" bash -c './build.sh release >&2 && . ./environment.sh && dotnet run -c Release --project bench -f net10.0'
}

for language in "${languages[@]}"; do
    case $language in
        rust) rm -f "$out/core.json" ;;
        python | node | go | dotnet) rm -f "$out/$language.jsonl" ;;
        *) skip "$language" "not one of rust python node go dotnet"; continue ;;
    esac
    "bench_$language"
done
python3 "$here/merge.py" || echo "merging FAILED"
exit 0
