"use strict";
// Memory of an instance or of a host function's caller: checked copies. A view would outlive the instance, and show the
// next tenant's bytes.

const { layout, slots, run, raise } = require("./runtime.js");
const { checkBytes, unshared } = require("./call.js");
const { InstarError, typeError, show } = require("./errors.js");

const { f64, i32, scratch } = slots;
const { address: ADDRESS, length: LENGTH, scratchBytes: SCRATCH_BYTES } = layout;
const { memorySize: SIZE, memoryRead: READ, memoryWrite: WRITE, memoryGrow: GROW } = layout;
const ENTRY = layout.entry * 2;
const SELECT = layout.select * 2;
const STATUS = layout.status * 2;

const MADE_HERE = Symbol("made here");

class Memory {
  #operation;
  #prepare;

  constructor(permission, operation, prepare) {
    if (permission !== MADE_HERE) throw typeError("a Memory comes from instance.memory(name) or caller.memory(name)");
    this.#operation = operation;
    this.#prepare = prepare;
  }

  get size() {
    this.#run(SIZE, 0, 0);
    return f64[LENGTH];
  }

  read(address, length) {
    checkSize(address, "the address");
    checkSize(length, "the length");
    if (length <= SCRATCH_BYTES) {
      this.#run(READ, address, length);
      return scratch.slice(0, length);
    }
    const { size } = this;
    if (address + length > size) {
      throw new InstarError("OutOfBounds", `reading ${length} bytes at ${address} of a memory of ${size} bytes`);
    }
    const bytes = new Uint8Array(length);
    this.#run(READ, address, length, bytes);
    return bytes;
  }

  write(address, bytes) {
    checkSize(address, "the address");
    checkBytes(bytes, "what to write");
    if (bytes.length <= SCRATCH_BYTES) {
      scratch.set(bytes);
      this.#run(WRITE, address, bytes.length);
    } else {
      this.#run(WRITE, address, bytes.length, unshared(bytes));
    }
  }

  grow(pages) {
    checkSize(pages, "the number of pages");
    this.#run(GROW, pages, 0);
    return f64[LENGTH];
  }

  #run(select, address, length, bytes) {
    this.#prepare();
    i32[ENTRY] = this.#operation.number;
    i32[SELECT] = select;
    f64[ADDRESS] = address;
    f64[LENGTH] = length;
    if (bytes === undefined) run();
    else run(bytes);
    if (i32[STATUS] !== 0) raise();
  }
}

/** A memory. `prepare` checks that its owner is valid and names it in the slots. */
function memoryOf(operation, prepare) {
  return new Memory(MADE_HERE, operation, prepare);
}

function checkSize(value, what) {
  if (!Number.isSafeInteger(value) || value < 0) throw typeError(`${what} is ${show(value)}; it must be an integer, 0 or more`);
}

module.exports = { Memory, memoryOf };
