;; Waits in the host, between two writes.
(module
  (import "env" "block" (func $block (result i32)))
  (memory (export "memory") 1)
  (global $g (mut i32) (i32.const 0))
  (func (export "block") (param i32) (result i32)
    (i32.store (i32.const 0) (local.get 0))
    (global.set $g (i32.add (global.get $g) (i32.const 1)))
    (i32.add (call $block) (i32.load (i32.const 0))))
  (func (export "state") (result i32) (i32.add (global.get $g) (i32.load (i32.const 0)))))
