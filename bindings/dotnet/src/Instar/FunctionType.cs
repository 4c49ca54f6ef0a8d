using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Instar.Interop;

namespace Instar;

/// <summary>Type of a WebAssembly value.</summary>
public enum ValueKind
{
    /// <summary>32-bit integer: <c>int</c> or <c>uint</c>.</summary>
    I32 = 'i',

    /// <summary>64-bit integer: <c>long</c> or <c>ulong</c>.</summary>
    I64 = 'I',

    /// <summary>32-bit float: <c>float</c>.</summary>
    F32 = 'f',

    /// <summary>64-bit float: <c>double</c>.</summary>
    F64 = 'F',

    /// <summary>128-bit vector. No C# type stands for it; it takes two slots, its low half first.</summary>
    V128 = 'v',

    /// <summary>Reference to a function, of any or of one type. Functions with one in their type cannot be called from C#.</summary>
    FuncRef = 'r',

    /// <summary>Reference to a host object. Functions with one in their type cannot be called from C#.</summary>
    ExternRef = 'e',
}

/// <summary>Parameters and results of a function.</summary>
public sealed class FunctionType : IEquatable<FunctionType>
{
    private const string Letters = "iIfFvre";
    private readonly string _text;

    /// <summary>A type with these parameters and results.</summary>
    public FunctionType(IEnumerable<ValueKind> parameters, IEnumerable<ValueKind> results)
        : this(Join(parameters) + ":" + Join(results))
    {
    }

    private FunctionType(string text)
    {
        _text = text;
        int colon = text.IndexOf(':');
        Parameters = Array.AsReadOnly(text[..colon].Select(letter => (ValueKind)letter).ToArray());
        Results = Array.AsReadOnly(text[(colon + 1)..].Select(letter => (ValueKind)letter).ToArray());
        Key = Slot.Pack(Encoding.ASCII.GetBytes(text));
        SlotCount = Math.Max(Width(Parameters), Width(Results));
    }

    /// <summary>Types of the parameters.</summary>
    public IReadOnlyList<ValueKind> Parameters { get; }

    /// <summary>Types of the results.</summary>
    public IReadOnlyList<ValueKind> Results { get; }

    /// <summary>
    /// How many 8-byte slots a call needs: parameters go in, results come out in their place. A v128 takes two, everything else one.
    /// </summary>
    public int SlotCount { get; }

    internal ulong Key { get; }

    /// <summary>Reads the short form: one letter per value (i = i32, I = i64, f = f32, F = f64), a colon between parameters and results.</summary>
    /// <exception cref="InstarException"><see cref="ErrorKind.Type"/>: <paramref name="signature"/> has another form.</exception>
    public static FunctionType Parse(string signature)
    {
        ArgumentNullException.ThrowIfNull(signature);
        return signature.Count(letter => letter == ':') == 1 && signature.All(letter => letter == ':' || Letters.Contains(letter))
            ? new FunctionType(signature)
            : throw new InstarException(ErrorKind.Type, $"`{signature}` is no signature; right is for example `ii:i`, with letters of {Letters}");
    }

    /// <summary>The short form that <see cref="Parse"/> reads.</summary>
    public string ToSignature() => _text;

    /// <summary>As in the specification: <c>(i32, i32) -> i32</c>.</summary>
    public override string ToString() => $"{List(Parameters)} -> {(Results.Count == 1 ? Name(Results[0]) : List(Results))}";

    /// <inheritdoc/>
    public bool Equals(FunctionType? other) => other is not null && _text == other._text;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as FunctionType);

    /// <inheritdoc/>
    public override int GetHashCode() => _text.GetHashCode();

    /// <summary>Why a function of this type has no typed call with <paramref name="key"/>, and what to do instead.</summary>
    internal InstarException Refusal(string name, ulong key)
    {
        IEnumerable<ValueKind> kinds = Parameters.Concat(Results);
        string why = kinds.Any(kind => kind is ValueKind.FuncRef or ValueKind.ExternRef)
            ? ": references cannot be passed to or from C#; export a function that takes and gives numbers"
            : kinds.Contains(ValueKind.V128)
            ? ": a vector is no C# value; call it over slots, where a v128 takes two, its low half first"
            : $", not {Parse(Slot.Unpack(key))}";
        return new InstarException(ErrorKind.Type, $"function `{name}` has type {this}{why}");
    }

    private static string Join(IEnumerable<ValueKind> kinds)
    {
        ArgumentNullException.ThrowIfNull(kinds);
        string text = string.Concat(kinds.Select(kind => (char)kind));
        return text.All(letter => Letters.Contains(letter))
            ? text
            : throw new InstarException(ErrorKind.Type, $"`{text}` contains a ValueKind that does not exist");
    }

    private static int Width(IEnumerable<ValueKind> kinds) => kinds.Sum(kind => kind == ValueKind.V128 ? 2 : 1);

    private static string List(IEnumerable<ValueKind> kinds) => $"({string.Join(", ", kinds.Select(Name))})";

    private static string Name(ValueKind kind) => kind.ToString().ToLowerInvariant();
}
