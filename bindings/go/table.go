package instar

import (
	"sync"
	"sync/atomic"
)

// table gives Go values numbers that C can keep. Looking one up takes no lock; numbers start at 1.
type table[T any] struct {
	// A copy-on-grow slice of cells that stay where they are.
	cells atomic.Pointer[[]*atomic.Pointer[T]]
	mutex sync.Mutex
	free  []uint64 // by mutex
}

func (t *table[T]) put(value *T) uint64 {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if n := len(t.free); n > 0 {
		number := t.free[n-1]
		t.free = t.free[:n-1]
		(*t.cells.Load())[number-1].Store(value)
		return number
	}
	var old []*atomic.Pointer[T]
	if cells := t.cells.Load(); cells != nil {
		old = *cells
	}
	cell := new(atomic.Pointer[T])
	cell.Store(value)
	// append may write behind the end of a slice that readers have, never within it.
	grown := append(old, cell)
	t.cells.Store(&grown)
	return uint64(len(grown))
}

// look gives the value of a number, or nil.
func (t *table[T]) look(number uint64) *T {
	cells := t.cells.Load()
	if cells == nil || number-1 >= uint64(len(*cells)) {
		return nil
	}
	return (*cells)[number-1].Load()
}

// take gives the value of a number and ends the number.
func (t *table[T]) take(number uint64) *T {
	cells := t.cells.Load()
	if cells == nil || number-1 >= uint64(len(*cells)) {
		return nil
	}
	value := (*cells)[number-1].Swap(nil)
	if value != nil {
		t.mutex.Lock()
		t.free = append(t.free, number)
		t.mutex.Unlock()
	}
	return value
}
