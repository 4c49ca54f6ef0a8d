// Package instar runs a fresh WebAssembly instance for every request, at the price of a function call.
//
//	engine, err := instar.NewEngine(instar.Config{})         // one for the program
//	module, err := instar.NewModuleFromFile(engine, "plugin.wasm")
//	linker, err := instar.NewLinker(engine)
//	err = instar.HostFunc1(linker, "env", "log", func(c instar.Caller, n int32) (instar.Void, error) {
//		fmt.Println(n, c.Data())
//		return instar.Void{}, nil
//	})
//	pre, err := linker.InstantiatePre(module)                // everything that can be done once is done now
//
//	handle, err := instar.Func1[int32, int32](pre, "handle") // a token: no name look-up later
//	answer, err := handle.CallFresh(request, 42)             // fresh instance + call + reset in one crossing
//	html, err := pre.CallBytes("render", markdown)           // the same, bytes in, bytes out
//
//	instance, err := pre.Instantiate(request)                // or an instance that lives for several calls
//	defer instance.Close()
//	answer, err = handle.Call(instance, 42)
//
// # Closing
//
// Close what occupies slots: instances. Everything else may be closed, too, and is otherwise freed when the garbage collector finds it. Close is
// idempotent. Using what was closed is [ErrClosed], never harm, whatever other goroutines do at the time.
//
// # Errors
//
// Traps are [*Trap]; errors that host functions return come back as the very same values, their panics as panics; all else
// is [*Error] with an [ErrorKind]. Compare with [errors.Is] and the Err variables.
//
// # Context
//
// No function takes a [context.Context] yet, because a call cannot be interrupted yet. The methods that will are going to be added beside these.
//
//go:generate go run ./internal/gen typed_gen.go
package instar
