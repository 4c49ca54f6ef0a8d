package instar

/*
#include "native.h"
*/
import "C"

import (
	"runtime"
	"sync"
)

// InstancePre is a module with all imports resolved and checked: what is instantiated millions of times. Share it between goroutines.
type InstancePre struct {
	handles *preHandles

	mutex    sync.RWMutex
	funcs    map[string]*Func      // by mutex
	bytes    map[string]*BytesFunc // by mutex
	memories map[string]uint64     // by mutex
}

// preHandles are a pre's handle and those of the tokens that were made from it. They go together.
type preHandles struct {
	pre native

	mutex  sync.Mutex
	closed bool          // by mutex
	tokens []tokenHandle // by mutex
}

type tokenHandle struct {
	kind   handleKind
	handle uint64
}

func newInstancePre(handle uint64) *InstancePre {
	handles := &preHandles{}
	handles.pre.kind = preHandle
	handles.pre.handle.Store(handle)
	pre := &InstancePre{
		handles:  handles,
		funcs:    map[string]*Func{},
		bytes:    map[string]*BytesFunc{},
		memories: map[string]uint64{},
	}
	handles.pre.cleanup = runtime.AddCleanup(pre, (*preHandles).close, handles)
	return pre
}

// add keeps a token's handle; frees it at once when the pre was closed meanwhile.
func (h *preHandles) add(kind handleKind, handle uint64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed {
		freeHandle(kind, handle)
		return
	}
	h.tokens = append(h.tokens, tokenHandle{kind, handle})
}

func (h *preHandles) close() {
	h.mutex.Lock()
	tokens := h.tokens
	h.tokens, h.closed = nil, true
	h.mutex.Unlock()
	for _, token := range tokens {
		freeHandle(token.kind, token.handle)
	}
	h.pre.close()
}

// Close refuses new instances and calls from now on; what goes on at the moment is finished. Instances that are alive can only be
// closed. Closing again does nothing.
func (p *InstancePre) Close() error {
	p.handles.close()
	runtime.KeepAlive(p)
	return nil
}

// token looks an export up.
func (p *InstancePre) token(kind handleKind, name string) (uint64, error) {
	handle, err := p.handles.pre.use("pre")
	if err != nil {
		return 0, err
	}
	made := C.instar_token(C.uint32_t(kind), handle, textPointer(name), C.uint64_t(len(name)))
	runtime.KeepAlive(p)
	if made.err != 0 {
		return 0, takeError(made.err)
	}
	p.handles.add(kind, uint64(made.value))
	return uint64(made.value), nil
}

// cached looks a name up in one of the pre's maps, or makes its value.
func cached[V any](p *InstancePre, values map[string]V, name string, make func() (V, error)) (V, error) {
	p.mutex.RLock()
	value, ok := values[name]
	p.mutex.RUnlock()
	if ok {
		return value, nil
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if value, ok := values[name]; ok {
		return value, nil
	}
	value, err := make()
	if err == nil {
		values[name] = value
	}
	return value, err
}

// Func gives a token of an exported function: no name is looked up later, and all goroutines can share it. The error is
// [ErrMissingExport] and names what there is.
func (p *InstancePre) Func(name string) (*Func, error) {
	return cached(p, p.funcs, name, func() (*Func, error) {
		handle, err := p.token(funcHandle, name)
		if err != nil {
			return nil, err
		}
		text, _, err := readText(func(buf *C.uint8_t, cap C.uint64_t) C.instar_text {
			return C.instar_func_signature(C.uint64_t(handle), buf, cap)
		})
		if err != nil {
			return nil, err
		}
		return &Func{pre: p, handle: C.uint64_t(handle), name: name, signature: parseSignature(text)}, nil
	})
}

// BytesFunc gives a token of an exported function from bytes to bytes: the guest exports memory, alloc(i32) -> i32 and
// name(ptr i32, len i32) -> i64, which answers ptr<<32 | len.
func (p *InstancePre) BytesFunc(name string) (*BytesFunc, error) {
	return cached(p, p.bytes, name, func() (*BytesFunc, error) {
		handle, err := p.token(bytesFuncHandle, name)
		if err != nil {
			return nil, err
		}
		return &BytesFunc{pre: p, handle: C.uint64_t(handle)}, nil
	})
}

func (p *InstancePre) memory(name string) (uint64, error) {
	return cached(p, p.memories, name, func() (uint64, error) { return p.token(memoryHandle, name) })
}

// Call calls an export in a fresh instance, of which nothing survives: create, call and reset in one crossing. data is what host functions
// see as [Caller.Data].
//
// Arguments are int32 or uint32, int64 or uint64, float32, float64; results int32, int64, float32, float64. Nothing is coerced. Typed
// functions ([Func2] and its siblings) do the same without allocating.
func (p *InstancePre) Call(data any, name string, args ...any) ([]any, error) {
	function, err := p.Func(name)
	if err != nil {
		return nil, err
	}
	return function.dynamic(args, func(slots []uint64) error { return function.CallRawFresh(data, slots) })
}

// CallBytes gives the bytes that an export answers to some bytes, in a fresh instance of which nothing survives. See
// [InstancePre.BytesFunc] for what the guest must export.
func (p *InstancePre) CallBytes(name string, input []byte) ([]byte, error) {
	function, err := p.BytesFunc(name)
	if err != nil {
		return nil, err
	}
	return function.CallFresh(nil, input)
}
