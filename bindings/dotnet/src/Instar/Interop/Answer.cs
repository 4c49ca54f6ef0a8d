using System;

namespace Instar.Interop;

/// <summary>Where native code puts the answer of a bytes call.</summary>
/// <remarks>
/// An answer that fits goes into this thread's buffer, which never moves, and is copied from there at once; a nested call
/// may use the buffer in between, because native code fills it last. A longer one comes in a buffer of Rust's.
/// </remarks>
internal static unsafe class Answer
{
    public const ulong Capacity = 32 << 10;

    [ThreadStatic]
    private static byte[]? t_buffer;

    public static byte* Buffer
    {
        get
        {
            t_buffer ??= GC.AllocateUninitializedArray<byte>((int)Capacity, pinned: true);
            fixed (byte* start = t_buffer)
            {
                return start;
            }
        }
    }

    public static byte[] Take(byte* buffer, ulong rustBuffer, ulong length)
    {
        if (rustBuffer == 0)
        {
            return new ReadOnlySpan<byte>(buffer, (int)length).ToArray();
        }

        try
        {
            if (length > (ulong)Array.MaxLength)
            {
                throw new InstarException(ErrorKind.Limit, $"the answer has {length} bytes; a byte[] holds at most {Array.MaxLength}");
            }

            return new ReadOnlySpan<byte>((byte*)rustBuffer, (int)length).ToArray();
        }
        finally
        {
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            Native.buffer_free(rustBuffer, length, &status);
        }
    }
}
