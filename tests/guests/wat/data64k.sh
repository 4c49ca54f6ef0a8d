#!/usr/bin/env bash
# Prints data64k.wat: data64k.sh > data64k.wat. check.sh sees to it that the two agree.
set -euo pipefail

cat <<'EOF'
;; 64 KiB of data, no byte of it zero, in a memory of two pages: what an image costs, and what a
;; reset costs after `touch` has written to some of its pages. Made by data64k.sh.
(module
  (memory (export "memory") 2)

  ;; Writes `bytes_per_page` bytes, a multiple of 4, at the start of each of the first `pages`
  ;; pages of 4 KiB. There are 32; more trap.
  (func (export "touch") (param $pages i32) (param $bytes_per_page i32)
    (local $page i32) (local $offset i32) (local $address i32)
    (block $done
      (loop $each_page
        (br_if $done (i32.ge_u (local.get $page) (local.get $pages)))
        (local.set $offset (i32.const 0))
        (block $page_done
          (loop $each_word
            (br_if $page_done (i32.ge_u (local.get $offset) (local.get $bytes_per_page)))
            (local.set $address
              (i32.add (i32.mul (local.get $page) (i32.const 4096)) (local.get $offset)))
            ;; Never what the data have there, and never zero.
            (i32.store (local.get $address)
              (i32.or (local.get $address) (i32.const 0x80808080)))
            (local.set $offset (i32.add (local.get $offset) (i32.const 4)))
            (br $each_word)))
        (local.set $page (i32.add (local.get $page) (i32.const 1)))
        (br $each_page))))

  ;; 1024 lines of 64 bytes, each with its own number.
  (data (i32.const 0)
EOF

for ((line = 0; line < 1024; line++)); do
    printf '    "line %04d of the data of a module with a page full of them ....\\n"\n' "$line"
done
printf '  ))\n'
