// What the garbage collector does and leaves. Needs --expose-gc.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";

import { Engine, Linker, Module } from "@instar/instar";
import { CALC, HOST, kindOf, preOf } from "./support/guests.mjs";

/** Collects garbage until `done`, in as many turns of the event loop as finalizers need. */
async function collectUntil(done) {
  for (let round = 0; round < 50 && !done(); round++) {
    await turn();
    globalThis.gc();
    await sleep(1);
  }
}

test("the collector is at hand", () => assert.equal(typeof globalThis.gc, "function"));

test("instances that nobody closed are closed after they are collected", async () => {
  const { engine, pre } = preOf(CALC, { maxInstances: 200 });
  (() => {
    for (let count = 0; count < 200; count++) pre.instantiate().exports.count();
  })();
  assert.equal(engine.liveInstances, 200);
  assert.equal(kindOf(() => pre.instantiate()), "PoolExhausted");
  const makesRoom = () => kindOf(() => pre.instantiate().close()) === undefined;
  await collectUntil(() => makesRoom() && engine.liveInstances < 10);
  assert.ok(engine.liveInstances < 10, `${engine.liveInstances} are left`);
  assert.equal(pre.func("count")(), 1);
});

test("an instance stays open as long as one of its functions or memories is reachable", async () => {
  const { engine, pre } = preOf(CALC);
  const add = pre.instantiate().func("add");
  const count = pre.instantiate().exports.count;
  const memory = pre.instantiate().memory();
  for (let round = 0; round < 5; round++) {
    await collectUntil(() => false);
    pre.func("count")();
    assert.equal(add(1, round), round + 1);
    assert.equal(count(), round + 1);
    assert.equal(memory.size, 65536);
  }
  assert.equal(engine.liveInstances, 3);
});

test("a host function that sees its own linker, pre and instance does not keep them alive", async () => {
  const refs = [];
  (() => {
    for (let count = 0; count < 10; count++) {
      const engine = new Engine();
      const linker = new Linker(engine);
      const kept = { engine, linker };
      linker.func("env", "f", { params: ["i32"], results: ["i32"] }, (caller, a) => (kept.pre ? a : caller.data.a));
      kept.pre = linker.instantiatePre(new Module(engine, HOST));
      kept.instance = kept.pre.instantiate({ data: kept });
      kept.instance.exports.call(1);
      refs.push(new WeakRef(kept), new WeakRef(kept.pre), new WeakRef(kept.instance), new WeakRef(engine));
    }
  })();
  const alive = () => refs.filter((ref) => ref.deref() !== undefined).length;
  await collectUntil(() => alive() === 0);
  assert.equal(alive(), 0);
});

test("data is let go when the call is over", async () => {
  const { pre } = preOf(CALC);
  const ref = (() => {
    const data = {};
    pre.func("count", { data })();
    pre.instantiate({ data }).close();
    return new WeakRef(data);
  })();
  await collectUntil(() => ref.deref() === undefined);
  assert.equal(ref.deref(), undefined);
});

test("a hundred thousand instances leave no memory behind", async () => {
  const { engine, pre } = preOf(CALC);
  const round = async () => {
    for (let count = 0; count < 10_000; count++) {
      const instance = pre.instantiate({ data: { count } });
      instance.exports.poke(count, 1);
      if (count % 3 === 0) instance.memory().read(0, 100);
      if (count % 100 === 0) kindOf(() => instance.exports.boom());
      instance.close();
      if (count % 500 === 0) await turn();
    }
    globalThis.gc();
  };
  await round();
  await round();
  const before = process.memoryUsage().rss;
  for (let count = 0; count < 10; count++) await round();
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 16 << 20, `${grown >> 10} KiB more`);
  assert.equal(engine.liveInstances, 0);
});

test("engines, modules and pres leave no memory behind", async () => {
  const round = async () => {
    for (let count = 0; count < 20; count++) {
      const { pre } = preOf(CALC);
      pre.func("count")();
      pre.instantiate();
    }
    await collectUntil(() => false);
  };
  for (let count = 0; count < 3; count++) await round();
  const before = process.memoryUsage().rss;
  for (let count = 0; count < 5; count++) await round();
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 48 << 20, `${grown >> 10} KiB more`);
});
