"use strict";
// Instances: plain objects over prototypes that are made once per pre. A native function costs 1.2 µs to make, a
// FinalizationRegistry entry 0.2 µs; a fresh instance must cost less than either.

const { layout, slots, context, run, raise } = require("./runtime.js");
const { Handle, enter, bind, callRaw, callBytes } = require("./call.js");
const { memoryOf } = require("./memory.js");
const { typeError } = require("./errors.js");

const { f64, i32 } = slots;
const { cell: CELL, id: ID } = layout;
const STATUS = layout.status * 2;
const ENTRY = layout.entry * 2;
const MADE_HERE = Symbol("made here");
const WATCHED = -1;

const NONE = -1;

class Instance {
  #handle;
  #data;
  #exports = null;
  /** What the first export that was asked for became: most instances need no other. */
  #firstIndex = NONE;
  #first = undefined;
  #others = null;

  constructor(permission, handle, data) {
    if (permission !== MADE_HERE) throw typeError("an Instance comes from pre.instantiate()");
    this.#handle = handle;
    this.#data = data;
  }

  get exports() {
    return (this.#exports ??= new this.#handle.pre.Exports(this));
  }

  get data() {
    return this.#data;
  }

  func(name) {
    const handle = this.#handle;
    return bind(handle.pre.func(name), handle, this.#data);
  }

  memory(name = "memory") {
    const handle = this.#handle;
    return memoryOf(handle.pre.memory(name), () => {
      f64[CELL] = handle.cell;
      f64[ID] = handle.id;
    });
  }

  callRaw(name, values) {
    const handle = this.#handle;
    return callRaw(handle.pre.func(name), handle, this.#data, values);
  }

  callBytes(name, input) {
    const handle = this.#handle;
    return callBytes(handle.pre.bytes(name), name, handle, this.#data, input);
  }

  close() {
    const handle = this.#handle;
    if (handle.closed) return;
    enter(handle.pre.close, handle, undefined, undefined);
    handle.closed = true;
    if (handle.place === WATCHED) registry.unregister(handle);
    else forget(handle);
  }

  [Symbol.dispose]() {
    this.close();
  }

  /** The value of an export, made when it is first asked for. */
  static exported(instance, item) {
    return instance.#firstIndex === item.index ? instance.#first : instance.#make(item);
  }

  #make(item) {
    if (this.#firstIndex === NONE) {
      this.#firstIndex = item.index;
      return (this.#first = this.#valueOf(item));
    }
    this.#others ??= new Map();
    let value = this.#others.get(item.index);
    if (value === undefined) {
      value = this.#valueOf(item);
      this.#others.set(item.index, value);
    }
    return value;
  }

  #valueOf(item) {
    if (item.kind === "memory") return this.memory(item.name);
    item.entry ??= this.#handle.pre.func(item.name);
    return bind(item.entry, this.#handle, this.#data);
  }

  /** Moves an instance to another place in the nursery. */
  static moveTo(instance, place) {
    instance.#handle.place = place;
  }

  /** Puts it under the garbage collector's watch. */
  static watch(instance) {
    const handle = instance.#handle;
    handle.place = WATCHED;
    // Not the handle itself: it leads to the pre, to host functions, and so perhaps back to the instance.
    registry.register(instance, { abandon: handle.pre.abandon, cell: handle.cell, id: handle.id }, handle);
  }
}
const { exported, moveTo, watch } = Instance;
delete Instance.exported;
delete Instance.moveTo;
delete Instance.watch;

/**
 * The class of `instance.exports` for one pre: a getter per function and memory, on a prototype without other names.
 *
 * It holds nothing but the instance: what differs between pres makes V8's caches miss.
 */
function exportsClass(descriptions) {
  class Exports {
    #instance;

    constructor(instance) {
      this.#instance = instance;
    }

    static {
      delete Exports.prototype.constructor;
      Object.setPrototypeOf(Exports.prototype, null);
      Object.defineProperty(Exports.prototype, Symbol.toStringTag, { value: "Instar.Exports" });
      descriptions.forEach(({ name, kind }, index) => {
        if (kind !== "function" && kind !== "memory") return;
        const item = { index, name, kind, entry: undefined };
        const get = function () {
          return exported(this.#instance, item);
        };
        Object.defineProperty(Exports.prototype, name, { get, enumerable: true });
      });
    }
  }
  return Exports;
}

/** `pre.instantiate({data})`. */
function instantiate(pre, data) {
  i32[ENTRY] = pre.instantiate.number;
  context.pre = pre;
  context.data = data;
  run();
  context.pre = null;
  context.data = undefined;
  if (i32[STATUS] !== 0) raise();
  const handle = new Handle(pre, f64[CELL], f64[ID]);
  const instance = new Instance(MADE_HERE, handle, data);
  remember(instance, handle);
  return instance;
}

// The back-stop for instances that nobody closes. Most are closed in the same turn of the event loop in which they were
// made, and no finalizer runs before its end anyway; so only those that survive it are registered.

const nursery = [];
let scheduled = false;

const registry = new FinalizationRegistry(({ abandon, cell, id }) => {
  i32[ENTRY] = abandon.number;
  f64[CELL] = cell;
  f64[ID] = id;
  run();
});

function remember(instance, handle) {
  handle.place = nursery.push(instance) - 1;
  if (scheduled) return;
  scheduled = true;
  setImmediate(graduate).unref();
}

function forget(handle) {
  const last = nursery.pop();
  if (handle.place < nursery.length) {
    nursery[handle.place] = last;
    moveTo(last, handle.place);
  }
}

function graduate() {
  scheduled = false;
  nursery.forEach(watch);
  nursery.length = 0;
}

module.exports = { Instance, exportsClass, instantiate };
