import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine, InstarError, Linker, Module, Trap } from "@instar/instar";
import { CALC, errorOf, hostPre, kindOf, preOf } from "./support/guests.mjs";

test("a host function gets its caller and its arguments", () => {
  const seen = [];
  const { pre } = hostPre((caller, a) => {
    seen.push([caller.data, a]);
    return a * 2;
  });
  const instance = pre.instantiate({ data: "alice" });
  assert.equal(instance.exports.twice(10), 42);
  assert.equal(pre.func("call", { data: "bob" })(1), 2);
  assert.equal(pre.func("call")(1), 2);
  assert.deepEqual(seen, [["alice", 10], ["alice", 11], ["bob", 1], [undefined, 1]]);
});

test("host functions take and return every type, and several results", () => {
  const engine = new Engine();
  const linker = new Linker(engine)
    .func("env", "all", { params: ["i32", "i64", "f32", "f64"], results: ["f64", "f32", "i64", "i32"] }, (_, a, b, c, d) => [d, c, b, a])
    .func("env", "none", {}, () => "ignored");
  const pre = linker.instantiatePre(
    new Module(
      engine,
      `(module (import "env" "all" (func $all (param i32 i64 f32 f64) (result f64 f32 i64 i32)))
         (import "env" "none" (func $none))
         (func (export "all") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
           (call $none) (call $all (local.get 0) (local.get 1) (local.get 2) (local.get 3))))`,
    ),
  );
  assert.deepEqual(pre.func("all")(-1, -2n, 1.5, 2.25), [2.25, 1.5, -2n, -1]);
});

test("an exception of a host function comes back as itself", () => {
  for (const thrown of [new Error("boom"), { odd: true }, "text", 0, undefined, null, Symbol("s")]) {
    const { engine, pre } = hostPre(() => {
      throw thrown;
    });
    const instance = pre.instantiate();
    for (const run of [() => instance.exports.call(1), () => pre.func("call")(1)]) {
      let caught = "nothing";
      try {
        run();
      } catch (error) {
        caught = error;
      }
      assert.equal(caught, thrown);
    }
    assert.equal(instance.exports.calls(), 1);
    instance.close();
    assert.equal(engine.liveInstances, 0);
  }
});

test("a host function may trap", () => {
  const trap = new Trap("IntegerOverflow");
  const { pre } = hostPre(() => {
    throw trap;
  });
  assert.equal(errorOf(() => pre.func("call")(1)), trap);
});

test("a wrong result is named", () => {
  for (const [result, message] of [
    ["1", /^result 1 of host function env\.f is "1"; an i32/],
    [undefined, /is undefined/],
    [1n, /is 1n/],
    [Promise.resolve(1), /is an object/],
  ]) {
    const error = errorOf(() => hostPre(() => result).pre.func("call")(1));
    assert.equal(error.kind, "Type");
    assert.match(error.message, message);
  }
});

test("the caller's memory is read and written", () => {
  const { pre } = hostPre((caller, address) => {
    const memory = caller.memory();
    memory.write(address, Buffer.from("abc"));
    assert.equal(memory.size, 65536);
    assert.equal(kindOf(() => memory.read(65536, 1)), "OutOfBounds");
    assert.equal(kindOf(() => caller.memory("nope")), "MissingExport");
    assert.equal(kindOf(() => caller.memory("call")), "MissingExport");
    assert.equal(memory.grow(1), 1);
    memory.write(65536, new Uint8Array(65536).fill(1));
    assert.equal(memory.read(65535, 2)[1], 1);
    return memory.read(address, 3).reduce((sum, byte) => sum + byte, 0);
  });
  const instance = pre.instantiate();
  assert.equal(instance.exports.call(100), 97 + 98 + 99);
  assert.equal(Buffer.from(instance.memory().read(100, 3)).toString(), "abc");
});

test("the caller's exports can be called, nested", () => {
  const { pre } = hostPre((caller, depth) => (depth === 0 ? 0 : 1 + caller.func("call")(depth - 1)));
  const instance = pre.instantiate();
  assert.equal(instance.exports.call(20), 20);
  assert.equal(instance.exports.calls(), 21);
});

test("a nested trap can be caught by the host function", () => {
  const { pre } = hostPre((caller) => {
    const error = errorOf(() => caller.func("boom")());
    assert.ok(error instanceof Trap);
    caller.func("store")(5, 77);
    return caller.memory().read(5, 1)[0];
  });
  assert.equal(pre.instantiate().exports.call(1), 77);
});

test("a nested exception passes through both calls", () => {
  const boom = new Error("boom");
  const { pre } = hostPre((caller, depth) => {
    if (depth === 0) throw boom;
    return caller.func("call")(depth - 1);
  });
  assert.equal(errorOf(() => pre.instantiate().exports.call(5)), boom);
});

test("a caller is stale after its call", () => {
  let kept;
  let memory;
  let again;
  const { pre } = hostPre((caller) => {
    kept = caller;
    memory = caller.memory();
    again = caller.func("calls");
    return 0;
  });
  const instance = pre.instantiate();
  instance.exports.call(1);
  for (const run of [() => kept.memory(), () => kept.func("calls"), () => memory.read(0, 1), () => memory.size, () => again()]) {
    assert.equal(kindOf(run), "StaleHandle");
  }
  assert.equal(kept.data, undefined);
});

