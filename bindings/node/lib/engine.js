"use strict";
// Engine: the limits, and what all modules of one thread share.

const { cold } = require("./runtime.js");
const { InstarError, typeError, show } = require("./errors.js");

const OPTIONS = ["maxInstances", "maxMemoryPages", "maxWasmStack"];

class Engine {
  #native;

  constructor(options = {}) {
    if (typeof options !== "object" || options === null) {
      throw typeError(`the options of an Engine are ${show(options)}; they must be an object such as {maxInstances: 100}`);
    }
    for (const name of Object.keys(options)) {
      if (!OPTIONS.includes(name)) throw new InstarError("Config", `an Engine has no option ${show(name)}; it has ${OPTIONS.join(", ")}`);
    }
    this.#native = cold.engineNew(...OPTIONS.map((name) => count(name, options[name])));
  }

  get liveInstances() {
    return cold.engineLiveInstances(this.#native);
  }

  static native(engine) {
    if (!(#native in Object(engine))) throw typeError(`the engine is ${show(engine)}; it must be an Engine`);
    return engine.#native;
  }
}
const nativeEngine = Engine.native;
delete Engine.native;

function count(name, value) {
  if (value === undefined) return undefined;
  if (typeof value !== "number") throw typeError(`${name} is ${show(value)}; it must be a number`);
  if (!Number.isSafeInteger(value) || value < 0) throw new InstarError("Config", `${name} is ${value}; it must be an integer, 0 or more`);
  return value;
}

module.exports = { Engine, nativeEngine };
