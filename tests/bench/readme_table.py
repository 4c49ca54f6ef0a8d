#!/usr/bin/env python3
"""Writes the figures in README.md and docs/benchmarks.md, between their markers, from target/bench/report.json: a short
table, and everything.

    readme_table.py            rewrites them
    readme_table.py --check    status 1 unless what stands there has the form of tables written by this script: no figure
                               is compared with anything, since a machine's figures are its own
"""

import json
import pathlib
import re
import sys

import report

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
README = report.ROOT / "README.md"
DOCUMENT = report.ROOT / "docs" / "benchmarks.md"
NOTE = f"Measured by `{report.COMMAND}`, both sides in the same run; times are medians per operation, lower is better."

# Wasmtime's two settings.
POOLS = ("Wasmtime (default pool)", "Wasmtime (best pool)")

# The columns of the tables. Each table's `ratio` is that of the figures before it: `Instar` and the last one named `peer`.
OTHER = ("case", "Instar", "peer", "peer's time", "ratio", "target")
FRESH_SHORT = ("a fresh instance, a call, its end", "Instar", "Wasmtime, default pool", "ratio", "Wasmtime, best pool", "ratio", "targets")
FRESH = ("case", "mode", "guest", "Instar", "Wasmtime, default pool", "ratio", "Wasmtime, best pool", "ratio", "targets")
COUNTS = ("case", "mode", "Instar: faults", "system calls", "Wasmtime, default pool: faults", "system calls", "Wasmtime, best pool: faults", "system calls")
SINGLES = ("case", "Instar: p50", "p99", "p99.9", "Wasmtime, best pool: p50", "p99", "p99.9")
SPACE = ("case", "mode", "Instar: live", "idle", "Wasmtime, default pool: live", "idle", "Wasmtime, best pool: live", "idle")
HEADERS = (OTHER, FRESH_SHORT, FRESH, COUNTS, SINGLES, SPACE)


def short(entries):
    """What README.md shows: the default mode, one thread, and one figure of each kind."""
    fresh = [row[:1] + row[3:] for row in fresh_rows(entries, 1, default_only=True)]
    other = [entry for entry in entries if is_for_readme(entry)]
    lines = [NOTE]
    if fresh:
        lines += ["", *lines_of(FRESH_SHORT, fresh)]
    lines += ["", *lines_of(OTHER, map(row, other))]
    return "\n".join(lines)


def is_for_readme(entry):
    group, case = report.detail(entry, "group"), entry["case"]
    if group == "flat":
        return not entry["peer_name"].startswith("Wasmtime") and entry["target"] is not None
    if group == "counts":
        return entry["target"] is not None and "1 page written" in case
    if group == "guests":
        return "geometric mean" in case or bool(re.search(r"(compile|load|artifact of) (lua|sqlite|go)\b", case)) and not re.search("processor time|beside", case)
    if group == "bindings":
        return entry["target"] is not None or ": call" in case
    return group == "calls"


def full(entries):
    """What docs/benchmarks.md shows."""
    of = lambda group: [entry for entry in entries if report.detail(entry, "group") == group]
    sections = [
        ("A fresh instance, a call, and its end: one thread", FRESH, fresh_rows(entries, 1)),
        ("The same on two threads at once", FRESH, fresh_rows(entries, 2)),
        ("How many times as long an operation takes when a second thread does the same", OTHER, map(row, of("threads"))),
        ("Sizes of modules, numbers of live instances", OTHER, map(row, of("flat"))),
        ("Page faults and system calls of an operation", COUNTS, count_rows(of("counts"))),
        ("Single operations", SINGLES, single_rows(of("singles"))),
        ("Memory of an instance", SPACE, space_rows(of("space"))),
        ("Calls", OTHER, map(row, of("calls"))),
        ("Guests", OTHER, map(row, of("guests"))),
        ("The other languages", OTHER, map(row, of("bindings"))),
    ]
    lines = [NOTE]
    for title, header, rows in sections:
        if rows := list(rows):
            lines += ["", f"## {title}", "", *lines_of(header, rows)]
    return "\n".join(lines)


