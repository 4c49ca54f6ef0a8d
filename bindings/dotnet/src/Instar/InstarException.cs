using System;

namespace Instar;

/// <summary>What every failing operation of Instar throws; <see cref="Kind"/> says what went wrong.</summary>
/// <remarks>An exception of a host function is not wrapped: it comes out of the outermost call as itself, the same object.</remarks>
public class InstarException : Exception
{
    /// <summary>An exception of this kind.</summary>
    public InstarException(ErrorKind kind, string message)
        : base(message) => Kind = kind;

    /// <summary>What went wrong, with the same number in every language.</summary>
    public ErrorKind Kind { get; }
}

/// <summary>The guest trapped. A host function that throws it traps like the guest itself.</summary>
public sealed class TrapException : InstarException
{
    /// <summary>A trap with this code.</summary>
    public TrapException(TrapCode code)
        : this(code, $"wasm trap: {code}")
    {
    }

    internal TrapException(TrapCode code, string message)
        : base(ErrorKind.Trap, message) => TrapCode = code;

    /// <summary>Why the guest trapped.</summary>
    public TrapCode TrapCode { get; }
}
