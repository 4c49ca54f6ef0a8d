;; Every kind of state an instance has, a way to write each, and a fingerprint of all of it.
(module
  (type $num (func (result i32)))
  (memory (export "memory") 3 6)
  (table $t (export "table") 8 16 funcref)
  (global $i (mut i32) (i32.const 7))
  (global $l (mut i64) (i64.const -7))
  (global $f (mut f32) (f32.const 1.5))
  (global $d (mut f64) (f64.const -2.5))
  (global $r (mut funcref) (ref.func $one))

  (data (i32.const 16) "the image begins here")
  (data (i32.const 65530) "across the page edge")           ;; crosses 0x10000
  (data (i32.const 131000) "near the end of page two")
  (data $passive "passive!")
  (elem (i32.const 1) $one $two)
  (elem $later funcref (ref.func $three) (ref.func $two) (ref.null func))

  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (func $three (result i32) (i32.const 3))

  ;; Memory, by width.
  (func (export "i32.store8") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "i32.store16") (param i32 i32) (i32.store16 (local.get 0) (local.get 1)))
  (func (export "i32.store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "i64.store8") (param i32 i64) (i64.store8 (local.get 0) (local.get 1)))
  (func (export "i64.store16") (param i32 i64) (i64.store16 (local.get 0) (local.get 1)))
  (func (export "i64.store32") (param i32 i64) (i64.store32 (local.get 0) (local.get 1)))
  (func (export "i64.store") (param i32 i64) (i64.store (local.get 0) (local.get 1)))
  (func (export "f32.store") (param i32 f32) (f32.store (local.get 0) (local.get 1)))
  (func (export "f64.store") (param i32 f64) (f64.store (local.get 0) (local.get 1)))
  (func (export "store_offset") (param i32 i32) (i32.store offset=255 (local.get 0) (local.get 1)))
  ;; Several stores off one base, as a struct would be written.
  (func (export "store_struct") (param i32)
    (i32.store (local.get 0) (i32.const 1))
    (i32.store8 offset=4 (local.get 0) (i32.const 2))
    (i64.store offset=250 (local.get 0) (i64.const 3))
    (i64.store offset=260 (local.get 0) (i64.const 4))
    (f64.store offset=4090 (local.get 0) (f64.const 5)))
  ;; Writes in a loop, one word every `step` bytes.
  (func (export "store_every") (param $from i32) (param $to i32) (param $step i32)
    (loop $again
      (if (i32.lt_u (local.get $from) (local.get $to))
        (then
          (i32.store (local.get $from) (i32.const 0xabcdef01))
          (local.set $from (i32.add (local.get $from) (local.get $step)))
          (br $again)))))
  (func (export "load8") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (memory.init $passive (local.get 0) (local.get 1) (local.get 2)))
  (func (export "data_drop") (data.drop $passive))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size))

  ;; Globals.
  (func (export "set_globals")
    (global.set $i (i32.const 100)) (global.set $l (i64.const 101)) (global.set $f (f32.const 102))
    (global.set $d (f64.const 103)) (global.set $r (ref.null func)))
  (func (export "i") (result i32) (global.get $i))
  (func (export "l") (result i64) (global.get $l))
  (func (export "f") (result f32) (global.get $f))
  (func (export "d") (result f64) (global.get $d))

  ;; The table.
  (func (export "table_set") (param i32) (table.set $t (local.get 0) (ref.func $three)))
  (func (export "table_clear") (param i32) (table.set $t (local.get 0) (ref.null func)))
  (func (export "table_grow") (param i32) (result i32) (table.grow $t (ref.func $three) (local.get 0)))
  (func (export "table_fill") (param i32 i32) (table.fill $t (local.get 0) (ref.func $three) (local.get 1)))
  (func (export "table_copy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
  (func (export "table_init") (param i32 i32 i32) (table.init $t $later (local.get 0) (local.get 1) (local.get 2)))
  (func (export "elem_drop") (elem.drop $later))
  (func (export "table_size") (result i32) (table.size $t))
  (func $call (export "call") (param i32) (result i32) (call_indirect $t (type $num) (local.get 0)))

  ;; Writes and then traps: what was written before the trap must go too.
  (func (export "write_and_trap") (param i32)
    (i32.store (local.get 0) (i32.const -1))
    (global.set $i (i32.const 55))
    (table.set $t (i32.const 0) (ref.func $three))
    (unreachable))

  ;; A number that changes when any of the state does: sizes, all bytes, globals, what the table's elements answer.
  (func (export "fingerprint") (result i64)
    (local $hash i64) (local $at i32) (local $end i32) (local $n i32)
    (local.set $hash (i64.const 0xcbf29ce484222325))
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (loop $bytes
      (local.set $hash (i64.mul (i64.xor (local.get $hash) (i64.load (local.get $at))) (i64.const 0x100000001b3)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $bytes (i32.lt_u (local.get $at) (local.get $end))))
    (local.set $hash (i64.mul (i64.xor (local.get $hash) (i64.extend_i32_u (memory.size))) (i64.const 0x100000001b3)))
    (local.set $hash (i64.mul (i64.xor (local.get $hash) (i64.extend_i32_u (global.get $i))) (i64.const 0x100000001b3)))
    (local.set $hash (i64.mul (i64.xor (local.get $hash) (global.get $l)) (i64.const 0x100000001b3)))
    (local.set $hash (i64.mul (i64.xor (local.get $hash) (i64.extend_i32_u (i32.reinterpret_f32 (global.get $f)))) (i64.const 0x100000001b3)))
    (local.set $hash (i64.mul (i64.xor (local.get $hash) (i64.reinterpret_f64 (global.get $d))) (i64.const 0x100000001b3)))
    (local.set $hash (i64.mul (i64.xor (local.get $hash) (i64.extend_i32_u (ref.is_null (global.get $r)))) (i64.const 0x100000001b3)))
    (loop $elements
      (local.set $hash (i64.mul (i64.xor (local.get $hash)
        (if (result i64) (ref.is_null (table.get $t (local.get $n)))
          (then (i64.const 0))
          (else (i64.extend_i32_u (call $call (local.get $n))))))
        (i64.const 0x100000001b3)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $elements (i32.lt_u (local.get $n) (table.size $t))))
    (local.get $hash)))