def lines_of(header, rows):
    """The lines of a table."""
    rule = ["---" if name in ("case", "mode", "peer", "target", "targets", FRESH_SHORT[0]) else "---:" for name in header]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]


def fresh_rows(entries, threads, default_only=False):
    """A row for each case and mode, with both of Wasmtime's settings."""
    rows = {}
    for entry in entries:
        wanted = report.detail(entry, "group") == "fresh" and report.detail(entry, "threads") == threads
        if wanted and (report.detail(entry, "default_mode") or not default_only):
            # In the short table a program is its overhead.
            if not (default_only and entry["case"].endswith(": in all")):
                rows.setdefault((entry["case"], report.detail(entry, "mode")), {})[entry["peer_name"]] = entry
    for (case, mode), sides in rows.items():
        if any(pool not in sides for pool in POOLS):
            continue
        default, best = (sides[pool] for pool in POOLS)
        guest = report.detail(default, "guest")
        yield cells(
            case.removeprefix("Rust: "),
            mode + (" (default)" if report.detail(default, "default_mode") else ""),
            "–" if guest is None else f"{(guest - 1) * 100:+.1f} %",
            amount(default["instar"], default["unit"]),
            amount(default["peer"], default["unit"]),
            ratio(default),
            amount(best["peer"], best["unit"]),
            ratio(best),
            targets(default, best),
        )


def by_case(entries, endings):
    """Of entries whose cases end alike: (case, mode) to (peer, ending) to entry."""
    rows = {}
    for entry in entries:
        for ending in endings:
            if entry["case"].endswith(ending):
                case = entry["case"].removesuffix(ending).removeprefix("Rust: ").removesuffix(": ")
                key = (case, report.detail(entry, "mode") or "–")
                rows.setdefault(key, {})[entry["peer_name"], ending] = entry
    return rows.items()


def wide_rows(entries, endings, show):
    """A row for each case and mode: Instar's figures, and those of both of Wasmtime's settings."""
    for (case, mode), found in by_case(entries, endings):
        figures = []
        for pool in (None, *POOLS):
            for ending in endings:
                entry = found.get((pool or POOLS[1], ending))
                figures.append(show(entry, "peer" if pool else "instar") if entry else "–")
        yield cells(case, mode, *figures)


def count_rows(entries):
    return wide_rows(entries, ("page faults of an operation", "system calls of an operation"), lambda e, side: f"{e[side]:.2f}")


def space_rows(entries):
    return wide_rows(entries, ("bytes of a live instance", "bytes of an idle slot"), lambda e, side: amount(e[side], e["unit"]))


def single_rows(entries):
    endings = ("p50 of single operations", "p99 of single operations", "p99.9 of single operations")
    for (case, _), found in by_case(entries, endings):
        if all((POOLS[1], ending) in found for ending in endings):
            sides = [amount(found[POOLS[1], ending][side], "ns") for side in ("instar", "peer") for ending in endings]
            yield cells(case, *sides)


def row(entry):
    """A row of a table whose columns are OTHER."""
    mode = report.detail(entry, "mode")
    return cells(
        entry["case"] + (f" ({mode})" if mode and report.detail(entry, "group") == "threads" else ""),
        amount(entry["instar"], entry["unit"]),
        report.peer(entry),
        amount(entry["peer"], entry["unit"]),
        ratio(entry),
        target(entry),
    )


def target(entry):
    if entry["target"] is None:
        return "–"
    return f"≤ {round(entry['target'], 3):g} {'met' if entry['met'] else 'missed'}"


def targets(*entries):
    return "; ".join(map(target, entries)) if any(entry["target"] is not None for entry in entries) else "–"


def ratio(entry):
    return "–" if entry["ratio"] is None else f"{entry['ratio']:.3f}"


def cells(*texts):
    return tuple(text.replace("|", "\\|") for text in texts)


UNITS = {"faults": "", "syscalls": "", "x": "times"}


def amount(value, unit):
    if unit == "ns" and value >= 1e6:
        value = value / 1e6
        return f"{value:.{3 if value < 10 else 1 if value < 100 else 0}f} ms"
    digits = {"faults": 2, "syscalls": 2, "x": 3}.get(unit, 1 if value < 100 else 0)
    return f"{value:,.{digits}f}".replace(",", " ") + f" {UNITS.get(unit, unit)}".rstrip()


