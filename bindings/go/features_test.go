package instar_test

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	instar "github.com/instar-runtime/instar-go"
)

// newFeaturesPre makes a pre of a module that uses vectors, 64-bit and several memories, tail calls and typed references.
func newFeaturesPre(t *testing.T) *instar.InstancePre {
	text, err := os.ReadFile(suite + "/modules/features.wat")
	if err != nil {
		t.Skip("not in Instar's repository")
	}
	return newPreOf(t, instar.Config{}, string(text), nil)
}

func newPreOf(t *testing.T, config instar.Config, text string, define func(*instar.Linker)) *instar.InstancePre {
	t.Helper()
	engine := newEngine(t, config)
	linker := must(instar.NewLinker(engine))(t)
	if define != nil {
		define(linker)
	}
	return must(linker.InstantiatePre(must(instar.NewModule(engine, []byte(text)))(t)))(t)
}

// refuses checks that an error is of kind Type and has a text in its message.
func refuses(t *testing.T, err error, text string) {
	t.Helper()
	if !errors.Is(err, instar.ErrType) || !strings.Contains(err.Error(), text) {
		t.Errorf("%v; it should be a Type error with %q", err, text)
	}
}

func TestFeaturesInsideOfAModuleWorkBehindNumbers(t *testing.T) {
	pre := newFeaturesPre(t)
	instance := newInstance(t, pre, nil)
	products := must(instar.Func2[int32, int32, int32](pre, "four_products"))(t)
	if got, fresh := must(products.Call(instance, 3, 5))(t), must(products.CallFresh(nil, 3, 5))(t); got != 60 || fresh != 60 {
		t.Error(got, fresh)
	}
	for _, name := range []string{"sum", "sum_by_table", "sum_by_reference"} {
		sum := must(instar.Func2[int64, int64, int64](pre, name))(t)
		if got := must(sum.Call(instance, 1_000_000, 0))(t); got != 500_000_500_000 {
			t.Error(name, got)
		}
	}
	must(instance.Call("copy_out", int32(100), int64(8), int32(16)))(t)
	if got := must(instance.Call("load_other", int32(115)))(t)[0]; got != int32(16) {
		t.Error(got)
	}
	other := make([]byte, 1)
	check(t, instance.Memory("other").Read(115, other))
	if other[0] != 16 {
		t.Error(other)
	}
	if got := must(instance.Call("load64", int64(8)))(t)[0]; got != int64(0x0807060504030201) {
		t.Error(got)
	}
	for name, code := range map[string]instar.TrapCode{
		"call_null": instar.TrapNullFunctionReference, "null_as_non_null": instar.TrapNullReference,
	} {
		var trap *instar.Trap
		if _, err := instance.Call(name); !errors.As(err, &trap) || trap.Code != code {
			t.Error(name, err)
		}
	}
}

func TestVectorsTravelInTwoSlots(t *testing.T) {
	pre := newFeaturesPre(t)
	instance := newInstance(t, pre, nil)
	mixed := must(pre.Func("mixed"))(t)
	if text := mixed.Signature().String(); text != "(i32, v128, f64) -> (f64, v128, i32)" {
		t.Error(text)
	}
	for _, call := range []func([]uint64) error{
		func(slots []uint64) error { return mixed.CallRaw(instance, slots) },
		func(slots []uint64) error { return mixed.CallRawFresh(nil, slots) },
		func(slots []uint64) error { return mixed.CallRawFresh("data", slots) },
	} {
		slots := []uint64{5, 10, math.MaxUint64, instar.F64ToSlot(0.5)}
		check(t, call(slots))
		if !slices.Equal(slots, []uint64{instar.F64ToSlot(-0.5), 15, 4, 6}) {
			t.Error(slots)
		}
		refuses(t, call(slots[:3]), "needs 4 slots, got 3")
	}
	halves := []uint64{1, 2}
	check(t, must(pre.Func("swap_halves"))(t).CallRaw(instance, halves))
	if !slices.Equal(halves, []uint64{2, 1}) {
		t.Error(halves)
	}
}

