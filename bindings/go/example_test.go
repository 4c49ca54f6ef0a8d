package instar_test

import (
	"errors"
	"fmt"
	"log"

	instar "github.com/instar-runtime/instar-go"
)

// ready links a module that is known to be good.
func ready(wat string, define ...func(*instar.Linker) error) *instar.InstancePre {
	engine, err := instar.NewEngine(instar.Config{})
	if err != nil {
		log.Fatal(err)
	}
	module, err := instar.NewModule(engine, []byte(wat))
	if err != nil {
		log.Fatal(err)
	}
	linker, err := instar.NewLinker(engine)
	if err != nil {
		log.Fatal(err)
	}
	for _, define := range define {
		if err := define(linker); err != nil {
			log.Fatal(err)
		}
	}
	pre, err := linker.InstantiatePre(module)
	if err != nil {
		log.Fatal(err)
	}
	return pre
}

// The whole way, without the shortcuts of the other examples.
func Example() {
	engine, err := instar.NewEngine(instar.Config{})
	if err != nil {
		log.Fatal(err)
	}
	module, err := instar.NewModule(engine, []byte(`
		(module
		  (global $calls (mut i32) (i32.const 0))
		  (func (export "count") (result i32)
		    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
		    (global.get $calls)))`))
	if err != nil {
		log.Fatal(err)
	}
	linker, err := instar.NewLinker(engine)
	if err != nil {
		log.Fatal(err)
	}
	pre, err := linker.InstantiatePre(module)
	if err != nil {
		log.Fatal(err)
	}
	count, err := instar.Func0[int32](pre, "count")
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		n, err := count.CallFresh(nil) // a new sandbox each time
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
	}
	// Output:
	// 1
	// 1
	// 1
}

func ExampleInstancePre_Instantiate() {
	pre := ready(`(module (memory (export "memory") 1) (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))`)
	load, err := instar.Func1[uint32, uint32](pre, "load")
	if err != nil {
		log.Fatal(err)
	}
	instance, err := pre.Instantiate(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer instance.Close()
	if err := instance.Memory("memory").Write(100, []byte("secret")); err != nil {
		log.Fatal(err)
	}
	here, err := load.Call(instance, 100)
	fmt.Println(here, err)
	elsewhere, err := load.CallFresh(nil, 100)
	fmt.Println(elsewhere, err)
	// Output:
	// 115 <nil>
	// 0 <nil>
}

func ExampleHostFunc1() {
	tooMuch := errors.New("too much")
	pre := ready(`(module (import "env" "spend" (func $spend (param i32) (result i32)))
		(func (export "handle") (param i32) (result i32) (call $spend (local.get 0))))`,
		func(linker *instar.Linker) error {
			return instar.HostFunc1(linker, "env", "spend", func(c instar.Caller, amount int32) (int32, error) {
				budget := c.Data().(int32)
				if amount > budget {
					return 0, tooMuch
				}
				return budget - amount, nil
			})
		})
	handle, err := instar.Func1[int32, int32](pre, "handle")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(handle.CallFresh(int32(100), 30))
	_, err = handle.CallFresh(int32(10), 30)
	fmt.Println(err == tooMuch)
	// Output:
	// 70 <nil>
	// true
}

func ExampleTrap() {
	pre := ready(`(module (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))`)
	_, err := pre.Call(nil, "divide", int32(1), int32(0))
	var trap *instar.Trap
	if errors.As(err, &trap) {
		fmt.Println(trap.Code, "-", err)
	}
	// Output: IntegerDivideByZero - wasm trap: integer divide by zero
}
