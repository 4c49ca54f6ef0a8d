// Modules that use vectors, 64-bit and several memories, tail calls and typed references.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Engine, Linker, Module } from "@instar/instar";
import { errorOf, preOf } from "./support/guests.mjs";

const FEATURES = readFileSync(new URL("../../../tests/conformance/modules/features.wat", import.meta.url), "utf8");

/** The error that `run` throws has the kind Type, and this in its message. */
function refuses(run, text) {
  const error = errorOf(run);
  assert.equal(error?.kind, "Type", String(error));
  assert.ok(error.message.includes(text), error.message);
}

test("features inside of a module work behind numbers", () => {
  const { pre } = preOf(FEATURES);
  const instance = pre.instantiate();
  const { exports } = instance;
  assert.equal(exports.four_products(3, 5), 60);
  assert.equal(pre.func("four_products")(3, 5), 60);
  assert.equal(exports.sum(1_000_000n, 0n), 500_000_500_000n);
  assert.equal(exports.sum_by_reference(1_000_000n, 0n), 500_000_500_000n);
  exports.copy_out(100, 8n, 16);
  assert.equal(exports.load_other(115), 16);
  assert.equal(instance.memory("other").read(115, 1)[0], 16);
  assert.equal(exports.load64(8n), 0x0807060504030201n);
  assert.equal(errorOf(() => exports.call_null()).trap, "NullFunctionReference");
  assert.equal(errorOf(() => exports.null_as_non_null()).trap, "NullReference");
});

test("vectors travel in two slots", () => {
  const { pre } = preOf(FEATURES);
  const instance = pre.instantiate();
  const [half] = new BigUint64Array(Float64Array.of(0.5).buffer);
  const [minusHalf] = new BigUint64Array(Float64Array.of(-0.5).buffer);
  const given = [5n, 10n, 2n ** 64n - 1n, half];
  const ways = [
    (slots) => instance.callRaw("mixed", slots),
    (slots) => pre.callRaw("mixed", slots),
    (slots) => pre.func("mixed").callRaw(slots),
  ];
  for (const callRaw of ways) {
    assert.deepEqual(callRaw(BigUint64Array.from(given)), BigUint64Array.of(minusHalf, 15n, 4n, 6n));
    refuses(() => callRaw(new BigUint64Array(3)), "callRaw of mixed needs 4 slots");
  }
  assert.deepEqual(instance.callRaw("swap_halves", BigUint64Array.of(1n, 2n)), BigUint64Array.of(2n, 1n));
});

test("a function takes as many vectors as WebAssembly allows", () => {
  const { pre } = preOf(`(module (func (export "last") (param${" v128".repeat(1000)}) (result v128) (local.get 999)))`);
  const slots = pre.callRaw("last", BigUint64Array.from({ length: 2000 }, (_, index) => BigInt(index)));
  assert.deepEqual([...slots.slice(0, 2)], [1998n, 1999n]);
});

test("a vector is no value", () => {
  const { pre } = preOf(FEATURES);
  const instance = pre.instantiate();
  const vector = "a vector is no JavaScript value; use callRaw";
  for (const args of [[], [1], [1n], [1n, 2n], [new Uint8Array(16)]]) {
    refuses(() => instance.exports.low_half(...args), `low_half has the type (v128) -> (i64): ${vector}`);
    refuses(() => instance.exports.splat(...args), `splat has the type (i64) -> (v128): ${vector}`);
    refuses(() => pre.func("low_half")(...args), vector);
    refuses(() => instance.func("splat")(...args), vector);
  }
});

test("a reference is no value", () => {
  const { pre } = preOf(FEATURES);
  const instance = pre.instantiate();
  for (const name of ["take_function", "give_function", "take_object"]) {
    for (const args of [[], [null], [0], [{}]]) {
      refuses(() => instance.exports[name](...args), "references cannot be passed to or from JavaScript");
      refuses(() => pre.func(name)(...args), `${name} has the type`);
    }
    refuses(() => instance.callRaw(name, new BigUint64Array(1)), "references cannot be passed");
  }
  assert.equal(instance.exports.sum(4n, 0n), 10n);
});

test("modules tell of vectors and references", () => {
  const exports = Module.exports(new Module(new Engine(), FEATURES));
  const typeOf = (wanted) => exports.find(({ name }) => name === wanted).type;
  assert.deepEqual(typeOf("splat"), { params: ["i64"], results: ["v128"] });
  assert.deepEqual(typeOf("take_function"), { params: ["funcref"], results: [] });
  assert.deepEqual(typeOf("take_object"), { params: ["externref"], results: [] });
});

test("a caller's functions take no vectors either", () => {
  const engine = new Engine();
  const module = new Module(engine, `(module
    (import "env" "f" (func $f))
    (func (export "run") (call $f))
    (func (export "splat") (param i64) (result v128) (i64x2.splat (local.get 0))))`);
  let error;
  const f = (caller) => {
    error = errorOf(() => caller.func("splat")(1n));
  };
  new Linker(engine).func("env", "f", {}, f).instantiate(module).exports.run();
  assert.match(error.message, /^splat has the type \(i64\) -> \(v128\): a vector is no JavaScript value/);
});

test("host functions take and give numbers only", () => {
  const linker = new Linker(new Engine());
  for (const type of ["v128", "funcref", "externref"]) {
    refuses(() => linker.func("env", "f", { params: [type] }, () => {}), `env.f: params[0] is "${type}"; it must be "i32"`);
    refuses(() => linker.func("env", "f", { results: [type] }, () => 0), `env.f: results[0] is "${type}"`);
  }
});

test("addresses beyond 4 GiB reach a 64-bit memory", () => {
  const { pre } = preOf(
    `(module (memory (export "memory") i64 65537)
      (func (export "load") (param i64) (result i64) (i64.load (local.get 0))))`,
    { maxMemoryPages: 65_600 },
  );
  const instance = pre.instantiate();
  const memory = instance.memory();
  const at = 2 ** 32 + 8;
  memory.write(at, Buffer.from("beyond!!"));
  assert.equal(instance.exports.load(BigInt(at)), Buffer.from("beyond!!").readBigUInt64LE());
  assert.equal(instance.exports.load(8n), 0n);
  assert.equal(Buffer.from(memory.read(at, 8)).toString(), "beyond!!");
  assert.equal(memory.grow(1), 65_537);
  assert.equal(memory.size, 65_538 * 65_536);
});
