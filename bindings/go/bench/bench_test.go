// Package bench measures Instar for Go beside wazero, in one process. It is a module of its own so that the product does not depend on wazero.
//
//	bindings/go/build.sh release && (cd bindings/go/bench && go test -bench . -benchmem)
//
// Each benchmark says which real use it stands for.
package bench

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	instar "github.com/instar-runtime/instar-go"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// What both run. See wasm.go for the text.
const (
	guests    = "../../../target/guests"
	documents = "../../../tests/guests/markdown/cases"
)

func fail(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// -- Instar --

func link(b *testing.B, wasm []byte) *instar.InstancePre {
	b.Helper()
	engine, err := instar.NewEngine(instar.Config{})
	fail(b, err)
	module, err := instar.NewModule(engine, wasm)
	fail(b, err)
	linker, err := instar.NewLinker(engine)
	fail(b, err)
	fail(b, instar.HostFunc1(linker, "env", "host", func(_ instar.Caller, n int32) (int32, error) { return n + 1, nil }))
	pre, err := linker.InstantiatePre(module)
	fail(b, err)
	b.Cleanup(func() {
		_ = pre.Close()
		_ = engine.Close()
	})
	return pre
}

// A plugin's function with two numbers, on an instance that is there.
func BenchmarkCall_Instar(b *testing.B) {
	pre := link(b, small)
	add, err := instar.Func2[int32, int32, int32](pre, "add")
	fail(b, err)
	instance, err := pre.Instantiate(nil)
	fail(b, err)
	defer instance.Close()
	b.ReportAllocs()
	for b.Loop() {
		if sum, err := add.Call(instance, 40, 2); err != nil || sum != 42 {
			b.Fatal(sum, err)
		}
	}
}

// The same over slots, for callers that do not know the type.
func BenchmarkCallRaw_Instar(b *testing.B) {
	pre := link(b, small)
	add, err := pre.Func("add")
	fail(b, err)
	instance, err := pre.Instantiate(nil)
	fail(b, err)
	defer instance.Close()
	slots := make([]uint64, 2)
	b.ReportAllocs()
	for b.Loop() {
		slots[0], slots[1] = 40, 2
		fail(b, add.CallRaw(instance, slots))
	}
}

// A guest that asks its host something: the difference to Call is one host call.
func BenchmarkCallback_Instar(b *testing.B) {
	pre := link(b, small)
	callHost, err := instar.Func1[int32, int32](pre, "call_host")
	fail(b, err)
	instance, err := pre.Instantiate(nil)
	fail(b, err)
	defer instance.Close()
	b.ReportAllocs()
	for b.Loop() {
		if n, err := callHost.Call(instance, 1); err != nil || n != 2 {
			b.Fatal(n, err)
		}
	}
}

// A sandbox per request, in one crossing: create, call, reset.
func BenchmarkFresh_Instar(b *testing.B) {
	add, err := instar.Func2[int32, int32, int32](link(b, small), "add")
	fail(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if sum, err := add.CallFresh(nil, 40, 2); err != nil || sum != 42 {
			b.Fatal(sum, err)
		}
	}
}

// The same on all processors.
func BenchmarkFreshParallel_Instar(b *testing.B) {
	add, err := instar.Func2[int32, int32, int32](link(b, small), "add")
	fail(b, err)
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			if sum, err := add.CallFresh(nil, 40, 2); err != nil || sum != 42 {
				b.Error(sum, err)
			}
		}
	})
}

// The same with a request for host functions to see.
func BenchmarkFreshWithData_Instar(b *testing.B) {
	add, err := instar.Func2[int32, int32, int32](link(b, small), "add")
	fail(b, err)
	request := new(int)
	b.ReportAllocs()
	for b.Loop() {
		if sum, err := add.CallFresh(request, 40, 2); err != nil || sum != 42 {
			b.Fatal(sum, err)
		}
	}
}

// A sandbox that is used for several calls: here Instantiate, one call, Close.
func BenchmarkInstantiateCallClose_Instar(b *testing.B) {
	pre := link(b, small)
	add, err := instar.Func2[int32, int32, int32](pre, "add")
	fail(b, err)
	b.ReportAllocs()
	for b.Loop() {
		instance, err := pre.Instantiate(nil)
		fail(b, err)
		if sum, err := add.Call(instance, 40, 2); err != nil || sum != 42 {
			b.Fatal(sum, err)
		}
		fail(b, instance.Close())
	}
}

// A guest with 64 KiB of data that writes to one of its pages.
func BenchmarkFreshData64k_Instar(b *testing.B) {
	touch, err := instar.Func1[int32, instar.Void](link(b, data64k), "touch")
	fail(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := touch.CallFresh(nil, 1)
		fail(b, err)
	}
}

