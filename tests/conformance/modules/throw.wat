;; One failing import, called directly, deep in the guest, and in a start function if `data` says so.
(module
  (import "env" "fail" (func $fail (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $g (mut i32) (i32.const 0))
  (func (export "fail") (param i32) (result i32)
    (i32.store (i32.const 64) (i32.const -1))
    (global.set $g (i32.const 1))
    (call $fail (local.get 0)))
  (func $deep (export "fail_deep") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
      (else (call $fail (i32.const 0)))))
  (func (export "state") (result i32) (i32.add (global.get $g) (i32.load (i32.const 64)))))
