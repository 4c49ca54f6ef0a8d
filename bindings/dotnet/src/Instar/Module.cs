using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using Instar.Interop;
using ModuleHandle = Instar.Interop.ModuleHandle;

namespace Instar;

/// <summary>What kind of thing is imported or exported.</summary>
public enum ExternKind
{
    /// <summary>A function.</summary>
    Function = 1,

    /// <summary>A linear memory.</summary>
    Memory = 2,

    /// <summary>A table.</summary>
    Table = 3,

    /// <summary>A global.</summary>
    Global = 4,

    /// <summary>Something that this version has no name for.</summary>
    Other = 5,
}

/// <summary>An export of a module.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Kind">What it is.</param>
public readonly record struct ModuleExport(string Name, ExternKind Kind);

/// <summary>An import of a module.</summary>
/// <param name="Module">First half of its name.</param>
/// <param name="Name">Second half of its name.</param>
/// <param name="Kind">What it is.</param>
public readonly record struct ModuleImport(string Module, string Name, ExternKind Kind);

/// <summary>Compiled code. Immutable: all threads may use it at once.</summary>
/// <remarks>After Dispose it is <see cref="ErrorKind.StaleHandle"/>; pres made from it go on working.</remarks>
public sealed unsafe class Module : IDisposable
{
    private readonly ModuleHandle _handle;

    private Module(Engine engine, ModuleHandle handle)
    {
        Engine = engine;
        _handle = handle;
    }

    /// <summary>The engine that compiled it.</summary>
    public Engine Engine { get; }

    /// <summary>All exports, in the module's order.</summary>
    public IReadOnlyList<ModuleExport> Exports
    {
        get
        {
            List<ModuleExport> exports = [];
            for (ulong index = 0; ; index++)
            {
                ulong kind = 0;
                string name = Utf8.Read((buffer, capacity) =>
                {
                    ulong length, found;
                    RustCallStatus status;
                    RustCallStatus.Clear(&status);
                    status.Check(Native.module_export(_handle.Value, index, buffer, capacity, &length, &found, &status));
                    kind = found;
                    return kind == 0 ? 0 : length;
                });
                if (kind == 0)
                {
                    return exports;
                }

                exports.Add(new ModuleExport(name, (ExternKind)kind));
            }
        }
    }

    /// <summary>All imports, in the module's order.</summary>
    public IReadOnlyList<ModuleImport> Imports
    {
        get
        {
            List<ModuleImport> imports = [];
            for (ulong index = 0; ; index++)
            {
                ulong kind = 0, moduleLength = 0;
                string both = Utf8.Read((buffer, capacity) =>
                {
                    ulong length, first, found;
                    RustCallStatus status;
                    RustCallStatus.Clear(&status);
                    status.Check(Native.module_import(_handle.Value, index, buffer, capacity, &length, &first, &found, &status));
                    kind = found;
                    moduleLength = kind == 0 ? 0 : first;
                    return kind == 0 ? 0 : length;
                });
                if (kind == 0)
                {
                    return imports;
                }

                byte[] bytes = Encoding.UTF8.GetBytes(both);
                int split = (int)moduleLength;
                imports.Add(new ModuleImport(
                    Encoding.UTF8.GetString(bytes, 0, split), Encoding.UTF8.GetString(bytes, split, bytes.Length - split), (ExternKind)kind));
            }
        }
    }

    internal ulong Handle => _handle.Value;

    /// <summary>Compiles a module in the binary format.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.InvalidModule"/>, <see cref="ErrorKind.Unsupported"/> or <see cref="ErrorKind.Limit"/>.</exception>
    public static Module FromBytes(Engine engine, ReadOnlySpan<byte> bytes)
    {
        ArgumentNullException.ThrowIfNull(engine);
        ulong handle;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        fixed (byte* start = bytes)
        {
            status.Check(Native.module_new(engine.Handle, start, (ulong)bytes.Length, &handle, &status));
        }

        GC.KeepAlive(engine);
        return new Module(engine, new ModuleHandle(handle));
    }

    /// <summary>Compiles a file in the binary or the text format.</summary>
    /// <inheritdoc cref="FromBytes" path="/exception"/>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static Module FromFile(Engine engine, string path) => FromBytes(engine, File.ReadAllBytes(path));

    /// <summary>Compiles a module in the text format.</summary>
    /// <inheritdoc cref="FromBytes" path="/exception"/>
    public static Module FromText(Engine engine, string text) => FromBytes(engine, Encoding.UTF8.GetBytes(text));

    /// <summary>Type of an exported function.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.MissingExport"/>: there is no function of that name.</exception>
    public FunctionType GetFunctionType(string name)
    {
        byte[] utf8 = Utf8.Bytes(name, out ulong nameLength);
        return FunctionType.Parse(Utf8.Read((buffer, capacity) =>
        {
            ulong length;
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            fixed (byte* start = utf8)
            {
                status.Check(Native.module_func_signature(_handle.Value, start, nameLength, buffer, capacity, &length, &status));
            }

            return length;
        }));
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();
}
