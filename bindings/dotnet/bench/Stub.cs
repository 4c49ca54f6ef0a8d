using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

[assembly: DisableRuntimeMarshalling]
[module: SkipLocalsInit]

namespace Instar.Bench;

/// <summary>The least C# that can use the native library: what the facade is measured against. No checks beyond error codes.</summary>
internal static unsafe class Stub
{
    private const string Library = "instar_ffi";
    private const string Prefix = "uniffi_instar_ffi_fn_func_";

    /// <summary>Code, and a buffer that is only there when the code is not 0. To clear it whole would be twice as slow (AVX).</summary>
    public struct Status
    {
        public long Code;
        public ulong Capacity, Length, Data;
    }

    [DllImport(Library, EntryPoint = Prefix + "engine_new")]
    private static extern ulong engine_new(ulong instances, ulong pages, ulong elements, ulong stack, ulong flags, ulong* engine, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "module_new")]
    private static extern ulong module_new(ulong engine, byte* bytes, ulong length, ulong* module, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "linker_new")]
    private static extern ulong linker_new(ulong engine, ulong* linker, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "linker_func")]
    private static extern ulong linker_func(
        ulong linker, byte* module, ulong moduleLength, byte* name, ulong nameLength, byte* sig, ulong sigLength,
        delegate* unmanaged[Cdecl]<ulong, ulong, ulong*, uint, ulong> callback, ulong context, ulong release, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "linker_instantiate_pre")]
    private static extern ulong linker_instantiate_pre(ulong linker, ulong module, ulong* pre, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "pre_func")]
    private static extern ulong pre_func(ulong pre, byte* name, ulong length, ulong* func, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "pre_bytes_func")]
    private static extern ulong pre_bytes_func(ulong pre, byte* name, ulong length, ulong* func, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "pre_memory")]
    private static extern ulong pre_memory(ulong pre, byte* name, ulong length, ulong* memory, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "pre_call")]
    public static extern ulong pre_call(ulong func, ulong data, ulong* slots, ulong count, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "pre_call_bytes")]
    public static extern ulong pre_call_bytes(
        ulong func, ulong data, byte* input, ulong length, byte* output, ulong capacity, ulong* outPtr, ulong* outLength, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "pre_instantiate")]
    public static extern ulong pre_instantiate(ulong pre, ulong data, ulong* cell, ulong* id, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "instance_call")]
    public static extern ulong instance_call(ulong func, ulong cell, ulong id, ulong* slots, ulong count, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "instance_close")]
    public static extern ulong instance_close(ulong pre, ulong cell, ulong id, Status* status);

    [DllImport(Library, EntryPoint = Prefix + "instance_memory_read")]
    public static extern ulong instance_memory_read(ulong memory, ulong cell, ulong id, ulong address, byte* output, ulong length, Status* status);

    /// <summary>Uses the library that the facade has loaded.</summary>
    public static void Load(string path) =>
        NativeLibrary.SetDllImportResolver(typeof(Stub).Assembly, (_, _, _) => NativeLibrary.Load(path));

    public static ulong Pre(string text)
    {
        Status status;
        status.Code = 0;
        ulong engine, module, linker, pre;
        Check(engine_new(0, 0, 0, 0, 0, &engine, &status));
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        fixed (byte* start = bytes)
        {
            Check(module_new(engine, start, (ulong)bytes.Length, &module, &status));
        }

        Check(linker_new(engine, &linker, &status));
        ReadOnlySpan<byte> env = "env"u8, name = "next"u8, sig = "i:i"u8;
        fixed (byte* envStart = env, nameStart = name, sigStart = sig)
        {
            Check(linker_func(
                linker, envStart, (ulong)env.Length, nameStart, (ulong)name.Length, sigStart, (ulong)sig.Length, &Next, 0, 0, &status));
        }

        Check(linker_instantiate_pre(linker, module, &pre, &status));
        return pre;
    }

    public static ulong Function(ulong pre, ReadOnlySpan<byte> name) => Token(&pre_func, pre, name);

    public static ulong BytesFunction(ulong pre, ReadOnlySpan<byte> name) => Token(&pre_bytes_func, pre, name);

    public static ulong Memory(ulong pre, ReadOnlySpan<byte> name) => Token(&pre_memory, pre, name);

    public static void Check(ulong error)
    {
        if (error != 0)
        {
            throw new InvalidOperationException($"native error {error}");
        }
    }

    private static ulong Token(delegate*<ulong, byte*, ulong, ulong*, Status*, ulong> make, ulong pre, ReadOnlySpan<byte> name)
    {
        Status status;
        status.Code = 0;
        ulong token;
        fixed (byte* start = name)
        {
            Check(make(pre, start, (ulong)name.Length, &token, &status));
        }

        return token;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static ulong Next(ulong context, ulong caller, ulong* slots, uint count)
    {
        *slots = (uint)*slots + 1;
        return 0;
    }
}
