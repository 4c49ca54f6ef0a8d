// Code generated from core/src/error.rs. DO NOT EDIT.
// Generated from core/src/error.rs by `BLESS=1 cargo test -p instar-drift`; do not edit.

package instar

// ErrorKind says what went wrong.
type ErrorKind uint32

const (
	// KindInvalidModule: invalid module.
	KindInvalidModule ErrorKind = 1
	// KindUnsupported: unsupported feature.
	KindUnsupported ErrorKind = 2
	// KindLink: import cannot be resolved.
	KindLink ErrorKind = 3
	// KindType: type mismatch.
	KindType ErrorKind = 4
	// KindMissingExport: no such export.
	KindMissingExport ErrorKind = 5
	// KindTrap: trap.
	KindTrap ErrorKind = 6
	// KindHost: host function failed.
	KindHost ErrorKind = 7
	// KindPoolExhausted: pool exhausted.
	KindPoolExhausted ErrorKind = 8
	// KindLimit: limit reached.
	KindLimit ErrorKind = 9
	// KindOutOfBounds: out of bounds.
	KindOutOfBounds ErrorKind = 10
	// KindStaleHandle: stale handle.
	KindStaleHandle ErrorKind = 11
	// KindBusy: store is in use.
	KindBusy ErrorKind = 12
	// KindConfig: invalid configuration.
	KindConfig ErrorKind = 13
	// KindGuestProtocol: guest broke the calling convention.
	KindGuestProtocol ErrorKind = 14
	// KindOs: operating system error.
	KindOs ErrorKind = 15
	// KindPoisoned: store is poisoned.
	KindPoisoned ErrorKind = 16
	// KindBug: bug in Instar.
	KindBug ErrorKind = 17
)

// String is the name of the value, the same in every language.
func (v ErrorKind) String() string {
	switch v {
	case KindInvalidModule:
		return "InvalidModule"
	case KindUnsupported:
		return "Unsupported"
	case KindLink:
		return "Link"
	case KindType:
		return "Type"
	case KindMissingExport:
		return "MissingExport"
	case KindTrap:
		return "Trap"
	case KindHost:
		return "Host"
	case KindPoolExhausted:
		return "PoolExhausted"
	case KindLimit:
		return "Limit"
	case KindOutOfBounds:
		return "OutOfBounds"
	case KindStaleHandle:
		return "StaleHandle"
	case KindBusy:
		return "Busy"
	case KindConfig:
		return "Config"
	case KindGuestProtocol:
		return "GuestProtocol"
	case KindOs:
		return "Os"
	case KindPoisoned:
		return "Poisoned"
	case KindBug:
		return "Bug"
	}
	return "unknown ErrorKind"
}

// TrapCode says why a guest trapped.
type TrapCode uint32

const (
	// TrapUnreachable: unreachable.
	TrapUnreachable TrapCode = 1
	// TrapIntegerDivideByZero: integer divide by zero.
	TrapIntegerDivideByZero TrapCode = 2
	// TrapIntegerOverflow: integer overflow.
	TrapIntegerOverflow TrapCode = 3
	// TrapInvalidConversionToInteger: invalid conversion to integer.
	TrapInvalidConversionToInteger TrapCode = 4
	// TrapMemoryOutOfBounds: out of bounds memory access.
	TrapMemoryOutOfBounds TrapCode = 5
	// TrapTableOutOfBounds: out of bounds table access.
	TrapTableOutOfBounds TrapCode = 6
	// TrapUndefinedElement: undefined element.
	TrapUndefinedElement TrapCode = 7
	// TrapUninitializedElement: uninitialized element.
	TrapUninitializedElement TrapCode = 8
	// TrapIndirectCallTypeMismatch: indirect call type mismatch.
	TrapIndirectCallTypeMismatch TrapCode = 9
	// TrapNullReference: null reference.
	TrapNullReference TrapCode = 10
	// TrapStackOverflow: call stack exhausted.
	TrapStackOverflow TrapCode = 11
	// TrapHostError: host function failed.
	TrapHostError TrapCode = 12
	// TrapUnalignedAtomic: unaligned atomic.
	TrapUnalignedAtomic TrapCode = 13
	// TrapExpectedSharedMemory: expected shared memory.
	TrapExpectedSharedMemory TrapCode = 14
	// TrapNullFunctionReference: null function reference.
	TrapNullFunctionReference TrapCode = 15
)

// String is the name of the value, the same in every language.
func (v TrapCode) String() string {
	switch v {
	case TrapUnreachable:
		return "Unreachable"
	case TrapIntegerDivideByZero:
		return "IntegerDivideByZero"
	case TrapIntegerOverflow:
		return "IntegerOverflow"
	case TrapInvalidConversionToInteger:
		return "InvalidConversionToInteger"
	case TrapMemoryOutOfBounds:
		return "MemoryOutOfBounds"
	case TrapTableOutOfBounds:
		return "TableOutOfBounds"
	case TrapUndefinedElement:
		return "UndefinedElement"
	case TrapUninitializedElement:
		return "UninitializedElement"
	case TrapIndirectCallTypeMismatch:
		return "IndirectCallTypeMismatch"
	case TrapNullReference:
		return "NullReference"
	case TrapStackOverflow:
		return "StackOverflow"
	case TrapHostError:
		return "HostError"
	case TrapUnalignedAtomic:
		return "UnalignedAtomic"
	case TrapExpectedSharedMemory:
		return "ExpectedSharedMemory"
	case TrapNullFunctionReference:
		return "NullFunctionReference"
	}
	return "unknown TrapCode"
}
