;; Calls into the host: logs its argument, then returns what the host makes of the argument and 1.
(module
  (import "env" "log" (func $log (param i32)))
  (import "env" "add" (func $add (param i32 i32) (result i32)))
  (func (export "run") (param $number i32) (result i32)
    (call $log (local.get $number))
    (call $add (local.get $number) (i32.const 1))))
