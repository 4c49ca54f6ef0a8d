using System;
using System.Runtime.CompilerServices;
using System.Text;
using Instar.Interop;

namespace Instar;

/// <summary>The instance that called a host function. It lasts until the host function returns, and cannot be kept.</summary>
public readonly unsafe ref partial struct Caller
{
    private const int UsualName = 128;

    private static readonly byte[] s_defaultMemory = "memory"u8.ToArray();

    private readonly ulong _caller;

    internal Caller(ulong caller) => _caller = caller;

    /// <summary>What was given to <see cref="InstancePre.Instantiate"/>, or to the call that made the instance.</summary>
    public object? Data
    {
        get
        {
            ulong token;
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            status.Check(Native.caller_data(_caller, &token, &status));
            return Lease.DataOf(token);
        }
    }

    /// <summary>The exported memory named <c>memory</c>. If there is none, its use is <see cref="ErrorKind.MissingExport"/>.</summary>
    public Memory Memory => new(_caller, s_defaultMemory);

    /// <summary>The exported memory of that name. If there is none, its use is <see cref="ErrorKind.MissingExport"/>.</summary>
    public Memory GetMemory(string name) => new(_caller, Encoding.UTF8.GetBytes(name));

    /// <summary>Type of an exported function of the calling instance.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.MissingExport"/>: there is no function of that name.</exception>
    public FunctionType GetFunctionType(string name)
    {
        ulong caller = _caller;
        byte[] utf8 = Utf8.Bytes(name, out ulong nameLength);
        return FunctionType.Parse(Utf8.Read((buffer, capacity) =>
        {
            fixed (byte* start = utf8)
            {
                return Signature(caller, start, nameLength, buffer, capacity);
            }
        }));
    }

    /// <summary>Calls an export of the calling instance.</summary>
    /// <param name="name">Name of the export.</param>
    /// <param name="slots">Parameters in, results out from slot 0, at least <see cref="FunctionType.SlotCount"/>; i32 and f32 in the low half, a v128 in two.</param>
    /// <exception cref="TrapException">The guest trapped.</exception>
    /// <exception cref="InstarException">Another error, see <see cref="InstarException.Kind"/>.</exception>
    public void Call(string name, Span<ulong> slots)
    {
        fixed (ulong* start = slots)
        {
            Invoke(name, start, (ulong)slots.Length);
        }
    }

    private static ulong Signature(ulong caller, byte* name, ulong nameLength, byte* buffer, ulong capacity)
    {
        ulong length;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        status.Check(Native.caller_func_signature(caller, name, nameLength, buffer, capacity, &length, &status));
        return length;
    }

    [MethodImpl(NativeCall.OwnFrame)]
    private void Invoke(string name, ulong* slots, ulong count)
    {
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        ReadOnlySpan<byte> utf8 = Utf8.Bytes(name, stackalloc byte[UsualName]);
        fixed (byte* start = utf8)
        {
            status.Check(Native.caller_call(_caller, start, (ulong)utf8.Length, slots, count, &status));
        }
    }

    private void Require(string name, ulong key)
    {
        const int Longest = 16;
        byte* text = stackalloc byte[Longest];
        ulong length;
        ReadOnlySpan<byte> utf8 = Utf8.Bytes(name, stackalloc byte[UsualName]);
        fixed (byte* start = utf8)
        {
            length = Signature(_caller, start, (ulong)utf8.Length, text, Longest);
        }

        if (length > Longest || Slot.Pack(new ReadOnlySpan<byte>(text, (int)length)) != key)
        {
            throw GetFunctionType(name).Refusal(name, key);
        }
    }
}
