// The shortest program: compile, and call in a fresh instance each time.

import { Engine, Linker, Module } from "@instar/instar";

const engine = new Engine();
const module = new Module(
  engine,
  `(module
     (global $calls (mut i32) (i32.const 0))
     (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
     (func (export "count") (result i32)
       (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
       (global.get $calls)))`,
);
const pre = new Linker(engine).instantiatePre(module);

// A fresh instance, the call, and everything undone, in one step.
const add = pre.func("add");
console.log("40 + 2 =", add(40, 2));

// An instance that lives until it is closed.
const instance = pre.instantiate();
instance.exports.count();
console.log("second call of one instance:", instance.exports.count());
instance.close();
console.log("first call of the next one:", pre.func("count")());
