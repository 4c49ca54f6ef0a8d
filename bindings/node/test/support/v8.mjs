// A guest of V8 that leaves its memory: V8 finds out by a signal, like Instar.

// (module (memory 1) (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))
const LOAD = Uint8Array.from([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 8, 1, 4, 0x6c, 0x6f, 0x61, 0x64,
  0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x28, 2, 0, 11,
]);

let load;

/** Whether V8's trap arrives as a WebAssembly.RuntimeError, and the guest works otherwise. */
export function trapOfV8() {
  load ??= new WebAssembly.Instance(new WebAssembly.Module(LOAD)).exports.load;
  if (load(0) !== 0) return false;
  try {
    load(0x7fff_fff0);
  } catch (error) {
    return error instanceof WebAssembly.RuntimeError;
  }
  return false;
}
