using System;
using Instar;

// Once per process: compile, and say what the guest may call.
using Engine engine = new();
using Module module = Module.FromText(engine, """
    (module
      (import "host" "greet" (func $greet (param i32 i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "Hello from a sandbox")
      (global $calls (mut i32) (i32.const 0))
      (func (export "hello") (call $greet (i32.const 0) (i32.const 20)))
      (func (export "count") (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1))) (global.get $calls))
      (func (export "fail") unreachable))
    """);
using Linker linker = new(engine);
linker.DefineFunction("host", "greet", (Caller caller, int text, int length) =>
    Console.WriteLine($"{caller.Memory.ReadString(text, length)}, {caller.Data}!"));
using InstancePre pre = linker.InstantiatePre(module);

// A fresh instance for each request: nothing of one is seen by the next.
Func<int> count = pre.GetFunction<int>("count");
Console.WriteLine($"fresh instances count {count()}, {count()}, {count()}");

// Or an instance for several calls; Dispose resets it.
using (Instance instance = pre.Instantiate(data: "world"))
{
    instance.GetAction("hello")();
    Func<int> own = instance.GetFunction<int>("count");
    Console.WriteLine($"one instance counts {own()}, {own()}, {own()}");
}

try
{
    pre.GetAction("fail")();
}
catch (TrapException trap)
{
    Console.WriteLine($"caught a trap: {trap.TrapCode}");
}
