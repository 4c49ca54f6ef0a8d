using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using Xunit;

namespace Instar.Tests;

public class HostFunctionTests
{
    /// <summary>Calls <c>env.f</c> with an i32 for an i32; re-enters itself through the host.</summary>
    private const string Guest = """
        (module (import "env" "f" (func $f (param i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 8) "guest")
          (func (export "call") (param i32) (result i32) (call $f (local.get 0)))
          (func (export "inner") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 10)))
          (func (export "trap") (param i32) (result i32) unreachable))
        """;

    private sealed class Boom(string message) : Exception(message);

    [Fact]
    public void Typed_delegates_of_all_shapes_are_host_functions()
    {
        List<object> seen = [];
        using Sandbox sandbox = new(
            """
            (module
              (import "env" "none" (func $none))
              (import "env" "all" (func $all (param i32 i32 i64 i64 f32 f64) (result f64)))
              (import "env" "eight" (func $eight (param i32 i32 i32 i32 i32 i32 i32 i32)))
              (import "env" "ask" (func $ask (result i64)))
              (import "env" "caller" (func $caller (param i32) (result i32)))
              (import "env" "swap" (func $swap (param i32 f32) (result f32 i32)))
              (memory (export "memory") 1)
              (func (export "run") (result f64 i64 i32 f32 i32)
                (call $none)
                (call $eight (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6) (i32.const 7) (i32.const 8))
                (call $all (i32.const -1) (i32.const -1) (i64.const -1) (i64.const -1) (f32.const 0.5) (f64.const 0.25))
                (call $ask) (call $caller (i32.const 3)) (call $swap (i32.const 9) (f32.const 1.5))))
            """,
            linker => linker
                .DefineFunction("env", "none", () => seen.Add("none"))
                .DefineFunction("env", "all", (int a, uint b, long c, ulong d, float e, double f) =>
                {
                    seen.AddRange([a, b, c, d, e, f]);
                    return 2.5;
                })
                .DefineFunction("env", "eight", (int a, int b, int c, int d, int e, int f, int g, int h) => seen.Add(a * 10 + h))
                .DefineFunction("env", "ask", () => long.MinValue)
                .DefineFunction("env", "caller", (Caller caller, int a) => a + (int)caller.Memory.Size)
                .DefineRaw("env", "swap", FunctionType.Parse("if:fi"), (caller, slots) => (slots[0], slots[1]) = (slots[1], slots[0])));
        using Instance instance = sandbox.Pre.Instantiate();
        ulong[] slots = new ulong[5];
        instance.CallRaw("run", slots);
        Assert.Equal(["none", 18, -1, uint.MaxValue, -1L, ulong.MaxValue, 0.5f, 0.25], seen);
        Assert.Equal(
            [BitConverter.DoubleToUInt64Bits(2.5), 1ul << 63, 65539, BitConverter.SingleToUInt32Bits(1.5f), 9], slots);
    }

