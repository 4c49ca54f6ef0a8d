;; Tail calls with more values than registers hold, to functions with another number of them, through tables, references
;; and other instances; a million deep, so that each must give its frame back.

(module $other
  (memory 1)
  (global $calls (mut i64) (i64.const 0))
  (type $ten (func (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)))
  (func (export "sum") (type $ten)
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (i64.add (local.get 0) (i64.add (local.get 4) (i64.add (local.get 8) (local.get 9)))))
  (func (export "calls") (result i64) (global.get $calls))
  (func (export "trap") (param i64) (result i64) (unreachable)))
(register "other" $other)

(module
  (type $ten (func (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)))
  (type $one (func (param i64) (result i64)))
  (type $mixed (func (param i32 f32 i64 f64 v128 i32 f64 f64 f64 f64 f64 f64 f64 i64 i64 i64 f32) (result f64 i64)))
  (import "other" "sum" (func $sum (type $ten)))
  (import "other" "trap" (func $trap (type $one)))
  (table $t funcref (elem $few $many $sum $trap $few))
  (elem declare func $mixed_end)

  ;; The number of parameters goes from one to ten and back; the first counts down.
  (func $few (export "few") (type $one)
    (if (i64.eqz (local.get 0)) (then (return (i64.const 77))))
    (return_call $many
      (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
      (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9)))
  (func $many (type $ten)
    (if (i64.ne (local.get 9) (i64.const 9)) (then (return (i64.const -9))))
    (if (i64.ne (local.get 7) (i64.const 7)) (then (return (i64.const -7))))
    (return_call $few (i64.sub (local.get 0) (i64.const 1))))

  ;; Each parameter moves one place on, so that places are read before they are written.
  (func $rotate (export "rotate") (type $ten)
    (if (i64.eqz (local.get 0)) (then (return (local.get 5))))
    (return_call $rotate
      (i64.sub (local.get 0) (i64.const 1))
      (local.get 9) (local.get 1) (local.get 2) (local.get 3)
      (local.get 4) (local.get 5) (local.get 6) (local.get 7) (local.get 8)))

  (func $table (export "table") (param i64 i32) (result i64)
    (return_call_indirect $t (type $one) (local.get 0) (local.get 1)))
  (func (export "other") (param i64) (result i64)
    (return_call $sum
      (local.get 0) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 40)
      (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 800) (i64.const 9000)))

  ;; Values of all types, some on the stack, and two results.
  (func $mixed_end (type $mixed)
    (f64.add (local.get 12) (f64.add (f64.promote_f32 (local.get 16)) (local.get 3)))
    (i64.add (local.get 15) (i64.add (i64.extend_i32_s (local.get 5)) (i64x2.extract_lane 1 (local.get 4)))))
  (func $mixed (export "mixed") (type $mixed)
    (if (i32.eqz (local.get 0))
      (then
        (return_call_ref $mixed
          (i32.const -1) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6)
          (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13)
          (local.get 14) (local.get 15) (local.get 16) (ref.func $mixed_end))))
    (return_call $mixed
      (i32.sub (local.get 0) (i32.const 1))
      (local.get 16) (local.get 13) (local.get 3)
      (i64x2.replace_lane 1 (local.get 4) (i64.add (i64x2.extract_lane 1 (local.get 4)) (i64.const 1)))
      (local.get 5)
      (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 6)
      (local.get 14) (local.get 15) (local.get 2) (local.get 1)))

  (func (export "trap below") (param i64) (result i64) (return_call $trap (local.get 0)))
  ;; A call within a call: the frame of a caller that is not in tail position stays.
  (func (export "kept") (param i64) (result i64)
    (i64.add (local.get 0) (call $table (local.get 0) (i32.const 4)))))

(assert_return (invoke "few" (i64.const 0)) (i64.const 77))
(assert_return (invoke "few" (i64.const 1_000_000)) (i64.const 77))
(assert_return
  (invoke "rotate" (i64.const 9) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
    (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9))
  (i64.const 5))
(assert_return
  (invoke "rotate" (i64.const 900_002) (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
    (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9))
  (i64.const 3))
(assert_return (invoke "table" (i64.const 100_000) (i32.const 0)) (i64.const 77))
(assert_trap (invoke "table" (i64.const 1) (i32.const 1)) "indirect call type mismatch")
(assert_trap (invoke "table" (i64.const 1) (i32.const 3)) "unreachable")
(assert_trap (invoke "table" (i64.const 1) (i32.const 5)) "undefined element")
(assert_return (invoke "other" (i64.const 70_000)) (i64.const 79_840))
(assert_return (invoke $other "calls") (i64.const 1))
(assert_trap (invoke "trap below" (i64.const 0)) "unreachable")
(assert_return (invoke "kept" (i64.const 500_000)) (i64.const 500_077))

;; 42 rounds: seven f64s come to where they were, four i64s are half way round.
(assert_return
  (invoke "mixed" (i32.const 42) (f32.const 1) (i64.const 2) (f64.const 3) (v128.const i64x2 4 5) (i32.const 6)
    (f64.const 7) (f64.const 8) (f64.const 9) (f64.const 10) (f64.const 11) (f64.const 12) (f64.const 13)
    (i64.const 14) (i64.const 15) (i64.const 16) (f32.const 17))
  (f64.const 33) (i64.const 67))
