"use strict";
// Linker: names to host functions.

const { cold, state } = require("./runtime.js");
const { nativeEngine } = require("./engine.js");
const { nativeModule, exportsOf } = require("./module.js");
const { hostFunction } = require("./host.js");
const { preOf } = require("./pre.js");
const { Signature, signatureText } = require("./values.js");
const { typeError, show } = require("./errors.js");

class Linker {
  #native;
  /** Rust knows host functions by their index here, so that it holds no reference to them. */
  #hosts = [];

  constructor(engine) {
    this.#native = cold.linkerNew(nativeEngine(engine));
  }

  allowShadowing(allow) {
    cold.linkerAllowShadowing(this.#native, Boolean(allow));
    return this;
  }

  func(module, name, type, run) {
    if (typeof module !== "string") throw typeError(`the module of a host function is ${show(module)}; it must be a string`);
    if (typeof name !== "string") throw typeError(`the name of a host function is ${show(name)}; it must be a string`);
    const where = `${module}.${name}`;
    const text = signatureText(type, where);
    if (typeof run !== "function") throw typeError(`${where} is ${show(run)}; it must be a function`);
    const host = hostFunction(where, new Signature(text), run);
    cold.linkerFunc(state, this.#native, module, name, text, this.#hosts.length);
    this.#hosts.push(host);
    return this;
  }

  instantiatePre(module) {
    const native = cold.linkerInstantiatePre(this.#native, nativeModule(module));
    return preOf(native, this.#hosts, module, exportsOf(module));
  }

  instantiate(module, options) {
    return this.instantiatePre(module).instantiate(options);
  }
}

module.exports = { Linker };
