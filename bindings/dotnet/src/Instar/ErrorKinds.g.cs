// Generated from core/src/error.rs by `BLESS=1 cargo test -p instar-drift`; do not edit.

namespace Instar;

/// <summary>What went wrong.</summary>
public enum ErrorKind
{
    /// <summary>Invalid module.</summary>
    InvalidModule = 1,

    /// <summary>Unsupported feature.</summary>
    Unsupported = 2,

    /// <summary>Import cannot be resolved.</summary>
    Link = 3,

    /// <summary>Type mismatch.</summary>
    Type = 4,

    /// <summary>No such export.</summary>
    MissingExport = 5,

    /// <summary>Trap.</summary>
    Trap = 6,

    /// <summary>Host function failed.</summary>
    Host = 7,

    /// <summary>Pool exhausted.</summary>
    PoolExhausted = 8,

    /// <summary>Limit reached.</summary>
    Limit = 9,

    /// <summary>Out of bounds.</summary>
    OutOfBounds = 10,

    /// <summary>Stale handle.</summary>
    StaleHandle = 11,

    /// <summary>Store is in use.</summary>
    Busy = 12,

    /// <summary>Invalid configuration.</summary>
    Config = 13,

    /// <summary>Guest broke the calling convention.</summary>
    GuestProtocol = 14,

    /// <summary>Operating system error.</summary>
    Os = 15,

    /// <summary>Store is poisoned.</summary>
    Poisoned = 16,

    /// <summary>Bug in Instar.</summary>
    Bug = 17,
}

/// <summary>Why a guest trapped.</summary>
public enum TrapCode
{
    /// <summary>Unreachable.</summary>
    Unreachable = 1,

    /// <summary>Integer divide by zero.</summary>
    IntegerDivideByZero = 2,

    /// <summary>Integer overflow.</summary>
    IntegerOverflow = 3,

    /// <summary>Invalid conversion to integer.</summary>
    InvalidConversionToInteger = 4,

    /// <summary>Out of bounds memory access.</summary>
    MemoryOutOfBounds = 5,

    /// <summary>Out of bounds table access.</summary>
    TableOutOfBounds = 6,

    /// <summary>Undefined element.</summary>
    UndefinedElement = 7,

    /// <summary>Uninitialized element.</summary>
    UninitializedElement = 8,

    /// <summary>Indirect call type mismatch.</summary>
    IndirectCallTypeMismatch = 9,

    /// <summary>Null reference.</summary>
    NullReference = 10,

    /// <summary>Call stack exhausted.</summary>
    StackOverflow = 11,

    /// <summary>Host function failed.</summary>
    HostError = 12,

    /// <summary>Unaligned atomic.</summary>
    UnalignedAtomic = 13,

    /// <summary>Expected shared memory.</summary>
    ExpectedSharedMemory = 14,

    /// <summary>Null function reference.</summary>
    NullFunctionReference = 15,
}
