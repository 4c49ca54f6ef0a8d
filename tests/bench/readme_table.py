#!/usr/bin/env python3
"""Writes the table of figures in README.md, between its markers, from target/bench/report.json.

    readme_table.py            rewrites it
    readme_table.py --check    status 1 unless what stands there has the form of a table written by this script: no figure
                               is compared with anything, since a machine's figures are its own
"""

import json
import pathlib
import sys

import report

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
README = report.ROOT / "README.md"
NOTE = f"Measured by `{report.COMMAND}`, both sides in the same run; times are medians per operation, lower is better."
HEADER = ("case", "Instar", "peer", "peer's time", "ratio", "target")


def table(entries):
    """The text between the markers."""
    rows = [row(entry) for entry in entries]
    lines = [HEADER, ("---", "---:", "---", "---:", "---:", "---"), *rows]
    return "\n".join([NOTE, "", *("| " + " | ".join(cells) + " |" for cells in lines)])


def row(entry):
    target = "–"
    if entry["target"] is not None:
        target = f"≤ {entry['target']:g} {'met' if entry['met'] else 'missed'}"
    cells = (
        entry["case"],
        amount(entry["instar"], entry["unit"]),
        report.peer(entry),
        amount(entry["peer"], entry["unit"]),
        f"{entry['ratio']:.3f}",
        target,
    )
    return tuple(cell.replace("|", "\\|") for cell in cells)


def amount(value, unit):
    digits = 1 if value < 100 else 0
    return f"{value:,.{digits}f}".replace(",", " ") + f" {unit}"


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
    """Why the text between the markers is no table of this script, or None."""
    lines = between.strip().splitlines()
    if len(lines) < 5 or lines[0] != NOTE or lines[1]:
        return f"it does not start with the line that names `{report.COMMAND}` and go on with a table"
    rows = [[cell.strip() for cell in line.replace("\\|", "").strip("|").split("|")] for line in lines[2:]]
    if tuple(rows[0]) != HEADER:
        return f"its columns are not {', '.join(HEADER)}"
    if any(set(cell) - set("-:") for cell in rows[1]):
        return "its second row does not separate header and body"
    for cells in rows[2:]:
        if len(cells) != len(HEADER) or not all(cells):
            return f"a row has not {len(HEADER)} cells with text: {' | '.join(cells)}"
        try:
            instar, peer, ratio = number(cells[1]), number(cells[3]), float(cells[4])
        except ValueError:
            return f"a figure is no number: {' | '.join(cells)}"
        # Rounding: amounts have one digit after the point, or none; ratios three.
        if abs(instar / peer - ratio) > 0.002 + 0.06 * ratio * (1 / instar + 1 / peer) + 0.01 * ratio:
            return f"the ratio is not that of its figures: {' | '.join(cells)}"
        target = cells[5].split()
        if target != ["–"]:
            if len(target) != 3 or target[0] != "≤" or target[2] not in ("met", "missed"):
                return f"a target reads neither '–' nor '≤ N met' nor '≤ N missed': {' | '.join(cells)}"
    return None


def number(cell):
    """The number of '1 234.5 ns'."""
    value = float("".join(cell.split()[:-1]))
    if not report.is_figure(value):
        raise ValueError(cell)
    return value


def main(arguments):
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    try:
        text = README.read_text()
        before, between, after = split(text)
        if arguments:
            if what := fault(between):
                raise ValueError(f"the table was not made from a report: {what}; run `{command()}`")
            return 0
        entries = json.loads(report.REPORT.read_text())
        for i, entry in enumerate(entries):
            if what := report.fault(entry):
                raise ValueError(f"entry {i} of the report {what}")
        if not entries:
            raise ValueError(f"the report holds no figures: run `{report.COMMAND}`")
    except FileNotFoundError as error:
        hint = f": run `{report.COMMAND}` first" if error.filename == str(report.REPORT) else ""
        print(f"{error.filename} is missing{hint}")
        return 1
    except ValueError as error:
        print(f"README.md: {error}")
        return 1
    README.write_text(f"{before}{BEGIN}\n{table(entries)}\n{END}{after}")
    print(f"README.md: a table of {len(entries)} figures")
    return 0


def command():
    return str(pathlib.Path(__file__).relative_to(report.ROOT))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
