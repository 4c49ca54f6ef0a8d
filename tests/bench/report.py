"""What a report is: shared by the scripts beside this file."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target" / "bench"
REPORT = FOLDER / "report.json"
COMMAND = "make bench"

# Keys of an entry, in order.
KEYS = ("case", "unit", "instar", "peer", "peer_name", "peer_version", "ratio", "target", "met")
# Keys that a binding's bench prints. A peer without a version of its own (a stub) may leave that out.
MEASURED = KEYS[:6]
# What else bench-core says of a figure, and what holds where nothing is said: the part of the report; Instar's tracking mode,
# and whether it is the default; threads; how many times as long as with plain code the guest's own work takes in that mode.
DETAILS = {"group": "bindings", "mode": None, "default_mode": True, "threads": 1, "guest": None}


def fault(entry):
    """What is wrong with an entry, or None."""
    if not isinstance(entry, dict):
        return "is not an object"
    if missing := [key for key in KEYS if key not in entry]:
        return f"lacks {', '.join(missing)}"
    for key in ("case", "unit", "peer_name", "peer_version"):
        if not isinstance(entry[key], str) or not (entry[key] or key == "peer_version"):
            return f"has {key} {entry[key]!r}; it must be a text"
    # Times are more than nothing; of page faults, system calls and bytes there may be none.
    may_be_none = entry.get("group") in ("fresh", "counts", "space")
    for key in ("instar", "peer"):
        if not (is_figure(entry[key]) or may_be_none and entry[key] == 0):
            return f"has {key} {entry[key]!r}; it must be a positive number"
    # There is no ratio to nothing.
    if not is_amount(entry["ratio"]) and not (entry["ratio"] is None and entry["peer"] == 0):
        return f"has ratio {entry['ratio']!r}; it must be a number"
    if entry["target"] is None:
        return None if entry["met"] is None else "has no target, so met must be null"
    if not is_amount(entry["target"]):
        return f"has target {entry['target']!r}; it must be a number or null"
    if not isinstance(entry["met"], bool):
        return "has a target, so met must be true or false"
    return None


def is_amount(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def is_figure(value):
    return is_amount(value) and value > 0


def detail(entry, key):
    """What an entry says beside its figures, or what holds without a word."""
    return entry.get(key, DETAILS[key])


def peer(entry):
    """Name and version of an entry's peer."""
    return f"{entry['peer_name']} {entry['peer_version']}".strip()
