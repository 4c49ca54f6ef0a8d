using System;
using System.Text;

namespace Instar.Interop;

/// <summary>Names and texts on their way across the boundary.</summary>
internal static unsafe class Utf8
{
    public delegate ulong Reader(byte* buffer, ulong capacity);

    /// <summary>The text's bytes for a <c>fixed</c> statement (null for an empty text) and their number.</summary>
    public static byte[] Bytes(string text, out ulong length)
    {
        ArgumentNullException.ThrowIfNull(text);
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        length = (ulong)bytes.Length;
        return bytes;
    }

    /// <summary>The text's bytes in <paramref name="room"/> if they are sure to fit, so without garbage.</summary>
    public static ReadOnlySpan<byte> Bytes(string text, Span<byte> room)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Encoding.UTF8.GetMaxByteCount(text.Length) <= room.Length
            ? room[..Encoding.UTF8.GetBytes(text, room)]
            : Encoding.UTF8.GetBytes(text);
    }

    /// <summary>A text from a native function that fills a buffer and reports the full length.</summary>
    public static string Read(Reader reader)
    {
        const int Usual = 256;
        byte* buffer = stackalloc byte[Usual];
        ulong length = reader(buffer, Usual);
        if (length <= Usual)
        {
            return Encoding.UTF8.GetString(buffer, (int)length);
        }

        byte[] whole = new byte[length];
        fixed (byte* start = whole)
        {
            reader(start, length);
        }

        return Encoding.UTF8.GetString(whole);
    }
}