func TestVectorsAndReferencesAreNoValues(t *testing.T) {
	pre := newFeaturesPre(t)
	instance := newInstance(t, pre, nil)
	const vector = "a vector is no Go value; use CallRaw"
	for _, args := range [][]any{nil, {int64(1)}, {int64(1), int64(2)}, {nil}, {[16]byte{}}} {
		_, err := instance.Call("low_half", args...)
		refuses(t, err, "`low_half` has the type (v128) -> (i64): "+vector)
		_, err = pre.Call(nil, "splat", args...)
		refuses(t, err, "`splat` has the type (i64) -> (v128): "+vector)
	}
	_, err := instar.Func1[int64, int64](pre, "low_half")
	refuses(t, err, vector)
	_, err = instar.Func1[int64, instar.Void](pre, "splat")
	refuses(t, err, vector)
	for _, name := range []string{"take_function", "give_function", "take_object"} {
		for _, args := range [][]any{nil, {nil}, {int64(0)}} {
			_, err := instance.Call(name, args...)
			refuses(t, err, "references cannot be passed to or from Go")
		}
		function := must(pre.Func(name))(t)
		refuses(t, function.CallRaw(instance, []uint64{0}), "references cannot be passed")
		refuses(t, function.CallRawFresh(nil, []uint64{0}), "references cannot be passed")
	}
	_, err = instar.Func1[int64, instar.Void](pre, "take_function")
	refuses(t, err, "references cannot be passed to or from Go")
	if got := must(instance.Call("sum", int64(4), int64(0)))(t)[0]; got != int64(10) {
		t.Error(got)
	}
}

func TestCallersTakeVectorsInSlotsToo(t *testing.T) {
	slots := []uint64{5, 10, 20}
	var refused error
	pre := newPreOf(t, instar.Config{}, `
		(module
		  (import "env" "f" (func $f))
		  (func (export "run") (call $f))
		  (func (export "mixed") (param i32 v128) (result v128 i32)
		    (i64x2.add (local.get 1) (i64x2.splat (i64.const 1))) (local.get 0)))`,
		func(linker *instar.Linker) {
			check(t, linker.Func("env", "f", func(caller instar.Caller, _ []uint64) error {
				_, refused = caller.Call("mixed", int32(5), int64(10))
				return caller.CallRaw("mixed", slots)
			}, nil, nil))
		})
	must(pre.Call(nil, "run"))(t)
	if !slices.Equal(slots, []uint64{11, 21, 5}) {
		t.Error(slots)
	}
	refuses(t, refused, "a vector is no Go value")
}

func TestHostFunctionsTakeAndGiveNumbersOnly(t *testing.T) {
	newPreOf(t, instar.Config{}, "(module)", func(linker *instar.Linker) {
		nothing := func(instar.Caller, []uint64) error { return nil }
		for _, other := range []instar.ValueType{instar.V128, instar.FuncRef, instar.ExternRef} {
			types := []instar.ValueType{instar.I32, other}
			refuses(t, linker.Func("env", "f", nothing, types, nil), "the host function env.f has type (i32, ")
			refuses(t, linker.Func("env", "f", nothing, nil, types), "the host function env.f has type () -> (i32, ")
		}
	})
}

func TestAddressesBeyond4GiBReachA64BitMemory(t *testing.T) {
	pre := newPreOf(t, instar.Config{MaxMemoryPages: 65_600}, `
		(module (memory (export "memory") i64 65537)
		  (func (export "load") (param i64) (result i64) (i64.load (local.get 0))))`, nil)
	instance := newInstance(t, pre, nil)
	memory := instance.Memory("memory")
	const at = 1<<32 + 8
	check(t, memory.Write(at, []byte{1, 2, 3, 4, 5, 6, 7, 8}))
	load := must(instar.Func1[uint64, uint64](pre, "load"))(t)
	if beyond, low := must(load.Call(instance, at))(t), must(load.Call(instance, 8))(t); beyond != 0x0807060504030201 || low != 0 {
		t.Errorf("%#x %#x", beyond, low)
	}
	if text := must(memory.ReadString(at, 2))(t); text != "\x01\x02" {
		t.Errorf("%q", text)
	}
	if old, size := must(memory.Grow(1))(t), must(memory.Size())(t); old != 65_537 || size != 65_538<<16 {
		t.Error(old, size)
	}
}
