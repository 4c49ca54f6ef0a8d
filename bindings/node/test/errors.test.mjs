import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Engine, ErrorKind, InstarError, Linker, Module, Trap, TrapCode } from "@instar/instar";
import { CALC, errorOf, kindOf, preOf } from "./support/guests.mjs";

test("traps have a code and a text", () => {
  const { pre } = preOf(CALC);
  const instance = pre.instantiate();
  for (const [trap, run] of [
    ["Unreachable", () => instance.exports.boom()],
    ["IntegerDivideByZero", () => instance.exports.div(1, 0)],
    ["IntegerOverflow", () => instance.exports.div(-2147483648, -1)],
    ["MemoryOutOfBounds", () => instance.exports.load(65536)],
    ["StackOverflow", () => instance.exports.deep()],
    ["Unreachable", () => pre.func("boom")()],
  ]) {
    const error = errorOf(run);
    assert.ok(error instanceof Trap && error instanceof InstarError && error instanceof Error);
    assert.equal(error.trap, trap);
    assert.equal(error.kind, "Trap");
    assert.equal(error.code, ErrorKind.Trap);
    assert.equal(error.name, "Trap");
    assert.match(error.stack, /errors\.test\.mjs/);
  }
  assert.equal(errorOf(() => instance.exports.div(1, 0)).message, "integer divide by zero");
  assert.equal(instance.exports.add(1, 2), 3);
});

test("wrong arguments are named", () => {
  const { exports } = preOf(CALC).pre.instantiate();
  for (const [run, message] of [
    [() => exports.add("1", 2), /^argument 1 of add is "1"; an i32 is an integer number/],
    [() => exports.add(1, 2n), /^argument 2 of add is 2n; an i32/],
    [() => exports.add(1, 1.5), /^argument 2 of add is 1\.5/],
    [() => exports.add(1, 4294967296), /^argument 2 of add is 4294967296/],
    [() => exports.add(1, NaN), /is NaN/],
    [() => exports.add(1, null), /is null/],
    [() => exports.add(true, 1), /is true/],
    [() => exports.add(1), /^add takes 2 arguments, but 1 were given$/],
    [() => exports.add(1, 2, 3), /but 3 were given/],
    [() => exports.nop(undefined), /^nop takes 0 arguments/],
    [() => exports.add64(1, 2n), /^argument 1 of add64 is 1; an i64 is a BigInt/],
    [() => exports.add64(1n, 2n ** 64n), /^argument 2 of add64 is 18446744073709551616n/],
    [() => exports.half({}), /^argument 1 of half is an object; an f32 is a number/],
    [() => exports.sum5(1, 2n, 3, "4", 5), /^argument 4 of sum5 is "4"/],
    [() => exports.sum5(1), /^sum5 takes 5 arguments/],
  ]) {
    const error = errorOf(run);
    assert.equal(error?.kind, "Type");
    assert.match(error.message, message);
  }
});

test("a missing export is named with what there is", () => {
  const { pre } = preOf(CALC);
  for (const run of [() => pre.func("ad"), () => pre.instantiate().func("ad")]) {
    const error = errorOf(run);
    assert.equal(error.kind, "MissingExport");
    assert.match(error.message, /add/);
  }
  assert.equal(kindOf(() => pre.func(undefined)), "Type");
});

test("an invalid module says where", () => {
  const engine = new Engine();
  const error = errorOf(() => new Module(engine, "(module (func (result i32)))"));
  assert.equal(error.kind, "InvalidModule");
  assert.equal(error.code, 1);
  assert.ok(error.message.length > 10);
});

test("a missing import is a Link error", () => {
  const engine = new Engine();
  const module = new Module(engine, '(module (import "env" "f" (func)))');
  const error = errorOf(() => new Linker(engine).instantiatePre(module));
  assert.equal(error.kind, "Link");
  assert.match(error.message, /env/);
});

test("use after close is a StaleHandle, and closing twice is fine", () => {
  const { engine, pre } = preOf(CALC);
  const instance = pre.instantiate();
  const { add } = instance.exports;
  const memory = instance.memory();
  instance.close();
  instance.close();
  // The slot has a new tenant, which the old handle must not reach.
  const tenant = pre.instantiate();
  for (const run of [
    () => add(1, 2),
    () => instance.exports.add(1, 2),
    () => instance.exports.count(),
    () => instance.callRaw("add", new BigUint64Array(2)),
    () => memory.read(0, 1),
    () => memory.write(0, new Uint8Array(1)),
    () => memory.size,
    () => memory.grow(1),
    () => instance.memory().size,
  ]) {
    assert.equal(kindOf(run), "StaleHandle");
  }
  instance.close();
  assert.equal(tenant.exports.count(), 1);
  assert.equal(engine.liveInstances, 1);
});

test("an error in a start function leaves nothing behind", () => {
  const { engine, pre } = preOf("(module (func $start unreachable) (start $start))");
  assert.equal(errorOf(() => pre.instantiate()).trap, "Unreachable");
  assert.equal(engine.liveInstances, 0);
});

test("errors that users make are checked", () => {
  const trap = new Trap("IntegerOverflow");
  assert.equal(trap.message, "integer overflow");
  assert.equal(new Trap("Unreachable", "because").message, "because");
  assert.equal(kindOf(() => new Trap("Nonsense")), "Type");
  assert.throws(() => new InstarError("Nonsense", "x"), TypeError);
  assert.equal(new InstarError("Limit", "x").code, 9);
});

test("the lists of kinds are those of core/src/error.rs", () => {
  const source = readFileSync(new URL("../../../core/src/error.rs", import.meta.url), "utf8");
  for (const [name, numbers] of Object.entries({ ErrorKind, TrapCode })) {
    const body = new RegExp(`${name} \\{\\n([^]*?)\\n    \\}`).exec(source)[1];
    const expected = [...body.matchAll(/(\w+) = (\d+), "/g)].map(([, kind, number]) => [kind, Number(number)]);
    assert.deepEqual(Object.entries(numbers), expected);
    const types = readFileSync(new URL("../lib/kinds.d.ts", import.meta.url), "utf8");
    for (const [kind, number] of expected) assert.ok(types.includes(`readonly ${kind}: ${number};`), kind);
  }
});
