using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Instar.Interop;

/// <summary>Bytes that Rust owns.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RustBuffer
{
    public ulong Capacity;
    public ulong Length;
    public byte* Data;
}

/// <summary>What every native function reports beside its result: nothing, unless Instar itself is wrong.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RustCallStatus
{
    // One byte in the header, with seven of padding; the library writes the byte.
    private ulong _code;

    // Written only when the code is not 0.
    private RustBuffer _error;

    /// <summary>Success. Eight bytes, not all 32: see <see cref="NativeCall"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Clear(RustCallStatus* status) => status->_code = 0;

    /// <summary>Throws unless the function returned 0 and all is well.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Check(ulong error)
    {
        if ((error | (byte)_code) != 0)
        {
            Fail(error);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Fail(ulong error)
    {
        if ((byte)_code == 0)
        {
            NativeError.Throw(error);
        }

        string message = _error.Length == 0 ? "" : Encoding.UTF8.GetString(_error.Data, checked((int)_error.Length));
        RustCallStatus ignored;
        RustCallStatus.Clear(&ignored);
        Native.rustbuffer_free(_error, &ignored);
        throw new InstarException(ErrorKind.Bug, $"Instar panicked: {message}; please report it");
    }
}
