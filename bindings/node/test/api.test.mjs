import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import instar, { Caller, Engine, Instance, InstancePre, Linker, Memory, Module } from "@instar/instar";
import { BYTES, CALC, errorOf, kindOf, preOf } from "./support/guests.mjs";

test("import and require give the same classes", () => {
  const required = createRequire(import.meta.url)("@instar/instar");
  assert.equal(required.Engine, Engine);
  assert.equal(instar.Engine, Engine);
});

test("an export takes and returns each type", () => {
  const { exports } = preOf(CALC).pre.instantiate();
  assert.equal(exports.nop(), undefined);
  assert.equal(exports.add(1, 2), 3);
  assert.equal(exports.add(2147483647, 1), -2147483648);
  assert.equal(exports.add(4294967295, 0), -1);
  assert.equal(exports.add64(1n, -5n), -4n);
  assert.equal(exports.add64(2n ** 64n - 1n, 0n), -1n);
  assert.equal(exports.half(3), 1.5);
  assert.ok(Number.isNaN(exports.id64(NaN)));
  assert.ok(Object.is(exports.id64(-0), -0));
  assert.equal(exports.id64(-Infinity), -Infinity);
  assert.deepEqual(exports.swap(7, 8n), [8n, 7]);
  assert.equal(exports.sum5(1, 2n, 0.5, 0.25, -1), 2.75);
});

test("exports survive being taken out of the instance, and stay the same functions", () => {
  const instance = preOf(CALC).pre.instantiate();
  const { add } = instance.exports;
  assert.equal(add(1, 2), 3);
  assert.equal(instance.exports, instance.exports);
  assert.equal(instance.exports.add, add);
});

test("exports may have any name, and have no others", () => {
  const { exports } = preOf(CALC).pre.instantiate();
  assert.equal(exports.constructor(), 1);
  assert.equal(exports["__proto__"](), 2);
  assert.equal(exports["with space"](), 3);
  assert.equal(exports.toString, undefined);
  assert.equal(exports.nope, undefined);
  assert.ok("add" in exports);
  assert.ok(exports.memory instanceof Memory);
});

test("every instance is fresh", () => {
  const { engine, pre } = preOf(CALC);
  for (let round = 0; round < 100; round++) {
    const instance = pre.instantiate();
    assert.equal(instance.exports.count(), 1);
    assert.equal(instance.exports.count(), 2);
    assert.equal(instance.exports.peek(1000), 0);
    instance.exports.poke(1000, 7);
    assert.equal(instance.exports.peek(1000), 7);
    instance.close();
  }
  assert.equal(engine.liveInstances, 0);
});

test("pre.func runs each call in an instance of its own", () => {
  const { engine, pre } = preOf(CALC);
  const count = pre.func("count");
  const add = pre.func("add");
  for (let round = 0; round < 100; round++) assert.equal(count(), 1);
  assert.equal(add(40, 2), 42);
  assert.deepEqual(pre.func("swap")(1, 2n), [2n, 1]);
  assert.equal(engine.liveInstances, 0);
});

test("callRaw keeps the payloads of NaNs", () => {
  const { pre } = preOf(CALC);
  const nan = 0x7ff4_0000_dead_beefn;
  const slots = new BigUint64Array([nan]);
  assert.equal(pre.instantiate().callRaw("id64", slots), slots);
  assert.equal(slots[0], nan);
  assert.equal(pre.callRaw("id64", slots)[0], nan);
  assert.equal(pre.func("id64").callRaw(slots)[0], nan);
  assert.deepEqual(pre.callRaw("add", new BigUint64Array([1n, 0xffff_ffffn])), new BigUint64Array([0n, 0xffff_ffffn]));
});

test("callRaw wants a BigUint64Array with a slot for each value", () => {
  const instance = preOf(CALC).pre.instantiate();
  assert.equal(kindOf(() => instance.callRaw("add", new BigUint64Array(1))), "Type");
  assert.equal(kindOf(() => instance.callRaw("add", [1n, 2n])), "Type");
  assert.equal(kindOf(() => instance.callRaw("nope", new BigUint64Array(1))), "MissingExport");
});

test("bytes go in and out, few and many", () => {
  const { engine, pre } = preOf(BYTES);
  const echo = pre.bytesFunc("echo");
  const instance = pre.instantiate();
  for (const length of [0, 1, 3, 4096, 65535, 65536, 65537, 200000]) {
    const input = Uint8Array.from({ length }, (_, index) => index * 7);
    for (const output of [pre.callBytes("echo", input), echo(Buffer.from(input))]) {
      assert.ok(output instanceof Uint8Array && !Buffer.isBuffer(output));
      assert.deepEqual(output, input);
    }
    if (length < 65538) assert.deepEqual(instance.callBytes("echo", input), input);
  }
  instance.close();
  const shared = new Uint8Array(new SharedArrayBuffer(70000)).fill(9);
  assert.deepEqual(echo(shared), Uint8Array.from(shared));
  assert.equal(kindOf(() => pre.callBytes("lie", new Uint8Array(1))), "GuestProtocol");
  assert.equal(kindOf(() => pre.callBytes("echo", "text")), "Type");
  assert.equal(kindOf(() => pre.callBytes("nope", new Uint8Array(1))), "MissingExport");
  assert.equal(engine.liveInstances, 0);
});

