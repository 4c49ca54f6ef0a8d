package instar

/*
#include "native.h"
*/
import "C"

import (
	"errors"
	"fmt"
)

// Error is what every operation of this package returns when it fails, except for traps of the guest ([Trap]) and errors of the
// program's own host functions, which come back as they are.
type Error struct {
	// Kind is the stable number of what went wrong.
	Kind ErrorKind
	// Message says what was wrong and what would be right. It is for people and may change.
	Message string
}

// Error gives the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return "instar: " + e.Kind.String()
	}
	return "instar: " + e.Message
}

// Is makes errors.Is(err, ErrClosed) and so on compare kinds.
func (e *Error) Is(target error) bool {
	sentinel, ok := target.(*Error)
	return ok && sentinel.Message == "" && sentinel.Kind == e.Kind
}

// Errors to compare with by [errors.Is]. Any other kind can be compared with &Error{Kind: …}.
var (
	// ErrClosed: the thing was closed, or is used outside the time in which it is good (a [Caller] after its call).
	ErrClosed error = &Error{Kind: KindStaleHandle}
	// ErrBusy: the instance is in a call, of another goroutine or the one that is going on.
	ErrBusy error = &Error{Kind: KindBusy}
	// ErrPoolExhausted: [Config].MaxInstances instances are alive. Close those that are done.
	ErrPoolExhausted error = &Error{Kind: KindPoolExhausted}
	// ErrOutOfBounds: the host accessed memory beyond its end.
	ErrOutOfBounds error = &Error{Kind: KindOutOfBounds}
	// ErrMissingExport: there is no export of that name and kind.
	ErrMissingExport error = &Error{Kind: KindMissingExport}
	// ErrType: types of arguments or functions do not match.
	ErrType error = &Error{Kind: KindType}
	// ErrLimit: a limit of the engine or of the module was reached.
	ErrLimit error = &Error{Kind: KindLimit}
)

// Trap is the error of a guest that trapped. A host function that returns one traps like the guest itself.
type Trap struct {
	Code TrapCode
	// Message is the specification's text of the trap; empty in one that the program made.
	Message string
}

// Error gives the text of the trap.
func (t *Trap) Error() string {
	if t.Message == "" {
		return "wasm trap: " + t.Code.String()
	}
	return "wasm trap: " + t.Message
}

// Is makes errors.Is(err, &Trap{code}) compare codes.
func (t *Trap) Is(target error) bool {
	other, ok := target.(*Trap)
	return ok && other.Code == t.Code
}

// KindOf gives the kind of an error that this package returned; [KindHost] for one of a host function, 0 for nil.
func KindOf(err error) ErrorKind {
	var trap *Trap
	var own *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &trap):
		return KindTrap
	case errors.As(err, &own):
		return own.Kind
	default:
		return KindHost
	}
}

// takeError turns an error handle into an error and frees it. It panics with what a host function panicked with.
func takeError(handle C.uint64_t) error {
	if handle == C.INSTAR_UNREPORTED {
		return &Error{KindBug, "the native library failed without telling how; please report it"}
	}
	buf := make([]byte, 256)
	read := C.instar_take_error(handle, bytesPointer(buf), C.uint64_t(len(buf)))
	if int(read.len) > len(buf) {
		buf = make([]byte, read.len)
		read = C.instar_take_error(handle, bytesPointer(buf), C.uint64_t(len(buf)))
	}
	if read.token != 0 {
		return thrown.take(uint64(read.token))
	}
	if read.trap != 0 {
		return &Trap{TrapCode(read.trap), string(buf[:read.len])}
	}
	if read.kind == 0 {
		return &Error{KindBug, fmt.Sprintf("the native library returned %#x, which is no error", uint64(handle))}
	}
	return &Error{ErrorKind(read.kind), string(buf[:read.len])}
}
