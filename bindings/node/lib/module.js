"use strict";
// Module: compiled code. Takes the binary format or the text format.

const { types } = require("node:util");
const { cold } = require("./runtime.js");
const { nativeEngine } = require("./engine.js");
const { Signature } = require("./values.js");
const { decode, typeError, show } = require("./errors.js");

class Module {
  #native;
  #exports;

  constructor(engine, source) {
    this.#native = source instanceof Compiled ? source.native : cold.moduleNew(nativeEngine(engine), bytesOf(source));
  }

  static async compile(engine, source) {
    const bytes = bytesOf(source);
    let native;
    try {
      native = await cold.moduleCompile(nativeEngine(engine), bytes);
    } catch (error) {
      throw decode(error.message) ?? error;
    }
    return new Module(engine, new Compiled(native));
  }

  static fromFile(engine, path) {
    if (typeof path !== "string") throw typeError(`the path is ${show(path)}; it must be a string`);
    return new Module(engine, new Compiled(cold.moduleFromFile(nativeEngine(engine), path)));
  }

  static exports(module) {
    return exportsOf(module).map(({ name, kind, signature }) => described({ name, kind }, signature));
  }

  static imports(module) {
    const imports = cold.moduleImports(nativeModule(module));
    return imports.map(({ module, name, kind, signature }) => described({ module, name, kind }, signature));
  }

  get name() {
    return cold.moduleName(this.#native) ?? undefined;
  }

  static native(module) {
    if (!(#native in Object(module))) throw typeError(`the module is ${show(module)}; it must be a Module`);
    return module.#native;
  }

  static exportsOf(module) {
    const native = nativeModule(module);
    return (module.#exports ??= cold.moduleExports(native));
  }
}
const { native: nativeModule, exportsOf } = Module;
delete Module.native;
delete Module.exportsOf;

/** A native module on its way into the constructor. */
class Compiled {
  constructor(native) {
    this.native = native;
  }
}

function described(description, signature) {
  return signature === undefined || signature === null ? description : { ...description, type: new Signature(signature).describe() };
}

function bytesOf(source) {
  if (typeof source === "string") return Buffer.from(source);
  if (types.isAnyArrayBuffer(source)) return bytesOf(new Uint8Array(source));
  if (!ArrayBuffer.isView(source)) {
    throw typeError(`the source of a Module is ${show(source)}; it must be a Uint8Array, an ArrayBuffer or WebAssembly text`);
  }
  const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  return types.isSharedArrayBuffer(source.buffer) ? Uint8Array.from(bytes) : bytes;
}

module.exports = { Module, nativeModule, exportsOf };
