using System;
using System.Linq;
using Xunit;

namespace Instar.Tests;

public class CallTests
{
    [Fact]
    public void Exports_become_delegates_of_their_type()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        Func<int, int, int> add = instance.GetFunction<int, int, int>("add");
        Assert.Equal(42, add(40, 2));
        Assert.Equal(-1, add(int.MaxValue, int.MinValue));
        Assert.Equal(uint.MaxValue, instance.GetFunction<uint, uint, uint>("add")(uint.MaxValue, 0));
        Assert.Equal(long.MinValue, instance.GetFunction<long, long>("i64")(long.MinValue));
        Assert.Equal(ulong.MaxValue, instance.GetFunction<ulong, ulong>("i64")(ulong.MaxValue));
        Assert.Equal(-0.5f, instance.GetFunction<float, float>("f32")(-0.5f));
        Assert.Equal(1e300, instance.GetFunction<double, double>("f64")(1e300));
        Assert.Equal(1008, instance.GetFunction<int, int, int, int, int, int, int, int, int>("eight")(1, 2, 3, 4, 5, 6, 7, 8));
        instance.GetAction("nop")();
        instance.GetAction<int, int>("store")(64, 7);
        Assert.Equal(7, instance.GetFunction<int, int>("load")(64));
    }

    [Fact]
    public void A_delegate_of_the_pre_runs_in_a_fresh_instance_each_time()
    {
        using Sandbox sandbox = new();
        Func<int> count = sandbox.Pre.GetFunction<int>("count");
        Assert.All(Enumerable.Range(0, 100), _ => Assert.Equal(1, count()));
        using Instance instance = sandbox.Pre.Instantiate();
        Assert.Equal([1, 2, 3], Enumerable.Range(0, 3).Select(_ => instance.GetFunction<int>("count")()));
        Assert.Equal(1, count());
    }

    [Fact]
    public void A_token_calls_without_a_delegate()
    {
        using Sandbox sandbox = new();
        ExportFunction add = sandbox.Pre.GetFunction("add");
        Assert.Same(add, sandbox.Pre.GetFunction("add"));
        Assert.Equal("add", add.Name);
        Assert.Equal(FunctionType.Parse("ii:i"), add.Type);
        Assert.Equal(3, sandbox.Pre.Call<int, int, int>(add, 1, 2));
        using Instance instance = sandbox.Pre.Instantiate();
        Assert.Equal(5, instance.Call<int, int, int>(add, 2, 3));
        instance.Call(sandbox.Pre.GetFunction("store"), 8, 9);
        Sandbox.Fails(ErrorKind.Type, () => instance.Call(add, 2, 3));
    }

    [Fact]
    public void Slots_carry_any_number_of_results_and_all_bits()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        ulong[] swap = [7, 1ul << 40];
        instance.CallRaw("swap", swap);
        Assert.Equal((1ul << 40, 7u), (swap[0], (uint)swap[1]));
        ulong[] nan = [0x7fa00001];
        sandbox.Pre.Call(sandbox.Pre.GetFunction("f32"), nan);
        Assert.Equal(0x7fa00001u, (uint)nan[0]);
        ulong[] nine = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        instance.CallRaw("nine", nine);
        Assert.Equal(9u, (uint)nine[0]);
        Sandbox.Fails(ErrorKind.Type, () => instance.CallRaw("nine", new ulong[8]));
        Sandbox.Fails(ErrorKind.Type, () => sandbox.Pre.Call(sandbox.Pre.GetFunction("add"), new ulong[1]));
        Sandbox.Fails(ErrorKind.Type, () => sandbox.Pre.Call(sandbox.Pre.GetFunction("add"), []));
    }

    [Fact]
    public void Another_type_than_the_exports_is_refused_with_both_types()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        InstarException error = Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<int, int>("add"));
        Assert.Equal("function `add` has type (i32, i32) -> i32, not (i32) -> i32", error.Message);
        Sandbox.Fails(ErrorKind.Type, () => instance.GetAction<int, int>("add"));
        Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<int, long, int>("add"));
        Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<float, int, int>("add"));
        Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<int, int, short>("add"));
        Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<int, long, long>("swap"));
        Sandbox.Fails(ErrorKind.Type, () => instance.GetFunction<int, int, int, int, int, int, int, int, int>("nine"));
        Sandbox.Fails(ErrorKind.Type, () => sandbox.Pre.GetFunction<int>("add"));
        Sandbox.Fails(ErrorKind.MissingExport, () => sandbox.Pre.GetFunction("memory"));
        Sandbox.Fails(ErrorKind.MissingExport, () => sandbox.Pre.GetFunction("ad"));
        Sandbox.Fails(ErrorKind.MissingExport, () => instance.GetAction(""));
    }

    [Fact]
    public void A_token_of_another_pre_is_refused()
    {
        using Sandbox one = new();
        using Sandbox other = new();
        ExportFunction foreign = other.Pre.GetFunction("count");
        using Instance instance = one.Pre.Instantiate();
        Sandbox.Fails(ErrorKind.StaleHandle, () => instance.Call<int>(foreign));
        Sandbox.Fails(ErrorKind.StaleHandle, () => one.Pre.Call<int>(foreign));
        using InstancePre sibling = one.Linker.InstantiatePre(one.Module);
        Sandbox.Fails(ErrorKind.StaleHandle, () => instance.Call<int>(sibling.GetFunction("count")));
    }

    [Fact]
    public void Traps_have_their_code_and_leave_the_instance_usable()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        for (int round = 0; round < 3; round++)
        {
            Sandbox.Traps(TrapCode.IntegerDivideByZero, () => instance.GetFunction<int, int, int>("divide")(1, 0));
            Sandbox.Traps(TrapCode.IntegerOverflow, () => instance.GetFunction<int, int, int>("divide")(int.MinValue, -1));
            Sandbox.Traps(TrapCode.Unreachable, () => instance.GetAction("unreachable")());
            Sandbox.Traps(TrapCode.MemoryOutOfBounds, () => instance.GetFunction<int, int>("load")(65536));
            Sandbox.Traps(TrapCode.StackOverflow, () => instance.GetAction("recurse")());
            Sandbox.Traps(TrapCode.Unreachable, () => sandbox.Pre.GetAction("unreachable")());
            Assert.Equal(3, instance.GetFunction<int, int, int>("divide")(6, 2));
        }
    }

    [Fact]
    public void Null_references_of_the_host_stay_ordinary_exceptions_beside_guest_traps()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        Func<int, int> load = instance.GetFunction<int, int>("load");
        for (int round = 0; round < 100; round++)
        {
            Assert.Throws<NullReferenceException>(() => NoString()!.Length);
            Sandbox.Traps(TrapCode.MemoryOutOfBounds, () => load(-4));
        }

        static string? NoString() => null;
    }

    [Fact]
    public void Bytes_go_in_and_out()
    {
        using Sandbox sandbox = new(Echo);
        byte[] input = [1, 2, 3, 0, 255];
        Assert.Equal(input, sandbox.Pre.CallBytes("echo", input));
        Assert.Equal([], sandbox.Pre.CallBytes("echo", []));
        byte[] large = new byte[1 << 20];
        new Random(1).NextBytes(large);
        Assert.Equal(large, sandbox.Pre.CallBytes("echo", large));
        Assert.Equal(input, sandbox.Pre.CallBytes(sandbox.Pre.GetBytesFunction("echo"), input, data: "x"));
        using Instance instance = sandbox.Pre.Instantiate();
        Assert.Equal(input, instance.CallBytes("echo", input));
        Assert.Equal(large, instance.CallBytes("echo", large));
        Sandbox.Fails(ErrorKind.GuestProtocol, () => sandbox.Pre.CallBytes("far", input));
        Sandbox.Fails(ErrorKind.MissingExport, () => sandbox.Pre.CallBytes("nothing", input));
        Sandbox.Fails(ErrorKind.Type, () => sandbox.Pre.CallBytes("alloc", input));
    }

    /// <summary>A bytes guest: echoes, or answers from outside its memory.</summary>
    internal const string Echo = """
        (module (memory (export "memory") 64)
          (global $top (mut i32) (i32.const 1024))
          (func (export "alloc") (param i32) (result i32)
            (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0))))
          (func (export "echo") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
          (func (export "far") (param i32 i32) (result i64) (i64.const -1)))
        """;
}
