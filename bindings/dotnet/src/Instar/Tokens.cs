using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Instar.Interop;

namespace Instar;

/// <summary>An exported function of an <see cref="InstancePre"/>: no look-up by name later. All threads may use it at once.</summary>
public sealed class ExportFunction
{
    private readonly FunctionHandle _handle;

    internal ExportFunction(InstancePre pre, string name, FunctionType type, FunctionHandle handle)
    {
        Pre = pre;
        Name = name;
        Type = type;
        Key = type.Key;
        SlotCount = (ulong)type.SlotCount;
        _handle = handle;
    }

    /// <summary>Name of the export.</summary>
    public string Name { get; }

    /// <summary>Its type.</summary>
    public FunctionType Type { get; }

    internal InstancePre Pre { get; }

    internal ulong Key { get; }

    internal ulong SlotCount { get; }

    internal ulong Handle => _handle.Value;

    /// <summary>Throws unless the function has the packed type (see <see cref="Slot"/>).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Require(ulong key)
    {
        if (Key != key)
        {
            Refuse(key);
        }
    }

    internal void Free() => _handle.Dispose();

    [DoesNotReturn]
    private void Refuse(ulong key) => throw Type.Refusal(Name, key);
}

/// <summary>An exported function that takes bytes and gives bytes. All threads may use it at once.</summary>
/// <remarks>The guest exports <c>memory</c>, <c>alloc(i32) -> i32</c> and the function as <c>(pointer, length) -> pointer &lt;&lt; 32 | length</c>.</remarks>
public sealed class BytesFunction
{
    private readonly BytesFunctionHandle _handle;

    internal BytesFunction(InstancePre pre, string name, BytesFunctionHandle handle)
    {
        Pre = pre;
        Name = name;
        _handle = handle;
    }

    /// <summary>Name of the export.</summary>
    public string Name { get; }

    internal InstancePre Pre { get; }

    internal ulong Handle => _handle.Value;

    internal void Free() => _handle.Dispose();
}
