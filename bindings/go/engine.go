package instar

/*
#include "native.h"
*/
import "C"

import (
	"fmt"
	"runtime"
)

// Config says how an engine is built. The zero value is the fast path with the default limits.
type Config struct {
	// MaxInstances is how many instances may be alive at a time. 0 = 10 000.
	MaxInstances int
	// MaxMemoryPages is the largest size of a linear memory in pages of 64 KiB, whatever the module allows. 0 = 65 536 (4 GiB); 64-bit memories can
	// use more.
	MaxMemoryPages int
	// MaxTableElements is the largest number of elements of a table, whatever the module allows. 0 = 1 000 000.
	MaxTableElements int
	// MaxWasmStack is the stack that guest code may use, in bytes. 0 = 512 KiB.
	MaxWasmStack int
	// Paranoid compares every slot with its image, byte by byte, after each reset, and aborts the process when they differ. Slow; for
	// tests.
	Paranoid bool
}

// Engine is configuration, compiler and pools. Make one for a program and share it between goroutines.
type Engine struct {
	native native
}

// NewEngine makes an engine. The error's kind is [KindConfig] when the configuration contradicts itself.
func NewEngine(config Config) (*Engine, error) {
	if abi := uint32(C.instar_abi_version()); abi != abiVersion {
		return nil, &Error{KindConfig, fmt.Sprintf("this package was made for version %d of the native library's interface; linked is version %d: rebuild it", abiVersion, abi)}
	}
	var flags C.uint64_t
	if config.Paranoid {
		flags |= 1
	}
	limits := [4]C.uint64_t{}
	for i, limit := range []struct {
		name  string
		value int
	}{{"MaxInstances", config.MaxInstances}, {"MaxMemoryPages", config.MaxMemoryPages}, {"MaxTableElements", config.MaxTableElements}, {"MaxWasmStack", config.MaxWasmStack}} {
		if limit.value < 0 {
			return nil, &Error{KindConfig, fmt.Sprintf("%s is %d; it must not be negative", limit.name, limit.value)}
		}
		limits[i] = C.uint64_t(limit.value)
	}
	made := C.instar_engine_new(limits[0], limits[1], limits[2], limits[3], flags)
	if made.err != 0 {
		return nil, takeError(made.err)
	}
	engine := new(Engine)
	own(&engine.native, engine, engineHandle, uint64(made.value))
	return engine, nil
}

// LiveInstances is the number of instances that are alive now.
func (e *Engine) LiveInstances() (int, error) {
	handle, err := e.native.use("engine")
	if err != nil {
		return 0, err
	}
	live := C.instar_engine_live_instances(handle)
	runtime.KeepAlive(e)
	if live.err != 0 {
		return 0, takeError(live.err)
	}
	return int(live.value), nil
}

// Close lets the engine go. Modules, linkers and pres made from it keep what they need. Closing again does nothing.
func (e *Engine) Close() error {
	e.native.close()
	return nil
}

// Version is the version of the native library.
func Version() string {
	buf := make([]byte, 64)
	return string(buf[:C.instar_library_version(bytesPointer(buf), C.uint64_t(len(buf)))])
}
