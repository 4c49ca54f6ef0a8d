package instar

/*
#include "native.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// HostFunc is a host function over raw slots: parameters in, results out, from stack[0]. i32 and f32 are in the low half of
// their slot (uint32(stack[0]), [F32FromSlot]); the upper half is 0 in parameters and ignored in results.
//
// The caller is good until the function returns. An error ends the guest and comes back from the outermost call as the very same value;
// a [*Trap] traps the guest; a panic ends the guest and goes on in the goroutine of the outermost call. The function must not end
// its goroutine (runtime.Goexit, testing.T.FailNow): that is a crash, because guests cannot be unwound.
type HostFunc func(caller Caller, stack []uint64) error

// hostFuncs holds the host functions of all linkers; the native side knows their numbers.
var hostFuncs table[HostFunc]

// thrown holds what host functions failed with, while the guest that called them is being ended.
var thrown failures

type failures struct {
	waiting table[failure]
}

// failure is an error, or a panic.
type failure struct {
	err      error
	panicked bool
	value    any
}

// firstToken is where host error tokens start; below are trap codes.
const firstToken = 0x10000

// code tells the native side of an error.
func (f *failures) code(err error) uint64 {
	if trap, ok := err.(*Trap); ok && trap.Code.known() {
		return uint64(trap.Code)
	}
	return firstToken + f.waiting.put(&failure{err: err})
}

func (f *failures) codeOfPanic(value any) uint64 {
	return firstToken + f.waiting.put(&failure{panicked: true, value: value})
}

// take gives the error of a token, or goes on with its panic.
func (f *failures) take(token uint64) error {
	failure := f.waiting.take(token - firstToken)
	switch {
	case failure == nil:
		return &Error{KindBug, fmt.Sprintf("an unknown host error token: %#x", token)}
	case failure.panicked:
		panic(failure.value)
	default:
		return failure.err
	}
}

// known says whether guests can trap with this code.
func (v TrapCode) known() bool {
	return v.String() != TrapCode(0).String() && v != TrapHostError
}

// instarGoCall is called by guests, whichever host function they mean.
//
//export instarGoCall
func instarGoCall(context, caller C.uint64_t, slots *C.uint64_t, n C.uint32_t) (code C.uint64_t) {
	function := hostFuncs.look(uint64(context))
	if function == nil {
		return C.uint64_t(thrown.code(&Error{KindBug, "an unknown host function was called"}))
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		value := recover()
		if value == nil { // runtime.Goexit: nothing can stop it, and the guest's frames cannot go away with this goroutine
			go panic("instar: a host function ended its goroutine (runtime.Goexit, or FailNow of a test)")
			select {}
		}
		code = C.uint64_t(thrown.codeOfPanic(value))
	}()
	err := (*function)(Caller{uint64(caller)}, unsafe.Slice((*uint64)(slots), int(n)))
	returned = true
	if err != nil {
		return C.uint64_t(thrown.code(err))
	}
	return 0
}

// instarGoRelease is called when nothing can call a host function any more.
//
//export instarGoRelease
func instarGoRelease(context C.uint64_t) {
	hostFuncs.take(uint64(context))
}
