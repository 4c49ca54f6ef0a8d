;; What WebAssembly has beyond plain numbers and one memory, behind exports of plain numbers; and at the end exports with vectors and
;; references in their types.
(module
  (type $step (func (param i64 i64) (result i64)))
  (memory $wide (export "memory") i64 1)
  (memory $other (export "other") 1)
  (table $steps i64 2 (ref null $step))
  (elem (table $steps) (i64.const 0) (ref null $step) (item (ref.func $sum)))
  (data (memory $wide) (i64.const 8) "\01\02\03\04\05\06\07\08\09\0a\0b\0c\0d\0e\0f\10")

  ;; Tail calls: acc + 1 + 2 + … + n, without a frame for each.
  (func $sum (export "sum") (type $step)
    (if (result i64) (i64.eqz (local.get 0))
      (then (local.get 1))
      (else (return_call $sum (i64.sub (local.get 0) (i64.const 1)) (i64.add (local.get 0) (local.get 1))))))
  (func (export "sum_by_table") (type $step)
    (return_call_indirect $steps (type $step) (local.get 0) (local.get 1) (i64.const 0)))
  (func (export "sum_by_reference") (type $step)
    (return_call_ref $step (local.get 0) (local.get 1) (table.get $steps (i64.const 0))))
  (func (export "call_element") (param i64) (result i64)
    (call_indirect $steps (type $step) (i64.const 4) (i64.const 0) (local.get 0)))

  ;; Typed references.
  (func (export "call_null") (result i64)
    (call_ref $step (i64.const 1) (i64.const 2) (ref.null $step)))
  (func (export "tail_call_null") (result i64)
    (return_call_ref $step (i64.const 1) (i64.const 2) (ref.null $step)))
  (func (export "null_as_non_null")
    (drop (ref.as_non_null (table.get $steps (i64.const 1)))))

  ;; Vectors: four times a * b; the sum of the bytes from an address on, which is more than 16 bytes before the end.
  (func (export "four_products") (param i32 i32) (result i32)
    (local $v v128)
    (local.set $v (i32x4.mul (i32x4.splat (local.get 0)) (i32x4.splat (local.get 1))))
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $v)) (i32x4.extract_lane 1 (local.get $v)))
      (i32.add (i32x4.extract_lane 2 (local.get $v)) (i32x4.extract_lane 3 (local.get $v)))))
  (func (export "sum_bytes") (param i64) (result i32)
    (local $v v128)
    (local.set $v (i32x4.extadd_pairwise_i16x8_u (i16x8.extadd_pairwise_i8x16_u (v128.load $wide (local.get 0)))))
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $v)) (i32x4.extract_lane 1 (local.get $v)))
      (i32.add (i32x4.extract_lane 2 (local.get $v)) (i32x4.extract_lane 3 (local.get $v)))))
  (func (export "fill_bytes") (param i64 i32)
    (v128.store $wide (local.get 0) (i8x16.splat (local.get 1))))

  ;; 64-bit memory.
  (func (export "load64") (param i64) (result i64) (i64.load $wide (local.get 0)))
  (func (export "store64") (param i64 i64) (i64.store $wide (local.get 0) (local.get 1)))
  (func (export "grow64") (param i64) (result i64) (memory.grow $wide (local.get 0)))
  (func (export "size64") (result i64) (memory.size $wide))

  ;; Two memories.
  (func (export "load_other") (param i32) (result i32) (i32.load8_u $other (local.get 0)))
  (func (export "copy_out") (param i32 i64 i32)
    (memory.copy $other $wide (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy_in") (param i64 i32 i32)
    (memory.copy $wide $other (local.get 0) (local.get 1) (local.get 2)))

  ;; Vectors and references at the boundary.
  (func (export "swap_halves") (param v128) (result v128)
    (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get 0) (local.get 0)))
  (func (export "mixed") (param i32 v128 f64) (result f64 v128 i32)
    (f64.neg (local.get 2))
    (i64x2.add (local.get 1) (i64x2.splat (i64.extend_i32_u (local.get 0))))
    (i32.add (local.get 0) (i32.const 1)))
  (func (export "low_half") (param v128) (result i64) (i64x2.extract_lane 0 (local.get 0)))
  (func (export "splat") (param i64) (result v128) (i64x2.splat (local.get 0)))
  (func (export "take_function") (param (ref null $step)))
  (func (export "give_function") (result (ref $step)) (ref.func $sum))
  (func (export "take_object") (param externref)))
