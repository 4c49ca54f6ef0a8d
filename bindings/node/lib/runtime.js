"use strict";
// What all files share: the buffer between JavaScript and Rust (src/slots.rs), the context of the running call, and the
// translation of failures.
//
// Invariant: between writing the slots and the native call, and between its return and reading them, no user code runs.

const native = require("./native.js");
const { InstarError, decode, translated } = require("./errors.js");

const layout = native.layout();
const buffer = new ArrayBuffer(layout.bufferBytes);

/** The same memory, seen as each type. An index into i32 and f32 is twice the number of the word. */
const slots = {
  i32: new Int32Array(buffer),
  f32: new Float32Array(buffer),
  f64: new Float64Array(buffer),
  i64: new BigInt64Array(buffer),
  u64: new BigUint64Array(buffer),
  scratch: new Uint8Array(buffer, layout.scratch * 8, layout.scratchBytes),
};
const { i32 } = slots;
const STATUS = layout.status * 2;
const SELECT = layout.select * 2;
const { thrown: THROWN } = layout;

const NOTHING = Symbol("nothing");

/** Which pre and data the guest code that runs now belongs to, which Caller is valid, and what a host function threw. */
const context = { pre: null, data: undefined, caller: null, thrown: NOTHING };

/** Called by Rust for every host call; throws only if the stack overflows, and restores what nested calls changed. */
function dispatch() {
  const { pre, data, caller } = context;
  try {
    pre.hosts[i32[SELECT]](pre, data);
  } catch (exception) {
    context.thrown = exception;
    i32[STATUS] = THROWN;
  }
  context.pre = pre;
  context.data = data;
  context.caller = caller;
}

const state = native.attach(buffer, dispatch);

/** Runs the operation that the slots select. An argument is a Uint8Array for bytes that do not fit the scratch area. */
const run = native.runner(state);

/** Throws what the last native call failed with: a host function's own exception, or an InstarError. */
function raise() {
  const status = i32[STATUS];
  i32[STATUS] = 0;
  if (status !== THROWN) throw decode(native.takeError(state)) ?? new InstarError("Bug", "an error without a text");
  const { thrown } = context;
  context.thrown = NOTHING;
  throw thrown === NOTHING ? native.takeEscaped(state) : thrown;
}

/** The cold native functions. */
const cold = {};
for (const [name, run] of Object.entries(native)) {
  if (typeof run === "function") cold[name] = translated(run);
}

/** Something that Rust does for a pre, made once. */
class Operation {
  #ticket;

  constructor(ticket) {
    this.#ticket = ticket;
    /** What the slot ENTRY selects it by, as long as the ticket lives. */
    this.number = native.ticketNumber(ticket);
  }
}

module.exports = { layout, slots, context, state, run, raise, cold, Operation };
