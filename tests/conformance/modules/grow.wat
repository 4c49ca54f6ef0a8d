;; A memory without a maximum of its own.
(module
  (memory (export "memory") 1)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))
  (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  ;; Grows by one page, and writes to its first and last word.
  (func (export "grow_and_write") (result i32)
    (local $page i32)
    (local.set $page (memory.grow (i32.const 1)))
    (i32.store (i32.mul (local.get $page) (i32.const 65536)) (i32.const -1))
    (i32.store offset=65532 (i32.mul (local.get $page) (i32.const 65536)) (i32.const -1))
    (local.get $page)))
