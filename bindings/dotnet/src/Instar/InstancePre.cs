using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Instar.Interop;

namespace Instar;

/// <summary>A module with all imports resolved: the thing that is instantiated millions of times. All threads may use it at once.</summary>
/// <remarks>
/// <c>Call</c>, <c>CallBytes</c> and the delegates of <c>GetFunction</c> run in a fresh instance of their own: create, call and reset in one native call.
/// After Dispose there are no new instances (<see cref="ErrorKind.StaleHandle"/>). Live ones go on working; if there are any in
/// the engine, the compiled code goes when the garbage collector finds the pre unused, otherwise at once.
/// </remarks>
public sealed unsafe partial class InstancePre : IDisposable
{
    private readonly PreHandle _handle;

    // Keeps the host functions: native code holds them weakly.
    private readonly List<HostFunction> _hostFunctions;

    private readonly ConcurrentDictionary<string, ExportFunction> _functions = new();
    private readonly ConcurrentDictionary<string, BytesFunction> _bytesFunctions = new();
    private readonly ConcurrentDictionary<string, MemoryHandle> _memories = new();

    // The names of most calls are one and the same literal.
    private BytesFunction? _lastBytesFunction;
    private MemoryHandle? _defaultMemory;

    internal InstancePre(Module module, PreHandle handle, List<HostFunction> hostFunctions)
    {
        Module = module;
        _handle = handle;
        _hostFunctions = hostFunctions;
    }

    /// <summary>The module.</summary>
    public Module Module { get; }

    internal ulong Handle => _handle.Value;

    internal MemoryHandle DefaultMemory => _defaultMemory ??= GetMemory("memory");

    /// <summary>A fresh instance, to be disposed.</summary>
    /// <param name="data">What host functions see as <see cref="Caller.Data"/>.</param>
    /// <exception cref="InstarException">
    /// <see cref="ErrorKind.PoolExhausted"/>: too many instances are alive. <see cref="ErrorKind.Trap"/> or a host function's exception: from
    /// the module's start function.
    /// </exception>
    [MethodImpl(NativeCall.OwnFrame)]
    public Instance Instantiate(object? data = null)
    {
        Lease lease = Lease.Rent(data);
        ulong cell, id;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        ulong error = Native.pre_instantiate(_handle.Value, lease.Token, &cell, &id, &status);
        GC.KeepAlive(this);
        if (error != 0)
        {
            lease.Return();
        }

        status.Check(error);
        lease.Attach(_handle.Value, cell, id);
        return new Instance(this, lease, cell, id, data);
    }

    /// <summary>The exported function of that name.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.MissingExport"/>: there is no function of that name.</exception>
    public ExportFunction GetFunction(string name) =>
        _functions.TryGetValue(name, out ExportFunction? function) ? function : _functions.GetOrAdd(name, MakeFunction(name));

    /// <summary>The exported bytes function of that name.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.MissingExport"/>; <see cref="ErrorKind.Type"/> if the guest does not follow the convention.</exception>
    public BytesFunction GetBytesFunction(string name)
    {
        BytesFunction? last = _lastBytesFunction;
        if (last is not null && ReferenceEquals(last.Name, name))
        {
            return last;
        }

        if (!_bytesFunctions.TryGetValue(name, out BytesFunction? function))
        {
            function = _bytesFunctions.GetOrAdd(name, MakeBytesFunction(name));
        }

        return _lastBytesFunction = function;
    }

    /// <summary>Calls a function in a fresh instance.</summary>
    /// <param name="function">A function of this pre.</param>
    /// <param name="slots">Parameters in, results out from slot 0, at least <see cref="FunctionType.SlotCount"/>; i32 and f32 in the low half, a v128 in two.</param>
    /// <param name="data">What host functions see as <see cref="Caller.Data"/>.</param>
    /// <exception cref="TrapException">The guest trapped.</exception>
    /// <exception cref="InstarException">Another error, see <see cref="InstarException.Kind"/>.</exception>
    public void Call(ExportFunction function, Span<ulong> slots, object? data = null)
    {
        fixed (ulong* start = slots)
        {
            Invoke(function, start, (ulong)slots.Length, data);
        }
    }

    /// <summary>Bytes in, bytes out, in a fresh instance.</summary>
    /// <param name="name">Name of the export, see <see cref="BytesFunction"/>.</param>
    /// <param name="input">What the guest gets.</param>
    /// <param name="data">What host functions see as <see cref="Caller.Data"/>.</param>
    /// <inheritdoc cref="Call(ExportFunction, Span{ulong}, object?)" path="/exception"/>
    public byte[] CallBytes(string name, ReadOnlySpan<byte> input, object? data = null) => CallBytes(GetBytesFunction(name), input, data);

