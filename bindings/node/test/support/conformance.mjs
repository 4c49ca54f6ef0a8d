// One case of tests/conformance: commands, values, and the menu of host functions.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Engine, ErrorKind, InstarError, Linker, Module, Trap, TrapCode } from "@instar/instar";

/** What the host function `throw` throws. */
class Boom extends Error {}

const bits = new DataView(new ArrayBuffer(8));
const TYPES = { i: "i32", I: "i64", f: "f32", F: "f64" };

export class Runner {
  constructor(spec, modules) {
    const { max_instances: maxInstances, max_memory_pages: maxMemoryPages, max_wasm_stack: maxWasmStack } = spec.config;
    this.spec = spec;
    this.modules = modules;
    this.engine = new Engine({ maxInstances, maxMemoryPages, maxWasmStack });
    this.named = { modules: new Map(), pres: new Map(), instances: new Map(), moduleOf: new Map() };
    this.recorded = [];
    this.thrown = undefined;
  }

  /** All commands; what each did. */
  run() {
    const lines = new Map();
    this.spec.commands.forEach((command, index) => this.step(command, String(index), lines));
    return [...lines.values()];
  }

  /** Runs one command and notes its line, unless it failed before. Whether it passed. */
  step(command, line, lines) {
    let outcome = { result: "pass", code: "", msg: "" };
    try {
      outcome.code = this.execute(command, line, lines) ?? "";
    } catch (error) {
      outcome = { result: "fail", code: error instanceof assert.AssertionError ? "" : codeOf(error), msg: String(error) };
    }
    const before = lines.get(line);
    // Moved to the end: an outer command's line comes after those of its body.
    lines.delete(line);
    lines.set(line, before?.result === "fail" ? before : { case: this.spec.name, line, cmd: command.type, ...outcome });
    return outcome.result === "pass";
  }

  /** Runs a command; the code that an assert observed. */
  execute(command, line, lines) {
    if (command.type === "repeat") return this.repeat(command, line, lines);
    const action = actions[command.type];
    assert.ok(action, `unknown command ${command.type}`);
    return action.call(this, command);
  }

  repeat({ count, body }, line, lines) {
    for (let round = 0; round < count; round++) {
      const passed = body.every((command, index) => this.step(command, `${line}.${index}`, lines));
      assert.ok(passed, `round ${round} failed`);
    }
  }

  /** Runs an action that must fail. */
  failure(action) {
    try {
      this.execute(action);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return error;
    }
    assert.fail("it succeeded");
  }

  pre(name) {
    return lookUp(this.named.pres, name);
  }

  instance(name) {
    return lookUp(this.named.instances, name);
  }

  /** How many results the export `field` has: a raw call needs a slot for each. */
  resultsOf(instance, field) {
    const exports = Module.exports(lookUp(this.named.moduleOf, instance));
    return exports.find(({ name }) => name === field)?.type?.results ?? [];
  }
}

function lookUp(map, name) {
  assert.ok(map.has(name), `nothing is named ${name}`);
  return map.get(name);
}