test("an outer caller is busy while its guest is in a nested call", () => {
  let outer;
  const kinds = [];
  const { pre } = hostPre((caller, depth) => {
    if (depth === 1) {
      outer = caller;
      caller.func("call")(0);
      return caller.memory().read(0, 1)[0];
    }
    kinds.push(kindOf(() => outer.memory()), kindOf(() => outer.func("calls")), kindOf(() => caller.memory()));
    return 0;
  });
  assert.equal(pre.instantiate().exports.call(1), 0);
  assert.deepEqual(kinds, ["Busy", "Busy", undefined]);
});

test("the instance itself is busy during its call", () => {
  const kinds = [];
  const { pre } = hostPre((caller) => {
    const { instance } = caller.data;
    kinds.push(
      kindOf(() => instance.exports.calls()),
      kindOf(() => instance.memory().read(0, 1)),
      kindOf(() => instance.close()),
    );
    return 0;
  });
  const data = {};
  const instance = pre.instantiate({ data });
  data.instance = instance;
  instance.exports.call(1);
  assert.deepEqual(kinds, ["Busy", "Busy", "Busy"]);
  assert.equal(instance.exports.calls(), 1);
  instance.close();
  assert.equal(kindOf(() => instance.exports.calls()), "StaleHandle");
});

test("a host function may use other instances", () => {
  const other = preOf(CALC).pre;
  const { pre } = hostPre((caller, a) => {
    const instance = other.instantiate();
    const sum = instance.exports.add(a, 1) + other.func("add")(a, 1) + pre.func("calls")();
    instance.close();
    assert.equal(caller.data, "outer");
    assert.equal(caller.memory().size, 65536);
    return sum;
  });
  assert.equal(pre.func("twice", { data: "outer" })(1), 4 + 6);
});

test("data of nested calls do not mix", () => {
  const seen = [];
  const { pre } = hostPre((caller, depth) => {
    seen.push(caller.data);
    if (depth > 0) pre.instantiate({ data: depth }).exports.twice(depth - 2);
    seen.push(caller.data);
    return 0;
  });
  pre.instantiate({ data: "a" }).exports.twice(1);
  assert.deepEqual(seen.slice(-1), ["a"]);
  assert.equal(seen.filter((data) => data === "a").length, 4);
});

test("host functions that run during a bytes call cannot change its input", () => {
  const { pre } = hostPre((caller) => {
    caller.memory().write(60000, new Uint8Array(5000).fill(1));
    return 0;
  });
  assert.equal(Buffer.from(pre.callBytes("echo", Buffer.from("precious"))).toString(), "precious");
});

test("deep recursion through host functions ends in an error, not a crash", () => {
  const { engine, pre } = hostPre((caller, depth) => caller.func("call")(depth + 1));
  for (let round = 0; round < 3; round++) {
    const error = errorOf(() => pre.func("call")(0));
    assert.ok(error instanceof RangeError || error instanceof Trap, String(error));
  }
  assert.equal(engine.liveInstances, 0);
});

test("recursion through fresh instances ends in an error, not a crash", () => {
  const { engine, pre } = hostPre((_, depth) => pre.func("call")(depth + 1));
  const error = errorOf(() => pre.func("call")(0));
  assert.ok(error instanceof RangeError || error instanceof InstarError, String(error));
  assert.equal(engine.liveInstances, 0);
});

test("a million host calls in one guest call need no memory", () => {
  const { pre } = hostPre((_, a) => a & 1);
  const loop = pre.func("loop");
  loop(100_000);
  const before = process.memoryUsage().rss;
  assert.equal(loop(1_000_000), 500_000);
  assert.ok(process.memoryUsage().rss - before < 32 << 20);
});

test("names, types and functions of host functions are checked", () => {
  const linker = new Linker(new Engine());
  for (const run of [
    () => linker.func(1, "f", {}, () => {}),
    () => linker.func("env", undefined, {}, () => {}),
    () => linker.func("env", "f", undefined, () => {}),
    () => linker.func("env", "f", { params: "i32" }, () => {}),
    () => linker.func("env", "f", { params: ["i31"] }, () => {}),
    () => linker.func("env", "f", { results: [1] }, () => {}),
    () => linker.func("env", "f", {}, "f"),
  ]) {
    assert.equal(kindOf(run), "Type");
  }
});

test("a name can be defined once, unless shadowing is allowed", () => {
  const engine = new Engine();
  const type = { results: ["i32"] };
  const linker = new Linker(engine).func("env", "f", type, () => 1);
  const module = new Module(engine, '(module (import "env" "f" (func $f (result i32))) (func (export "f") (result i32) (call $f)))');
  const before = linker.instantiatePre(module);
  assert.equal(kindOf(() => linker.func("env", "f", type, () => 2)), "Link");
  linker.allowShadowing(true).func("env", "f", type, () => 3);
  assert.equal(before.func("f")(), 1);
  assert.equal(linker.instantiatePre(module).func("f")(), 3);
});
