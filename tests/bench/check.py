#!/usr/bin/env python3
"""Judges target/bench/report.json: status 1 when a target is missed, or when there is no good report. `make bench-check`.

    check.py [REPORT]
"""

import json
import pathlib
import sys

import report


def judge(path):
    """Lines to print, and whether all is well."""
    try:
        entries = json.loads(path.read_text())
    except FileNotFoundError:
        return [f"{path} is missing: run `{report.COMMAND}` first"], False
    except ValueError as error:
        return [f"{path} is not JSON: {error}"], False
    if not isinstance(entries, list) or not entries:
        return [f"{path} holds no figures: run `{report.COMMAND}`"], False
    faults = [f"entry {i} {fault}" for i, entry in enumerate(entries) if (fault := report.fault(entry))]
    if faults:
        return [f"{path}: {fault}" for fault in faults], False
    judged = [entry for entry in entries if entry["met"] is not None]
    if not judged:
        return [f"{path}: no entry has a target"], False
    missed = [entry for entry in judged if not entry["met"]]
    lines = [sentence(entry) for entry in missed]
    lines.append(f"{len(judged) - len(missed)} of {len(judged)} targets met")
    return lines, not missed


def sentence(entry):
    """How a target is missed."""
    mode = f" ({report.detail(entry, 'mode')})" if report.detail(entry, "mode") else ""
    figure, peer = (f"{entry[key]:g} {entry['unit']}" for key in ("instar", "peer"))
    start = f"MISSED {entry['case']}{mode}: {figure}"
    if entry["target"] == 0:
        return f"{start}; there must be none at all"
    ratio = "more" if entry["ratio"] is None else f"{entry['ratio']:.3g}"
    return f"{start} is {ratio} of {report.peer(entry)} ({peer}); the target is {entry['target']:.4g}"


def main():
    lines, good = judge(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else report.REPORT)
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
