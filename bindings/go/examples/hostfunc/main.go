// Hostfunc gives a guest a function of the host, and the host function the guest's memory and the request that it works for.
//
//	go run ./examples/hostfunc
package main

import (
	"errors"
	"fmt"
	"log"

	instar "github.com/instar-runtime/instar-go"
)

// A guest as a compiler makes it, written by hand.
const guest = `
(module
  (import "env" "log" (func $log (param i32 i32)))
  (import "env" "spend" (func $spend (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "hello from the sandbox")
  (func (export "handle") (param i32) (result i32)
    (call $log (i32.const 16) (i32.const 22))
    (call $spend (local.get 0))))`

// request is what each instance works for.
type request struct {
	user   string
	budget int32
}

var errTooExpensive = errors.New("too expensive")

func main() {
	log.SetFlags(0)
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	engine, err := instar.NewEngine(instar.Config{})
	if err != nil {
		return err
	}
	module, err := instar.NewModule(engine, []byte(guest))
	if err != nil {
		return err
	}
	linker, err := instar.NewLinker(engine)
	if err != nil {
		return err
	}
	err = errors.Join(
		instar.HostFunc2(linker, "env", "log", func(c instar.Caller, at, length uint32) (instar.Void, error) {
			text, err := c.Memory("memory").ReadString(uint64(at), uint64(length))
			fmt.Printf("%s: %s\n", c.Data().(*request).user, text)
			return instar.Void{}, err
		}),
		instar.HostFunc1(linker, "env", "spend", func(c instar.Caller, amount int32) (int32, error) {
			r := c.Data().(*request)
			if amount > r.budget {
				return 0, errTooExpensive // ends the guest and comes back below
			}
			r.budget -= amount
			return r.budget, nil
		}),
	)
	if err != nil {
		return err
	}
	pre, err := linker.InstantiatePre(module)
	if err != nil {
		return err
	}
	handle, err := instar.Func1[int32, int32](pre, "handle")
	if err != nil {
		return err
	}

	left, err := handle.CallFresh(&request{"alice", 100}, 30)
	if err != nil {
		return err
	}
	fmt.Println("alice has", left, "left")

	_, err = handle.CallFresh(&request{"bob", 10}, 30)
	fmt.Println("bob:", err, err == errTooExpensive)
	return nil
}
