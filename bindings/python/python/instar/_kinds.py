# Generated from core/src/error.rs by `BLESS=1 cargo test -p instar-drift`; do not edit.
"""The numbered lists of error kinds and trap codes: the same numbers in every language."""

from enum import IntEnum


class ErrorKind(IntEnum):
    """What went wrong."""

    INVALID_MODULE = 1
    UNSUPPORTED = 2
    LINK = 3
    TYPE = 4
    MISSING_EXPORT = 5
    TRAP = 6
    HOST = 7
    POOL_EXHAUSTED = 8
    LIMIT = 9
    OUT_OF_BOUNDS = 10
    STALE_HANDLE = 11
    BUSY = 12
    CONFIG = 13
    GUEST_PROTOCOL = 14
    OS = 15
    POISONED = 16
    BUG = 17


class TrapCode(IntEnum):
    """Why a guest trapped."""

    UNREACHABLE = 1
    INTEGER_DIVIDE_BY_ZERO = 2
    INTEGER_OVERFLOW = 3
    INVALID_CONVERSION_TO_INTEGER = 4
    MEMORY_OUT_OF_BOUNDS = 5
    TABLE_OUT_OF_BOUNDS = 6
    UNDEFINED_ELEMENT = 7
    UNINITIALIZED_ELEMENT = 8
    INDIRECT_CALL_TYPE_MISMATCH = 9
    NULL_REFERENCE = 10
    STACK_OVERFLOW = 11
    HOST_ERROR = 12
    UNALIGNED_ATOMIC = 13
    EXPECTED_SHARED_MEMORY = 14
    NULL_FUNCTION_REFERENCE = 15
