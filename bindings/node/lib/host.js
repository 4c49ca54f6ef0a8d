"use strict";
// Host functions: what Rust calls through runtime.js's dispatch, and the Caller that they are given.

const { context } = require("./runtime.js");
const { put, take, takeAll } = require("./values.js");
const { bind } = require("./call.js");
const { memoryOf } = require("./memory.js");
const { InstarError, typeError, show } = require("./errors.js");

const MADE_HERE = Symbol("made here");

/** The calling instance, during one host call. */
class Caller {
  #pre;
  #data;
  #done = false;

  constructor(permission, pre, data) {
    if (permission !== MADE_HERE) throw typeError("a Caller is what a host function is given");
    this.#pre = pre;
    this.#data = data;
  }

  get data() {
    return this.#data;
  }

  memory(name = "memory") {
    this.#check();
    if (this.#pre.kind(name) !== "memory") throw missing("memory", name);
    return memoryOf(this.#pre.callerMemory(name), () => this.#check());
  }

  func(name) {
    this.#check();
    if (this.#pre.kind(name) !== "function") throw missing("function", name);
    const call = bind(this.#pre.callerFunc(name), this.#pre.nowhere, this.#data);
    return (...values) => {
      this.#check();
      return call(...values);
    };
  }

  #check() {
    if (this.#done) throw new InstarError("StaleHandle", "a Caller is valid only during the host call that it was given to");
    if (context.caller !== this) throw new InstarError("Busy", "the guest that this Caller stands for is in a call of its own");
  }

  static end(caller) {
    caller.#done = true;
  }
}
const { end } = Caller;
delete Caller.end;

function missing(what, name) {
  return new InstarError("MissingExport", `the calling instance exports no ${what} ${show(name)}`);
}

/** A host function as dispatch calls it: parameters and results are in the slots. */
function hostFunction(name, signature, run) {
  const { params, results } = signature;
  const [first, second] = params;
  const owner = { name: `host function ${name}`, position: "result" };
  return (pre, data) => {
    const caller = new Caller(MADE_HERE, pre, data);
    context.caller = caller;
    let result;
    try {
      if (params.length === 0) result = run(caller);
      else if (params.length === 1) result = run(caller, take(first, 0));
      else if (params.length === 2) result = run(caller, take(first, 0), take(second, 1));
      else result = run(caller, ...takeAll(params));
    } finally {
      end(caller);
    }
    if (results.length === 1) put(results[0], 0, result, owner, 0);
    else if (results.length > 1) putResults(results, result, owner);
  };
}

function putResults(results, result, owner) {
  // Copied first: reading an element may run user code, which may use the slots.
  const values = Array.isArray(result) ? Array.from(result) : [];
  if (values.length !== results.length) {
    throw typeError(`the result of ${owner.name} is ${show(result)}; it must be an array of ${results.length} values`);
  }
  results.forEach((type, index) => put(type, index, values[index], owner, index));
}

module.exports = { hostFunction, Caller };
