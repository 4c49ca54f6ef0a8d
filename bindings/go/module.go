package instar

/*
#include "native.h"
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
)

// Module is compiled code plus everything known before instantiation. It is immutable and can be shared between goroutines.
type Module struct {
	native native
}

// ExternKind says what is imported or exported.
type ExternKind uint32

// The kinds of imports and exports.
const (
	ExternFunc   ExternKind = 1
	ExternMemory ExternKind = 2
	ExternTable  ExternKind = 3
	ExternGlobal ExternKind = 4
)

// Import is something that a module needs.
type Import struct {
	Module, Name string
	Kind         ExternKind
}

// Export is something that a module offers.
type Export struct {
	Name string
	Kind ExternKind
}

// NewModule compiles a module from the binary or the text format. The error's kind is [KindInvalidModule] or [KindUnsupported].
func NewModule(engine *Engine, wasm []byte) (*Module, error) {
	handle, err := engine.native.use("engine")
	if err != nil {
		return nil, err
	}
	made := C.instar_module_new(handle, bytesPointer(wasm), C.uint64_t(len(wasm)))
	runtime.KeepAlive(engine)
	if made.err != 0 {
		return nil, takeError(made.err)
	}
	module := new(Module)
	own(&module.native, module, moduleHandle, uint64(made.value))
	return module, nil
}

// NewModuleFromFile reads and compiles a file in either format.
func NewModuleFromFile(engine *Engine, path string) (*Module, error) {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	module, err := NewModule(engine, wasm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return module, nil
}

// Exports lists what the module offers, in its order.
func (m *Module) Exports() ([]Export, error) {
	handle, err := m.native.use("module")
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(m)
	for exports := []Export(nil); ; {
		name, got, err := readText(func(buf *C.uint8_t, cap C.uint64_t) C.instar_text {
			return C.instar_module_export(handle, C.uint64_t(len(exports)), buf, cap)
		})
		if err != nil || got.first == 0 {
			return exports, err
		}
		exports = append(exports, Export{name, ExternKind(got.first)})
	}
}

// Imports lists what the module needs, in its order.
func (m *Module) Imports() ([]Import, error) {
	handle, err := m.native.use("module")
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(m)
	for imports := []Import(nil); ; {
		both, got, err := readText(func(buf *C.uint8_t, cap C.uint64_t) C.instar_text {
			return C.instar_module_import(handle, C.uint64_t(len(imports)), buf, cap)
		})
		if err != nil || got.first == 0 {
			return imports, err
		}
		imports = append(imports, Import{both[:got.second], both[got.second:], ExternKind(got.first)})
	}
}

// Close lets the module go. Pres made from it keep what they need. Closing again does nothing.
func (m *Module) Close() error {
	m.native.close()
	return nil
}
