"use strict";
// InstancePre: a module with all imports resolved, and its operations, made when they are first needed.

const { state, cold, Operation } = require("./runtime.js");
const { Handle, Export, bind, callRaw, callBytes } = require("./call.js");
const { exportsClass, instantiate } = require("./instance.js");
const { Signature } = require("./values.js");
const { InstarError, typeError, show } = require("./errors.js");

/** What instances of one pre share. Users never see it. The finalizers' registry must not hold it: it leads to host functions. */
class Shared {
  #pre;
  #exports;
  #calls = new Map();
  #fresh = new Map();
  #bytes = new Map();
  #bytesFresh = new Map();
  #memories = new Map();
  #callerCalls = new Map();
  #callerMemories = new Map();

  constructor(native, hosts, exports) {
    this.#pre = native;
    this.#exports = new Map(exports.map((description) => [description.name, description]));
    /** Host functions by index: the linker's list. */
    this.hosts = hosts;
    this.Exports = exportsClass(exports);
    this.instantiate = this.#make("instantiate", "");
    this.close = this.#make("close", "");
    this.abandon = this.#make("abandon", "");
    /** For calls that make their own instance. */
    this.nowhere = new Handle(this, 0, 0);
  }

  /** The export `name` as a function of an instance. */
  func(name) {
    return this.#calls.get(name) ?? this.#function(this.#calls, "call", name);
  }

  /** The export `name` as a function that makes its own instance. */
  fresh(name) {
    return this.#fresh.get(name) ?? this.#function(this.#fresh, "callFresh", name);
  }

  bytes(name) {
    return this.#bytes.get(name) ?? this.#operation(this.#bytes, "callBytes", name);
  }

  bytesFresh(name) {
    return this.#bytesFresh.get(name) ?? this.#operation(this.#bytesFresh, "callBytesFresh", name);
  }

  memory(name) {
    return this.#memories.get(name) ?? this.#operation(this.#memories, "memory", name);
  }

  /** The export `name` as a function of the instance that calls a host function. */
  callerFunc(name) {
    return this.#callerCalls.get(name) ?? this.#function(this.#callerCalls, "callerCall", name);
  }

  callerMemory(name) {
    return this.#callerMemories.get(name) ?? this.#operation(this.#callerMemories, "callerMemory", name);
  }

  /** "function", "memory", "table", "global", or undefined if there is no such export. */
  kind(name) {
    return this.#exports.get(name)?.kind;
  }

  /** The type of the function that is exported as `name`, or undefined. */
  signature(name) {
    const text = this.#exports.get(name)?.signature;
    return text === undefined ? undefined : new Signature(text);
  }

  #function(cache, what, name) {
    const entry = new Export(name, this.signature(name), this.#make(what, name));
    cache.set(name, entry);
    return entry;
  }

  #operation(cache, what, name) {
    const operation = this.#make(what, name);
    cache.set(name, operation);
    return operation;
  }

  #make(what, name) {
    if (typeof name !== "string") throw typeError(`the name of an export is ${show(name)}; it must be a string`);
    return new Operation(cold.preOperation(state, this.#pre, what, name));
  }
}

const MADE_HERE = Symbol("made here");

class InstancePre {
  #shared;
  #module;

  constructor(permission, shared, module) {
    if (permission !== MADE_HERE) throw typeError("an InstancePre comes from linker.instantiatePre(module)");
    this.#shared = shared;
    this.#module = module;
  }

  get module() {
    return this.#module;
  }

  instantiate(options) {
    return instantiate(this.#shared, dataOf(options));
  }

  func(name, options) {
    const shared = this.#shared;
    const entry = shared.fresh(name);
    const data = dataOf(options);
    const call = bind(entry, shared.nowhere, data);
    call.callRaw = (values) => callRaw(entry, shared.nowhere, data, values);
    return call;
  }

  callRaw(name, values, options) {
    const shared = this.#shared;
    return callRaw(shared.fresh(name), shared.nowhere, dataOf(options), values);
  }

  callBytes(name, input, options) {
    const shared = this.#shared;
    return callBytes(shared.bytesFresh(name), name, shared.nowhere, dataOf(options), input);
  }

  bytesFunc(name, options) {
    const shared = this.#shared;
    const operation = shared.bytesFresh(name);
    const data = dataOf(options);
    return (input) => callBytes(operation, name, shared.nowhere, data, input);
  }
}

function dataOf(options) {
  if (options === undefined) return undefined;
  if (typeof options !== "object" || options === null) {
    throw new InstarError("Type", `the options are ${show(options)}; they must be an object such as {data: 1}`);
  }
  return options.data;
}

/** The InstancePre around a native one. `hosts` and `exports`: see Shared. */
function preOf(native, hosts, module, exports) {
  return new InstancePre(MADE_HERE, new Shared(native, hosts, exports), module);
}

module.exports = { InstancePre, preOf };
