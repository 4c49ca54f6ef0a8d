"""The shortest program: compile, and call in a fresh instance each time."""

import instar

engine = instar.Engine()
module = instar.Module(
    engine,
    """(module
         (global $calls (mut i32) (i32.const 0))
         (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
         (func (export "count") (result i32)
           (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
           (global.get $calls)))""",
)
pre = instar.Linker(engine).instantiate_pre(module)

# A fresh instance, the call, and everything undone, in one step.
add = pre.func("add")
print("40 + 2 =", add(40, 2))

# An instance that lives until the end of the block.
with pre.instantiate() as instance:
    instance.exports.count()
    print("second call of one instance:", instance.exports.count())
print("first call of the next one:", pre.func("count")())