def split(text):
    """What stands before, between and after the markers. Raises ValueError when they are not there once each, in order."""
    for marker in (BEGIN, END):
        if text.count(marker) != 1:
            raise ValueError(f"the marker {marker} must stand there once, not {text.count(marker)} times")
    before, rest = text.split(BEGIN)
    if END not in rest:
        raise ValueError(f"{END} stands before {BEGIN}")
    between, after = rest.split(END)
    return before, between, after


def fault(between):
    """Why the text between the markers holds no tables of this script, or None."""
    lines = between.strip().splitlines()
    if len(lines) < 5 or lines[0] != NOTE:
        return f"it does not start with the line that names `{report.COMMAND}`"
    tables = 0
    header = None
    for line in lines[1:]:
        if not line or line.startswith("## "):
            header = None
            continue
        if not line.startswith("| "):
            return f"a line is of no table: {line}"
        row_cells = tuple(cell.strip() for cell in line.replace("\\|", "").strip("|").split("|"))
        if header is None:
            header, tables = row_cells, tables + 1
            if header not in HEADERS:
                return f"columns are those of no table: {', '.join(header)}"
        elif set("".join(row_cells)) <= set("-:"):
            if len(row_cells) != len(header):
                return "a line between header and body has not as many cells as they have"
        elif what := fault_of_row(header, row_cells):
            return f"{what}: {' | '.join(row_cells)}"
    return None if tables else "it holds no table"


def fault_of_row(header, row_cells):
    if len(row_cells) != len(header) or not all(row_cells):
        return f"a row has not {len(header)} cells with text"
    peer = instar = None
    for name, cell in zip(header, row_cells):
        try:
            if name == "Instar":
                instar = number(cell)
            elif name == "peer's time" or name in FRESH[4:7:2]:
                peer = number(cell)
            elif name == "ratio" and cell != "–":
                found = float(cell)
                # Rounding: amounts have one digit after the point at least below 100, or three; ratios three. None of what a
                # peer has none of either is a ratio of 0.
                least = min(instar, peer)
                if least and abs(instar / peer - found) > 0.002 + 0.06 * found * (1 / instar + 1 / peer) + 0.01 * found:
                    return "the ratio is not that of its figures"
            elif name in ("target", "targets") and not re.fullmatch(r"(–|≤ [\d.]+ (met|missed))(; (–|≤ [\d.]+ (met|missed)))*", cell):
                return "a target reads neither '–' nor '≤ N met' nor '≤ N missed'"
        except ValueError:
            return "a figure is no number"
    return None


SCALE = {"ms": 1e6}


def number(cell):
    """The number of '1 234.5 ns', in nanoseconds, or of whatever else it counts."""
    figure = re.fullmatch(r"([\d ]*\d(?:\.\d+)?)(?: ([a-zA-Z]+))?", cell)
    if not figure:
        raise ValueError(cell)
    return float(figure[1].replace(" ", "")) * SCALE.get(figure[2], 1)


def main(arguments):
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    for path, tables in ((README, short), (DOCUMENT, full)):
        name = path.relative_to(report.ROOT)
        try:
            before, between, after = split(path.read_text())
            if arguments:
                if what := fault(between):
                    raise ValueError(f"the figures were not made from a report: {what}; run `{command()}`")
                continue
            text = tables(figures())
        except FileNotFoundError as error:
            hint = f": run `{report.COMMAND}` first" if error.filename == str(report.REPORT) else ""
            print(f"{error.filename} is missing{hint}")
            return 1
        except ValueError as error:
            print(f"{name}: {error}")
            return 1
        path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
        print(f"{name}: written")
    return 0


def figures():
    """The entries of the report. Raises ValueError when one is no good, or there are none."""
    entries = json.loads(report.REPORT.read_text())
    for i, entry in enumerate(entries):
        if what := report.fault(entry):
            raise ValueError(f"entry {i} of the report {what}")
    if not entries:
        raise ValueError(f"the report holds no figures: run `{report.COMMAND}`")
    return entries


def command():
    return str(pathlib.Path(__file__).relative_to(report.ROOT))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
