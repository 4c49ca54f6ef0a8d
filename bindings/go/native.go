package instar

/*
#cgo linux,amd64 CFLAGS: -I${SRCDIR}/lib/linux_amd64
#cgo linux,amd64 LDFLAGS: -L${SRCDIR}/lib/linux_amd64
#cgo linux,arm64 CFLAGS: -I${SRCDIR}/lib/linux_arm64
#cgo linux,arm64 LDFLAGS: -L${SRCDIR}/lib/linux_arm64
#cgo darwin,amd64 CFLAGS: -I${SRCDIR}/lib/darwin_amd64
#cgo darwin,amd64 LDFLAGS: -L${SRCDIR}/lib/darwin_amd64
#cgo darwin,arm64 CFLAGS: -I${SRCDIR}/lib/darwin_arm64
#cgo darwin,arm64 LDFLAGS: -L${SRCDIR}/lib/darwin_arm64
#cgo LDFLAGS: -linstar_ffi
#cgo linux LDFLAGS: -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
#include "native.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// abiVersion is INSTAR_FFI_ABI_VERSION of the header that this package was compiled with.
const abiVersion = uint32(C.INSTAR_FFI_ABI_VERSION)

// handleKind says what a native handle stands for.
type handleKind uint32

const (
	engineHandle    handleKind = C.INSTAR_ENGINE
	moduleHandle    handleKind = C.INSTAR_MODULE
	linkerHandle    handleKind = C.INSTAR_LINKER
	preHandle       handleKind = C.INSTAR_PRE
	funcHandle      handleKind = C.INSTAR_FUNC
	bytesFuncHandle handleKind = C.INSTAR_BYTES_FUNC
	memoryHandle    handleKind = C.INSTAR_MEMORY
)

func freeHandle(kind handleKind, handle uint64) {
	C.instar_free(C.uint32_t(kind), C.uint64_t(handle))
}

// native owns a handle: until close, or until the garbage collector finds its owner unreachable.
//
// A handle carries a generation, so using or freeing one that was freed is an error and never harm. That is why reading it needs no
// lock.
type native struct {
	kind    handleKind
	handle  atomic.Uint64 // 0 once closed
	cleanup runtime.Cleanup
}

// own takes a handle over. owner is the object that holds n.
func own[T any](n *native, owner *T, kind handleKind, handle uint64) {
	n.kind = kind
	n.handle.Store(handle)
	n.cleanup = runtime.AddCleanup(owner, func(handle uint64) { freeHandle(kind, handle) }, handle)
}

// close frees the handle. Closing again does nothing.
func (n *native) close() {
	if handle := n.handle.Swap(0); handle != 0 {
		n.cleanup.Stop()
		freeHandle(n.kind, handle)
	}
}

// use gives the handle, or ErrClosed's kind with the name of what was closed.
func (n *native) use(noun string) (C.uint64_t, error) {
	handle := n.handle.Load()
	if handle == 0 {
		return 0, &Error{KindStaleHandle, fmt.Sprintf("the %s has been closed", noun)}
	}
	return C.uint64_t(handle), nil
}

func textPointer(text string) *C.uint8_t {
	return (*C.uint8_t)(unsafe.StringData(text))
}

func bytesPointer(bytes []byte) *C.uint8_t {
	return (*C.uint8_t)(unsafe.SliceData(bytes))
}

func slotsPointer(slots []uint64) *C.uint64_t {
	return (*C.uint64_t)(unsafe.SliceData(slots))
}

// readText asks for a text, with a bigger buffer if the first is too small.
func readText(ask func(buf *C.uint8_t, cap C.uint64_t) C.instar_text) (string, C.instar_text, error) {
	buf := make([]byte, 128)
	for {
		got := ask(bytesPointer(buf), C.uint64_t(len(buf)))
		if got.err != 0 {
			return "", got, takeError(got.err)
		}
		if int(got.len) <= len(buf) {
			return string(buf[:got.len]), got, nil
		}
		buf = make([]byte, got.len)
	}
}
