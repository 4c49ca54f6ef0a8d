using System;
using System.Runtime.CompilerServices;

namespace Instar.Interop;

/// <summary>Values in 8-byte slots, and their types as numbers that the JIT folds to constants.</summary>
/// <remarks>
/// A signature is packed into a ulong, four bits per value: the result in the lowest, then the parameters. 0 is nothing, 1 to 4 are
/// i32, i64, f32, f64. What cannot be packed (more than eight parameters, several results, other types) is
/// <see cref="Unpackable"/>, which no typed delegate has.
/// </remarks>
internal static unsafe class Slot
{
    public const ulong Unpackable = ulong.MaxValue;
    private const ulong NoWasmType = 0xf;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Result<T>()
        where T : unmanaged
    {
        if (typeof(T) == typeof(int) || typeof(T) == typeof(uint))
        {
            return 1;
        }

        if (typeof(T) == typeof(long) || typeof(T) == typeof(ulong))
        {
            return 2;
        }

        if (typeof(T) == typeof(float))
        {
            return 3;
        }

        return typeof(T) == typeof(double) ? 4 : NoWasmType;
    }

    /// <summary>The type of the parameter number <paramref name="position"/>, counted from 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Param<T>(int position)
        where T : unmanaged => Result<T>() << (4 * position);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Read<T>(ulong* slot)
        where T : unmanaged => *(T*)slot;

    /// <summary>Writes all 8 bytes: native code reads them at once, and would wait for two smaller writes to arrive.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write<T>(ulong* slot, T value)
        where T : unmanaged => *slot = sizeof(T) == 4 ? *(uint*)&value : *(ulong*)&value;

    /// <summary>Packs a signature text such as "ii:i".</summary>
    public static ulong Pack(ReadOnlySpan<byte> text)
    {
        int colon = text.IndexOf((byte)':');
        if (colon > 8 || text.Length - colon > 2)
        {
            return Unpackable;
        }

        ulong key = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (i == colon)
            {
                continue;
            }

            ulong code = (ulong)("iIfF"u8.IndexOf(text[i]) + 1);
            if (code == 0)
            {
                return Unpackable;
            }

            key |= code << (i < colon ? 4 * (i + 1) : 0);
        }

        return key;
    }

    /// <summary>The signature text of a packed signature.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.Type"/>: a C# type has no WebAssembly type.</exception>
    public static string Unpack(ulong key)
    {
        Span<char> text = stackalloc char[10];
        int length = 0;
        for (ulong rest = key >> 4; rest != 0; rest >>= 4)
        {
            text[length++] = Letter(rest & 0xf);
        }

        text[length++] = ':';
        if ((key & 0xf) != 0)
        {
            text[length++] = Letter(key & 0xf);
        }

        return new string(text[..length]);
    }

    private static char Letter(ulong code) => code != NoWasmType ? "iIfF"[(int)code - 1] : throw new InstarException(
        ErrorKind.Type,
        "guest functions take and give int, uint, long, ulong, float and double; use the slots (Call, DefineRaw) for anything else");
}

/// <summary>Room for the slots of a call with up to eight arguments, on the stack.</summary>
internal struct Slots
{
    public ulong _0, _1, _2, _3, _4, _5, _6, _7;
}
