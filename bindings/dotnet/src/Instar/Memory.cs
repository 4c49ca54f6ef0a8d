using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Instar.Interop;

namespace Instar;

/// <summary>A linear memory, by checked copies: nothing points into a sandbox that may be another tenant's a moment later.</summary>
/// <remarks>
/// Addresses and lengths are in bytes. What reaches beyond the memory is <see cref="ErrorKind.OutOfBounds"/> and copies nothing;
/// negative ones too, so take guests' pointers as <c>uint</c>.
/// </remarks>
public readonly unsafe ref struct Memory
{
    private const ulong Small = 64 << 10;

    // Either an instance and its token (a MemoryHandle), or a caller and a name (a byte[]). Less than 32 bytes, see NativeCall.
    private readonly Instance? _instance;
    private readonly object _which;
    private readonly ulong _caller;

    internal Memory(Instance instance, MemoryHandle token)
    {
        _instance = instance;
        _which = token;
    }

    internal Memory(ulong caller, byte[] name)
    {
        _caller = caller;
        _which = name;
    }

    private ulong Token => Unsafe.As<MemoryHandle>(_which).Value;

    private byte[] Name => Unsafe.As<byte[]>(_which);

    /// <summary>Size in bytes.</summary>
    public long Size
    {
        get
        {
            ulong bytes, error;
            RustCallStatus status;
            RustCallStatus.Clear(&status);
            if (_instance is not null)
            {
                error = Native.instance_memory_size(Token, _instance.Cell, _instance.Id, &bytes, &status);
            }
            else
            {
                fixed (byte* name = Name)
                {
                    error = Native.caller_memory_size(_caller, name, (ulong)Name.Length, &bytes, &status);
                }
            }

            GC.KeepAlive(_instance);
            status.Check(error);
            return (long)bytes;
        }
    }

    /// <summary>Adds pages of the memory's own size: 64 KiB unless its type says otherwise.</summary>
    /// <returns>The old size in pages.</returns>
    /// <exception cref="InstarException"><see cref="ErrorKind.Limit"/>: that is more than the memory may have.</exception>
    public long Grow(long pages)
    {
        ulong old, error;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        if (_instance is not null)
        {
            error = Native.instance_memory_grow(Token, _instance.Cell, _instance.Id, (ulong)pages, &old, &status);
        }
        else
        {
            fixed (byte* name = Name)
            {
                error = Native.caller_memory_grow(_caller, name, (ulong)Name.Length, (ulong)pages, &old, &status);
            }
        }

        GC.KeepAlive(_instance);
        status.Check(error);
        return (long)old;
    }

    /// <summary>Fills <paramref name="destination"/> from <paramref name="address"/> on.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.OutOfBounds"/>.</exception>
    public void Read(long address, Span<byte> destination)
    {
        fixed (byte* start = destination)
        {
            Copy(address, start, (ulong)destination.Length);
        }
    }

    /// <summary>A copy of <paramref name="length"/> bytes.</summary>
    /// <inheritdoc cref="Read(long, Span{byte})" path="/exception"/>
    public byte[] Read(long address, long length)
    {
        // A guest may have chosen the length: do not allocate what the memory cannot have.
        if ((ulong)length > Small && (ulong)length > (ulong)Size)
        {
            throw new InstarException(ErrorKind.OutOfBounds, $"{length} bytes from {address} on are outside of a memory of {Size} bytes");
        }

        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)Math.Min((ulong)length, (ulong)Array.MaxLength));
        if (bytes.Length != length)
        {
            throw new InstarException(ErrorKind.Limit, $"{length} bytes are more than a byte[] can hold; read them in parts");
        }

        Read(address, bytes);
        return bytes;
    }

    /// <summary>Copies <paramref name="source"/> to <paramref name="address"/>.</summary>
    /// <inheritdoc cref="Read(long, Span{byte})" path="/exception"/>
    [MethodImpl(NativeCall.OwnFrame)]
    public void Write(long address, ReadOnlySpan<byte> source)
    {
        ulong error;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        fixed (byte* start = source)
        {
            if (_instance is not null)
            {
                error = Native.instance_memory_write(
                    Token, _instance.Cell, _instance.Id, (ulong)address, start, (ulong)source.Length, &status);
            }
            else
            {
                fixed (byte* name = Name)
                {
                    error = Native.caller_memory_write(
                        _caller, name, (ulong)Name.Length, (ulong)address, start, (ulong)source.Length, &status);
                }
            }
        }

        GC.KeepAlive(_instance);
        status.Check(error);
    }

    /// <summary>A value in the machine's (and WebAssembly's) little-endian layout.</summary>
    /// <inheritdoc cref="Read(long, Span{byte})" path="/exception"/>
    public T ReadValue<T>(long address)
        where T : unmanaged
    {
        T value;
        Copy(address, (byte*)&value, (ulong)sizeof(T));
        return value;
    }

    /// <summary>Writes a value in the machine's (and WebAssembly's) little-endian layout.</summary>
    /// <inheritdoc cref="Read(long, Span{byte})" path="/exception"/>
    public void WriteValue<T>(long address, T value)
        where T : unmanaged => Write(address, new ReadOnlySpan<byte>(&value, sizeof(T)));

    /// <summary>UTF-8 text of <paramref name="length"/> bytes; invalid bytes become U+FFFD.</summary>
    /// <inheritdoc cref="Read(long, Span{byte})" path="/exception"/>
    public string ReadString(long address, long length) => Encoding.UTF8.GetString(Read(address, length));

    /// <summary>Writes a text as UTF-8, without a terminator.</summary>
    /// <returns>How many bytes that were.</returns>
    /// <inheritdoc cref="Read(long, Span{byte})" path="/exception"/>
    public int WriteString(long address, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Write(address, bytes);
        return bytes.Length;
    }

    [MethodImpl(NativeCall.OwnFrame)]
    private void Copy(long address, byte* destination, ulong length)
    {
        ulong error;
        RustCallStatus status;
        RustCallStatus.Clear(&status);
        if (_instance is not null)
        {
            error = Native.instance_memory_read(
                Token, _instance.Cell, _instance.Id, (ulong)address, destination, length, &status);
        }
        else
        {
            fixed (byte* name = Name)
            {
                error = Native.caller_memory_read(_caller, name, (ulong)Name.Length, (ulong)address, destination, length, &status);
            }
        }

        GC.KeepAlive(_instance);
        status.Check(error);
    }
}
