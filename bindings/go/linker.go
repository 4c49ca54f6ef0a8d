package instar

/*
#include "native.h"
*/
import "C"

import (
	"fmt"
	"runtime"
)

// Linker gives imports their meaning: names to host functions.
type Linker struct {
	native native
}

// NewLinker makes an empty linker.
func NewLinker(engine *Engine) (*Linker, error) {
	handle, err := engine.native.use("engine")
	if err != nil {
		return nil, err
	}
	made := C.instar_linker_new(handle)
	runtime.KeepAlive(engine)
	if made.err != 0 {
		return nil, takeError(made.err)
	}
	linker := new(Linker)
	own(&linker.native, linker, linkerHandle, uint64(made.value))
	return linker, nil
}

// AllowShadowing makes a later definition of a name replace the earlier one, instead of being an error of [KindLink].
func (l *Linker) AllowShadowing(on bool) error {
	handle, err := l.native.use("linker")
	if err != nil {
		return err
	}
	var flag C.uint64_t
	if on {
		flag = 1
	}
	failed := C.instar_linker_allow_shadowing(handle, flag)
	runtime.KeepAlive(l)
	if failed != 0 {
		return takeError(failed)
	}
	return nil
}

// Func defines a host function over raw slots, without reflection and without allocation in its calls. [HostFunc2] and its siblings define
// functions over Go types. Parameters and results are numbers: with [V128] or a reference among them the error's kind is [KindType].
//
// The function is kept, with everything it refers to, until the linker and all pres made from it are closed or collected.
func (l *Linker) Func(module, name string, function HostFunc, params, results []ValueType) error {
	if function == nil {
		return &Error{KindType, fmt.Sprintf("the host function %s.%s is nil", module, name)}
	}
	handle, err := l.native.use("linker")
	if err != nil {
		return err
	}
	// The native side calls instarGoRelease in any case, also when it refuses.
	context := hostFuncs.put(&function)
	signature := Signature{params, results}.text()
	failed := C.instar_linker_func(handle, textPointer(module), C.uint64_t(len(module)), textPointer(name), C.uint64_t(len(name)),
		textPointer(signature), C.uint64_t(len(signature)), C.uint64_t(context))
	runtime.KeepAlive(l)
	if failed != 0 {
		return takeError(failed)
	}
	return nil
}

// InstantiatePre resolves and checks all imports of a module, once. The error's kind is [KindLink] when one is missing or has
// another type.
func (l *Linker) InstantiatePre(module *Module) (*InstancePre, error) {
	linkerHandle, err := l.native.use("linker")
	if err != nil {
		return nil, err
	}
	moduleHandle, err := module.native.use("module")
	if err != nil {
		return nil, err
	}
	made := C.instar_linker_instantiate_pre(linkerHandle, moduleHandle)
	runtime.KeepAlive(l)
	runtime.KeepAlive(module)
	if made.err != 0 {
		return nil, takeError(made.err)
	}
	return newInstancePre(uint64(made.value)), nil
}

// Close lets the linker go. Pres made from it keep what they need. Closing again does nothing.
func (l *Linker) Close() error {
	l.native.close()
	return nil
}
