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


def fault(entry):
    """What is wrong with an entry, or None."""
    if not isinstance(entry, dict):
        return "is not an object"
    if missing := [key for key in KEYS if key not in entry]:
        return f"lacks {', '.join(missing)}"
    for key in ("case", "unit", "peer_name", "peer_version"):
        if not isinstance(entry[key], str) or not (entry[key] or key == "peer_version"):
            return f"has {key} {entry[key]!r}; it must be a text"
    for key in ("instar", "peer", "ratio"):
        if not is_figure(entry[key]):
            return f"has {key} {entry[key]!r}; it must be a positive number"
    if entry["target"] is None:
        return None if entry["met"] is None else "has no target, so met must be null"
    if not is_figure(entry["target"]):
        return f"has target {entry['target']!r}; it must be a positive number or null"
    if not isinstance(entry["met"], bool):
        return "has a target, so met must be true or false"
    return None


def is_figure(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")


def peer(entry):
    """Name and version of an entry's peer."""
    return f"{entry['peer_name']} {entry['peer_version']}".strip()
