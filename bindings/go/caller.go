package instar

/*
#include "native.h"
*/
import "C"

// Caller is the instance that called a host function. It is good until the host function returns, and in its goroutine only; afterwards, and
// elsewhere, each use is [ErrClosed].
type Caller struct {
	handle uint64
}

// Data gives what the instance was made with. Nil when the caller is not good any more.
func (c Caller) Data() any {
	r := C.instar_caller_data(C.uint64_t(c.handle))
	if r.err != 0 {
		_ = takeError(r.err)
		return nil
	}
	if tenancy := tenancies.look(uint64(r.value)); tenancy != nil {
		return tenancy.data
	}
	return nil
}

// Memory gives access to an exported memory of the instance. If there is none of that name, each use is [ErrMissingExport].
func (c Caller) Memory(name string) Memory {
	return Memory{caller: C.uint64_t(c.handle), name: name}
}

// Call calls an export of the instance, while it waits for the host function. See [InstancePre.Call] for the values. Its error can be returned
// from the host function as it is.
func (c Caller) Call(name string, args ...any) ([]any, error) {
	text, _, err := readText(func(buf *C.uint8_t, cap C.uint64_t) C.instar_text {
		return C.instar_caller_func_signature(C.uint64_t(c.handle), textPointer(name), C.uint64_t(len(name)), buf, cap)
	})
	if err != nil {
		return nil, err
	}
	function := &Func{name: name, signature: parseSignature(text)}
	return function.dynamic(args, func(slots []uint64) error { return c.CallRaw(name, slots) })
}

// CallRaw is [Caller.Call] over slots. See [Func.CallRaw].
func (c Caller) CallRaw(name string, slots []uint64) error {
	failed := C.instar_caller_call(C.uint64_t(c.handle), textPointer(name), C.uint64_t(len(name)), slotsPointer(slots), C.uint64_t(len(slots)))
	if failed != 0 {
		return takeError(failed)
	}
	return nil
}
