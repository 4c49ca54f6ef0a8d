using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using Instar;
using Instar.Bench;

// What the facade costs over a hand-written P/Invoke stub, in one process: one line of JSON per case.
//   dotnet run -c Release --project bindings/dotnet/bench -f net10.0 [filter]
const int Rounds = 300;
const string Guest = """
    (module (import "env" "next" (func $next (param i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
      (func (export "store") (param i32) (result i32) (i32.store (i32.const 64) (local.get 0)) (local.get 0))
      (func (export "ask") (param i32) (result i32) (call $next (local.get 0)))
      (func (export "alloc") (param i32) (result i32) (i32.const 1024))
      (func (export "echo") (param i32 i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))
    """;

string filter = args.Length > 0 ? args[0] : "";
using Engine engine = new();
using Module module = Module.FromText(engine, Guest);
using Linker linker = new(engine);
using InstancePre pre = linker.DefineFunction("env", "next", (int x) => x + 1).InstantiatePre(module);
Stub.Load(Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", "libinstar_ffi.so"));
Peer peer = new(Stub.Pre(Guest));

using Instance instance = pre.Instantiate();
Func<int, int, int> add = instance.GetFunction<int, int, int>("add");
Func<int, int> ask = instance.GetFunction<int, int>("ask");
Func<int, int> freshStore = pre.GetFunction<int, int>("store");
ExportFunction store = pre.GetFunction("store");
byte[] input = new byte[100];
byte[] sixteen = new byte[16];
object data = new();

Case("call a function of a live instance", () => add(1, 2), peer.Add);
Case("call a guest that calls the host", () => ask(1), peer.Ask);
Case("create + call + drop, one crossing", () => freshStore(7), peer.FreshStore);
Case("create + call + drop, instance object", CreateCallDrop, peer.CreateCallDrop);
Case("create + call + drop, with data", CreateCallDropWithData, peer.CreateCallDrop);
Case("bytes in and out, 100 bytes, fresh instance", () => pre.CallBytes("echo", input).Length, peer.Echo);
Case("read 16 bytes of memory", ReadMemory, peer.ReadMemory);

int CreateCallDrop()
{
    using Instance fresh = pre.Instantiate();
    return fresh.Call<int, int>(store, 7);
}

int CreateCallDropWithData()
{
    using Instance fresh = pre.Instantiate(data);
    return fresh.Call<int, int>(store, 7);
}

int ReadMemory()
{
    instance.Memory.Read(0, sixteen);
    return sixteen[3];
}

void Case(string name, Func<int> facade, Func<int> stub)
{
    if (!name.Contains(filter))
    {
        return;
    }

    // Both take turns, in rounds shorter than the scheduler's time slices; the least disturbed one counts.
    int count = Calibrate(facade);
    double ours = double.MaxValue, theirs = double.MaxValue;
    for (int round = 0; round < Rounds; round++)
    {
        ours = Math.Min(ours, Measure(facade, count));
        theirs = Math.Min(theirs, Measure(stub, count));
    }

    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{{\"case\":\"{name}\",\"unit\":\"ns\",\"instar\":{ours:F1},\"peer\":{theirs:F1},\"peer_name\":\"P/Invoke stub\"}}"));
}

// As many calls as take some 1 ms, after enough of them for the JIT's last tier.
static int Calibrate(Func<int> action)
{
    Stopwatch warm = Stopwatch.StartNew();
    while (warm.ElapsedMilliseconds < 400)
    {
        Measure(action, 1000);
    }

    return Math.Max(1000, (int)(1e6 / Measure(action, 20_000)));
}

static double Measure(Func<int> action, int count)
{
    int sum = 0;
    long start = Stopwatch.GetTimestamp();
    for (int i = 0; i < count; i++)
    {
        sum += action();
    }

    double elapsed = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
    GC.KeepAlive(sum);
    return elapsed / count;
}
