using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.Json;

namespace Instar.Tests.Conformance;

/// <summary>A value of a case: its type, and its bits as an unsigned decimal number (or a set of NaNs, or a text).</summary>
internal readonly record struct Value(string Type, string Text)
{
    public bool IsText => Type == "text";

    public ulong Slot => ulong.Parse(Text, CultureInfo.InvariantCulture);

    /// <summary>Its slots: two for a v128, the low half first.</summary>
    public ulong[] Slots => Type == "v128" ? [(ulong)(Bits & ulong.MaxValue), (ulong)(Bits >> 64)] : [Slot];

    private UInt128 Bits => UInt128.Parse(Text, CultureInfo.InvariantCulture);

    /// <summary>The C# type that stands for it.</summary>
    public Type ClrType => ClrTypeOf(Type);

    /// <summary>The C# value that stands for it, in a box of just that type.</summary>
    public object Boxed => Type switch
    {
        "i32" => (object)unchecked((int)(uint)Slot),
        "i64" => (object)unchecked((long)Slot),
        "f32" => (object)BitConverter.UInt32BitsToSingle((uint)Slot),
        "f64" => (object)BitConverter.UInt64BitsToDouble(Slot),
        _ => throw new InvalidOperationException($"{Type} is no type of a number"),
    };

    public static Value From(ValueKind kind, ulong slot) => new(
        kind.ToString().ToLowerInvariant(),
        (kind is ValueKind.I32 or ValueKind.F32 ? (uint)slot : slot).ToString(CultureInfo.InvariantCulture));

    /// <summary>The values of these types in consecutive slots.</summary>
    public static Value[] List(IEnumerable<ValueKind> kinds, ulong[] slots)
    {
        List<Value> values = [];
        int at = 0;
        foreach (ValueKind kind in kinds)
        {
            ulong low = slots[at++];
            values.Add(kind == ValueKind.V128
                ? new Value("v128", new UInt128(upper: slots[at++], lower: low).ToString(CultureInfo.InvariantCulture))
                : From(kind, low));
        }

        return [.. values];
    }

    public static ulong ToSlot(object boxed) => boxed switch
    {
        int value => (uint)value,
        long value => (ulong)value,
        float value => BitConverter.SingleToUInt32Bits(value),
        double value => BitConverter.DoubleToUInt64Bits(value),
        _ => throw new InvalidOperationException($"{boxed.GetType()} has no slot"),
    };

    public static Type ClrTypeOf(string type) => type switch
    {
        "i32" => typeof(int),
        "i64" => typeof(long),
        "f32" => typeof(float),
        "f64" => typeof(double),
        _ => throw new InvalidOperationException($"unknown type {type}"),
    };

    public static Value[] List(JsonElement parent, string name) => parent.TryGetProperty(name, out JsonElement list)
        ? list.EnumerateArray().Select(item => new Value(item.GetProperty("type").GetString()!, item.GetProperty("value").GetString()!)).ToArray()
        : [];

    /// <summary>Whether <paramref name="actual"/> is this value, or one of this set of NaNs.</summary>
    public bool Matches(Value actual) => Type == actual.Type && (Text, Type) switch
    {
        ("nan:canonical", "f32") => (actual.Slot & 0x7fffffff) == 0x7fc00000,
        ("nan:canonical", "f64") => (actual.Slot & long.MaxValue) == 0x7ff8000000000000,
        ("nan:arithmetic", "f32") => (actual.Slot & 0x7fc00000) == 0x7fc00000,
        ("nan:arithmetic", "f64") => (actual.Slot & 0x7ff8000000000000) == 0x7ff8000000000000,
        _ => Bits == actual.Bits,
    };

    public override string ToString() => $"{Type}:{Text}";
}
