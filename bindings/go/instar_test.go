package instar_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"

	instar "github.com/instar-runtime/instar-go"
)

const guest = `
(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1 4)
  (global $count (mut i32) (i32.const 0))
  (global $next (mut i32) (i32.const 1024))
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "add64") (param i64 i64) (result i64) local.get 0 local.get 1 i64.add)
  (func (export "scale") (param f64 f32) (result f64) local.get 0 local.get 1 f64.promote_f32 f64.mul)
  (func (export "half") (param f32) (result f32) local.get 0 f32.const 0.5 f32.mul)
  (func (export "swap") (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func (export "sum6") (param i32 i32 i32 i32 i32 i32) (result i32)
    local.get 0 local.get 1 i32.add local.get 2 i32.add local.get 3 i32.add local.get 4 i32.add local.get 5 i32.add)
  (func (export "count") (result i32)
    global.get $count i32.const 1 i32.add global.set $count global.get $count)
  (func (export "nothing"))
  (func (export "fail") unreachable)
  (func (export "divide") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
  (func $recurse (export "recurse") call $recurse)
  (func (export "read_out_of_bounds") (result i32) i32.const -4 i32.load)
  (func $call_host (export "call_host") (param i32) (result i32) local.get 0 call $host)
  (func (export "store") (param i32 i32) local.get 0 local.get 1 i32.store)
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "alloc") (param i32) (result i32)
    global.get $next
    global.get $next local.get 0 i32.add global.set $next)
  (func (export "echo") (param i32 i32) (result i64)
    local.get 0 i64.extend_i32_u i64.const 32 i64.shl
    local.get 1 i64.extend_i32_u i64.or)
  (func (export "lie") (param i32 i32) (result i64) i64.const -1)
  (func (export "references") (param externref)))`

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newEngine(t testing.TB, config instar.Config) *instar.Engine {
	t.Helper()
	engine := must(instar.NewEngine(config))(t)
	t.Cleanup(func() {
		// A leak of instances in any test is that test's failure.
		if live, err := engine.LiveInstances(); err == nil && live != 0 && !t.Failed() {
			t.Errorf("%d instances are alive at the end of the test", live)
		}
		check(t, engine.Close())
	})
	return engine
}

// newPre links the guest with one host function.
func newPre(t testing.TB, config instar.Config, host func(instar.Caller, int32) (int32, error)) *instar.InstancePre {
	t.Helper()
	engine := newEngine(t, config)
	return linkPre(t, engine, host)
}

func linkPre(t testing.TB, engine *instar.Engine, host func(instar.Caller, int32) (int32, error)) *instar.InstancePre {
	t.Helper()
	if host == nil {
		host = func(_ instar.Caller, n int32) (int32, error) { return n, nil }
	}
	module := must(instar.NewModule(engine, []byte(guest)))(t)
	linker := must(instar.NewLinker(engine))(t)
	check(t, instar.HostFunc1(linker, "env", "host", host))
	pre := must(linker.InstantiatePre(module))(t)
	check(t, linker.Close())
	check(t, module.Close())
	t.Cleanup(func() { check(t, pre.Close()) })
	return pre
}

func newInstance(t testing.TB, pre *instar.InstancePre, data any) *instar.Instance {
	t.Helper()
	instance := must(pre.Instantiate(data))(t)
	t.Cleanup(func() { check(t, instance.Close()) })
	return instance
}

func TestTypedCallsPassAllTypes(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	instance := newInstance(t, pre, nil)

	add := must(instar.Func2[int32, int32, int32](pre, "add"))(t)
	if got := must(add.Call(instance, math.MaxInt32, 1))(t); got != math.MinInt32 {
		t.Error(got)
	}
	unsigned := must(instar.Func2[uint32, uint32, uint32](pre, "add"))(t)
	if got := must(unsigned.Call(instance, math.MaxUint32, 3))(t); got != 2 {
		t.Error(got)
	}
	add64 := must(instar.Func2[int64, uint64, int64](pre, "add64"))(t)
	if got := must(add64.Call(instance, -5, 3))(t); got != -2 {
		t.Error(got)
	}
	scale := must(instar.Func2[float64, float32, float64](pre, "scale"))(t)
	if got := must(scale.CallFresh(nil, 1.5, -2))(t); got != -3 {
		t.Error(got)
	}
	half := must(instar.Func1[float32, float32](pre, "half"))(t)
	if got := must(half.CallFresh(nil, 3))(t); got != 1.5 {
		t.Error(got)
	}
	sum6 := must(instar.Func6[int32, int32, int32, int32, int32, int32, int32](pre, "sum6"))(t)
	if got := must(sum6.Call(instance, 1, 2, 3, 4, 5, 6))(t); got != 21 {
		t.Error(got)
	}
	if got := must(sum6.CallFresh(nil, 1, 2, 3, 4, 5, -6))(t); got != 9 {
		t.Error(got)
	}
	nothing := must(instar.Func0[instar.Void](pre, "nothing"))(t)
	must(nothing.Call(instance))(t)
	must(nothing.CallFresh(nil))(t)
}