    /// <inheritdoc cref="CallBytes(string, ReadOnlySpan{byte}, object?)"/>
    /// <param name="function">A function of this pre.</param>
    /// <param name="input">What the guest gets.</param>
    /// <param name="data">What host functions see as <see cref="Caller.Data"/>.</param>
    [MethodImpl(NativeCall.OwnFrame)]
    public byte[] CallBytes(BytesFunction function, ReadOnlySpan<byte> input, object? data = null)
    {
        Own(function.Pre);
        Lease? lease = data is null ? null : Lease.Rent(data);
        try
        {
            byte* buffer = Answer.Buffer;
            ulong rustBuffer, length;
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            fixed (byte* start = input)
            {
                status.Check(Native.pre_call_bytes(
                    function.Handle, lease?.Token ?? 0, start, (ulong)input.Length, buffer, Answer.Capacity, &rustBuffer, &length, &status));
            }

            GC.KeepAlive(function);
            return Answer.Take(buffer, rustBuffer, length);
        }
        finally
        {
            lease?.Return();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle.IsClosed)
        {
            return;
        }

        _handle.Dispose();
        if (EngineIsIdle())
        {
            FreeTokens();
        }
    }

    internal MemoryHandle GetMemory(string name) =>
        _memories.TryGetValue(name, out MemoryHandle? memory) ? memory : _memories.GetOrAdd(name, MakeMemory(name));

    private void Invoke(ExportFunction function, ulong* slots, object? data) => Invoke(function, slots, function.SlotCount, data);

    [MethodImpl(NativeCall.OwnFrame)]
    private void Invoke(ExportFunction function, ulong* slots, ulong count, object? data)
    {
        Own(function.Pre);
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        if (data is null)
        {
            status.Check(Native.pre_call(function.Handle, 0, slots, count, &status));
            GC.KeepAlive(function);
            return;
        }

        Lease lease = Lease.Rent(data);
        try
        {
            status.Check(Native.pre_call(function.Handle, lease.Token, slots, count, &status));
            GC.KeepAlive(function);
        }
        finally
        {
            lease.Return();
        }
    }

    // Native code takes the pre from the token.
    private void Own(InstancePre owner)
    {
        if (owner != this)
        {
            throw new InstarException(ErrorKind.StaleHandle, "the function belongs to another InstancePre");
        }
    }

    private ExportFunction MakeFunction(string name)
    {
        ulong handle;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        fixed (byte* start = Utf8.Bytes(name, out ulong length))
        {
            status.Check(Native.pre_func(_handle.Value, start, length, &handle, &status));
        }

        GC.KeepAlive(this);
        FunctionHandle function = new(handle);
        FunctionType type = FunctionType.Parse(Utf8.Read((buffer, capacity) =>
        {
            ulong length;
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            status.Check(Native.func_signature(function.Value, buffer, capacity, &length, &status));
            return length;
        }));
        return new ExportFunction(this, name, type, function);
    }

    private BytesFunction MakeBytesFunction(string name)
    {
        ulong handle;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        fixed (byte* start = Utf8.Bytes(name, out ulong length))
        {
            status.Check(Native.pre_bytes_func(_handle.Value, start, length, &handle, &status));
        }

        GC.KeepAlive(this);
        return new BytesFunction(this, name, new BytesFunctionHandle(handle));
    }

    private MemoryHandle MakeMemory(string name)
    {
        ulong handle;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        fixed (byte* start = Utf8.Bytes(name, out ulong length))
        {
            status.Check(Native.pre_memory(_handle.Value, start, length, &handle, &status));
        }

        GC.KeepAlive(this);
        return new MemoryHandle(handle);
    }

    private bool EngineIsIdle()
    {
        try
        {
            return Module.Engine.LiveInstances == 0;
        }
        catch (InstarException)
        {
            return false; // The engine was disposed first.
        }
    }

    private void FreeTokens()
    {
        foreach (ExportFunction function in _functions.Values)
        {
            function.Free();
        }

        foreach (BytesFunction function in _bytesFunctions.Values)
        {
            function.Free();
        }

        foreach (MemoryHandle memory in _memories.Values)
        {
            memory.Dispose();
        }
    }
}
