using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace Instar.Tests.Conformance;

/// <summary>One line of the result file.</summary>
internal sealed record Line(string Case, string At, string Command, bool Passed, string Code, string Message);

/// <summary>Executes the commands of one case, as tests/conformance/README.md describes them.</summary>
internal sealed class CaseRunner : IDisposable
{
    private readonly string _case;
    private readonly Engine _engine;
    private readonly HostMenu _menu = new();
    private readonly Dictionary<string, Module> _modules = [];
    private readonly Dictionary<string, InstancePre> _pres = [];
    private readonly Dictionary<string, InstancePre> _origins = [];
    private readonly List<Line> _lines = [];

    private CaseRunner(string name, JsonElement config)
    {
        _case = name;
        int? Limit(string key) => config.TryGetProperty(key, out JsonElement value) ? value.GetInt32() : null;
        _engine = new Engine(new EngineOptions
        {
            MaxInstances = Limit("max_instances"),
            MaxMemoryPages = Limit("max_memory_pages"),
            MaxWasmStackBytes = Limit("max_wasm_stack"),
            Paranoid = true,
        });
    }

    /// <summary>Runs a case and says what it saw of each command.</summary>
    public static List<Line> Run(string path)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
        JsonElement root = document.RootElement;
        string? unknown = root.GetProperty("requires").EnumerateArray().Select(item => item.GetString()!).FirstOrDefault(ability => ability != "threads");
        if (unknown is not null)
        {
            throw new InvalidOperationException($"this runner does not know the ability {unknown}");
        }

        using CaseRunner runner = new(root.GetProperty("name").GetString()!, root.GetProperty("config"));
        int index = 0;
        foreach (JsonElement command in root.GetProperty("commands").EnumerateArray())
        {
            runner.Command($"{index++}", command);
        }

