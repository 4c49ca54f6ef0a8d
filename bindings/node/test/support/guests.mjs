// Small guests in the text format, and the one way to set a test up.

import { Engine, Linker, Module } from "@instar/instar";

export const CALC = `(module
  (memory (export "memory") 1 4)
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 16) "hello")
  (func (export "nop"))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "add64") (param i64 i64) (result i64) (i64.add (local.get 0) (local.get 1)))
  (func (export "half") (param f32) (result f32) (f32.mul (local.get 0) (f32.const 0.5)))
  (func (export "id64") (param f64) (result f64) (local.get 0))
  (func (export "swap") (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
  (func (export "sum5") (param i32 i64 f32 f64 i32) (result f64)
    (f64.add (f64.convert_i32_s (local.get 0)) (f64.add (f64.convert_i64_s (local.get 1))
      (f64.add (f64.promote_f32 (local.get 2)) (f64.add (local.get 3) (f64.convert_i32_s (local.get 4)))))))
  (func (export "count") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
  (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "boom") unreachable)
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func $deep (export "deep") (call $deep))
  (func (export "constructor") (result i32) (i32.const 1))
  (func (export "__proto__") (result i32) (i32.const 2))
  (func (export "with space") (result i32) (i32.const 3)))`;

/** Exports by the bytes convention: \`echo\`, \`shout\` (calls env.shout with its output), \`lie\`. */
export const BYTES = `(module
  (memory (export "memory") 8)
  (global $top (mut i32) (i32.const 1024))
  (func (export "alloc") (param i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0))))
  (func (export "echo") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
  (func (export "lie") (param i32 i32) (result i64) (i64.const -1)))`;

/** Calls env.f : [i32] -> [i32] from \`call\`, \`twice\` and (by the bytes convention) \`alloc\`. */
export const HOST = `(module
  (import "env" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $calls (mut i32) (i32.const 0))
  (func (export "call") (param i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (call $f (local.get 0)))
  (func (export "twice") (param i32) (result i32)
    (i32.add (call $f (local.get 0)) (call $f (i32.add (local.get 0) (i32.const 1)))))
  (func (export "loop") (param i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (call $f (local.get 0))))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get $sum))
  (func (export "calls") (result i32) (global.get $calls))
  (func (export "boom") unreachable)
  (func (export "store") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "alloc") (param i32) (result i32) (drop (call $f (i32.const -1))) (i32.const 1024))
  (func (export "echo") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))`;

export function preOf(text, options) {
  const engine = new Engine(options);
  return { engine, pre: new Linker(engine).instantiatePre(new Module(engine, text)) };
}

/** A pre of HOST whose env.f is `f`. */
export function hostPre(f, options) {
  const engine = new Engine(options);
  const linker = new Linker(engine).func("env", "f", { params: ["i32"], results: ["i32"] }, f);
  return { engine, linker, pre: linker.instantiatePre(new Module(engine, HOST)) };
}

/** The error that `run` throws; undefined if it throws none. */
export function errorOf(run) {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** The kind of the InstarError that `run` throws. */
export function kindOf(run) {
  return errorOf(run)?.kind;
}
