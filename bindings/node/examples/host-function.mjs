// A guest that calls back: the host function sees which request it serves, and the guest's memory.

import { Engine, Linker, Module, Trap } from "@instar/instar";

const engine = new Engine();
const module = new Module(
  engine,
  `(module
     (import "env" "log" (func $log (param i32 i32)))
     (memory (export "memory") 1)
     (data (i32.const 16) "hello from the guest")
     (func (export "greet") (call $log (i32.const 16) (i32.const 20)))
     (func (export "crash") unreachable))`,
);

const linker = new Linker(engine).func("env", "log", { params: ["i32", "i32"] }, (caller, address, length) => {
  const text = Buffer.from(caller.memory().read(address, length)).toString();
  if (caller.data.user === "mallory") throw new Error("mallory must not log");
  console.log(`${caller.data.user}: ${text}`);
});
const pre = linker.instantiatePre(module);

pre.func("greet", { data: { user: "alice" } })();

try {
  pre.func("greet", { data: { user: "mallory" } })();
} catch (error) {
  console.log("the host's own exception:", error.message);
}

try {
  pre.func("crash")();
} catch (error) {
  if (!(error instanceof Trap)) throw error;
  console.log("the guest trapped:", error.trap);
}
