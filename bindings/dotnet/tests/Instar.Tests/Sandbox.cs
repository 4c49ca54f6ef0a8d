using System;
using Xunit;

namespace Instar.Tests;

/// <summary>An engine, a linker and a pre for one text module; what most tests need.</summary>
internal sealed class Sandbox : IDisposable
{
    /// <summary>Adds, keeps a counter in memory and in a global, traps, and calls nobody.</summary>
    public const string Plain = """
        (module
          (memory (export "memory") 1 4)
          (global $count (mut i32) (i32.const 0))
          (data (i32.const 16) "hello")
          (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
          (func (export "nop"))
          (func (export "i64") (param i64) (result i64) (local.get 0))
          (func (export "f32") (param f32) (result f32) (local.get 0))
          (func (export "f64") (param f64) (result f64) (local.get 0))
          (func (export "swap") (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
          (func (export "eight") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
            (i32.add (i32.mul (local.get 0) (i32.const 1000)) (local.get 7)))
          (func (export "nine") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (local.get 8))
          (func (export "count") (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
          (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
          (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
          (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
          (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
          (func (export "unreachable") unreachable)
          (func $recurse (export "recurse") (call $recurse)))
        """;

    public Sandbox(string text = Plain, Action<Linker>? define = null, EngineOptions? options = null)
    {
        Engine = new Engine(options);
        Module = Module.FromText(Engine, text);
        Linker = new Linker(Engine);
        define?.Invoke(Linker);
        Pre = Linker.InstantiatePre(Module);
    }

    public Engine Engine { get; }

    public Module Module { get; }

    public Linker Linker { get; }

    public InstancePre Pre { get; }

    /// <summary>The action fails with an <see cref="InstarException"/> of this kind.</summary>
    public static InstarException Fails(ErrorKind kind, Action action)
    {
        InstarException exception = Assert.ThrowsAny<InstarException>(action);
        Assert.Equal(kind, exception.Kind);
        return exception;
    }

    /// <summary>The action fails with this trap.</summary>
    public static void Traps(TrapCode code, Action action)
    {
        TrapException exception = Assert.Throws<TrapException>(action);
        Assert.Equal(code, exception.TrapCode);
        Assert.Equal(ErrorKind.Trap, exception.Kind);
    }

    public void Dispose()
    {
        Pre.Dispose();
        Linker.Dispose();
        Module.Dispose();
        Engine.Dispose();
    }
}
