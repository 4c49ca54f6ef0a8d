;; Threads that share a memory: waiting and notifying, growth, and operations that take place as a whole.

(module $memory
  (memory (export "memory") 1 4 shared))

;; One thread waits; the other tries to wake it until there was one to wake, for some ten seconds at most.
(thread $sleeper (shared (module $memory))
  (register "shared" $memory)
  (module
    (import "shared" "memory" (memory 1 4 shared))
    (func (export "wait32") (result i32)
      (memory.atomic.wait32 (i32.const 64) (i32.const 0) (i64.const 20_000_000_000)))
    (func (export "wait64") (result i32)
      (memory.atomic.wait64 offset=64 (i32.const 64) (i64.const 0) (i64.const 20_000_000_000)))
    (func (export "message") (result i32) (i32.load (i32.const 72))))
  (assert_return (invoke "wait32") (i32.const 0))
  (assert_return (invoke "message") (i32.const 4711))
  (assert_return (invoke "wait64") (i32.const 0)))

(thread $waker (shared (module $memory))
  (register "shared" $memory)
  (module
    (import "shared" "memory" (memory 1 4 shared))
    (func $wake (export "wake") (param $address i32) (result i32)
      (local $tries i32)
      (loop $again (result i32)
        ;; Nobody notifies this address: a pause of a millisecond.
        (drop (memory.atomic.wait32 (i32.const 256) (i32.const 0) (i64.const 1_000_000)))
        (local.set $tries (i32.add (local.get $tries) (i32.const 1)))
        (if (i32.ge_u (local.get $tries) (i32.const 10_000)) (then (return (i32.const -1))))
        (br_if $again (i32.eqz (memory.atomic.notify (local.get $address) (i32.const 1))))
        (i32.const 1)))
    (func (export "message and wake") (result i32)
      (i32.store (i32.const 72) (i32.const 4711))
      (atomic.fence)
      (call $wake (i32.const 64))))
  (assert_return (invoke "message and wake") (i32.const 1))
  (assert_return (invoke "wake" (i32.const 128)) (i32.const 1)))

(wait $sleeper)
(wait $waker)

;; Two threads count to twenty thousand together.
(module $counter
  (memory (export "memory") 1 1 shared)
  (func (export "value") (result i64) (i64.atomic.load (i32.const 8))))

(thread $left (shared (module $counter))
  (register "shared" $counter)
  (module
    (import "shared" "memory" (memory 1 1 shared))
    (func (export "count") (param i32)
      (loop $again
        (drop (i64.atomic.rmw.add (i32.const 8) (i64.const 1)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br_if $again (local.get 0)))))
  (invoke "count" (i32.const 10_000)))

(thread $right (shared (module $counter))
  (register "shared" $counter)
  (module
    (import "shared" "memory" (memory 1 1 shared))
    (func (export "count") (param i32)
      (local $seen i64)
      (loop $again
        (local.set $seen (i64.atomic.load (i32.const 8)))
        (br_if $again
          (i64.ne
            (i64.atomic.rmw.cmpxchg (i32.const 8) (local.get $seen) (i64.add (local.get $seen) (i64.const 1)))
            (local.get $seen)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br_if $again (local.get 0)))))
  (invoke "count" (i32.const 10_000)))

(wait $left)
(wait $right)
(assert_return (invoke $counter "value") (i64.const 20_000))

;; What one thread grows, all can use, and no more than the maximum.
(module $growing
  (memory (export "memory") 1 3 shared)
  (func (export "size") (result i32) (memory.size))
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))
(assert_return (invoke $growing "size") (i32.const 1))
(assert_trap (invoke $growing "load" (i32.const 65536)) "out of bounds memory access")

(thread $grower (shared (module $growing))
  (register "shared" $growing)
  (module
    (import "shared" "memory" (memory 1 3 shared))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1))))
  (assert_return (invoke "grow" (i32.const 3)) (i32.const -1))
  (assert_return (invoke "grow" (i32.const 2)) (i32.const 1))
  (assert_return (invoke "grow" (i32.const 1)) (i32.const -1))
  (assert_return (invoke "grow" (i32.const 0)) (i32.const 3))
  (assert_return (invoke "store" (i32.const 131072) (i32.const 77))))
(wait $grower)
(assert_return (invoke $growing "size") (i32.const 3))
(assert_return (invoke $growing "load" (i32.const 131072)) (i32.const 77))

;; A thread knows nothing of its parent but what it is given.
(register "memory" $memory)
(thread $stranger
  (assert_unlinkable (module (import "memory" "memory" (memory 1 4 shared))) "unknown import"))
(thread $acquainted (shared (module $memory))
  (register "mine" $memory)
  (module (import "mine" "memory" (memory 1 4 shared)))
  (assert_unlinkable (module (import "mine" "memory" (memory 1 3 shared))) "incompatible import type")
  (assert_unlinkable (module (import "mine" "memory" (memory 1 4))) "incompatible import type"))
(wait $stranger)
(wait $acquainted)
(assert_unlinkable (module (import "mine" "memory" (memory 1 4 shared))) "unknown import")
