using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;

namespace Instar.Tests.Conformance;

/// <summary>The exception of the menu's <c>throw</c>.</summary>
internal sealed class Boom() : Exception("boom");

/// <summary>The menu of host functions, for one case.</summary>
internal sealed class HostMenu
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    /// <summary>What <c>record</c> saw.</summary>
    public List<Value> Recorded { get; } = [];

    /// <summary>The instances of the case, for <c>close</c>.</summary>
    public Dictionary<string, Instance> Instances { get; } = [];

    /// <summary>The object that <c>throw</c> threw last.</summary>
    public Boom? Thrown { get; private set; }

    /// <summary>Set while a <c>two_threads</c> runs.</summary>
    public (ManualResetEventSlim Entered, ManualResetEventSlim Release)? Gate { get; set; }

    public void Define(Linker linker, string module, string name, string host, string signature)
    {
        FunctionType type = FunctionType.Parse(signature);
        string argument = host.Contains(':') ? host[(host.IndexOf(':') + 1)..] : "";
        switch (host.Split(':')[0])
        {
            case "record":
                linker.DefineRaw(module, name, type, (_, slots) => Record(type, slots));
                break;
            case "add":
                linker.DefineFunction(module, name, (int a, int b) => unchecked(a + b));
                break;
            case "echo":
                linker.DefineRaw(module, name, type, (_, _) => { });
                break;
            case "data":
                linker.DefineFunction(module, name, (Caller caller) => (int)caller.Data!);
                break;
            case "throw":
                linker.DefineRaw(module, name, type, (_, _) => throw (Thrown = new Boom()));
                break;
            case "trap":
                linker.DefineRaw(module, name, type, (_, _) => throw new TrapException(Enum.Parse<TrapCode>(argument)));
                break;
            case "reenter":
                linker.DefineRaw(module, name, type, (caller, slots) => caller.Call(argument, slots));
                break;
            case "catch":
                linker.DefineRaw(module, name, type, (caller, slots) => slots[0] = Catch(caller, argument, slots));
                break;
            case "read_mem":
                linker.DefineFunction(module, name, (Caller caller, uint address, uint length) =>
                    caller.Memory.Read(address, length).Aggregate(0u, (sum, next) => unchecked(sum + next)));
                break;
            case "write_mem":
                linker.DefineFunction(module, name, (Caller caller, uint address, uint length, int value) =>
                    caller.Memory.Write(address, Enumerable.Repeat((byte)value, checked((int)length)).ToArray()));
                break;
            case "close":
                linker.DefineFunction(module, name, () => Close(argument));
                break;
            case "block":
                linker.DefineFunction(module, name, Block);
                break;
            default:
                throw new InvalidOperationException($"the menu has no {host}");
        }
    }

    private void Record(FunctionType type, ReadOnlySpan<ulong> slots)
    {
        lock (Recorded)
        {
            for (int i = 0; i < type.Parameters.Count; i++)
            {
                Recorded.Add(Value.From(type.Parameters[i], slots[i]));
            }
        }
    }

    private static ulong Catch(Caller caller, string export, ReadOnlySpan<ulong> arguments)
    {
        try
        {
            ulong[] slots = new ulong[Math.Max(arguments.Length, caller.GetFunctionType(export).SlotCount)];
            arguments.CopyTo(slots);
            caller.Call(export, slots);
            return 0;
        }
        catch (TrapException trap)
        {
            return (ulong)trap.TrapCode;
        }
        catch (InstarException error)
        {
            return 200 + (ulong)error.Kind;
        }
        catch (Boom)
        {
            return 100;
        }
    }

    private int Close(string name)
    {
        try
        {
            Instances[name].Dispose();
            return 0;
        }
        catch (InstarException error)
        {
            return (int)error.Kind;
        }
    }

    private int Block()
    {
        if (Gate is not var (entered, release))
        {
            return 0;
        }

        entered.Set();
        return release.Wait(s_patience) ? 1 : throw new TimeoutException("nobody set release");
    }
}
