using System;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace Instar.Tests;

/// <summary>Tests that look at the whole process, and that must not be disturbed by others'.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

[Collection(nameof(Alone))]
public class LifetimeTests
{
    [Fact]
    public void A_disposed_instance_is_a_stale_handle_everywhere()
    {
        using Sandbox sandbox = new();
        Instance instance = sandbox.Pre.Instantiate("data");
        Func<int> count = instance.GetFunction<int>("count");
        count();
        instance.Dispose();
        instance.Dispose();
        Sandbox.Fails(ErrorKind.StaleHandle, () => count());
        Sandbox.Fails(ErrorKind.StaleHandle, () => instance.CallRaw("nop", []));
        Sandbox.Fails(ErrorKind.StaleHandle, () => instance.GetFunction<int>("count")());
        Sandbox.Fails(ErrorKind.StaleHandle, () => _ = instance.Memory.Size);
        Sandbox.Fails(ErrorKind.StaleHandle, () => instance.Memory.Read(0, 1));
        Sandbox.Fails(ErrorKind.StaleHandle, () => instance.Memory.Write(0, [1]));
        Sandbox.Fails(ErrorKind.StaleHandle, () => instance.Memory.Grow(1));
        using Instance next = sandbox.Pre.Instantiate();
        Sandbox.Fails(ErrorKind.StaleHandle, () => count());
        Assert.Equal(1, next.GetFunction<int>("count")());
    }

    [Fact]
    public void Disposed_engines_modules_linkers_and_pres_are_stale_handles()
    {
        Sandbox sandbox = new();
        ExportFunction nop = sandbox.Pre.GetFunction("nop");
        Action bound = sandbox.Pre.GetAction("nop");
        sandbox.Dispose();
        sandbox.Dispose();
        Sandbox.Fails(ErrorKind.StaleHandle, () => sandbox.Pre.Instantiate());
        Sandbox.Fails(ErrorKind.StaleHandle, () => sandbox.Pre.Call(nop));
        Sandbox.Fails(ErrorKind.StaleHandle, bound);
        Sandbox.Fails(ErrorKind.StaleHandle, () => sandbox.Pre.GetFunction("add"));
        Sandbox.Fails(ErrorKind.StaleHandle, () => sandbox.Linker.InstantiatePre(sandbox.Module));
        Sandbox.Fails(ErrorKind.StaleHandle, () => sandbox.Linker.DefineFunction("a", "b", () => { }));
        Sandbox.Fails(ErrorKind.StaleHandle, () => _ = sandbox.Module.Exports);
        Sandbox.Fails(ErrorKind.StaleHandle, () => _ = sandbox.Engine.LiveInstances);
        Sandbox.Fails(ErrorKind.StaleHandle, () => Module.FromText(sandbox.Engine, "(module)"));
        Sandbox.Fails(ErrorKind.StaleHandle, () => new Linker(sandbox.Engine));
    }

    [Fact]
    public void A_pre_with_live_instances_keeps_their_calls_working_after_dispose()
    {
        Sandbox sandbox = new();
        Instance instance = sandbox.Pre.Instantiate();
        Func<int> count = instance.GetFunction<int>("count");
        sandbox.Dispose();
        Assert.Equal(1, count());
        Sandbox.Fails(ErrorKind.StaleHandle, () => sandbox.Pre.Instantiate());
        instance.Dispose();
        Sandbox.Fails(ErrorKind.StaleHandle, () => count());
    }

    [Fact]
    public void Disposing_during_its_own_call_is_busy_and_harmless()
    {
        Instance? instance = null;
        using Sandbox sandbox = new(Blocking, linker => linker.DefineFunction("env", "block", () =>
            (int)Sandbox.Fails(ErrorKind.Busy, () => instance!.Dispose()).Kind));
        using (instance = sandbox.Pre.Instantiate())
        {
            Assert.Equal((int)ErrorKind.Busy, instance.GetFunction<int>("run")());
            Assert.Equal((int)ErrorKind.Busy, instance.GetFunction<int>("run")());
        }

        Assert.Equal(0, sandbox.Engine.LiveInstances);
    }

