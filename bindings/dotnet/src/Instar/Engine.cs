using System;
using Instar.Interop;

namespace Instar;

/// <summary>Limits of an <see cref="Engine"/>. What is null has its default, which is the fast path.</summary>
public sealed record EngineOptions
{
    /// <summary>How many instances may be alive at a time. Default 10 000.</summary>
    public int? MaxInstances { get; init; }

    /// <summary>Largest size of a linear memory in pages of 64 KiB, whatever the module allows. Default 65 536 (4 GiB); 64-bit memories can use more.</summary>
    public int? MaxMemoryPages { get; init; }

    /// <summary>Largest number of elements of a table, whatever the module allows. Default 1 000 000.</summary>
    public long? MaxTableElements { get; init; }

    /// <summary>Stack that guest code may use, in bytes. Default 512 KiB, at least 16 KiB.</summary>
    public long? MaxWasmStackBytes { get; init; }

    /// <summary>Compare every slot with its image after each reset and abort the process on a difference. Slow; for tests.</summary>
    public bool Paranoid { get; init; }
}

/// <summary>Compiler and pools. Make one and share it: all threads may use it at once.</summary>
/// <remarks>
/// After Dispose the engine makes nothing new (<see cref="ErrorKind.StaleHandle"/>). Modules, linkers, pres and instances made from
/// it go on working and keep what they need of it.
/// </remarks>
public sealed unsafe class Engine : IDisposable
{
    private readonly EngineHandle _handle;

    /// <summary>An engine with these limits.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.Config"/>: a limit is not possible.</exception>
    public Engine(EngineOptions? options = null)
    {
        options ??= new EngineOptions();
        ulong handle;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        status.Check(Native.engine_new(
            Limit(options.MaxInstances, nameof(options.MaxInstances)),
            Limit(options.MaxMemoryPages, nameof(options.MaxMemoryPages)),
            Limit(options.MaxTableElements, nameof(options.MaxTableElements)),
            Limit(options.MaxWasmStackBytes, nameof(options.MaxWasmStackBytes)),
            options.Paranoid ? 1ul : 0,
            &handle,
            &status));
        _handle = new EngineHandle(handle);
    }

    /// <summary>Version of the native library.</summary>
    public static string NativeVersion => Utf8.Read((buffer, capacity) =>
    {
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        return Native.library_version(buffer, capacity, &status);
    });

    /// <summary>How many instances are alive now. Forgotten ones count until the garbage collector has found them.</summary>
    public long LiveInstances
    {
        get
        {
            ulong count;
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            status.Check(Native.engine_live_instances(_handle.Value, &count, &status));
            GC.KeepAlive(this);
            return (long)count;
        }
    }

    internal ulong Handle => _handle.Value;

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    // Native code takes 0 for the default.
    private static ulong Limit(long? value, string name) => value switch
    {
        null => 0,
        > 0 => (ulong)value.Value,
        _ => throw new InstarException(ErrorKind.Config, $"{name} is {value}; it must be at least 1"),
    };
}
