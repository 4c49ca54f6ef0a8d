package instar

/*
#include "native.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"slices"
)

// Func is an exported function of an [InstancePre], looked up once. Share it between goroutines. [Func2] and its siblings give typed ones.
type Func struct {
	pre       *InstancePre
	handle    C.uint64_t
	name      string
	signature Signature
}

// Name gives the name of the export.
func (f *Func) Name() string { return f.name }

// Signature gives the function's type.
func (f *Func) Signature() Signature { return f.signature }

// CallRaw calls the function of an instance over slots: parameters in, results out from slots[0], at least as many slots as the larger of what
// parameters and what results take. i32 and f32 are in the low half of their slot; the upper half is ignored in parameters and 0 in
// results. A v128 takes two slots, its low half first. All bit patterns survive, NaNs too. The error's kind is [KindType] when there
// are too few slots, or a reference among the parameters and results.
func (f *Func) CallRaw(instance *Instance, slots []uint64) error {
	if err := instance.of(f.pre); err != nil {
		return err
	}
	failed := C.instar_call_slots(f.handle, instance.cell, instance.id, slotsPointer(slots), C.uint64_t(len(slots)))
	runtime.KeepAlive(instance)
	if failed != 0 {
		return takeError(failed)
	}
	return nil
}

// CallRawFresh is [Func.CallRaw] in a fresh instance of which nothing survives.
func (f *Func) CallRawFresh(data any, slots []uint64) error {
	if data == nil {
		failed := C.instar_fresh_slots(f.handle, 0, slotsPointer(slots), C.uint64_t(len(slots)))
		runtime.KeepAlive(f)
		if failed != 0 {
			return takeError(failed)
		}
		return nil
	}
	t := issue(data)
	failed := C.instar_fresh_slots(f.handle, t.number(), slotsPointer(slots), C.uint64_t(len(slots)))
	runtime.KeepAlive(f)
	t.giveBack()
	if failed != 0 {
		return takeError(failed)
	}
	return nil
}

// call2 calls with up to two parameters. Unused ones are 0.
func (f *Func) call2(instance *Instance, a, b uint64) (uint64, error) {
	if instance.pre != f.pre {
		return 0, instance.of(f.pre)
	}
	r := C.instar_call2(f.handle, instance.cell, instance.id, C.uint64_t(a), C.uint64_t(b))
	runtime.KeepAlive(instance)
	if r.err != 0 {
		return 0, takeError(r.err)
	}
	return uint64(r.value), nil
}

func (f *Func) fresh2(data any, a, b uint64) (uint64, error) {
	var r C.instar_one
	if data == nil {
		r = C.instar_fresh2(f.handle, 0, C.uint64_t(a), C.uint64_t(b))
	} else {
		t := issue(data)
		r = C.instar_fresh2(f.handle, t.number(), C.uint64_t(a), C.uint64_t(b))
		t.giveBack()
	}
	runtime.KeepAlive(f)
	if r.err != 0 {
		return 0, takeError(r.err)
	}
	return uint64(r.value), nil
}

// call6 calls with up to six parameters.
func (f *Func) call6(instance *Instance, a, b, c, d, e, g uint64) (uint64, error) {
	if instance.pre != f.pre {
		return 0, instance.of(f.pre)
	}
	r := C.instar_call6(f.handle, instance.cell, instance.id, C.uint64_t(a), C.uint64_t(b), C.uint64_t(c), C.uint64_t(d), C.uint64_t(e), C.uint64_t(g))
	runtime.KeepAlive(instance)
	if r.err != 0 {
		return 0, takeError(r.err)
	}
	return uint64(r.value), nil
}

func (f *Func) fresh6(data any, a, b, c, d, e, g uint64) (uint64, error) {
	var r C.instar_one
	if data == nil {
		r = C.instar_fresh6(f.handle, 0, C.uint64_t(a), C.uint64_t(b), C.uint64_t(c), C.uint64_t(d), C.uint64_t(e), C.uint64_t(g))
	} else {
		t := issue(data)
		r = C.instar_fresh6(f.handle, t.number(), C.uint64_t(a), C.uint64_t(b), C.uint64_t(c), C.uint64_t(d), C.uint64_t(e), C.uint64_t(g))
		t.giveBack()
	}
	runtime.KeepAlive(f)
	if r.err != 0 {
		return 0, takeError(r.err)
	}
	return uint64(r.value), nil
}

// dynamic calls with Go values.
func (f *Func) dynamic(args []any, call func(slots []uint64) error) ([]any, error) {
	if err := f.signature.checkValues(f.name); err != nil {
		return nil, err
	}
	slots := make([]uint64, f.signature.slots())
	if err := encode(f.signature, args, slots); err != nil {
		return nil, err
	}
	if err := call(slots); err != nil {
		return nil, err
	}
	return decode(f.signature, slots)
}

// check compares the function's type with the one that is asked for.
func (f *Func) check(want Signature) error {
	if !slices.Equal(f.signature.Params, want.Params) || !slices.Equal(f.signature.Results, want.Results) {
		if err := f.signature.checkValues(f.name); err != nil {
			return err
		}
		return &Error{KindType, fmt.Sprintf("`%s` has the type %v, not %v", f.name, f.signature, want)}
	}
	return nil
}