func TestDynamicCallsCoerceNothing(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	instance := newInstance(t, pre, nil)
	results := must(instance.Call("swap", int32(-1), uint64(math.MaxUint64)))(t)
	if fmt.Sprintf("%T %v", results, results) != "[]interface {} [-1 -1]" || results[0] != any(int64(-1)) || results[1] != any(int32(-1)) {
		t.Errorf("%#v", results)
	}
	results = must(pre.Call(nil, "scale", 2.0, float32(4)))(t)
	if results[0] != any(8.0) {
		t.Errorf("%#v", results)
	}
	for _, args := range [][]any{{1, 2}, {int32(1)}, {int32(1), int64(2)}, {int32(1), "2"}, {int32(1), nil}, {}, {int32(1), int32(2), int32(3)}} {
		if _, err := instance.Call("add", args...); !errors.Is(err, instar.ErrType) {
			t.Errorf("%v: %v", args, err)
		}
		if _, err := pre.Call(nil, "add", args...); !errors.Is(err, instar.ErrType) {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, err := instance.Call("references", nil); !errors.Is(err, instar.ErrType) {
		t.Error(err)
	}
}

func TestRawCallsKeepAllBits(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	instance := newInstance(t, pre, nil)
	swap := must(pre.Func("swap"))(t)
	if text := swap.Signature().String(); text != "(i32, i64) -> (i64, i32)" || swap.Name() != "swap" {
		t.Error(text)
	}
	slots := []uint64{7, math.MaxUint64}
	check(t, swap.CallRaw(instance, slots))
	if slots[0] != math.MaxUint64 || uint32(slots[1]) != 7 {
		t.Error(slots)
	}
	check(t, swap.CallRawFresh("data", slots))
	if err := swap.CallRaw(instance, slots[:1]); !errors.Is(err, instar.ErrType) {
		t.Error(err)
	}
	if err := swap.CallRawFresh(nil, nil); !errors.Is(err, instar.ErrType) {
		t.Error(err)
	}
}

func TestFuncsAreCheckedOnce(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	_, err := instar.Func2[int32, int64, int32](pre, "add")
	if !errors.Is(err, instar.ErrType) || !strings.Contains(err.Error(), "(i32, i32) -> (i32), not (i32, i64) -> (i32)") {
		t.Error(err)
	}
	if _, err := instar.Func2[int32, int32, instar.Void](pre, "add"); !errors.Is(err, instar.ErrType) {
		t.Error(err)
	}
	for _, name := range []string{"", "ad", "memory", "\xff"} {
		_, err := pre.Func(name)
		if kind := instar.KindOf(err); kind != instar.KindMissingExport && !(name == "\xff" && kind == instar.KindType) {
			t.Errorf("%q: %v", name, err)
		}
	}
	one, other := must(pre.Func("add"))(t), must(pre.Func("add"))(t)
	if one != other {
		t.Error("the same name gives two tokens")
	}
}

func TestAFuncOfAnotherPreIsRefused(t *testing.T) {
	engine := newEngine(t, instar.Config{})
	one, other := linkPre(t, engine, nil), linkPre(t, engine, nil)
	instance := newInstance(t, one, nil)
	add := must(instar.Func2[int32, int32, int32](other, "add"))(t)
	if _, err := add.Call(instance, 1, 2); !errors.Is(err, instar.ErrClosed) || !strings.Contains(err.Error(), "another pre") {
		t.Error(err)
	}
	if err := add.Func().CallRaw(instance, make([]uint64, 2)); !errors.Is(err, instar.ErrClosed) {
		t.Error(err)
	}
	echo := must(other.BytesFunc("echo"))(t)
	if _, err := echo.Call(instance, nil); !errors.Is(err, instar.ErrClosed) {
		t.Error(err)
	}
}

func TestFreshInstancesRememberNothing(t *testing.T) {
	pre := newPre(t, instar.Config{Paranoid: true}, nil)
	count := must(instar.Func0[int32](pre, "count"))(t)
	for range 3 {
		if got := must(count.CallFresh(nil))(t); got != 1 {
			t.Fatal(got)
		}
	}
	instance := newInstance(t, pre, nil)
	for want := range int32(3) {
		if got := must(count.Call(instance))(t); got != want+1 {
			t.Fatal(got)
		}
	}
}

func TestTrapsAreTraps(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	instance := newInstance(t, pre, nil)
	for _, c := range []struct {
		name string
		args []any
		code instar.TrapCode
		text string
	}{
		{"fail", nil, instar.TrapUnreachable, "wasm trap: unreachable"},
		{"divide", []any{int32(1), int32(0)}, instar.TrapIntegerDivideByZero, "wasm trap: integer divide by zero"},
		{"divide", []any{int32(math.MinInt32), int32(-1)}, instar.TrapIntegerOverflow, "wasm trap: integer overflow"},
		{"recurse", nil, instar.TrapStackOverflow, "wasm trap: call stack exhausted"},
		{"read_out_of_bounds", nil, instar.TrapMemoryOutOfBounds, "wasm trap: out of bounds memory access"},
	} {
		for _, call := range []func() ([]any, error){
			func() ([]any, error) { return instance.Call(c.name, c.args...) },
			func() ([]any, error) { return pre.Call(nil, c.name, c.args...) },
		} {
			_, err := call()
			var trap *instar.Trap
			if !errors.As(err, &trap) || trap.Code != c.code || err.Error() != c.text {
				t.Errorf("%s: %v", c.name, err)
			}
			if !errors.Is(err, &instar.Trap{Code: c.code}) || errors.Is(err, &instar.Trap{Code: 99}) || instar.KindOf(err) != instar.KindTrap {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if got := must(instance.Call("add", int32(1), int32(1)))(t); got[0] != any(int32(2)) {
		t.Error("the instance can be used after a trap", got)
	}
}

func TestGoFaultsStayGoPanics(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	for range 3 { // before, between and after guests' faults
		func() {
			defer func() {
				if value := recover(); value == nil || !strings.Contains(fmt.Sprint(value), "nil pointer") {
					t.Errorf("a nil dereference gave %v", value)
				}
			}()
			var nothing *struct{ field int }
			nothing.field = 1
		}()
		if _, err := pre.Call(nil, "read_out_of_bounds"); instar.KindOf(err) != instar.KindTrap {
			t.Error(err)
		}
	}
}

type ownError struct{ text string }

func (e *ownError) Error() string { return e.text }

func TestErrorsOfHostFunctionsComeBackAsTheyAre(t *testing.T) {
	boom := &ownError{"boom"}
	pre := newPre(t, instar.Config{}, func(_ instar.Caller, n int32) (int32, error) {
		switch n {
		case 0:
			return 0, boom
		case 1:
			return 0, fmt.Errorf("wrapped: %w", fs.ErrNotExist)
		case 2:
			return 0, &instar.Trap{Code: instar.TrapIntegerOverflow}
		case 3:
			return 0, &instar.Error{Kind: instar.KindLimit, Message: "enough"}
		default:
			return 0, &instar.Trap{Code: 77}
		}
	})
	instance := newInstance(t, pre, nil)
	call := must(instar.Func1[int32, int32](pre, "call_host"))(t)
	for _, attempt := range []func(int32) (int32, error){
		func(n int32) (int32, error) { return call.Call(instance, n) },
		func(n int32) (int32, error) { return call.CallFresh(nil, n) },
	} {
		if _, err := attempt(0); err != error(boom) || instar.KindOf(err) != instar.KindHost {
			t.Error(err)
		}
		if _, err := attempt(1); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if _, err := attempt(2); !errors.Is(err, &instar.Trap{Code: instar.TrapIntegerOverflow}) {
			t.Error(err)
		}
		if _, err := attempt(3); !errors.Is(err, instar.ErrLimit) || err.Error() != "instar: enough" {
			t.Error(err)
		}
		if _, err := attempt(4); !errors.Is(err, &instar.Trap{Code: 77}) {
			t.Error("an unknown trap code comes back as an error of the host function", err)
		}
	}
}

func TestPanicsOfHostFunctionsComeBackAsPanics(t *testing.T) {
	value := &ownError{"panic"}
	pre := newPre(t, instar.Config{}, func(_ instar.Caller, n int32) (int32, error) {
		if n == 0 {
			panic(value)
		}
		var nothing []int
		return int32(nothing[n]), nil
	})
	instance := newInstance(t, pre, nil)
	call := must(instar.Func1[int32, int32](pre, "call_host"))(t)
	recovered := func(call func()) (value any) {
		defer func() { value = recover() }()
		call()
		return nil
	}
	for range 2 {
		if got := recovered(func() { _, _ = call.Call(instance, 0) }); got != any(value) {
			t.Error(got)
		}
		if got := recovered(func() { _, _ = call.CallFresh("data", 1) }); got == nil || !strings.Contains(fmt.Sprint(got), "index out of range") {
			t.Error(got)
		}
	}
	if got := must(instance.Call("add", int32(1), int32(1)))(t); got[0] != any(int32(2)) {
		t.Error("the instance can be used after a panic", got)
	}
}

func TestCallersSeeTheirInstance(t *testing.T) {
	var pre *instar.InstancePre
	pre = newPre(t, instar.Config{}, func(c instar.Caller, n int32) (int32, error) {
		if c.Data() != any("data") {
			return 0, fmt.Errorf("data is %v", c.Data())
		}
		memory := c.Memory("memory")
		if size, err := memory.Size(); err != nil || size != 65536 {
			return 0, fmt.Errorf("size is %d, %w", size, err)
		}
		if err := memory.Write(8, []byte("hello")); err != nil {
			return 0, err
		}
		if text, err := memory.ReadString(9, 4); err != nil || text != "ello" {
			return 0, fmt.Errorf("read %q, %w", text, err)
		}
		if err := memory.Read(65533, make([]byte, 4)); !errors.Is(err, instar.ErrOutOfBounds) {
			return 0, fmt.Errorf("read beyond the end: %w", err)
		}
		if _, err := memory.ReadString(0, math.MaxUint64); !errors.Is(err, instar.ErrOutOfBounds) {
			return 0, fmt.Errorf("read beyond the end: %w", err)
		}
		if _, err := c.Memory("none").Size(); !errors.Is(err, instar.ErrMissingExport) {
			return 0, fmt.Errorf("no memory: %w", err)
		}
		if _, err := c.Call("none"); !errors.Is(err, instar.ErrMissingExport) {
			return 0, fmt.Errorf("no function: %w", err)
		}
		if n > 0 {
			results, err := c.Call("call_host", n-1)
			if err != nil {
				return 0, err
			}
			return results[0].(int32) + 1, nil
		}
		slots := []uint64{1, 2}
		return 0, c.CallRaw("add", slots)
	})
	call := must(instar.Func1[int32, int32](pre, "call_host"))(t)
	if got := must(call.CallFresh("data", 5))(t); got != 5 {
		t.Error(got)
	}
	instance := newInstance(t, pre, "data")
	if got := must(call.Call(instance, 5))(t); got != 5 {
		t.Error(got)
	}
}

func TestACallerIsGoodOnlyDuringItsCall(t *testing.T) {
	var kept instar.Caller
	pre := newPre(t, instar.Config{}, func(c instar.Caller, n int32) (int32, error) {
		kept = c
		elsewhere := make(chan error)
		go func() { elsewhere <- c.Memory("memory").Write(0, []byte("x")) }()
		if err := <-elsewhere; !errors.Is(err, instar.ErrClosed) {
			return 0, fmt.Errorf("in another goroutine: %w", err)
		}
		return n, nil
	})
	call := must(instar.Func1[int32, int32](pre, "call_host"))(t)
	must(call.CallFresh("data", 1))(t)
	if err := kept.Memory("memory").Write(0, []byte("x")); !errors.Is(err, instar.ErrClosed) {
		t.Error(err)
	}
	if _, err := kept.Call("nothing"); !errors.Is(err, instar.ErrClosed) {
		t.Error(err)
	}
	if data := kept.Data(); data != nil {
		t.Error(data)
	}
}

func TestMemoriesAreCopiedWithChecks(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	instance := newInstance(t, pre, nil)
	memory := instance.Memory("memory")
	check(t, memory.Write(65532, []byte{1, 2, 3, 4}))
	load := must(instar.Func1[int32, uint32](pre, "load"))(t)
	if got := must(load.Call(instance, 65532))(t); got != 0x04030201 {
		t.Errorf("%#x", got)
	}
	for _, address := range []uint64{65533, 65536, math.MaxUint64} {
		if err := memory.Write(address, []byte{1, 2, 3, 4}); !errors.Is(err, instar.ErrOutOfBounds) {
			t.Error(err)
		}
		if err := memory.Read(address, make([]byte, 4)); !errors.Is(err, instar.ErrOutOfBounds) {
			t.Error(err)
		}
	}
	check(t, memory.Read(65536, nil))
	if old := must(memory.Grow(2))(t); old != 1 {
		t.Error(old)
	}
	if size := must(memory.Size())(t); size != 3*65536 {
		t.Error(size)
	}
	if _, err := memory.Grow(2); !errors.Is(err, instar.ErrLimit) {
		t.Error(err)
	}
	if err := instance.Memory("add").Write(0, nil); !errors.Is(err, instar.ErrMissingExport) {
		t.Error(err)
	}
	check(t, instance.Close())
	if err := memory.Read(0, make([]byte, 1)); !errors.Is(err, instar.ErrClosed) {
		t.Error(err)
	}
}

func TestBytesGoInAndOut(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	instance := newInstance(t, pre, nil)
	echo := must(pre.BytesFunc("echo"))(t)
	for _, size := range []int{0, 1, 1000, 16 << 10, 16<<10 + 1, 40_000} {
		input := []byte(strings.Repeat("x", size))
		for name, got := range map[string][]byte{
			"pre":    must(pre.CallBytes("echo", input))(t),
			"fresh":  must(echo.CallFresh("data", input))(t),
			"append": must(echo.AppendFresh([]byte{}, nil, input))(t),
			"room":   must(echo.AppendFresh(make([]byte, 0, size), nil, input))(t),
		} {
			if string(got) != string(input) || got == nil {
				t.Errorf("%s of %d bytes gave %d", name, size, len(got))
			}
		}
	}
	if got := must(instance.CallBytes("echo", []byte("hi")))(t); string(got) != "hi" {
		t.Error(got)
	}
	if got := must(echo.Append([]byte("> "), instance, []byte("hi")))(t); string(got) != "> hi" {
		t.Error(got)
	}
	if _, err := pre.CallBytes("lie", nil); instar.KindOf(err) != instar.KindGuestProtocol {
		t.Error(err)
	}
	if _, err := pre.CallBytes("add", nil); instar.KindOf(err) != instar.KindType {
		t.Error(err)
	}
}

func TestModulesTellWhatTheyNeedAndOffer(t *testing.T) {
	engine := newEngine(t, instar.Config{})
	module := must(instar.NewModule(engine, []byte(`(module (import "a" "é" (func)) (import "" "" (memory 1))
		(func (export "f")) (table (export "t") 1 funcref) (global (export "`+strings.Repeat("long", 100)+`") i32 (i32.const 1)))`)))(t)
	defer module.Close()
	imports := must(module.Imports())(t)
	if want := []instar.Import{{"a", "é", instar.ExternFunc}, {"", "", instar.ExternMemory}}; fmt.Sprint(imports) != fmt.Sprint(want) {
		t.Error(imports)
	}
	exports := must(module.Exports())(t)
	if want := []instar.Export{{"f", instar.ExternFunc}, {"t", instar.ExternTable}, {strings.Repeat("long", 100), instar.ExternGlobal}}; fmt.Sprint(exports) != fmt.Sprint(want) {
		t.Error(exports)
	}
}

func TestBadInputIsAnErrorWithItsReason(t *testing.T) {
	engine := newEngine(t, instar.Config{})
	for _, wasm := range [][]byte{nil, {}, {0}, []byte("\x00asm"), []byte("(module (func (export)))"), []byte(strings.Repeat("(", 1000))} {
		if _, err := instar.NewModule(engine, wasm); instar.KindOf(err) != instar.KindInvalidModule {
			t.Errorf("%q: %v", wasm, err)
		}
	}
	if _, err := instar.NewModuleFromFile(engine, "none.wasm"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, config := range []instar.Config{{MaxInstances: -1}, {MaxMemoryPages: 1 << 40}, {MaxWasmStack: 1}} {
		if _, err := instar.NewEngine(config); instar.KindOf(err) != instar.KindConfig {
			t.Errorf("%+v: %v", config, err)
		}
	}
}

func TestLinkingChecksNamesAndTypes(t *testing.T) {
	engine := newEngine(t, instar.Config{})
	module := must(instar.NewModule(engine, []byte(guest)))(t)
	linker := must(instar.NewLinker(engine))(t)
	if _, err := linker.InstantiatePre(module); instar.KindOf(err) != instar.KindLink || !strings.Contains(err.Error(), "host") {
		t.Error(err)
	}
	check(t, instar.HostFunc0(linker, "env", "host", func(instar.Caller) (instar.Void, error) { return instar.Void{}, nil }))
	if _, err := linker.InstantiatePre(module); instar.KindOf(err) != instar.KindLink {
		t.Error(err)
	}
	raw := func(_ instar.Caller, stack []uint64) error {
		stack[0] = uint64(uint32(stack[0]) * 2)
		return nil
	}
	params, results := []instar.ValueType{instar.I32}, []instar.ValueType{instar.I32}
	if err := linker.Func("env", "host", raw, params, results); instar.KindOf(err) != instar.KindLink {
		t.Error(err)
	}
	check(t, linker.AllowShadowing(true))
	check(t, linker.Func("env", "host", raw, params, results))
	if err := linker.Func("env", "nil", nil, nil, nil); !errors.Is(err, instar.ErrType) {
		t.Error(err)
	}
	pre := must(linker.InstantiatePre(module))(t)
	defer pre.Close()
	if got := must(pre.Call(nil, "call_host", int32(21)))(t); got[0] != any(int32(42)) {
		t.Error(got)
	}
}

func TestHostFunctionsOfAllArities(t *testing.T) {
	engine := newEngine(t, instar.Config{})
	linker := must(instar.NewLinker(engine))(t)
	check(t, instar.HostFunc0(linker, "h", "0", func(instar.Caller) (float32, error) { return 0.5, nil }))
	check(t, instar.HostFunc2(linker, "h", "2", func(_ instar.Caller, a uint32, b int64) (uint64, error) { return uint64(a) + uint64(b), nil }))
	check(t, instar.HostFunc3(linker, "h", "3", func(_ instar.Caller, a, b, c float64) (float64, error) { return a*b + c, nil }))
	check(t, instar.HostFunc4(linker, "h", "4", func(_ instar.Caller, a, b, c, d float32) (float32, error) { return a + b + c + d, nil }))
	check(t, instar.HostFunc5(linker, "h", "5", func(_ instar.Caller, a, b, c, d, e int32) (int32, error) { return a - b - c - d - e, nil }))
	check(t, instar.HostFunc6(linker, "h", "6", func(_ instar.Caller, a, b, c, d, e, f int64) (instar.Void, error) {
		return instar.Void{}, fmt.Errorf("%d%d%d%d%d%d", a, b, c, d, e, f)
	}))
	module := must(instar.NewModule(engine, []byte(`(module
		(import "h" "0" (func (result f32)))
		(import "h" "2" (func (param i32 i64) (result i64)))
		(import "h" "3" (func (param f64 f64 f64) (result f64)))
		(import "h" "4" (func (param f32 f32 f32 f32) (result f32)))
		(import "h" "5" (func (param i32 i32 i32 i32 i32) (result i32)))
		(import "h" "6" (func (param i64 i64 i64 i64 i64 i64)))
		(export "0" (func 0)) (export "2" (func 1)) (export "3" (func 2))
		(func (export "4") (result f32) f32.const 1 f32.const 2 f32.const 3 f32.const 4 call 3)
		(func (export "5") (result i32) i32.const 1 i32.const 2 i32.const 3 i32.const 4 i32.const 5 call 4)
		(func (export "6") i64.const 1 i64.const 2 i64.const 3 i64.const 4 i64.const 5 i64.const 6 call 5))`)))(t)
	pre := must(linker.InstantiatePre(module))(t)
	for _, c := range []struct {
		name string
		args []any
		want any
	}{
		{"0", nil, float32(0.5)},
		{"2", []any{uint32(math.MaxUint32), int64(1)}, int64(1 << 32)},
		{"3", []any{2.0, 3.0, 4.0}, 10.0},
		{"4", nil, float32(10)},
		{"5", nil, int32(-13)},
	} {
		if got := must(pre.Call(nil, c.name, c.args...))(t); got[0] != c.want {
			t.Errorf("%s: %#v", c.name, got)
		}
	}
	if _, err := pre.Call(nil, "6"); err == nil || err.Error() != "123456" {
		t.Error(err)
	}
}

func TestTheVersionIsTold(t *testing.T) {
	version := instar.Version()
	if strings.Count(version, ".") != 2 {
		t.Error(version)
	}
	if cargo, err := os.ReadFile(repository + "/Cargo.toml"); err == nil && !strings.Contains(string(cargo), fmt.Sprintf("\nversion = %q", version)) {
		t.Errorf("the native library is %s, which is not the version in Cargo.toml", version)
	}
}