    [Fact]
    public void A_call_inside_its_own_call_without_the_caller_is_busy()
    {
        Instance? instance = null;
        using Sandbox sandbox = new(Blocking, linker => linker.DefineFunction("env", "block", () =>
            (int)Sandbox.Fails(ErrorKind.Busy, () => instance!.GetFunction<int>("run")()).Kind));
        using (instance = sandbox.Pre.Instantiate())
        {
            Assert.Equal((int)ErrorKind.Busy, instance.GetFunction<int>("run")());
        }
    }

    [Fact]
    public void A_second_thread_gets_busy_and_the_first_is_not_disturbed()
    {
        using ManualResetEventSlim entered = new(), release = new();
        using Sandbox sandbox = new(Blocking, linker => linker.DefineFunction("env", "block", () =>
        {
            entered.Set();
            return release.Wait(TimeSpan.FromSeconds(30)) ? 1 : 0;
        }));
        using Instance instance = sandbox.Pre.Instantiate();
        Task<int> first = Task.Factory.StartNew(() => instance.GetFunction<int>("run")(), TaskCreationOptions.LongRunning);
        try
        {
            Assert.True(entered.Wait(TimeSpan.FromSeconds(30)));
            Sandbox.Fails(ErrorKind.Busy, () => instance.GetFunction<int>("run")());
            Sandbox.Fails(ErrorKind.Busy, () => instance.Memory.Read(0, 1));
            Sandbox.Fails(ErrorKind.Busy, () => instance.Dispose());
            using Instance other = sandbox.Pre.Instantiate();
            Assert.Equal(0, other.Memory.Read(0, 1)[0]);
        }
        finally
        {
            release.Set();
        }

        Assert.Equal(1, first.Result);
    }

