package instar

/*
#include "native.h"
*/
import "C"

import "runtime"

// Memory is access to a linear memory, of an [Instance] or of a [Caller], and good as long as that is. It copies: there is no view, so nothing that
// could outlive the instance. Addresses are checked: beyond the end the error is [ErrOutOfBounds] and nothing is copied.
type Memory struct {
	instance *Instance  // or
	caller   C.uint64_t // with name
	name     string
	token    C.uint64_t
	err      error
}

// Size gives the size in bytes.
func (m Memory) Size() (uint64, error) {
	if m.err != nil {
		return 0, m.err
	}
	var r C.instar_one
	if m.instance != nil {
		r = C.instar_memory_size(m.token, m.instance.cell, m.instance.id)
		runtime.KeepAlive(m.instance)
	} else {
		r = C.instar_caller_memory_size(m.caller, textPointer(m.name), C.uint64_t(len(m.name)))
	}
	if r.err != 0 {
		return 0, takeError(r.err)
	}
	return uint64(r.value), nil
}

// Read fills bytes from address on.
func (m Memory) Read(address uint64, bytes []byte) error {
	if m.err != nil {
		return m.err
	}
	var failed C.uint64_t
	if m.instance != nil {
		failed = C.instar_memory_read(m.token, m.instance.cell, m.instance.id, C.uint64_t(address), bytesPointer(bytes), C.uint64_t(len(bytes)))
		runtime.KeepAlive(m.instance)
	} else {
		failed = C.instar_caller_memory_read(m.caller, textPointer(m.name), C.uint64_t(len(m.name)), C.uint64_t(address), bytesPointer(bytes), C.uint64_t(len(bytes)))
	}
	if failed != 0 {
		return takeError(failed)
	}
	return nil
}

// ReadString gives length bytes from address on as a string. The memory's size bounds what is allocated.
func (m Memory) ReadString(address, length uint64) (string, error) {
	size, err := m.Size()
	if err != nil {
		return "", err
	}
	bytes := make([]byte, min(length, size))
	if uint64(len(bytes)) < length { // beyond the end: let Read say so
		return "", m.Read(size, make([]byte, 1))
	}
	if err := m.Read(address, bytes); err != nil {
		return "", err
	}
	return string(bytes), nil
}

// Write copies bytes to address.
func (m Memory) Write(address uint64, bytes []byte) error {
	if m.err != nil {
		return m.err
	}
	var failed C.uint64_t
	if m.instance != nil {
		failed = C.instar_memory_write(m.token, m.instance.cell, m.instance.id, C.uint64_t(address), bytesPointer(bytes), C.uint64_t(len(bytes)))
		runtime.KeepAlive(m.instance)
	} else {
		failed = C.instar_caller_memory_write(m.caller, textPointer(m.name), C.uint64_t(len(m.name)), C.uint64_t(address), bytesPointer(bytes), C.uint64_t(len(bytes)))
	}
	if failed != 0 {
		return takeError(failed)
	}
	return nil
}

// Grow makes the memory larger by pages of its own size (64 KiB unless its type says otherwise) and gives the old size in pages. The error is [ErrLimit] when a maximum forbids it.
func (m Memory) Grow(pages uint64) (uint64, error) {
	if m.err != nil {
		return 0, m.err
	}
	var r C.instar_one
	if m.instance != nil {
		r = C.instar_memory_grow(m.token, m.instance.cell, m.instance.id, C.uint64_t(pages))
		runtime.KeepAlive(m.instance)
	} else {
		r = C.instar_caller_memory_grow(m.caller, textPointer(m.name), C.uint64_t(len(m.name)), C.uint64_t(pages))
	}
	if r.err != 0 {
		return 0, takeError(r.err)
	}
	return uint64(r.value), nil
}