    [Fact]
    public void A_caller_reaches_memory_data_and_exports()
    {
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction("env", "f", (Caller caller, int a) =>
        {
            Assert.Equal("guest", caller.Memory.ReadString(8, 5));
            caller.Memory.WriteValue(100, a);
            Assert.Equal(a, caller.GetMemory("memory").ReadValue<int>(100));
            Assert.Equal("(i32) -> i32", caller.GetFunctionType("inner").ToString());
            int inner = caller.Call<int, int>("inner", a);
            ulong[] slots = [4];
            caller.Call("inner", slots);
            return inner + (int)slots[0] + (int)(caller.Data ?? 0);
        }));
        using Instance instance = sandbox.Pre.Instantiate(data: 7);
        Assert.Equal(7, instance.Data);
        Assert.Equal(10 + 40 + 7, instance.GetFunction<int, int>("call")(1));
        Assert.Equal(50, sandbox.Pre.GetFunction<int, int>("call")(1));
        Assert.Equal(50 + 9, sandbox.Pre.GetFunction<int, int>("call", data: 9)(1));
        Assert.Equal(57, instance.GetFunction<int, int>("call")(1));
    }

    [Fact]
    public void What_a_caller_cannot_do_is_an_error_of_the_same_kinds()
    {
        List<ErrorKind> kinds = [];
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction("env", "f", (Caller caller, int a) =>
        {
            Note(ref caller, static c => c.Memory.Read(65536, 1));
            Note(ref caller, static c => _ = c.GetMemory("nothing").Size);
            Note(ref caller, static c => c.Call<int, int>("nothing", 1));
            Note(ref caller, static c => c.Call<long, int>("inner", 1));
            Note(ref caller, static c => c.Call("inner", []));
            Note(ref caller, static c => c.Call<int, int>("trap", 1));
            return a;
        }));
        Assert.Equal(5, sandbox.Pre.GetFunction<int, int>("call")(5));
        Assert.Equal(
            [ErrorKind.OutOfBounds, ErrorKind.MissingExport, ErrorKind.MissingExport, ErrorKind.Type, ErrorKind.Type, ErrorKind.Trap], kinds);

        void Note(ref Caller caller, CallerAction action)
        {
            try
            {
                action(caller);
            }
            catch (InstarException error)
            {
                kinds.Add(error.Kind);
            }
        }
    }

    [Fact]
    public void An_exception_comes_out_as_itself()
    {
        Boom thrown = new("boom");
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction("env", "f", int (int a) => a == 0 ? throw thrown : a));
        using Instance instance = sandbox.Pre.Instantiate();
        Func<int, int> call = instance.GetFunction<int, int>("call");
        for (int round = 0; round < 3; round++)
        {
            Boom caught = Assert.Throws<Boom>(() => call(0));
            Assert.Same(thrown, caught);
            Assert.Same(thrown, Assert.Throws<Boom>(() => sandbox.Pre.GetFunction<int, int>("call")(0)));
            Assert.Contains(nameof(An_exception_comes_out_as_itself), caught.StackTrace);
            Assert.Equal(1, call(1));
        }
    }

    [Fact]
    public void An_exception_passes_nested_calls_and_can_be_caught_in_between()
    {
        int depth = 0;
        bool catchIt = false;
        Boom thrown = new("deep");
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction("env", "f", int (Caller caller, int a) =>
        {
            if (a == 0)
            {
                throw thrown;
            }

            depth++;
            try
            {
                return caller.Call<int, int>("call", a - 1);
            }
            catch (Boom) when (catchIt)
            {
                return 100 + a;
            }
        }));
        using Instance instance = sandbox.Pre.Instantiate();
        Assert.Same(thrown, Assert.Throws<Boom>(() => instance.GetFunction<int, int>("call")(20)));
        Assert.Equal(20, depth);
        catchIt = true;
        Assert.Equal(101, instance.GetFunction<int, int>("call")(20));
    }

    [Fact]
    public void A_trap_from_the_host_is_a_trap()
    {
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction(
            "env", "f", int (int a) => throw new TrapException(TrapCode.IndirectCallTypeMismatch)));
        Sandbox.Traps(TrapCode.IndirectCallTypeMismatch, () => sandbox.Pre.GetFunction<int, int>("call")(0));
    }

    [Fact]
    public void A_trap_of_a_nested_call_passes_on()
    {
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction("env", "f", (Caller caller, int a) => caller.Call<int, int>("trap", a)));
        Sandbox.Traps(TrapCode.Unreachable, () => sandbox.Pre.GetFunction<int, int>("call")(0));
    }

    [Fact]
    public void Endless_reentry_ends_with_an_error()
    {
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction("env", "f", (Caller caller, int a) => caller.Call<int, int>("call", a)));
        Sandbox.Traps(TrapCode.StackOverflow, () => sandbox.Pre.GetFunction<int, int>("call")(0));
    }

    [Fact]
    public void A_host_function_may_start_other_instances()
    {
        InstancePre? pre = null;
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction("env", "f", (Caller caller, int a) =>
            a == 0 ? (int)caller.Data! : (int)caller.Data! + pre!.GetFunction<int, int>("call", data: a * 100)(a - 1)));
        pre = sandbox.Pre;
        Assert.Equal(1000 + 300 + 200 + 100, pre.GetFunction<int, int>("call", data: 1000)(3));
        Assert.Equal(0, sandbox.Engine.LiveInstances);
    }

    [Fact]
    public void Imports_must_be_defined_once_and_with_the_right_type()
    {
        using Engine engine = new();
        using Module module = Module.FromText(engine, Guest);
        using Linker linker = new(engine);
        InstarException missing = Sandbox.Fails(ErrorKind.Link, () => linker.InstantiatePre(module));
        Assert.Contains("env", missing.Message);
        linker.DefineFunction("env", "f", (long a) => a);
        Sandbox.Fails(ErrorKind.Link, () => linker.InstantiatePre(module));
        Sandbox.Fails(ErrorKind.Link, () => linker.DefineFunction("env", "f", (int a) => a));
        linker.AllowShadowing().DefineFunction("env", "f", (int a) => a);
        using InstancePre pre = linker.InstantiatePre(module);
        Assert.Equal(6, pre.GetFunction<int, int>("call")(6));
    }

    [Fact]
    public void Types_without_a_wasm_counterpart_are_refused()
    {
        using Engine engine = new();
        using Linker linker = new(engine);
        Sandbox.Fails(ErrorKind.Type, () => linker.DefineFunction("env", "f", (short a) => { }));
        Sandbox.Fails(ErrorKind.Type, () => linker.DefineFunction("env", "f", () => true));
        Sandbox.Fails(ErrorKind.Type, () => FunctionType.Parse("x:"));
        Sandbox.Fails(ErrorKind.Type, () => FunctionType.Parse("i"));
    }

    [Fact]
    public void Host_functions_outlive_their_linker()
    {
        using Engine engine = new();
        InstancePre pre = Make(engine);
        Collect();
        Assert.Equal(8, pre.GetFunction<int, int>("call")(7));
        using Instance instance = pre.Instantiate();
        pre.Dispose();
        Collect();
        Assert.Equal(9, instance.GetFunction<int, int>("call")(8));

        [MethodImpl(MethodImplOptions.NoInlining)]
        static InstancePre Make(Engine engine)
        {
            using Module module = Module.FromText(engine, Guest);
            using Linker linker = new(engine);
            return linker.DefineFunction("env", "f", (int a) => a + 1).InstantiatePre(module);
        }
    }

    [Fact]
    public void A_circle_of_host_function_pre_instance_and_data_is_collected()
    {
        using Engine engine = new();
        (WeakReference pre, WeakReference data) = Make(engine);
        for (int round = 0; round < 10 && (pre.IsAlive || data.IsAlive); round++)
        {
            Collect();
        }

        Assert.False(pre.IsAlive);
        Assert.False(data.IsAlive);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static (WeakReference Pre, WeakReference Data) Make(Engine engine)
        {
            Module module = Module.FromText(engine, Guest);
            Linker linker = new(engine);
            object?[] circle = new object?[2];
            linker.DefineFunction("env", "f", (int a) => a + circle.Length);
            circle[0] = linker.InstantiatePre(module);
            Instance instance = ((InstancePre)circle[0]!).Instantiate(data: circle);
            circle[1] = instance;
            Assert.Equal(3, instance.GetFunction<int, int>("call")(1));
            return (new WeakReference(circle[0]), new WeakReference(circle));
        }
    }

    internal static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }
}