const actions = {
  compile({ as, filename, text, hex }) {
    const source = filename !== undefined ? readFileSync(join(this.modules, filename)) : (text ?? Buffer.from(hex, "hex"));
    this.named.modules.set(as, new Module(this.engine, source));
  },

  pre({ as, module, imports }) {
    const linker = new Linker(this.engine);
    for (const [path, { host, sig }] of Object.entries(imports)) {
      const dot = path.indexOf(".");
      const [params, results] = sig.split(":").map((part) => Array.from(part, (letter) => TYPES[letter]));
      linker.func(path.slice(0, dot), path.slice(dot + 1), { params, results }, hostFunction(this, host, params, results));
    }
    this.named.pres.set(as, linker.instantiatePre(lookUp(this.named.modules, module)));
  },

  instantiate({ pre, as, data = 0 }) {
    this.named.instances.set(as, this.pre(pre).instantiate({ data }));
    this.named.moduleOf.set(as, this.pre(pre).module);
  },

  call({ instance, field, args = [], expected }) {
    const owner = this.instance(instance);
    const candidate = owner.exports[field];
    const call = typeof candidate === "function" ? candidate : owner.func(field);
    check(call(...args.map(toJs)), expected);
  },

  call_raw({ instance, field, args = [], expected }) {
    const owner = this.instance(instance);
    const results = this.resultsOf(instance, field);
    const given = args.flatMap(slotsOf);
    const slots = new BigUint64Array(Math.max(given.length, results.reduce((sum, type) => sum + width(type), 0)));
    slots.set(given);
    owner.callRaw(field, slots);
    if (expected === undefined) return;
    assert.deepEqual(results, expected.map(({ type }) => type));
    let at = 0;
    for (const value of expected) {
      checkBits(value.type === "v128" ? slots[at] | (slots[at + 1] << 64n) : slots[at], value);
      at += width(value.type);
    }
  },

  call_bytes({ instance, field, input, expected }) {
    checkBytes(this.instance(instance).callBytes(field, bytesOf(input)), expected);
  },

  drop({ instance }) {
    this.instance(instance).close();
  },

  pre_call({ pre, field, args = [], expected, data = 0 }) {
    check(this.pre(pre).func(field, { data })(...args.map(toJs)), expected);
  },

  pre_call_bytes({ pre, field, input, expected, data = 0 }) {
    checkBytes(this.pre(pre).callBytes(field, bytesOf(input), { data }), expected);
  },

  mem_size({ instance, expected }) {
    const { size } = this.instance(instance).memory();
    if (expected !== undefined) assert.equal(size, expected);
  },

  mem_read({ instance, offset, len, hex }) {
    const bytes = this.instance(instance).memory().read(offset, len ?? hex.length / 2);
    if (hex !== undefined) assert.equal(Buffer.from(bytes).toString("hex"), hex);
  },

  mem_write({ instance, offset, hex }) {
    this.instance(instance).memory().write(offset, Buffer.from(hex, "hex"));
  },

  live({ expected }) {
    assert.equal(this.engine.liveInstances, expected);
  },

  assert_recorded({ values }) {
    const seen = this.recorded.splice(0);
    assert.equal(seen.length, values.length, `recorded ${seen.length} values`);
    values.forEach((value, index) => checkValue(seen[index].value, value, seen[index].type));
  },

  assert_trap({ code, action }) {
    const error = this.failure(action);
    assert.equal(codeOf(error), code, String(error));
    assert.ok(error instanceof Trap);
    return code;
  },

  assert_error({ kind, action }) {
    const error = this.failure(action);
    assert.equal(error.kind, kind, String(error));
    assert.equal(error.code, ErrorKind[kind]);
    return codeOf(error);
  },

  assert_throw({ message, action }) {
    this.thrown = undefined;
    const error = this.failure(action);
    assert.ok(error instanceof Boom && error === this.thrown, `not the same exception: ${error}`);
    assert.equal(error.message, message);
    return codeOf(error);
  },
};

function codeOf(error) {
  if (error instanceof Trap) return error.trap;
  if (error instanceof Boom) return "Host";
  return error instanceof InstarError ? error.kind : "";
}

