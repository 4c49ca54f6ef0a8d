"use strict";
// InstarError and Trap, and how they are made from the text that the native half sends (src/failure.rs).

const { ErrorKind, TrapCode } = require("./kinds.js");
const native = require("./native.js");

const kindNames = invert(ErrorKind);
const trapNames = invert(TrapCode);

function invert(numbers) {
  return new Map(Object.entries(numbers).map(([name, number]) => [number, name]));
}

class InstarError extends Error {
  constructor(kind, message, options) {
    if (!Object.hasOwn(ErrorKind, kind)) {
      throw new TypeError(`${show(kind)} is no ErrorKind; there are ${Object.keys(ErrorKind).join(", ")}`);
    }
    super(message, options);
    this.kind = kind;
    this.code = ErrorKind[kind];
  }
}
define(InstarError);

class Trap extends InstarError {
  constructor(trap, message) {
    if (!Object.hasOwn(TrapCode, trap)) {
      throw new InstarError("Type", `${show(trap)} is no TrapCode; there are ${Object.keys(TrapCode).join(", ")}`);
    }
    super("Trap", message ?? native.trapText(TrapCode[trap]));
    this.trap = trap;
  }
}
define(Trap);

function define(type) {
  Object.defineProperty(type.prototype, "name", { value: type.name, configurable: true, writable: true });
}

/** The InstarError for an encoded text, or undefined if it is none. */
function decode(text) {
  const match = /^instar:(\d+):(\d+):([^]*)$/.exec(text);
  if (match === null) return undefined;
  const kind = kindNames.get(Number(match[1]));
  const trap = trapNames.get(Number(match[2]));
  return trap === undefined ? new InstarError(kind, match[3]) : new Trap(trap, match[3]);
}

/** A cold native function whose errors are InstarErrors. */
function translated(run) {
  return (...args) => {
    try {
      return run(...args);
    } catch (error) {
      throw decode(error.message) ?? error;
    }
  };
}

function typeError(message) {
  return new InstarError("Type", message);
}

/** A value as a message shows it: short, and without running anybody's toString. */
function show(value) {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
    case "bigint":
      return `${value}n`;
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "boolean":
    case "undefined":
      return String(value);
    case "object":
      return value === null ? "null" : "an object";
    default:
      return `a ${typeof value}`;
  }
}

module.exports = { InstarError, Trap, decode, translated, typeError, show };
