package instar

/*
#include "native.h"
*/
import "C"

import (
	"runtime"
	"slices"
	"sync"
)

// BytesFunc is an exported function from bytes to bytes, looked up once. Share it between goroutines.
type BytesFunc struct {
	pre    *InstancePre
	handle C.uint64_t
}

// answer is what the native side gave: the answer lies in the room that it was offered, or in a buffer of its own.
type answer struct {
	buffer, len C.uint64_t
}

// rooms are buffers for answers of unknown length.
var rooms = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// Call gives the function's answer to input. The error's kind is [KindGuestProtocol] when the guest's answer is not in its memory.
func (f *BytesFunc) Call(instance *Instance, input []byte) ([]byte, error) {
	room := rooms.Get().(*[16 << 10]byte)
	defer rooms.Put(room)
	a, err := f.call(instance, input, room[:])
	if err != nil {
		return nil, err
	}
	return a.copyFrom(room[:]), nil
}

// CallFresh is [BytesFunc.Call] in a fresh instance of which nothing survives. data is what host functions see as [Caller.Data].
func (f *BytesFunc) CallFresh(data any, input []byte) ([]byte, error) {
	room := rooms.Get().(*[16 << 10]byte)
	defer rooms.Put(room)
	a, err := f.fresh(data, input, room[:])
	if err != nil {
		return nil, err
	}
	return a.copyFrom(room[:]), nil
}

// Append appends the function's answer to dst, as append does: it allocates nothing if there is room.
func (f *BytesFunc) Append(dst []byte, instance *Instance, input []byte) ([]byte, error) {
	a, err := f.call(instance, input, dst[len(dst):cap(dst)])
	if err != nil {
		return dst, err
	}
	return a.appendTo(dst), nil
}

// AppendFresh is [BytesFunc.Append] in a fresh instance of which nothing survives.
func (f *BytesFunc) AppendFresh(dst []byte, data any, input []byte) ([]byte, error) {
	a, err := f.fresh(data, input, dst[len(dst):cap(dst)])
	if err != nil {
		return dst, err
	}
	return a.appendTo(dst), nil
}

func (f *BytesFunc) call(instance *Instance, input, room []byte) (answer, error) {
	if instance.pre != f.pre {
		return answer{}, instance.of(f.pre)
	}
	r := C.instar_call_bytes(f.handle, instance.cell, instance.id, bytesPointer(input), C.uint64_t(len(input)), bytesPointer(room), C.uint64_t(len(room)))
	runtime.KeepAlive(instance)
	if r.err != 0 {
		return answer{}, takeError(r.err)
	}
	return answer{r.first, r.second}, nil
}

func (f *BytesFunc) fresh(data any, input, room []byte) (answer, error) {
	var r C.instar_two
	if data == nil {
		r = C.instar_fresh_bytes(f.handle, 0, bytesPointer(input), C.uint64_t(len(input)), bytesPointer(room), C.uint64_t(len(room)))
	} else {
		t := issue(data)
		r = C.instar_fresh_bytes(f.handle, t.number(), bytesPointer(input), C.uint64_t(len(input)), bytesPointer(room), C.uint64_t(len(room)))
		t.giveBack()
	}
	runtime.KeepAlive(f)
	if r.err != 0 {
		return answer{}, takeError(r.err)
	}
	return answer{r.first, r.second}, nil
}

// copyFrom gives the answer in a new slice.
func (a answer) copyFrom(room []byte) []byte {
	if a.buffer == 0 {
		return append([]byte{}, room[:a.len]...)
	}
	bytes := make([]byte, a.len)
	C.instar_take_buffer(a.buffer, a.len, bytesPointer(bytes))
	return bytes
}

// appendTo gives dst with the answer, which lies behind its end if there was room.
func (a answer) appendTo(dst []byte) []byte {
	end := len(dst) + int(a.len)
	if a.buffer == 0 {
		return dst[:end]
	}
	dst = slices.Grow(dst, int(a.len))
	C.instar_take_buffer(a.buffer, a.len, bytesPointer(dst[len(dst):cap(dst)]))
	return dst[:end]
}
