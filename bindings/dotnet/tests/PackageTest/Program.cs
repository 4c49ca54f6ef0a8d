using System;
using Instar;

// Prints the native library's version if everything that the package brings works.
using Engine engine = new();
using Module module = Module.FromText(engine, """
    (module (import "host" "double" (func $double (param i32) (result i32)))
      (func (export "run") (param i32) (result i32) (call $double (local.get 0))))
    """);
using Linker linker = new(engine);
using InstancePre pre = linker.DefineFunction("host", "double", (int x) => 2 * x).InstantiatePre(module);
if (pre.GetFunction<int, int>("run")(21) != 42)
{
    throw new InvalidOperationException("the package computes wrongly");
}

Console.WriteLine($"Instar {Engine.NativeVersion} on .NET {Environment.Version}");
