#!/usr/bin/env bash
# Instar's Go binding beside wazero, in one process: medians of several repetitions, as one JSON object per line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
../../../tests/guests/build.sh >&2
../build.sh release >&2
version=$(go list -m -f '{{.Version}}' github.com/tetratelabs/wazero)
go test -run '^$' -bench . -benchtime 50ms -count 7 | python3 -c '
import collections, json, re, statistics, sys
figures = collections.defaultdict(list)
for line in sys.stdin:
    print(line, end="", file=sys.stderr)
    if found := re.match(r"Benchmark(\w+)_(Instar|Wazero)\S*\s+\d+\s+([\d.]+) ns/op", line):
        figures[found[1], found[2]].append(float(found[3]))
for case, ours, theirs in [
    ("create + call + drop, one crossing", "Fresh", "InstantiateCallClose"),
    ("create + call + drop, instance object", "InstantiateCallClose", "InstantiateCallClose"),
    ("create + call + drop, 64 KiB data, 1 page written", "FreshData64k", "FreshData64k"),
    ("call", "Call", "Call"),
    ("call with a host callback", "Callback", "Callback"),
    ("a Markdown document in a fresh instance", "Markdown", "Markdown"),
]:
    instar, peer = (statistics.median(figures[name, side]) for name, side in [(ours, "Instar"), (theirs, "Wazero")])
    print(json.dumps({"case": case, "unit": "ns", "instar": instar, "peer": peer, "peer_name": "wazero", "peer_version": sys.argv[1]}))
' "${version#v}"
