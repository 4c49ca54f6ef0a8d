// The examples run and say what they should; those that need the C guests are skipped when these are not built.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const guests = fileURLToPath(new URL("../../../target/guests/", import.meta.url));
const skip = (...names) =>
  names.every((name) => existsSync(`${guests}${name}.wasm`)) ? false : "tests/guests/build.sh has not been run";

function run(example, ...args) {
  const path = fileURLToPath(new URL(`../${example}`, import.meta.url));
  const { stdout, stderr, status } = spawnSync(process.execPath, [path, ...args], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout;
}

test("hello", () => {
  assert.equal(
    run("examples/hello.mjs"),
    "40 + 2 = 42\nsecond call of one instance: 2\nfirst call of the next one: 1\n",
  );
});

test("host-function", () => {
  assert.equal(
    run("examples/host-function.mjs"),
    "alice: hello from the guest\nthe host's own exception: mallory must not log\nthe guest trapped: Unreachable\n",
  );
});

test("markdown", { skip: skip("markdown") }, () => {
  assert.equal(run("examples/markdown.mjs"), "<h1>Hello</h1>\n<p>from a <em>sandbox</em>.</p>\n");
});

test("demo", { skip: skip("markdown", "misbehave") }, () => {
  const report = JSON.parse(run("examples/demo.mjs", "500"));
  assert.deepEqual(Object.keys(report), ["language", "requests", "seconds", "ns_per_request", "rate", "secret_gone"]);
  assert.equal(report.requests, 500);
  assert.equal(report.secret_gone, true);
});

test("bench", () => {
  const lines = run("bench/bench.mjs", "--quick").trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(lines.length >= 4);
  for (const line of lines) {
    assert.deepEqual(Object.keys(line), ["case", "unit", "instar", "peer", "peer_name", "peer_version"]);
    assert.equal(line.unit, "ns");
    assert.ok(line.instar > 0 && (line.peer === null || line.peer > 0));
  }
});
