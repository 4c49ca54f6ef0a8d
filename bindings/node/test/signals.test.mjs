// Instar and V8 both turn SIGSEGV into traps; neither may take the other's.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import { Engine, Linker, Module } from "@instar/instar";
import { CALC, errorOf, preOf } from "./support/guests.mjs";
import { trapOfV8 } from "./support/v8.mjs";

test("traps of V8 and of Instar take turns", () => {
  assert.ok(trapOfV8(), "before Instar's first");
  const { pre } = preOf(CALC);
  const instance = pre.instantiate();
  const trap = () => errorOf(() => instance.exports.load(0x7fff_fff0)).trap;
  assert.equal(trap(), "MemoryOutOfBounds");
  assert.ok(trapOfV8(), "after Instar's first");
  for (let round = 0; round < 1000; round++) {
    assert.equal(trap(), "MemoryOutOfBounds");
    assert.ok(trapOfV8());
  }
});

test("a host function may run into a trap of V8", () => {
  const engine = new Engine();
  const linker = new Linker(engine).func("env", "v8", { results: ["i32"] }, () => Number(trapOfV8()));
  const module = new Module(
    engine,
    `(module (import "env" "v8" (func $v8 (result i32))) (memory 1)
       (func (export "call") (result i32) (call $v8))
       (func (export "both") (drop (call $v8)) (drop (i32.load (i32.const 0x7ffffff0)))))`,
  );
  const pre = linker.instantiatePre(module);
  assert.equal(pre.func("call")(), 1);
  assert.equal(errorOf(() => pre.func("both")()).trap, "MemoryOutOfBounds");
});

test("a guest of V8 may call into a trap of Instar", () => {
  const load = preOf(CALC).pre.func("load");
  // (module (import "m" "f" (func (param i32) (result i32))) (export "f" (func 0)))
  const bytes = Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, 2, 7, 1, 1, 0x6d, 1, 0x66, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 0x67,
    0, 1, 10, 8, 1, 6, 0, 0x20, 0, 0x10, 0, 11,
  ]);
  const { g } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { f: load } }).exports;
  assert.equal(g(0), 0);
  assert.equal(errorOf(() => g(0x7fff_fff0)).trap, "MemoryOutOfBounds");
  assert.ok(trapOfV8());
});

test("a fault of somebody else still kills the process", () => {
  const script = `
    const { Engine, Module } = await import("@instar/instar");
    new Module(new Engine(), "(module)");
    process.kill(process.pid, "SIGSEGV");
    await new Promise((resolve) => setTimeout(resolve, 5000));`;
  const { signal } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: new URL("..", import.meta.url).pathname,
  });
  assert.equal(signal, "SIGSEGV");
});
