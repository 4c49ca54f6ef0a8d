// What a fresh sandbox costs in Node, against V8's own WebAssembly.Instance of the same module in the same process.
//
//   ./build.sh release && node bench/bench.mjs [--quick]
//
// One line of JSON per case: {"case","unit","instar","peer","peer_name","peer_version"}; medians of repetitions that take
// turns, so that both see the same machine, and that each start without the other's garbage.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { Engine, Linker, Module } from "@instar/instar";
import { guests } from "./guests.mjs";

const quick = process.argv.includes("--quick");
const REPETITIONS = quick ? 3 : 15;
const MINIMUM_NS = quick ? 2e5 : 5e7;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

/** Nanoseconds that one round of `run(count)` takes. */
function once(run, count) {
  collect();
  const start = process.hrtime.bigint();
  run(count);
  return Number(process.hrtime.bigint() - start) / count;
}

/** How many rounds fill MINIMUM_NS; warms up on the way. */
function rounds(run) {
  let count = 1;
  while (once(run, count) * count < MINIMUM_NS) count *= 2;
  return count;
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

/** Prints one case. `peer` is null where V8 has nothing like it. */
function compare(name, instar, peer) {
  const counts = [rounds(instar), peer && rounds(peer)];
  const times = [[], []];
  for (let repetition = 0; repetition < REPETITIONS; repetition++) {
    times[0].push(once(instar, counts[0]));
    if (peer) times[1].push(once(peer, counts[1]));
  }
  const round = (values) => Number(median(values).toFixed(1));
  const line = {
    case: name,
    unit: "ns",
    instar: round(times[0]),
    peer: peer && round(times[1]),
    peer_name: "V8",
    peer_version: process.versions.v8,
  };
  console.log(JSON.stringify(line));
}

const engine = new Engine();
const type = { params: ["i32"], results: ["i32"] };
const host = (value) => value + 1;
const linker = new Linker(engine).func("env", "f", type, (_, value) => host(value));
const imports = { env: { f: host } };

for (const { name, bytes } of guests) {
  const pre = linker.instantiatePre(new Module(engine, bytes));
  const module = new WebAssembly.Module(bytes);

  // A request that brings its own sandbox: create, one call, drop.
  compare(
    `${name}: create + call + drop`,
    (count) => {
      for (let round = 0; round < count; round++) {
        const instance = pre.instantiate();
        instance.exports.run(round);
        instance.close();
      }
    },
    (count) => {
      for (let round = 0; round < count; round++) new WebAssembly.Instance(module, imports).exports.run(round);
    },
  );
  const fresh = pre.func("run");
  compare(
    `${name}: pre.func, the same in one crossing`,
    (count) => {
      for (let round = 0; round < count; round++) fresh(round);
    },
    (count) => {
      for (let round = 0; round < count; round++) new WebAssembly.Instance(module, imports).exports.run(round);
    },
  );
}

// Calls of an instance that stays: V8 compiles them into the caller, which an embedded runtime cannot.
const { bytes } = guests.find(({ name }) => name === "host");
const instance = linker.instantiate(new Module(engine, bytes));
const ours = instance.exports;
const theirs = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports;
for (const [name, call] of [
  ["call (i32) -> i32", "run"],
  ["call (i64) -> i64", "wide"],
  ["call that calls the host", "call"],
]) {
  const argument = call === "wide" ? 7n : 7;
  const loop = (run) => (count) => {
    for (let round = 0; round < count; round++) run(argument);
  };
  compare(name, loop(ours[call]), loop(theirs[call]));
}
const memory = instance.memory();
const view = new Uint8Array(theirs.memory.buffer);
compare(
  "copy 1 KiB out of memory",
  (count) => {
    for (let round = 0; round < count; round++) memory.read(64, 1024);
  },
  (count) => {
    for (let round = 0; round < count; round++) view.slice(64, 1088);
  },
);
