using System;
using System.IO;
using Xunit;

namespace Instar.Tests;

/// <summary>Modules that use vectors, 64-bit and several memories, tail calls and typed references.</summary>
public class FeatureTests
{
    private static readonly string s_text = File.ReadAllText(Repository.Path("tests", "conformance", "modules", "features.wat"));

    [Fact]
    public void Features_inside_of_a_module_work_behind_numbers()
    {
        using Sandbox sandbox = new(s_text);
        using Instance instance = sandbox.Pre.Instantiate();
        Assert.Equal(60, instance.GetFunction<int, int, int>("four_products")(3, 5));
        Assert.Equal(500_000_500_000, instance.GetFunction<long, long, long>("sum")(1_000_000, 0));
        Assert.Equal(500_000_500_000, instance.GetFunction<long, long, long>("sum_by_reference")(1_000_000, 0));
        instance.GetAction<int, long, int>("copy_out")(100, 8, 16);
        Assert.Equal(16, instance.GetFunction<int, int>("load_other")(115));
        Assert.Equal(16, instance.GetMemory("other").ReadValue<byte>(115));
        Assert.Equal(0x0807060504030201, instance.GetFunction<long, long>("load64")(8));
        Sandbox.Traps(TrapCode.NullFunctionReference, () => instance.GetFunction<long>("call_null")());
        Sandbox.Traps(TrapCode.NullReference, () => instance.GetAction("null_as_non_null")());
        Assert.Equal(60, sandbox.Pre.GetFunction<int, int, int>("four_products")(3, 5));
    }

    [Fact]
    public void Vectors_travel_in_two_slots()
    {
        using Sandbox sandbox = new(s_text);
        using Instance instance = sandbox.Pre.Instantiate();
        ExportFunction mixed = sandbox.Pre.GetFunction("mixed");
        Assert.Equal("(i32, v128, f64) -> (f64, v128, i32)", mixed.Type.ToString());
        Assert.Equal(4, mixed.Type.SlotCount);
        foreach (Action<ulong[]> call in new Action<ulong[]>[] { slots => instance.Call(mixed, slots), slots => sandbox.Pre.Call(mixed, slots) })
        {
            ulong[] slots = [5, 10, ulong.MaxValue, BitConverter.DoubleToUInt64Bits(2.5)];
            call(slots);
            Assert.Equal([BitConverter.DoubleToUInt64Bits(-2.5), 15, 4, 6], slots);
            Sandbox.Fails(ErrorKind.Type, () => call(new ulong[3]));
        }

        ulong[] halves = [1, 2];
        instance.CallRaw("swap_halves", halves);
        Assert.Equal([2ul, 1], halves);
    }

    [Fact]
    public void Vectors_and_references_are_no_values()
    {
        using Sandbox sandbox = new(s_text);
        using Instance instance = sandbox.Pre.Instantiate();
        InstarException error = Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<long, long>("low_half"));
        Assert.Equal(
            "function `low_half` has type (v128) -> i64: a vector is no C# value; call it over slots, where a v128 takes two, its low half first",
            error.Message);
        Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<ulong, ulong, long>("low_half"));
        Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<long, long>("splat"));
        Sandbox.Fails(ErrorKind.Type, () => instance.GetAction<long>("splat"));
        Sandbox.Fails(ErrorKind.Type, () => sandbox.Pre.GetFunction<long, long>("low_half"));
        foreach (string name in new[] { "take_function", "take_object" })
        {
            error = Sandbox.Fails(ErrorKind.Type, () => instance.GetAction<long>(name));
            Assert.Contains("references cannot be passed to or from C#", error.Message);
            Sandbox.Fails(ErrorKind.Type, () => instance.CallRaw(name, [0]));
            Sandbox.Fails(ErrorKind.Type, () => sandbox.Pre.Call(sandbox.Pre.GetFunction(name), [0]));
        }

        Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<long>("give_function"));
        Sandbox.Fails(ErrorKind.Type, () => instance.CallRaw("give_function", [0]));
        Assert.Equal(10, instance.GetFunction<long, long, long>("sum")(4, 0));
    }

    [Fact]
    public void Callers_take_vectors_in_slots_too()
    {
        const string Text = """
            (module
              (import "env" "f" (func $f))
              (func (export "run") (call $f))
              (func (export "mixed") (param i32 v128) (result v128 i32)
                (i64x2.add (local.get 1) (i64x2.splat (i64.const 1))) (local.get 0)))
            """;
        ulong[] slots = [5, 10, 20];
        string? refused = null;
        using Sandbox sandbox = new(Text, linker => linker.DefineRaw("env", "f", FunctionType.Parse(":"), (caller, _) =>
        {
            caller.Call("mixed", slots);
            try
            {
                caller.Call<int, long>("mixed", 5);
            }
            catch (InstarException exception)
            {
                refused = exception.Message;
            }
        }));
        sandbox.Pre.GetAction("run")();
        Assert.Equal([11ul, 21, 5], slots);
        Assert.StartsWith("function `mixed` has type (i32, v128) -> (v128, i32): a vector is no C# value", refused);
    }

    [Theory]
    [InlineData("v:")]
    [InlineData(":v")]
    [InlineData("ir:i")]
    [InlineData(":e")]
    public void Host_functions_take_and_give_numbers_only(string type)
    {
        using Engine engine = new();
        using Linker linker = new(engine);
        InstarException error = Sandbox.Fails(
            ErrorKind.Type, () => linker.DefineRaw("env", "f", FunctionType.Parse(type), (_, _) => { }));
        Assert.StartsWith("the host function env.f has type (", error.Message);
    }

    [Fact]
    public void Addresses_beyond_4_GiB_reach_a_64_bit_memory()
    {
        const string Text = """
            (module (memory (export "memory") i64 65537)
              (func (export "load") (param i64) (result i64) (i64.load (local.get 0))))
            """;
        const long At = (1L << 32) + 8;
        using Sandbox sandbox = new(Text, options: new EngineOptions { MaxMemoryPages = 65_600 });
        using Instance instance = sandbox.Pre.Instantiate();
        instance.Memory.WriteValue(At, 0x1122334455667788);
        Func<long, long> load = instance.GetFunction<long, long>("load");
        Assert.Equal((0x1122334455667788, 0), (load(At), load(8)));
        Assert.Equal(0x1122334455667788, instance.Memory.ReadValue<long>(At));
        Assert.Equal(65_537, instance.Memory.Grow(1));
        Assert.Equal(65_538L << 16, instance.Memory.Size);
    }
}
