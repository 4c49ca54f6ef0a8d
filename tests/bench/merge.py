#!/usr/bin/env python3
"""Merges the figures of all benches into target/bench/report.json.

Reads target/bench/core.json (a finished array, from bench-core) and target/bench/LANGUAGE.jsonl (lines of
{"case","unit","instar","peer","peer_name","peer_version"}, from each binding), whichever are there. Always ends with
status 0: what is wrong with a line is said, and the line left out.

    merge.py
"""

import json
import re
import sys

import report

# Language, its name in the report, and the target of its create + call + drop: the peer whose figure it is compared with,
# and the highest ratio. All other figures of bindings are for information.
BINDINGS = (
    ("python", "Python", re.compile("wasmtime", re.I), 1.0),
    ("node", "Node", re.compile("v8|webassembly", re.I), 1.0),
    ("go", "Go", re.compile("wazero", re.I), 1.0),
    ("dotnet", ".NET", re.compile("p/?invoke", re.I), 2.0),
)
CREATE_CALL_DROP = re.compile(r"create[ +_]+call[ +_]+drop", re.I)


def binding_entry(measured, name, peer, target):
    """A report entry from what a binding's bench printed. Raises ValueError when that cannot be."""
    if not isinstance(measured, dict):
        raise ValueError("is not an object")
    measured = {"peer_version": ""} | measured
    if missing := [key for key in report.MEASURED if key not in measured]:
        raise ValueError(f"lacks {', '.join(missing)}")
    for key in ("instar", "peer"):
        if not report.is_figure(measured[key]):
            raise ValueError(f"has {key} {measured[key]!r}; it must be a positive number")
    entry = {key: measured[key] for key in report.MEASURED}
    entry["case"] = f"{name}: {measured['case']}"
    entry["ratio"] = round(measured["instar"] / measured["peer"], 4)
    has_target = CREATE_CALL_DROP.search(str(measured["case"])) and peer.search(str(measured["peer_name"]))
    entry["target"] = target if has_target else None
    entry["met"] = entry["ratio"] <= target if has_target else None
    if fault := report.fault(entry):
        raise ValueError(fault)
    return entry


def core_entries(text):
    """The entries of core.json, named like the bindings' are."""
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise ValueError("is not an array")
    for entry in entries:
        if fault := report.fault(entry):
            raise ValueError(f"an entry {fault}: {entry}")
    keys = (*report.KEYS, *report.DETAILS)
    return [{key: f"Rust: {entry[key]}" if key == "case" else entry[key] for key in keys if key in entry} for entry in entries]


def merge(folder):
    """All entries that the folder's files give, and what to tell about them."""
    entries, remarks = [], []
    core = folder / "core.json"
    if core.exists():
        try:
            entries += core_entries(core.read_text())
        except ValueError as error:
            remarks.append(f"core.json left out: {error}")
    else:
        remarks.append("no core.json: bench-core did not run")
    for language, name, peer, target in BINDINGS:
        path = folder / f"{language}.jsonl"
        if not path.exists():
            remarks.append(f"no figures for {name}")
            continue
        own = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            try:
                own.append(binding_entry(json.loads(line), name, peer, target))
            except ValueError as error:
                remarks.append(f"{path.name}:{number} left out: {error}")
        if own and all(entry["target"] is None for entry in own):
            remarks.append(f"{name} has no figure for create + call + drop beside {peer.pattern!r}, so no target applies")
        entries += own
    return entries, remarks


def main():
    entries, remarks = merge(report.FOLDER)
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in entries)
    report.REPORT.write_text(f"[\n{lines}\n]\n" if entries else "[]\n")
    for remark in remarks:
        print(f"merge: {remark}")
    judged = [entry for entry in entries if entry["met"] is not None]
    met = sum(entry["met"] for entry in judged)
    path = report.REPORT.relative_to(report.ROOT)
    print(f"{path}: {len(entries)} figures, {met} of {len(judged)} targets met")
    return 0


if __name__ == "__main__":
    sys.exit(main())
