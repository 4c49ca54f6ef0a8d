package instar

/*
#include "native.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Instance is a sandbox. It must be closed: until then it occupies a slot of the engine. One that is forgotten is closed some time after the
// garbage collector finds it.
//
// One goroutine uses an instance at a time, any goroutine: otherwise the error is [ErrBusy]. After Close it is [ErrClosed].
type Instance struct {
	pre    *InstancePre
	cell   C.uint64_t
	id     C.uint64_t
	closed atomic.Bool
	ticket *ticket // nil once closed
}

// tenancy is what the process knows of a live instance without keeping the Instance alive: its data, and how to abandon it.
//
// A tenancy without an instance has id 0. Writing id publishes the other fields.
type tenancy struct {
	number    uint64 // in tenancies; the native side's `data`
	data      any
	pre, cell C.uint64_t
	id        atomic.Uint64
}

// ticket is what the garbage collector watches, in place of the Instance: watching costs hundreds of nanoseconds to set up, so tickets
// are used again.
//
// Invariant: only a live Instance, a running call or the pool refers to a ticket.
type ticket struct {
	tenancy *tenancy
}

var (
	tenancies table[tenancy]
	tickets   = sync.Pool{New: func() any { return newTicket() }}
)

func newTicket() *ticket {
	t := &ticket{&tenancy{}}
	t.tenancy.number = tenancies.put(t.tenancy)
	runtime.AddCleanup(t, (*tenancy).end, t.tenancy)
	return t
}

// issue gives a ticket for an instance with this data.
func issue(data any) *ticket {
	t := tickets.Get().(*ticket)
	t.tenancy.data = data
	return t
}

func (t *ticket) number() C.uint64_t {
	return C.uint64_t(t.tenancy.number)
}

// giveBack ends the tenancy; the ticket can be issued again.
func (t *ticket) giveBack() {
	t.tenancy.data = nil
	t.tenancy.id.Store(0)
	tickets.Put(t)
}

// end is called when nobody has the ticket any more. With an instance, that was forgotten.
func (t *tenancy) end() {
	if id := t.id.Load(); id != 0 {
		C.instar_instance_abandon(t.pre, t.cell, C.uint64_t(id))
	}
	tenancies.take(t.number)
}

// Instantiate makes a fresh instance. data is what host functions see as [Caller.Data]; it is kept until the instance is closed
// (data that refers to its own instance keeps it from being collected). The error is [ErrPoolExhausted] when too many are alive, or what
// the module's start function failed with.
func (p *InstancePre) Instantiate(data any) (*Instance, error) {
	handle, err := p.handles.pre.use("pre")
	if err != nil {
		return nil, err
	}
	t := issue(data)
	made := C.instar_instantiate(handle, t.number())
	runtime.KeepAlive(p)
	if made.err != 0 {
		t.giveBack()
		return nil, takeError(made.err)
	}
	t.tenancy.pre, t.tenancy.cell = handle, made.first
	t.tenancy.id.Store(uint64(made.second))
	return &Instance{pre: p, cell: made.first, id: made.second, ticket: t}, nil
}

// Close undoes everything the instance did and gives its slot to the next one. The error is [ErrBusy] during a call. Closing again does
// nothing.
func (i *Instance) Close() error {
	if !i.closed.CompareAndSwap(false, true) {
		return nil
	}
	if failed := C.instar_instance_close(i.ticket.tenancy.pre, i.cell, i.id); failed != 0 {
		i.closed.Store(false)
		return takeError(failed)
	}
	t := i.ticket
	i.ticket = nil
	t.giveBack()
	return nil
}

// Call calls an export. See [InstancePre.Call] for the values.
func (i *Instance) Call(name string, args ...any) ([]any, error) {
	function, err := i.pre.Func(name)
	if err != nil {
		return nil, err
	}
	return function.dynamic(args, func(slots []uint64) error { return function.CallRaw(i, slots) })
}

// CallBytes gives the bytes that an export answers to some bytes. See [InstancePre.BytesFunc] for what the guest must export.
func (i *Instance) CallBytes(name string, input []byte) ([]byte, error) {
	function, err := i.pre.BytesFunc(name)
	if err != nil {
		return nil, err
	}
	return function.Call(i, input)
}

// Memory gives access to an exported memory. If there is none of that name, each use is [ErrMissingExport].
func (i *Instance) Memory(name string) Memory {
	token, err := i.pre.memory(name)
	return Memory{instance: i, token: C.uint64_t(token), err: err}
}

// of checks that the instance was made by the pre that a token belongs to.
func (i *Instance) of(pre *InstancePre) error {
	if i.pre != pre {
		return &Error{KindStaleHandle, fmt.Sprintf("the function belongs to another pre (%p) than the instance (%p)", pre, i.pre)}
	}
	return nil
}
