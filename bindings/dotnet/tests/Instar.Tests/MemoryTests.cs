using System;
using Xunit;

namespace Instar.Tests;

public class MemoryTests
{
    [Fact]
    public void Memory_is_read_and_written_by_copies()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        Assert.Equal(65536, instance.Memory.Size);
        Assert.Equal("hello", instance.Memory.ReadString(16, 5));
        instance.Memory.Write(16, [1, 2, 3]);
        Assert.Equal([1, 2, 3, (byte)'l'], instance.Memory.Read(16, 4));
        instance.Memory.WriteValue(64, 0x0123456789abcdefL);
        Assert.Equal(0x89abcdef, instance.Memory.ReadValue<uint>(64));
        Assert.Equal(5, instance.Memory.WriteString(100, "grüß"[..3] + "t"));
        Assert.Equal("grüt", instance.Memory.ReadString(100, 5));
        Span<byte> whole = new byte[65536];
        instance.Memory.Read(0, whole);
        Assert.Equal(2, whole[17]);
        Assert.Equal(2, instance.GetMemory("memory").Read(17, 1)[0]);
    }

    [Fact]
    public void A_fresh_instance_has_the_modules_memory_again()
    {
        using Sandbox sandbox = new(options: new EngineOptions { MaxInstances = 1 });
        for (int round = 0; round < 10; round++)
        {
            using Instance instance = sandbox.Pre.Instantiate();
            Assert.Equal("hello", instance.Memory.ReadString(16, 5));
            Assert.Equal(0, instance.Memory.ReadValue<int>(40000));
            instance.Memory.Write(16, new byte[8]);
            instance.Memory.WriteValue(40000, -1);
            Assert.Equal(1, instance.Memory.Grow(1));
        }
    }

    [Fact]
    public void What_reaches_beyond_the_memory_is_out_of_bounds()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        Assert.Empty(instance.Memory.Read(65536, 0));
        foreach (long address in new[] { 65536L, 65533, -1, -4, long.MinValue, uint.MaxValue, long.MaxValue })
        {
            Sandbox.Fails(ErrorKind.OutOfBounds, () => instance.Memory.Read(address, 4));
            Sandbox.Fails(ErrorKind.OutOfBounds, () => instance.Memory.Write(address, new byte[4]));
            Sandbox.Fails(ErrorKind.OutOfBounds, () => instance.Memory.ReadValue<int>(address));
        }

        foreach (long length in new[] { 65537L, 1L << 31, 1L << 40, long.MaxValue, -1 })
        {
            Sandbox.Fails(ErrorKind.OutOfBounds, () => instance.Memory.Read(0, length));
        }
    }

    [Fact]
    public void Memory_grows_up_to_its_limit()
    {
        using Sandbox sandbox = new();
        using Instance instance = sandbox.Pre.Instantiate();
        Assert.Equal(1, instance.Memory.Grow(2));
        Assert.Equal(3 * 65536, instance.Memory.Size);
        Sandbox.Fails(ErrorKind.Limit, () => instance.Memory.Grow(2));
        Assert.Equal(3, instance.GetFunction<int, int>("grow")(1));
        Assert.Equal(4 * 65536, instance.Memory.Size);
    }

    [Fact]
    public void A_memory_that_is_not_exported_is_missing()
    {
        using Sandbox sandbox = new("(module (memory 1) (func (export \"memory2\")))");
        using Instance instance = sandbox.Pre.Instantiate();
        Sandbox.Fails(ErrorKind.MissingExport, () => _ = instance.Memory.Size);
        Sandbox.Fails(ErrorKind.MissingExport, () => _ = instance.GetMemory("memory2").Size);
    }
}
