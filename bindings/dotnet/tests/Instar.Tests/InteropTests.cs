using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text.RegularExpressions;
using Instar.Interop;
using Xunit;

namespace Instar.Tests;

public class InteropTests
{
    [Fact]
    public void Native_functions_are_those_of_the_header()
    {
        string header = File.ReadAllText(Repository.Path("bindings", "uniffi", "include", "instar_ffi.h"));
        var expected = Regex.Matches(header, @"uniffi_instar_ffi_fn_func_(\w+)\((.*?)\);")
            .Select(match => $"{match.Groups[1].Value}/{match.Groups[2].Value.Split(',').Length}")
            .Order();
        var actual = typeof(Native).GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.DeclaredOnly)
            .Where(method => method.Name != nameof(Native.rustbuffer_free))
            .Select(method => $"{method.Name}/{method.GetParameters().Length}")
            .Order();
        Assert.Equal(expected, actual);
    }

    [Fact]
    public void Error_kinds_and_trap_codes_are_those_of_the_core()
    {
        string source = File.ReadAllText(Repository.Path("core", "src", "error.rs"));
        string[] numbers = Regex.Matches(source, "^        (\\w+) = (\\d+), \"", RegexOptions.Multiline)
            .Select(match => $"{match.Groups[1].Value}={match.Groups[2].Value}").ToArray();
        string[] ours = [
            .. Enum.GetValues<ErrorKind>().Select(kind => $"{kind}={(int)kind}"),
            .. Enum.GetValues<TrapCode>().Select(code => $"{code}={(int)code}")];
        Assert.Equal(numbers, ours);
    }

    [Fact]
    public void Signatures_are_packed_and_unpacked()
    {
        foreach (string text in new[] { ":", "i:", ":I", "iIfF:F", "iiiiiiii:i", "FFFFFFFF:" })
        {
            Assert.Equal(text, Slot.Unpack(Slot.Pack(System.Text.Encoding.ASCII.GetBytes(text))));
        }

        foreach (string text in new[] { "iiiiiiiii:", ":ii", "v:", ":e" })
        {
            Assert.Equal(Slot.Unpackable, Slot.Pack(System.Text.Encoding.ASCII.GetBytes(text)));
        }

        Assert.Equal(
            Slot.Pack("iIfF:I"u8),
            Slot.Param<int>(1) | Slot.Param<ulong>(2) | Slot.Param<float>(3) | Slot.Param<double>(4) | Slot.Result<long>());
    }
}
