using System;
using System.Collections.Generic;
using Instar.Interop;

namespace Instar;

/// <summary>A host function over 8-byte slots: parameters in, results out from slot 0; i32 and f32 in the low half.</summary>
/// <param name="caller">The instance that called. It cannot be kept.</param>
/// <param name="slots">As many as <see cref="FunctionType.SlotCount"/>.</param>
public delegate void RawHostFunction(Caller caller, Span<ulong> slots);

/// <summary>Names for host functions, to resolve a module's imports with. Define on one thread at a time.</summary>
/// <remarks>
/// Host functions live as long as the linker or a pre made from it. After Dispose the linker is
/// <see cref="ErrorKind.StaleHandle"/>; pres made from it go on working.
/// </remarks>
public sealed unsafe partial class Linker : IDisposable
{
    private readonly LinkerHandle _handle;
    private readonly List<HostFunction> _functions = [];

    /// <summary>A linker without definitions.</summary>
    public Linker(Engine engine)
    {
        ArgumentNullException.ThrowIfNull(engine);
        Engine = engine;
        ulong handle;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        status.Check(Native.linker_new(engine.Handle, &handle, &status));
        GC.KeepAlive(engine);
        _handle = new LinkerHandle(handle);
    }

    /// <summary>The engine it was made for.</summary>
    public Engine Engine { get; }

    /// <summary>Lets a later definition of a name replace the earlier one. Otherwise it is <see cref="ErrorKind.Link"/>.</summary>
    public Linker AllowShadowing(bool allow = true)
    {
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        status.Check(Native.linker_allow_shadowing(_handle.Value, allow ? 1ul : 0, &status));
        GC.KeepAlive(this);
        return this;
    }

    /// <summary>Defines a host function that takes and gives any number of numbers, over slots.</summary>
    /// <remarks>
    /// It may be called from several threads at once, by different instances. An exception that it throws ends the guest's call, and comes out
    /// of the outermost call into the guest as itself; a <see cref="TrapException"/> is a trap. It must not be async: guest code waits for it.
    /// </remarks>
    /// <returns>This linker.</returns>
    /// <exception cref="InstarException"><see cref="ErrorKind.Link"/>: the name is taken. <see cref="ErrorKind.Type"/>: a vector or a reference in the type.</exception>
    public Linker DefineRaw(string module, string name, FunctionType type, RawHostFunction function)
    {
        ArgumentNullException.ThrowIfNull(type);
        ArgumentNullException.ThrowIfNull(function);
        int count = type.SlotCount;
        HostFunction.Define(
            _handle, module, name, type.ToSignature(), (caller, s) => function(caller, new Span<ulong>(s, count)), _functions);
        return this;
    }

    /// <summary>Resolves and checks all imports of a module.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.Link"/>: an import is missing or has another type.</exception>
    public InstancePre InstantiatePre(Module module)
    {
        ArgumentNullException.ThrowIfNull(module);
        ulong handle;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        status.Check(Native.linker_instantiate_pre(_handle.Value, module.Handle, &handle, &status));
        GC.KeepAlive(this);
        GC.KeepAlive(module);
        return new InstancePre(module, new PreHandle(handle), _functions);
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private Linker Define(string module, string name, ulong key, Delegate function, HostThunk thunk)
    {
        ArgumentNullException.ThrowIfNull(function);
        HostFunction.Define(_handle, module, name, Slot.Unpack(key), thunk, _functions);
        return this;
    }
}
