using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using Xunit;

namespace Instar.Tests.Conformance;

/// <summary>The cases that all languages share: one test per file, and <c>target/conformance/dotnet.jsonl</c>.</summary>
public sealed class ConformanceTests(ConformanceTests.Results results) : IClassFixture<ConformanceTests.Results>
{
    public static TheoryData<string> Cases()
    {
        TheoryData<string> names = [];
        foreach (string path in Directory.EnumerateFiles(Repository.Path("tests", "conformance", "cases"), "*.json").Order(StringComparer.Ordinal))
        {
            names.Add(Path.GetFileNameWithoutExtension(path));
        }

        return names;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Case(string name)
    {
        List<Line> lines = CaseRunner.Run(Repository.Path("tests", "conformance", "cases", name + ".json"));
        results.Add(lines);
        Assert.Empty(lines.Where(line => !line.Passed).Select(line => $"{line.At} {line.Command}: {line.Code} {line.Message}"));
    }

    /// <summary>Collects the lines of all cases and writes them at the end.</summary>
    public sealed class Results : IDisposable
    {
        private readonly List<Line> _lines = [];

        internal void Add(List<Line> lines) => _lines.AddRange(lines);

        public void Dispose()
        {
            // Two runtimes run the same tests: the newer one's results are the language's.
            if (Environment.Version.Major < 10)
            {
                return;
            }

            string folder = Repository.Path("target", "conformance");
            Directory.CreateDirectory(folder);
            using StreamWriter file = new(Path.Combine(folder, "dotnet.jsonl"));
            foreach (Line line in _lines.OrderBy(line => line.Case, StringComparer.Ordinal))
            {
                file.Write(JsonSerializer.Serialize(new Dictionary<string, string>
                {
                    ["case"] = line.Case, ["line"] = line.At, ["cmd"] = line.Command, ["result"] = line.Passed ? "pass" : "fail",
                    ["code"] = line.Code, ["msg"] = line.Message,
                }));
                file.Write('\n');
            }
        }
    }
}