test("memory is read, written and grown in copies", () => {
  const { pre } = preOf(CALC);
  const instance = pre.instantiate();
  const memory = instance.memory();
  assert.equal(memory.size, 65536);
  assert.equal(Buffer.from(memory.read(16, 5)).toString(), "hello");
  const copy = memory.read(16, 5);
  memory.write(16, Buffer.from("HE"));
  assert.equal(Buffer.from(memory.read(16, 5)).toString(), "HEllo");
  assert.equal(Buffer.from(copy).toString(), "hello");
  assert.equal(memory.grow(2), 1);
  assert.equal(instance.memory("memory").size, 3 * 65536);
  const big = new Uint8Array(150000).fill(0xab);
  memory.write(100, big);
  assert.deepEqual(memory.read(100, 150000), big);
  assert.equal(memory.read(3 * 65536, 0).length, 0);
  for (const run of [
    () => memory.read(3 * 65536 - 1, 2),
    () => memory.read(3 * 65536 + 1, 0),
    () => memory.read(0, 3 * 65536 + 1),
    () => memory.read(0, Number.MAX_SAFE_INTEGER),
    () => memory.read(Number.MAX_SAFE_INTEGER, 1),
    () => memory.write(3 * 65536 - 1, new Uint8Array(2)),
    () => memory.write(3 * 65536 - 1, big),
  ]) {
    assert.equal(kindOf(run), "OutOfBounds");
  }
  assert.equal(kindOf(() => memory.grow(100)), "Limit");
  for (const wrong of [-1, 1.5, NaN, "0", 1n, undefined]) assert.equal(kindOf(() => memory.read(wrong, 1)), "Type");
  assert.equal(kindOf(() => memory.write(0, [1, 2])), "Type");
  assert.equal(kindOf(() => instance.memory("add")), "MissingExport");
  instance.close();
  assert.equal(Buffer.from(pre.instantiate().memory().read(16, 5)).toString(), "hello");
});

test("a module describes itself", () => {
  const engine = new Engine();
  const module = new Module(engine, '(module $named (import "env" "f" (func (param i32 i64) (result f64))) (memory (export "m") 1))');
  assert.equal(module.name, "named");
  assert.deepEqual(Module.imports(module), [
    { module: "env", name: "f", kind: "function", type: { params: ["i32", "i64"], results: ["f64"] } },
  ]);
  assert.deepEqual(Module.exports(module), [{ name: "m", kind: "memory" }]);
  assert.equal(new Module(engine, "(module)").name, undefined);
});

test("a module compiles from bytes of every kind, and in the background", async () => {
  const engine = new Engine();
  const bytes = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const shared = new SharedArrayBuffer(8);
  new Uint8Array(shared).set(bytes);
  const offset = Buffer.concat([Buffer.from("xx"), bytes]).subarray(2);
  for (const source of [bytes, bytes.buffer, new DataView(bytes.buffer), Buffer.from(bytes), offset, shared, "(module)"]) {
    assert.deepEqual(Module.exports(new Module(engine, source)), []);
    assert.ok((await Module.compile(engine, source)) instanceof Module);
  }
  await assert.rejects(Module.compile(engine, "(modul)"), { name: "InstarError", kind: "InvalidModule" });
  await assert.rejects(Module.compile(engine, 7), { kind: "Type" });
  await assert.rejects(Module.compile({}, bytes), { kind: "Type" });
  const many = await Promise.all(Array.from({ length: 8 }, () => Module.compile(engine, CALC)));
  assert.equal(new Linker(engine).instantiate(many[7]).exports.add(1, 1), 2);
});

test("a module compiles from a file", () => {
  const engine = new Engine();
  const path = new URL("../../../tests/conformance/modules/empty.wat", import.meta.url).pathname;
  assert.ok(Module.fromFile(engine, path) instanceof Module);
  assert.equal(kindOf(() => Module.fromFile(engine, "/nowhere/at/all.wasm")), "Os");
});

test("options are checked", () => {
  assert.equal(kindOf(() => new Engine({ maxInstances: 0 })), "Config");
  assert.equal(kindOf(() => new Engine({ maxInstances: -1 })), "Config");
  assert.equal(kindOf(() => new Engine({ maxInstances: 1.5 })), "Config");
  assert.equal(kindOf(() => new Engine({ maxInstances: "10" })), "Type");
  assert.equal(kindOf(() => new Engine({ maxMemoryPages: 2 ** 40 })), "Config");
  assert.equal(kindOf(() => new Engine({ maxWasmStack: 1 })), "Config");
  assert.equal(kindOf(() => new Engine(null)), "Type");
  assert.match(errorOf(() => new Engine({ maxInstance: 1 })).message, /maxInstances/);
});

test("the pool has a limit, and closing makes room", () => {
  const { engine, pre } = preOf(CALC, { maxInstances: 2 });
  const first = pre.instantiate();
  pre.instantiate();
  assert.equal(engine.liveInstances, 2);
  assert.equal(kindOf(() => pre.instantiate()), "PoolExhausted");
  assert.equal(kindOf(() => pre.func("count")()), "PoolExhausted");
  first.close();
  assert.equal(pre.func("count")(), 1);
});

test("data belongs to the instance", () => {
  const { pre } = preOf(CALC);
  const data = { user: "alice" };
  assert.equal(pre.instantiate({ data }).data, data);
  assert.equal(pre.instantiate().data, undefined);
  assert.equal(kindOf(() => pre.instantiate(7)), "Type");
});

test("classes that users do not make refuse to be made", () => {
  for (const type of [InstancePre, Instance, Memory, Caller]) assert.equal(kindOf(() => new type()), "Type");
  assert.equal(kindOf(() => new Linker({})), "Type");
  assert.equal(kindOf(() => new Module({}, "(module)")), "Type");
  assert.equal(kindOf(() => new Linker(new Engine()).instantiatePre({})), "Type");
});

test("Symbol.dispose closes", () => {
  const { engine, pre } = preOf(CALC);
  pre.instantiate()[Symbol.dispose]();
  assert.equal(engine.liveInstances, 0);
});
