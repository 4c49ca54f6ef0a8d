using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Instar.Interop;

namespace Instar;

/// <summary>A sandbox that nobody has used before. Dispose resets it and gives its slot back.</summary>
/// <remarks>
/// One thread at a time may use it, any thread: a second one gets <see cref="ErrorKind.Busy"/>. After Dispose every use is
/// <see cref="ErrorKind.StaleHandle"/> (not <see cref="ObjectDisposedException"/>: it is the same error in every language). A forgotten instance
/// occupies its slot until the garbage collector finds it.
/// </remarks>
public sealed unsafe partial class Instance : IDisposable
{
    private readonly InstancePre _pre;

    // Never reused by native code: after Dispose they are recognised as stale.
    private readonly ulong _cell;
    private readonly ulong _id;

    // Null after Dispose. Its finalizer is the back-stop.
    private Lease? _lease;

    internal Instance(InstancePre pre, Lease lease, ulong cell, ulong id, object? data)
    {
        _pre = pre;
        _lease = lease;
        _cell = cell;
        _id = id;
        Data = data;
    }

    /// <summary>What was given to <see cref="InstancePre.Instantiate"/>.</summary>
    public object? Data { get; }

    /// <summary>The exported memory named <c>memory</c>.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.MissingExport"/>: there is none.</exception>
    public Memory Memory => new(this, _pre.DefaultMemory);

    internal ulong Cell => _cell;

    internal ulong Id => _id;

    /// <summary>The exported memory of that name.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.MissingExport"/>: there is none.</exception>
    public Memory GetMemory(string name) => new(this, _pre.GetMemory(name));

    /// <summary>Calls a function.</summary>
    /// <param name="function">A function of this instance's pre.</param>
    /// <param name="slots">Parameters in, results out from slot 0, at least <see cref="FunctionType.SlotCount"/>; i32 and f32 in the low half, a v128 in two.</param>
    /// <exception cref="TrapException">The guest trapped.</exception>
    /// <exception cref="InstarException">Another error, see <see cref="InstarException.Kind"/>.</exception>
    public void Call(ExportFunction function, Span<ulong> slots)
    {
        fixed (ulong* start = slots)
        {
            Invoke(function, start, (ulong)slots.Length);
        }
    }

    /// <summary>Calls the function of that name, over slots.</summary>
    /// <inheritdoc cref="Call(ExportFunction, Span{ulong})" path="/exception"/>
    public void CallRaw(string name, Span<ulong> slots) => Call(_pre.GetFunction(name), slots);

    /// <summary>Bytes in, bytes out.</summary>
    /// <param name="name">Name of the export, see <see cref="BytesFunction"/>.</param>
    /// <param name="input">What the guest gets.</param>
    /// <inheritdoc cref="Call(ExportFunction, Span{ulong})" path="/exception"/>
    [MethodImpl(NativeCall.OwnFrame)]
    public byte[] CallBytes(string name, ReadOnlySpan<byte> input)
    {
        BytesFunction function = _pre.GetBytesFunction(name);
        byte* buffer = Answer.Buffer;
        ulong rustBuffer, length;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        fixed (byte* start = input)
        {
            status.Check(Native.instance_call_bytes(
                function.Handle, _cell, _id, start, (ulong)input.Length, buffer, Answer.Capacity, &rustBuffer, &length, &status));
        }

        GC.KeepAlive(this);
        return Answer.Take(buffer, rustBuffer, length);
    }

    /// <summary>Resets the instance and gives its slot back. Again is fine.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.Busy"/>: during a call, also from a host function that it called.</exception>
    [MethodImpl(NativeCall.OwnFrame)]
    public void Dispose()
    {
        // Only one of several threads returns the lease.
        Lease? lease = Interlocked.Exchange(ref _lease, null);
        if (lease is null)
        {
            return;
        }

        // Not attached: a finalizer that ran before ours brought this instance back to life, after the lease's had given it up.
        if (lease.IsAttached)
        {
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            ulong error = Native.instance_close(_pre.Handle, _cell, _id, &status);
            if (error != 0)
            {
                _lease = lease;
                status.Check(error);
            }

            lease.Return();
        }
    }

    private void Invoke(ExportFunction function, ulong* slots) => Invoke(function, slots, function.SlotCount);

    [MethodImpl(NativeCall.OwnFrame)]
    private void Invoke(ExportFunction function, ulong* slots, ulong count)
    {
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        ulong error = Native.instance_call(function.Handle, _cell, _id, slots, count, &status);
        GC.KeepAlive(this);
        GC.KeepAlive(function);
        status.Check(error);
    }
}
