// Markdown renders Markdown in a fresh sandbox: bytes in, bytes out.
//
//	go run ./examples/markdown ../../target/guests/markdown.wasm <README.md
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	instar "github.com/instar-runtime/instar-go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: markdown <markdown.wasm>")
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(path string, in io.Reader, out io.Writer) error {
	engine, err := instar.NewEngine(instar.Config{})
	if err != nil {
		return err
	}
	defer engine.Close()
	module, err := instar.NewModuleFromFile(engine, path)
	if err != nil {
		return err
	}
	linker, err := instar.NewLinker(engine)
	if err != nil {
		return err
	}
	pre, err := linker.InstantiatePre(module)
	if err != nil {
		return err
	}
	defer pre.Close()

	// All above happens once; this for each document. Each has a sandbox of its own, of which nothing is left afterwards.
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	html, err := pre.CallBytes("render", text)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s", html)
	return err
}
