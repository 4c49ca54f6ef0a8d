"use strict";
// Calls into guests: JavaScript functions that fill the slots and cross into src/hot.rs.

const { types } = require("node:util");
const { layout, slots, context, run, raise, cold, state, Operation } = require("./runtime.js");
const { put, take, takeAll } = require("./values.js");
const { typeError, show } = require("./errors.js");

const { f64, i32, u64, scratch } = slots;
const { cell: CELL, id: ID, length: LENGTH, args: ARGS, scratchBytes: SCRATCH_BYTES } = layout;
const STATUS = layout.status * 2;
const ENTRY = layout.entry * 2;
const NO_TYPE = -1;

const takeOutput = new Operation(cold.takeOutput(state));

/** Where a call goes: a pre, and the bits that name the instance (unused for calls of fresh instances). */
class Handle {
  constructor(pre, cell, id) {
    this.pre = pre;
    this.cell = cell;
    this.id = id;
    /** Index in the nursery, or WATCHED (instance.js). */
    this.place = -1;
    this.closed = false;
  }
}

/** An export of a pre: its type, and the operation that calls it. */
class Export {
  constructor(name, signature, operation) {
    this.name = name;
    this.position = "argument";
    this.operation = operation;
    this.signature = signature;
    this.params = signature.params;
    this.results = signature.results;
    this.first = signature.params[0] ?? NO_TYPE;
    this.second = signature.params[1] ?? NO_TYPE;
    this.result = signature.results.length === 1 ? signature.results[0] : NO_TYPE;
  }
}

/** Runs an operation for an instance; everything else is in the slots already. */
function enter(operation, handle, data, array) {
  i32[ENTRY] = operation.number;
  f64[CELL] = handle.cell;
  f64[ID] = handle.id;
  context.pre = handle.pre;
  context.data = data;
  if (array === undefined) run();
  else run(array);
  // Nothing of the call stays reachable.
  context.pre = null;
  context.data = undefined;
  if (i32[STATUS] !== 0) raise();
}

function finish(entry, handle, data) {
  enter(entry.operation, handle, data, undefined);
  if (entry.result !== NO_TYPE) return take(entry.result, 0);
  return entry.results.length === 0 ? undefined : takeAll(entry.results);
}

/** The export as a JavaScript function on one instance. */
function bind(entry, handle, data) {
  if (!entry.signature.hasValues) {
    return function () {
      throw entry.signature.refusal(entry.name);
    };
  }
  switch (entry.params.length) {
    case 0:
      return function () {
        if (arguments.length !== 0) throw wrongCount(entry, arguments.length);
        return finish(entry, handle, data);
      };
    case 1:
      return function (a) {
        if (arguments.length !== 1) throw wrongCount(entry, arguments.length);
        put(entry.first, 0, a, entry, 0);
        return finish(entry, handle, data);
      };
    case 2:
      return function (a, b) {
        if (arguments.length !== 2) throw wrongCount(entry, arguments.length);
        put(entry.first, 0, a, entry, 0);
        put(entry.second, 1, b, entry, 1);
        return finish(entry, handle, data);
      };
    default:
      return function (...values) {
        putAll(entry, values);
        return finish(entry, handle, data);
      };
  }
}

function putAll(entry, values) {
  if (values.length !== entry.params.length) throw wrongCount(entry, values.length);
  for (let index = 0; index < values.length; index++) put(entry.params[index], index, values[index], entry, index);
}

function wrongCount(entry, count) {
  return typeError(`${entry.name} takes ${entry.params.length} arguments, but ${count} were given`);
}

/** Calls with the bits of all values; results replace the parameters in `values`. */
function callRaw(entry, handle, data, values) {
  if (!types.isBigUint64Array(values)) throw typeError(`callRaw of ${entry.name} takes a BigUint64Array, not ${show(values)}`);
  const count = entry.signature.slots;
  if (values.length < count) throw typeError(`callRaw of ${entry.name} needs ${count} slots, but the array has ${values.length}`);
  for (let index = 0; index < count; index++) u64[ARGS + index] = values[index];
  enter(entry.operation, handle, data, undefined);
  for (let index = 0; index < count; index++) values[index] = u64[ARGS + index];
  return values;
}

/** Calls by the bytes convention: the operation copies `input` into the guest, calls it, and copies its output. */
function callBytes(operation, name, handle, data, input) {
  checkBytes(input, `the input of ${name}`);
  f64[LENGTH] = input.length;
  if (input.length <= SCRATCH_BYTES) {
    scratch.set(input);
    enter(operation, handle, data, undefined);
  } else {
    enter(operation, handle, data, unshared(input));
  }
  const length = f64[LENGTH];
  if (length <= SCRATCH_BYTES) return scratch.slice(0, length);
  const output = new Uint8Array(length);
  enter(takeOutput, handle, data, output);
  return output;
}

function checkBytes(bytes, what) {
  if (!types.isUint8Array(bytes)) throw typeError(`${what} is ${show(bytes)}; it must be a Uint8Array`);
}

/** Rust must not look at memory that other threads write. */
function unshared(bytes) {
  return types.isSharedArrayBuffer(bytes.buffer) ? Uint8Array.from(bytes) : bytes;
}

module.exports = { Handle, Export, enter, bind, callRaw, callBytes, checkBytes, unshared };