        return runner._lines;
    }

    public void Dispose()
    {
        foreach (InstancePre pre in _pres.Values)
        {
            pre.Dispose();
        }

        foreach (Module module in _modules.Values)
        {
            module.Dispose();
        }

        _engine.Dispose();
    }

    /// <summary>Executes a command and writes its line. The first failure of a repeated command stays.</summary>
    private bool Command(string at, JsonElement command)
    {
        string name = Text(command, "type");
        Line line;
        try
        {
            line = new Line(_case, at, name, true, Execute(at, command), "");
        }
        catch (Exception exception)
        {
            line = new Line(_case, at, name, false, CodeOf(exception), exception.Message);
        }

        int old = _lines.FindIndex(seen => seen.At == at);
        if (old < 0)
        {
            _lines.Add(line);
        }
        else if (_lines[old].Passed)
        {
            _lines[old] = line;
        }

        return line.Passed;
    }

    /// <summary>Executes a command; gives the code that an assert observed.</summary>
    private string Execute(string at, JsonElement command)
    {
        switch (Text(command, "type"))
        {
            case "compile":
                Compile(command);
                break;
            case "pre":
                MakePre(command);
                break;
            case "instantiate":
                InstancePre origin = _pres[Text(command, "pre")];
                _menu.Instances[Text(command, "as")] = origin.Instantiate(Data(command));
                _origins[Text(command, "as")] = origin;
                break;
            case "call":
                Call(_menu.Instances[Text(command, "instance")], _origins[Text(command, "instance")], command);
                break;
            case "pre_call":
                Call(_pres[Text(command, "pre")], _pres[Text(command, "pre")], command);
                break;
            case "call_raw":
                CallRaw(_menu.Instances[Text(command, "instance")], _origins[Text(command, "instance")], command);
                break;
            case "call_bytes":
                CheckBytes(command, _menu.Instances[Text(command, "instance")].CallBytes(Text(command, "field"), Bytes(command.GetProperty("input"))));
                break;
            case "pre_call_bytes":
                CheckBytes(command, _pres[Text(command, "pre")].CallBytes(Text(command, "field"), Bytes(command.GetProperty("input")), Data(command)));
                break;
            case "drop":
                _menu.Instances[Text(command, "instance")].Dispose();
                break;
            case "mem_size":
                long size = _menu.Instances[Text(command, "instance")].Memory.Size;
                Expect(!command.TryGetProperty("expected", out JsonElement bytes) || bytes.GetInt64() == size, $"the memory has {size} bytes");
                break;
            case "mem_read":
                ReadMemory(_menu.Instances[Text(command, "instance")].Memory, command);
                break;
            case "mem_write":
                _menu.Instances[Text(command, "instance")].Memory.Write(Offset(command), Convert.FromHexString(Text(command, "hex")));
                break;
            case "live":
                long live = _engine.LiveInstances;
                Expect(live == command.GetProperty("expected").GetInt64(), $"{live} instances are alive");
                break;
            case "assert_recorded":
                Value[] recorded = [.. _menu.Recorded];
                _menu.Recorded.Clear();
                Compare("recorded", Value.List(command, "values"), recorded);
                break;
            case "repeat":
                Repeat(at, command);
                break;
            case "two_threads":
                TwoThreads(at, command);
                break;
            case "assert_trap":
                return Assert(command, Text(command, "code"), error => error is TrapException trap && trap.TrapCode.ToString() == Text(command, "code"));
            case "assert_error":
                return Assert(command, Text(command, "kind"), error => error is InstarException instar && instar.Kind.ToString() == Text(command, "kind"));
            case "assert_throw":
                return Assert(command, "the host's exception", error => ReferenceEquals(error, _menu.Thrown) && error.Message == Text(command, "message"));
            default:
                throw new InvalidOperationException("there is no such command");
        }

        return "";
    }

    private void Compile(JsonElement command)
    {
        Module module = command.TryGetProperty("filename", out JsonElement file)
            ? Module.FromFile(_engine, Repository.Path("tests", "conformance", "modules", file.GetString()!))
            : command.TryGetProperty("text", out JsonElement text)
                ? Module.FromText(_engine, text.GetString()!)
                : Module.FromBytes(_engine, Convert.FromHexString(Text(command, "hex")));
        Replace(_modules, Text(command, "as"), module);
    }

    private void MakePre(JsonElement command)
    {
        using Linker linker = new(_engine);
        foreach (JsonProperty import in command.GetProperty("imports").EnumerateObject())
        {
            string[] name = import.Name.Split('.', 2);
            _menu.Define(linker, name[0], name[1], Text(import.Value, "host"), Text(import.Value, "sig"));
        }

        Replace(_pres, Text(command, "as"), linker.InstantiatePre(_modules[Text(command, "module")]));
    }

    private static void Call(object target, InstancePre origin, JsonElement command)
    {
        string field = Text(command, "field");
        ExportFunction function = origin.GetFunction(field);
        Value[] args = Value.List(command, "args");
        object? data = target is InstancePre ? Data(command) : null;
        ulong[]? results = TypedCall.Invoke(target, field, function.Type, args, data);
        if (results is null)
        {
            results = Slots(function, args);
            if (target is Instance instance)
            {
                instance.Call(function, results);
            }
            else
            {
                origin.Call(function, results, data);
            }
        }

        CheckResults(command, function, results);
    }

    private static void CallRaw(Instance instance, InstancePre origin, JsonElement command)
    {
        ExportFunction function = origin.GetFunction(Text(command, "field"));
        ulong[] slots = Slots(function, Value.List(command, "args"));
        instance.Call(function, slots);
        CheckResults(command, function, slots);
    }

    private static ulong[] Slots(ExportFunction function, Value[] args)
    {
        ulong[] slots = args.SelectMany(arg => arg.Slots).ToArray();
        if (slots.Length == new FunctionType(function.Type.Parameters, []).SlotCount)
        {
            Array.Resize(ref slots, function.Type.SlotCount);
        }

        return slots;
    }

    private static void ReadMemory(Memory memory, JsonElement command)
    {
        string? hex = command.TryGetProperty("hex", out JsonElement expected) ? expected.GetString()! : null;
        long length = command.TryGetProperty("len", out JsonElement len) ? unchecked((long)len.GetUInt64()) : hex!.Length / 2;
        string actual = Convert.ToHexString(memory.Read(Offset(command), length)).ToLowerInvariant();
        Expect(hex is null || hex == actual, $"the memory has {actual}");
    }

    private void Repeat(string at, JsonElement command)
    {
        for (int round = 0; round < command.GetProperty("count").GetInt32(); round++)
        {
            int index = 0;
            foreach (JsonElement inner in command.GetProperty("body").EnumerateArray())
            {
                string innerAt = $"{at}.{index++}";
                Expect(Command(innerAt, inner), $"command {innerAt} failed in round {round}");
            }
        }
    }

    private void TwoThreads(string at, JsonElement command)
    {
        string name = Text(command, "instance");
        using ManualResetEventSlim entered = new(), release = new();
        _menu.Gate = (entered, release);
        Instance instance = _menu.Instances[name];
        InstancePre origin = _origins[name];
        JsonElement call = command.Clone();
        Task first = Task.Factory.StartNew(() => Call(instance, origin, call), TaskCreationOptions.LongRunning);
        try
        {
            if (entered.Wait(TimeSpan.FromSeconds(30)))
            {
                int index = 0;
                foreach (JsonElement inner in command.GetProperty("during").EnumerateArray())
                {
                    Command($"{at}.{index++}", inner);
                }
            }
        }
        finally
        {
            release.Set();
        }

        first.GetAwaiter().GetResult();
        _menu.Gate = null;
    }

    private string Assert(JsonElement command, string wanted, Func<Exception, bool> isIt)
    {
        try
        {
            Execute("", command.GetProperty("action"));
        }
        catch (Exception error) when (isIt(error))
        {
            return CodeOf(error);
        }

        throw new Mismatch($"expected {wanted}, but it succeeded");
    }

    private static void CheckResults(JsonElement command, ExportFunction function, ulong[] slots)
    {
        if (command.TryGetProperty("expected", out _))
        {
            Compare(
                function.Name,
                Value.List(command, "expected"),
                Value.List(function.Type.Results, slots));
        }
    }

    private static void Compare(string what, Value[] expected, Value[] actual) => Expect(
        expected.Length == actual.Length && expected.Zip(actual).All(pair => pair.First.Matches(pair.Second)),
        $"{what}: expected {string.Join(" ", expected)}, got {string.Join(" ", actual)}");

    private static void CheckBytes(JsonElement command, byte[] actual)
    {
        if (command.TryGetProperty("expected", out JsonElement expected))
        {
            Expect(Bytes(expected).AsSpan().SequenceEqual(actual), $"got {actual.Length} other bytes");
        }
    }

    private static void Expect(bool condition, string otherwise)
    {
        if (!condition)
        {
            throw new Mismatch(otherwise);
        }
    }

    private static byte[] Bytes(JsonElement element)
    {
        byte[] once = element.TryGetProperty("text", out JsonElement text)
            ? Encoding.UTF8.GetBytes(text.GetString()!)
            : Convert.FromHexString(Text(element, "hex"));
        int repeat = element.TryGetProperty("repeat", out JsonElement count) ? count.GetInt32() : 1;
        return Enumerable.Repeat(once, repeat).SelectMany(bytes => bytes).ToArray();
    }

    private static object Data(JsonElement command) => command.TryGetProperty("data", out JsonElement data) ? data.GetInt32() : 0;

    private static long Offset(JsonElement command) => unchecked((long)command.GetProperty("offset").GetUInt64());

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;

    private static string CodeOf(Exception exception) => exception switch
    {
        TrapException trap => trap.TrapCode.ToString(),
        InstarException error => error.Kind.ToString(),
        Boom => nameof(ErrorKind.Host),
        _ => "",
    };

    // What has a new name is released; instances made from it go on.
    private static void Replace<T>(Dictionary<string, T> named, string name, T value)
        where T : IDisposable
    {
        if (named.Remove(name, out T? old))
        {
            old.Dispose();
        }

        named[name] = value;
    }

    private sealed class Mismatch(string message) : Exception(message);
}