    [Fact]
    public void An_instance_may_move_between_threads()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        Func<int> count = instance.GetFunction<int>("count");
        for (int round = 1; round <= 20; round++)
        {
            int seen = 0;
            Thread thread = new(() => seen = count());
            thread.Start();
            thread.Join();
            Assert.Equal(round, seen);
        }
    }

    [Fact]
    public void Many_threads_share_a_pre()
    {
        using Sandbox sandbox = new();
        Func<int> count = sandbox.Pre.GetFunction<int>("count");
        Parallel.For(0, 8, worker =>
        {
            for (int round = 0; round < 2000; round++)
            {
                Assert.Equal(1, count());
                using Instance instance = sandbox.Pre.Instantiate(worker);
                Assert.Equal(worker, instance.Data);
                Assert.Equal(1, instance.GetFunction<int>("count")());
            }
        });
        Assert.Equal(0, sandbox.Engine.LiveInstances);
    }

    [Fact]
    public void Two_threads_that_dispose_at_once_release_once()
    {
        using Sandbox sandbox = new();
        for (int round = 0; round < 2000; round++)
        {
            Instance instance = sandbox.Pre.Instantiate(round);
            Parallel.Invoke(instance.Dispose, instance.Dispose);
            using Instance one = sandbox.Pre.Instantiate(1), two = sandbox.Pre.Instantiate(2);
            Assert.Equal(2, sandbox.Engine.LiveInstances);
        }
    }

    [Fact]
    public void Racing_uses_of_an_instance_succeed_or_are_busy_or_stale()
    {
        using Sandbox sandbox = new();
        for (int round = 0; round < 300; round++)
        {
            Instance instance = sandbox.Pre.Instantiate();
            Func<int, int, int> add = instance.GetFunction<int, int, int>("add");
            Parallel.For(0, 4, worker =>
            {
                for (int i = 0; i < 20; i++)
                {
                    try
                    {
                        if (worker == 3 && i == 10)
                        {
                            instance.Dispose();
                        }

                        Assert.Equal(i + worker, add(i, worker));
                    }
                    catch (InstarException error) when (error.Kind is ErrorKind.Busy or ErrorKind.StaleHandle)
                    {
                    }
                }
            });
            instance.Dispose();
        }

        Assert.Equal(0, sandbox.Engine.LiveInstances);
    }

    [Fact]
    public void Forgotten_instances_are_found_by_the_garbage_collector()
    {
        using Sandbox sandbox = new(options: new EngineOptions { MaxInstances = 500 });
        for (int round = 0; round < 20; round++)
        {
            Forget(sandbox.Pre, 400);
            HostFunctionTests.Collect();
            // The next instantiation closes what finalizers have given up.
            using Instance instance = sandbox.Pre.Instantiate();
            Assert.Equal(1, instance.GetFunction<int>("count")());
            Assert.InRange(sandbox.Engine.LiveInstances, 1, 100);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Forget(InstancePre pre, int count)
        {
            for (int i = 0; i < count; i++)
            {
                Instance instance = pre.Instantiate(new byte[100]);
                instance.Memory.WriteValue(1000, i);
                Assert.Equal(1, instance.GetFunction<int>("count")());
            }
        }
    }

    [Fact]
    public void Collections_during_calls_take_nothing_away()
    {
        using CancellationTokenSource stop = new();
        Task collector = Task.Factory.StartNew(
            () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                }
            },
            TaskCreationOptions.LongRunning);
        try
        {
            using Engine engine = new();
            for (int round = 0; round < 100; round++)
            {
                // Nothing but the delegate is kept: it must keep all the rest.
                Func<int, int> call = Make(engine, round);
                for (int i = 0; i < 20; i++)
                {
                    Assert.Equal(i + round, call(i));
                }
            }
        }
        finally
        {
            stop.Cancel();
            collector.Wait();
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static Func<int, int> Make(Engine engine, int round)
        {
            const string Guest = """
                (module (import "env" "f" (func $f (param i32) (result i32)))
                  (func (export "call") (param i32) (result i32) (call $f (local.get 0))))
                """;
            Linker linker = new(engine);
            linker.DefineFunction("env", "f", (Caller caller, int a) =>
            {
                object garbage = Enumerable.Range(0, 50).ToArray();
                GC.KeepAlive(garbage);
                return a + (int)caller.Data!;
            });
            InstancePre pre = linker.InstantiatePre(Module.FromText(engine, Guest));
            return round % 2 == 0 ? pre.GetFunction<int, int>("call", data: round) : pre.Instantiate(round).GetFunction<int, int>("call");
        }
    }

    [Fact]
    public void Engines_one_after_another_give_their_address_space_back()
    {
        UseOne();
        HostFunctionTests.Collect();
        long before = Mapped();
        for (int round = 0; round < 50; round++)
        {
            UseOne();
        }

        // Without a collection: Dispose is enough. One memory alone reserves more than 4 GiB.
        Assert.InRange(Mapped() - before, long.MinValue, 100L << 30);

        static void UseOne()
        {
            using Sandbox sandbox = new();
            using Instance instance = sandbox.Pre.Instantiate();
            instance.Memory.WriteValue(0, 1);
            Assert.Equal(1, sandbox.Pre.GetFunction<int>("count")());
        }

        static long Mapped()
        {
            using System.Diagnostics.Process process = System.Diagnostics.Process.GetCurrentProcess();
            return process.VirtualMemorySize64;
        }
    }

    [Fact]
    public void Host_exceptions_instances_and_calls_leave_no_memory_behind()
    {
        const string Guest = """
            (module (import "env" "f" (func $f (param i32)))
              (func (export "call") (param i32) (call $f (local.get 0))))
            """;
        using Sandbox sandbox = new(Guest, linker => linker.DefineFunction("env", "f", (int a) => throw new FormatException($"{a}")));
        Round(500);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        Round(3000);
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 100 << 20);

        void Round(int count)
        {
            for (int i = 0; i < count; i++)
            {
                using Instance instance = sandbox.Pre.Instantiate(new byte[50_000]);
                Assert.Throws<FormatException>(() => instance.GetAction<int>("call")(1));
                Assert.Throws<FormatException>(() => sandbox.Pre.GetAction<int>("call", new byte[50_000])(1));
            }
        }
    }

    private const string Blocking = """
        (module (import "env" "block" (func $block (result i32)))
          (memory (export "memory") 1)
          (func (export "run") (result i32) (call $block)))
        """;
}