// A Markdown document per sandbox.
func BenchmarkMarkdown_Instar(b *testing.B) {
	render, err := link(b, read(b, "markdown.wasm")).BytesFunc("render")
	fail(b, err)
	text := document(b)
	b.ReportAllocs()
	for b.Loop() {
		_, err := render.CallFresh(nil, text)
		fail(b, err)
	}
}

// -- wazero: compiler engine, default configuration, as its documentation has it --

func compile(b *testing.B, wasm []byte) (wazero.Runtime, wazero.CompiledModule) {
	b.Helper()
	ctx := context.Background()
	runtime := wazero.NewRuntime(ctx)
	b.Cleanup(func() { _ = runtime.Close(ctx) })
	host := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) { stack[0]++ })
	_, err := runtime.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoModuleFunction(host, []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}).Export("host").Instantiate(ctx)
	fail(b, err)
	compiled, err := runtime.CompileModule(ctx, wasm)
	fail(b, err)
	return runtime, compiled
}

func anonymous() wazero.ModuleConfig { return wazero.NewModuleConfig().WithName("") }

func BenchmarkCall_Wazero(b *testing.B) {
	ctx := context.Background()
	runtime, compiled := compile(b, small)
	module, err := runtime.InstantiateModule(ctx, compiled, anonymous())
	fail(b, err)
	add := module.ExportedFunction("add")
	stack := make([]uint64, 2)
	b.ReportAllocs()
	for b.Loop() {
		stack[0], stack[1] = 40, 2
		if err := add.CallWithStack(ctx, stack); err != nil || stack[0] != 42 {
			b.Fatal(stack, err)
		}
	}
}

func BenchmarkCallback_Wazero(b *testing.B) {
	ctx := context.Background()
	runtime, compiled := compile(b, small)
	module, err := runtime.InstantiateModule(ctx, compiled, anonymous())
	fail(b, err)
	callHost := module.ExportedFunction("call_host")
	stack := make([]uint64, 1)
	b.ReportAllocs()
	for b.Loop() {
		stack[0] = 1
		if err := callHost.CallWithStack(ctx, stack); err != nil || stack[0] != 2 {
			b.Fatal(stack, err)
		}
	}
}

func BenchmarkInstantiateCallClose_Wazero(b *testing.B) {
	ctx := context.Background()
	runtime, compiled := compile(b, small)
	config := anonymous()
	stack := make([]uint64, 2)
	b.ReportAllocs()
	for b.Loop() {
		module, err := runtime.InstantiateModule(ctx, compiled, config)
		fail(b, err)
		stack[0], stack[1] = 40, 2
		if err := module.ExportedFunction("add").CallWithStack(ctx, stack); err != nil || stack[0] != 42 {
			b.Fatal(stack, err)
		}
		fail(b, module.Close(ctx))
	}
}

func BenchmarkFreshData64k_Wazero(b *testing.B) {
	ctx := context.Background()
	runtime, compiled := compile(b, data64k)
	config := anonymous()
	stack := make([]uint64, 1)
	b.ReportAllocs()
	for b.Loop() {
		module, err := runtime.InstantiateModule(ctx, compiled, config)
		fail(b, err)
		stack[0] = 1
		fail(b, module.ExportedFunction("touch").CallWithStack(ctx, stack))
		fail(b, module.Close(ctx))
	}
}

func BenchmarkMarkdown_Wazero(b *testing.B) {
	ctx := context.Background()
	runtime, compiled := compile(b, read(b, "markdown.wasm"))
	config := anonymous()
	text := document(b)
	b.ReportAllocs()
	for b.Loop() {
		module, err := runtime.InstantiateModule(ctx, compiled, config)
		fail(b, err)
		at, err := module.ExportedFunction("alloc").Call(ctx, uint64(len(text)))
		fail(b, err)
		if !module.Memory().Write(uint32(at[0]), text) {
			b.Fatal("out of bounds")
		}
		answer, err := module.ExportedFunction("render").Call(ctx, at[0], uint64(len(text)))
		fail(b, err)
		html, ok := module.Memory().Read(uint32(answer[0]>>32), uint32(answer[0]))
		if !ok || len(html) == 0 {
			b.Fatal("out of bounds")
		}
		_ = append([]byte(nil), html...)
		fail(b, module.Close(ctx))
	}
}

// -- files --

func read(b *testing.B, name string) []byte {
	b.Helper()
	bytes, err := os.ReadFile(filepath.Join(guests, name))
	if err != nil {
		b.Skip("run tests/guests/build.sh first:", err)
	}
	return bytes
}

// document is the longest of the documents.
func document(b *testing.B) []byte {
	b.Helper()
	paths, err := filepath.Glob(filepath.Join(documents, "*.md"))
	fail(b, err)
	var longest []byte
	for _, path := range paths {
		text, err := os.ReadFile(path)
		fail(b, err)
		if len(text) > len(longest) && !strings.Contains(path, "bytes") {
			longest = text
		}
	}
	return longest
}
