using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Instar;

// Renders Markdown in a guest, each request in a fresh instance: Demo [requests]. Prints one line of JSON.
int requests = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 200_000;
string root = Checkout();
string guests = Path.Combine(root, "target", "guests");

using Engine engine = new();
using Linker linker = new(engine);
(byte[] Input, byte[] Expected)[] cases = Directory
    .EnumerateFiles(Path.Combine(root, "tests", "guests", "markdown", "cases"), "*.md")
    .Order(StringComparer.Ordinal)
    .Select(path => (File.ReadAllBytes(path), File.ReadAllBytes(Path.ChangeExtension(path, ".html"))))
    .ToArray();
if (cases.Length == 0)
{
    throw new InvalidOperationException("tests/guests/markdown/cases has no .md files");
}

using Module markdown = Module.FromFile(engine, Path.Combine(guests, "markdown.wasm"));
using InstancePre renderer = linker.InstantiatePre(markdown);

// What the first requests do is not what the others do: compile C# and touch the memory before the clock runs.
Render(Math.Min(requests, 2_000));
Stopwatch watch = Stopwatch.StartNew();
Render(requests);
double seconds = watch.Elapsed.TotalSeconds;

bool secretGone = SecretIsGone();
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"{{\"language\":\"dotnet\",\"requests\":{requests},\"seconds\":{seconds:F3},\"ns_per_request\":{seconds * 1e9 / requests:F0}," +
    $"\"rate\":{requests / seconds:F0},\"secret_gone\":{(secretGone ? "true" : "false")}}}"));
return secretGone ? 0 : 1;

void Render(int count)
{
    for (int i = 0; i < count; i++)
    {
        (byte[] input, byte[] expected) = cases[i % cases.Length];
        byte[] html = renderer.CallBytes("render", input);
        if (!html.AsSpan().SequenceEqual(expected))
        {
            throw new InvalidOperationException(
                $"request {i} gave\n{Encoding.UTF8.GetString(html)}\ninstead of\n{Encoding.UTF8.GetString(expected)}");
        }
    }
}

// One instance writes a secret all over its memory; the next one, in the same slot, looks for it.
bool SecretIsGone()
{
    using Module misbehave = Module.FromFile(engine, Path.Combine(guests, "misbehave.wasm"));
    using InstancePre pre = linker.InstantiatePre(misbehave);
    for (int secret = 1; secret <= 100; secret++)
    {
        using (Instance tenant = pre.Instantiate())
        {
            tenant.GetAction<int>("leave_secret")(secret);
        }

        using Instance next = pre.Instantiate();
        if (next.GetFunction<int>("find_secret")() != 0)
        {
            return false;
        }
    }

    return true;
}

static string Checkout()
{
    DirectoryInfo? folder = new(AppContext.BaseDirectory);
    while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Cargo.toml")))
    {
        folder = folder.Parent;
    }

    return folder?.FullName ?? throw new DirectoryNotFoundException("run the demo from a checkout of Instar");
}
