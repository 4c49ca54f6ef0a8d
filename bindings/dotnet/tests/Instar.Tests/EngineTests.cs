using System.Linq;
using Xunit;

namespace Instar.Tests;

public class EngineTests
{
    [Fact]
    public void The_native_version_is_that_of_the_repository()
    {
        string cargo = System.IO.File.ReadAllText(Repository.Path("Cargo.toml"));
        string version = cargo.Split("[workspace.package]")[1].Split("version = \"")[1].Split('"')[0];
        Assert.Equal(version, Engine.NativeVersion);
    }

    [Theory]
    [InlineData(0, null, null, null)]
    [InlineData(null, 0, null, null)]
    [InlineData(null, null, -1L, null)]
    [InlineData(null, null, null, 1000L)]
    [InlineData(null, int.MaxValue, null, null)]
    public void Impossible_limits_are_config_errors(int? instances, int? pages, long? elements, long? stack) =>
        Sandbox.Fails(ErrorKind.Config, () => new Engine(new EngineOptions
        {
            MaxInstances = instances, MaxMemoryPages = pages, MaxTableElements = elements, MaxWasmStackBytes = stack,
        }));

    [Fact]
    public void Live_instances_are_counted()
    {
        using Sandbox sandbox = new();
        Assert.Equal(0, sandbox.Engine.LiveInstances);
        using (sandbox.Pre.Instantiate())
        using (sandbox.Pre.Instantiate())
        {
            Assert.Equal(2, sandbox.Engine.LiveInstances);
        }

        Assert.Equal(0, sandbox.Engine.LiveInstances);
    }

    [Fact]
    public void A_full_pool_is_an_error_until_an_instance_is_disposed()
    {
        using Sandbox sandbox = new(options: new EngineOptions { MaxInstances = 2 });
        Instance first = sandbox.Pre.Instantiate();
        using Instance second = sandbox.Pre.Instantiate();
        Sandbox.Fails(ErrorKind.PoolExhausted, () => sandbox.Pre.Instantiate());
        Sandbox.Fails(ErrorKind.PoolExhausted, () => sandbox.Pre.GetAction("nop")());
        first.Dispose();
        using Instance third = sandbox.Pre.Instantiate();
        Assert.Equal(3, third.GetFunction<int, int, int>("add")(1, 2));
    }

    [Fact]
    public void A_module_shows_its_imports_and_exports()
    {
        using Engine engine = new();
        using Module module = Module.FromText(engine, """
            (module (import "env" "log" (func (param i32)))
              (memory (export "memory") 1) (table (export "table") 1 funcref) (global (export "g") i32 (i32.const 1))
              (func (export "füge") (param i32 i64) (result f32) (f32.const 0)))
            """);
        Assert.Equal([new ModuleImport("env", "log", ExternKind.Function)], module.Imports);
        Assert.Equal(
            [
                new ModuleExport("memory", ExternKind.Memory), new ModuleExport("table", ExternKind.Table),
                new ModuleExport("g", ExternKind.Global), new ModuleExport("füge", ExternKind.Function),
            ],
            module.Exports.ToArray());
        Assert.Equal("(i32, i64) -> f32", module.GetFunctionType("füge").ToString());
        Sandbox.Fails(ErrorKind.MissingExport, () => module.GetFunctionType("no"));
        Sandbox.Fails(ErrorKind.MissingExport, () => module.GetFunctionType("memory"));
    }

    [Fact]
    public void A_long_export_name_is_read_whole()
    {
        string name = new('n', 5000);
        using Engine engine = new();
        using Module module = Module.FromText(engine, $"(module (func (export \"{name}\")))");
        Assert.Equal(name, Assert.Single(module.Exports).Name);
    }

    [Fact]
    public void Invalid_modules_are_refused_with_a_reason()
    {
        using Engine engine = new();
        Sandbox.Fails(ErrorKind.InvalidModule, () => Module.FromBytes(engine, [1, 2, 3]));
        Sandbox.Fails(ErrorKind.InvalidModule, () => Module.FromBytes(engine, []));
        InstarException error = Sandbox.Fails(ErrorKind.InvalidModule, () => Module.FromText(engine, "(module (func (result i32)))"));
        Assert.NotEmpty(error.Message);
    }

    [Fact]
    public void A_module_comes_from_bytes_or_a_file_too()
    {
        using Engine engine = new();
        byte[] empty = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
        using Module module = Module.FromBytes(engine, empty);
        Assert.Empty(module.Exports);
        string path = System.IO.Path.GetTempFileName();
        try
        {
            System.IO.File.WriteAllBytes(path, empty);
            using Module fromFile = Module.FromFile(engine, path);
            Assert.Empty(fromFile.Imports);
        }
        finally
        {
            System.IO.File.Delete(path);
        }

        Assert.Throws<System.IO.FileNotFoundException>(() => Module.FromFile(engine, path));
    }
}
