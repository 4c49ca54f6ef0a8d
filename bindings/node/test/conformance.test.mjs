// Runs tests/conformance as its README.md describes, and writes what it saw to target/conformance/node.jsonl.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Runner } from "./support/conformance.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const suite = join(root, "tests/conformance");
const output = join(root, "target/conformance/node.jsonl");

// An engine belongs to one JavaScript thread, and a host function cannot block while other JavaScript runs.
const abilities = new Set();

mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, "");

for (const file of readdirSync(join(suite, "cases")).filter((name) => name.endsWith(".json")).sort()) {
  const spec = JSON.parse(readFileSync(join(suite, "cases", file), "utf8"));
  const missing = spec.requires.filter((ability) => !abilities.has(ability));
  test(`${spec.name}: ${spec.about}`, { skip: missing.length > 0 && `needs ${missing}` }, () => {
    const lines = new Runner(spec, join(suite, "modules")).run();
    writeLines(lines);
    assert.deepEqual(lines.filter((line) => line.result !== "pass"), []);
  });
  if (missing.length > 0) {
    writeLines([{ case: spec.name, line: "", cmd: "case", result: "skip", code: "", msg: `needs ${missing}` }]);
  }
}

function writeLines(lines) {
  writeFileSync(output, lines.map((line) => `${JSON.stringify(line)}\n`).join(""), { flag: "a" });
}
