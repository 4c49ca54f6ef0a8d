#!/usr/bin/env python3
"""Tests of the scripts beside this file: python3 tests/bench/test_bench.py"""

import json
import pathlib
import re
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


class Table(unittest.TestCase):
    ENTRIES = [
        entry(instar=43.21, peer=1234.5, ratio=0.035, target=0.15, met=True),
        entry(case="a | b", instar=12345.6, peer=2.04, ratio=6051.7647, target=1.0, met=False),
        entry(),
    ]

    def test_a_written_table_is_recognised(self):
        self.assertIsNone(readme_table.fault("\n" + readme_table.table(self.ENTRIES) + "\n"))

    def test_a_table_by_hand_is_not(self):
        good = readme_table.table(self.ENTRIES)
        for bad in ["", "| case | Instar |\n|---|---|\n| a | b |", good.replace("0.035", "0.005"), good.replace("43.2 ns", "fast"),
                    good.replace("met", "good"), re.sub(r"\| 0.500", "", good), good.replace("make bench", "hand")]:
            self.assertIsNotNone(readme_table.fault(bad), bad)

    def test_markers_must_stand_once_and_in_order(self):
        begin, end = readme_table.BEGIN, readme_table.END
        self.assertEqual(readme_table.split(f"a{begin}b{end}c"), ("a", "b", "c"))
        for bad in ["", begin, f"{end}{begin}", f"{begin}{begin}{end}"]:
            self.assertRaises(ValueError, readme_table.split, bad)


if __name__ == "__main__":
    unittest.main()