/** The menu: name, or name:argument. */
function hostFunction(runner, host, params, results) {
  const colon = host.indexOf(":");
  const [name, argument] = colon < 0 ? [host] : [host.slice(0, colon), host.slice(colon + 1)];
  const menu = {
    record: (_, ...values) => {
      values.forEach((value, index) => runner.recorded.push({ value, type: params[index] }));
    },
    add: (_, a, b) => (a + b) | 0,
    echo: (_, ...values) => (results.length === 1 ? values[0] : values),
    data: (caller) => caller.data,
    throw: () => {
      runner.thrown = new Boom("boom");
      throw runner.thrown;
    },
    trap: () => {
      throw new Trap(argument);
    },
    reenter: (caller, ...values) => caller.func(argument)(...values),
    catch: (caller, ...values) => caught(() => caller.func(argument)(...values)),
    read_mem: (caller, pointer, length) => {
      const bytes = caller.memory().read(pointer >>> 0, length >>> 0);
      return bytes.reduce((sum, byte) => (sum + byte) | 0, 0);
    },
    write_mem: (caller, pointer, length, byte) => {
      caller.memory().write(pointer >>> 0, new Uint8Array(length >>> 0).fill(byte));
    },
    close: () => {
      try {
        runner.instance(argument).close();
        return 0;
      } catch (error) {
        return error.code;
      }
    },
    block: () => 0,
  };
  assert.ok(menu[name], `no host function ${name}`);
  return menu[name];
}

function caught(run) {
  try {
    run();
    return 0;
  } catch (error) {
    if (error instanceof Trap) return TrapCode[error.trap];
    return error instanceof Boom ? 100 : 200 + error.code;
  }
}

// ---- values

/** The JavaScript value of a case's value, as a caller would pass it. */
function toJs({ type, value }) {
  if (type === "text") return value;
  bits.setBigUint64(0, BigInt(value));
  if (type === "i32") return Number(BigInt.asIntN(32, BigInt(value)));
  if (type === "i64") return bits.getBigInt64(0);
  return type === "f32" ? bits.getFloat32(4) : bits.getFloat64(0);
}

/** The bits of a JavaScript value. */
function bitsOf(value, type) {
  bits.setBigUint64(0, 0n);
  if (type === "i64") return BigInt.asUintN(64, value);
  if (type === "i32") return BigInt.asUintN(64, BigInt(value >>> 0));
  if (type === "f32") bits.setFloat32(4, value);
  else bits.setFloat64(0, value);
  return bits.getBigUint64(0);
}

function check(result, expected) {
  if (expected === undefined) return;
  const results = expected.length === 0 ? (assert.equal(result, undefined), []) : expected.length === 1 ? [result] : result;
  assert.equal(results.length, expected.length, "number of results");
  expected.forEach((value, index) => checkValue(results[index], value, value.type));
}

function checkValue(actual, expected, type) {
  assert.equal(type, expected.type);
  assert.equal(typeof actual, type === "i64" ? "bigint" : "number");
  checkBits(bitsOf(actual, type), expected);
}

/** Slots that a value takes. */
function width(type) {
  return type === "v128" ? 2 : 1;
}

/** The slots of a value: two for a v128, its low half first. */
function slotsOf({ type, value }) {
  const whole = BigInt(value);
  return type === "v128" ? [whole & 0xffff_ffff_ffff_ffffn, whole >> 64n] : [whole];
}

function checkBits(slot, { type, value }) {
  const wide = type === "i64" || type === "f64" || type === "v128";
  const actual = wide ? slot : slot & 0xffff_ffffn;
  if (value.startsWith("nan:")) {
    const quiet = wide ? 0x7ff8_0000_0000_0000n : 0x7fc0_0000n;
    const magnitude = actual & (wide ? 0x7fff_ffff_ffff_ffffn : 0x7fff_ffffn);
    const good = value === "nan:canonical" ? magnitude === quiet : (magnitude & quiet) === quiet;
    assert.ok(good, `0x${actual.toString(16)} is not ${value}`);
  } else {
    assert.equal(actual, BigInt(value), `${type} 0x${actual.toString(16)}`);
  }
}

function bytesOf({ text, hex, repeat = 1 }) {
  const once = text !== undefined ? Buffer.from(text) : Buffer.from(hex, "hex");
  return Buffer.concat(Array(repeat).fill(once));
}

function checkBytes(actual, expected) {
  if (expected !== undefined) assert.deepEqual(Buffer.from(actual), bytesOf(expected));
}
