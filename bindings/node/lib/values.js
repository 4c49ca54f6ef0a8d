"use strict";
// WebAssembly values as JavaScript values: i32, f32, f64 are numbers, i64 is a BigInt. Nothing is coerced. Vectors and
// references have no JavaScript value; slots carry vectors.

const { layout, slots } = require("./runtime.js");
const { InstarError, typeError, show } = require("./errors.js");

const { i32, f32, f64, i64 } = slots;
const ARGS = layout.args;

const I32 = 0;
const I64 = 1;
const F32 = 2;
const F64 = 3;
const NO_VALUE = 4;

const letters = new Map([["i", I32], ["I", I64], ["f", F32], ["F", F64]]);
const byName = new Map([["i32", "i"], ["i64", "I"], ["f32", "f"], ["f64", "F"]]);
const nameOf = new Map([["i", "i32"], ["I", "i64"], ["f", "f32"], ["F", "f64"], ["v", "v128"], ["r", "funcref"], ["e", "externref"]]);

const wanted = [
  "an i32 is an integer number from -2147483648 to 4294967295",
  "an i64 is a BigInt from -2n ** 63n to 2n ** 64n - 1n",
  "an f32 is a number",
  "an f64 is a number",
  "it must be given in slots",
];

/** A function type, taken apart once. */
class Signature {
  constructor(text) {
    const [params, results] = text.split(":");
    this.text = text;
    this.params = Array.from(params, (letter) => letters.get(letter) ?? NO_VALUE);
    this.results = Array.from(results, (letter) => letters.get(letter) ?? NO_VALUE);
    /** Whether JavaScript values stand for all parameters and results. */
    this.hasValues = !this.params.includes(NO_VALUE) && !this.results.includes(NO_VALUE);
    /** Slots that a call needs. */
    this.slots = Math.max(width(params), width(results));
    if (this.slots > layout.argsWords) throw new InstarError("Unsupported", `a function with ${this.slots} slots of parameters or results`);
  }

  /** The error of a call with values when `hasValues` is false. */
  refusal(name) {
    const { params, results } = this.describe();
    const instead = /[re]/.test(this.text)
      ? "references cannot be passed to or from JavaScript; export a function that takes and gives numbers"
      : "a vector is no JavaScript value; use callRaw, where a v128 takes two slots, its low half first";
    return typeError(`${name} has the type (${params.join(", ")}) -> (${results.join(", ")}): ${instead}`);
  }

  /** For messages and Module.exports: {params: ["i32"], results: []}. */
  describe() {
    const [params, results] = this.text.split(":").map((part) => Array.from(part, (letter) => nameOf.get(letter)));
    return { params, results };
  }
}

/** Slots that values take: two for a v128, one for others. */
function width(letters) {
  return Array.from(letters).reduce((sum, letter) => sum + (letter === "v" ? 2 : 1), 0);
}

/** The text of {params: ["i32"], results: []}. */
function signatureText(type, where) {
  if (typeof type !== "object" || type === null) {
    throw typeError(`${where}: the type is ${show(type)}; it must be like {params: ["i32"], results: []}`);
  }
  const part = (key) => {
    const types = type[key] ?? [];
    if (!Array.isArray(types)) throw typeError(`${where}: ${key} is ${show(types)}; it must be an array of type names`);
    return types.map((name, index) => letterOf(name, `${where}: ${key}[${index}]`)).join("");
  };
  return `${part("params")}:${part("results")}`;
}

function letterOf(name, where) {
  const letter = byName.get(name);
  if (letter === undefined) throw typeError(`${where} is ${show(name)}; it must be "i32", "i64", "f32" or "f64"`);
  return letter;
}

/** Writes a value to an argument slot. `owner` ({name, position}) and `index` name it if it is wrong: "argument 2 of add". */
function put(type, slot, value, owner, index) {
  const word = ARGS + slot;
  if (type === I32) {
    if (typeof value === "number" && ((value | 0) === value || value >>> 0 === value)) {
      i32[word * 2] = value;
      i32[word * 2 + 1] = 0;
      return;
    }
  } else if (type === I64) {
    if (typeof value === "bigint" && (BigInt.asIntN(64, value) === value || BigInt.asUintN(64, value) === value)) {
      i64[word] = value;
      return;
    }
  } else if (type === F64) {
    if (typeof value === "number") {
      f64[word] = value;
      return;
    }
  } else if (type === F32) {
    if (typeof value === "number") {
      f32[word * 2] = value;
      i32[word * 2 + 1] = 0;
      return;
    }
  }
  throw typeError(`${owner.position} ${index + 1} of ${owner.name} is ${show(value)}; ${wanted[type]}`);
}

/** Reads the value in an argument slot. */
function take(type, slot) {
  const word = ARGS + slot;
  if (type === I32) return i32[word * 2];
  if (type === F64) return f64[word];
  if (type === I64) return i64[word];
  if (type === F32) return f32[word * 2];
  throw new InstarError("Bug", "a result that is no JavaScript value");
}

function takeAll(types) {
  const values = new Array(types.length);
  for (let index = 0; index < types.length; index++) values[index] = take(types[index], index);
  return values;
}

module.exports = { Signature, signatureText, put, take, takeAll };
