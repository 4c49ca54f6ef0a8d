#!/usr/bin/env python3
"""Tests of the scripts beside this file: python3 tests/bench/test_bench.py"""

import json
import pathlib
import tempfile
import unittest

import check
import merge
import readme_table
import report


def measured(**changes):
    return {"case": "create + call + drop", "unit": "ns", "instar": 50.0, "peer": 100.0, "peer_name": "wazero", "peer_version": "1"} | changes


def entry(**changes):
    return measured(case="Rust: empty module") | {"ratio": 0.5, "target": None, "met": None} | changes


class Merging(unittest.TestCase):
    def merge(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, lines in files.items():
                text = json.dumps(lines) if name == "core" else "\n".join(map(json.dumps, lines))
                pathlib.Path(folder, name + (".json" if name == "core" else ".jsonl")).write_text(text)
            return merge.merge(pathlib.Path(folder))

    def test_a_bindings_create_call_drop_has_a_target_beside_its_peer_only(self):
        lines = [measured(), measured(peer_name="reused wasmer"), measured(case="callback")]
        entries, _ = self.merge(go=lines)
        self.assertEqual([(e["target"], e["met"]) for e in entries], [(1.0, True), (None, None), (None, None)])
        self.assertTrue(all(e["case"].startswith("Go: ") and not report.fault(e) for e in entries))

    def test_a_stub_needs_no_version(self):
        stub = measured(peer_name="P/Invoke stub", case="create_call_drop/token")
        del stub["peer_version"]
        entries, _ = self.merge(dotnet=[stub])
        self.assertEqual((entries[0]["target"], report.peer(entries[0])), (2.0, "P/Invoke stub"))

    def test_dotnet_may_take_twice_as_long_as_a_p_invoke_stub(self):
        lines = [measured(instar=i, peer_name="P/Invoke stub") for i in (200, 201)]
        entries, _ = self.merge(dotnet=lines)
        self.assertEqual([(e["target"], e["met"]) for e in entries], [(2.0, True), (2.0, False)])

    def test_a_bad_line_is_told_and_left_out(self):
        entries, remarks = self.merge(go=[measured(), measured(peer=0), {"case": "x"}])
        self.assertEqual(len(entries), 1)
        self.assertTrue(any("go.jsonl:2" in r and "positive" in r for r in remarks))
        self.assertTrue(any("go.jsonl:3" in r and "lacks" in r for r in remarks))

    def test_missing_languages_are_told(self):
        entries, remarks = self.merge(core=[entry(case="empty module")])
        self.assertEqual([e["case"] for e in entries], ["Rust: empty module"])
        self.assertIn("no figures for Node", remarks)


class Checking(unittest.TestCase):
    def judge(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "report.json")
            if text is not None:
                path.write_text(text)
            return check.judge(path)

    def test_a_missed_target_is_named(self):
        lines, good = self.judge(json.dumps([entry(target=0.6, met=True), entry(target=0.15, met=False), entry()]))
        self.assertFalse(good)
        self.assertIn("MISSED Rust: empty module", lines[0])
        self.assertEqual(lines[-1], "1 of 2 targets met")

    def test_met_targets_are_good(self):
        self.assertEqual(self.judge(json.dumps([entry(target=0.6, met=True)])), (["1 of 1 targets met"], True))

    def test_a_report_that_is_missing_broken_or_empty_is_told(self):
        for text, word in [(None, "missing"), ("[", "not JSON"), ("[]", "no figures"), ('[{"case": 1}]', "lacks"), (json.dumps([entry()]), "no entry has a target")]:
            lines, good = self.judge(text)
            self.assertFalse(good)
            self.assertIn(word, lines[0])


def fresh(pool="Wasmtime (best pool)", **changes):
    details = {"group": "fresh", "mode": "Lines", "default_mode": True, "threads": 1, "guest": 1.031}
    return entry(peer_name=pool, peer_version="48") | details | changes


def both_pools(**changes):
    return [fresh("Wasmtime (default pool)", **changes), fresh(**changes)]


class Details(unittest.TestCase):
    def test_of_faults_there_may_be_none_and_of_times_not(self):
        none = {"instar": 0, "peer": 0, "ratio": 0, "target": 0, "met": True}
        self.assertIsNone(report.fault(entry(group="counts", **none)))
        self.assertIsNotNone(report.fault(entry(**none)))
        self.assertIsNone(report.fault(entry(group="counts", instar=1, peer=0, ratio=None, target=0, met=False)))

    def test_details_survive_merging(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "core.json").write_text(json.dumps([fresh()]))
            entries, _ = merge.merge(pathlib.Path(folder))
        self.assertEqual({key: entries[0][key] for key in report.DETAILS}, {key: fresh()[key] for key in report.DETAILS})

    def test_a_missed_target_of_none_is_named(self):
        missed = entry(group="counts", instar=1, peer=0, ratio=None, target=0, met=False, unit="faults", mode="Lines")
        self.assertIn("empty module (Lines): 1 faults; there must be none at all", check.sentence(missed))


class Table(unittest.TestCase):
    ENTRIES = [
        entry(instar=43.21, peer=1234.5, ratio=0.035, target=0.15, met=True),
        entry(case="a | b", instar=12345.6, peer=2.04, ratio=6051.7647, target=1.0, met=False),
        entry(instar=3_570_009, peer=3_573_662, ratio=0.999),
        entry(),
        *both_pools(instar=12.0, peer=120.0, ratio=0.1, target=0.05, met=False),
        *both_pools(mode="Off", default_mode=False, guest=None),
        *both_pools(threads=2),
        *both_pools(case="Rust: Lua: overhead", instar=0, ratio=0),
        entry(case="empty: page faults of an operation", group="counts", instar=0, peer=1, ratio=0, target=0, met=True,
              peer_name="Wasmtime (best pool)", mode="Lines", unit="faults"),
        entry(case="empty: bytes of a live instance", group="space", instar=0, peer=1, ratio=0,
              peer_name="Wasmtime (best pool)", mode="Lines", unit="B"),
        *(entry(case=f"empty: {p} of single operations", group="singles", peer_name="Wasmtime (best pool)", mode="Lines")
          for p in ("p50", "p99", "p99.9")),
    ]

    def test_written_tables_are_recognised(self):
        for tables in (readme_table.short, readme_table.full):
            self.assertIsNone(readme_table.fault("\n" + tables(self.ENTRIES) + "\n"))

    def test_the_short_tables_show_the_default_on_one_thread(self):
        text = readme_table.short(self.ENTRIES)
        self.assertIn("| empty module | 12.0 ns | 120 ns | 0.100 | 120 ns | 0.100 | ≤ 0.05 missed; ≤ 0.05 missed |", text)
        self.assertNotIn("Off", text)
        self.assertEqual(text.count("| empty module |"), 1)

    def test_the_full_tables_show_every_mode_and_kind(self):
        text = readme_table.full(self.ENTRIES)
        for line in [
            "| empty module | Lines (default) | +3.1 % | 12.0 ns |",
            "| empty module | Off | – | 50.0 ns |",
            "| empty | Lines | 0.00 | – | – | – | 1.00 | – |",
            "| empty | 50.0 ns | 50.0 ns | 50.0 ns | 100 ns | 100 ns | 100 ns |",
            "| Rust: empty module | 3.570 ms |",
        ]:
            self.assertIn(line, text)

    def test_a_table_by_hand_is_not(self):
        for tables in (readme_table.short, readme_table.full):
            good = tables(self.ENTRIES)
            for old, new in [("0.100", "0.005"), ("12.0 ns", "fast"), ("missed", "good"), ("make bench", "hand"), ("| 0.100 ", "")]:
                self.assertIn(old, good)
                self.assertIsNotNone(readme_table.fault(good.replace(old, new)), (old, new))
        self.assertIsNotNone(readme_table.fault(""))
        self.assertIsNotNone(readme_table.fault("| case | Instar |\n|---|---|\n| a | b |"))

    def test_markers_must_stand_once_and_in_order(self):
        begin, end = readme_table.BEGIN, readme_table.END
        self.assertEqual(readme_table.split(f"a{begin}b{end}c"), ("a", "b", "c"))
        for bad in ["", begin, f"{end}{begin}", f"{begin}{begin}{end}"]:
            self.assertRaises(ValueError, readme_table.split, bad)


if __name__ == "__main__":
    unittest.main()
