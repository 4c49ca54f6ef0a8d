// Demo renders Markdown documents, a fresh instance for each request, checks every answer, and checks that no instance finds what an
// earlier one left behind. It prints one line of JSON.
//
//	bindings/go/build.sh release && (cd bindings/go && go run ./examples/demo [requests])
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	instar "github.com/instar-runtime/instar-go"
)

func main() {
	log.SetFlags(0)
	root := flag.String("root", "../..", "Instar's repository")
	flag.Parse()
	requests := 200_000
	if flag.NArg() > 0 {
		var err error
		if requests, err = strconv.Atoi(flag.Arg(0)); err != nil || requests < 1 {
			log.Fatalf("usage: demo [-root folder] [requests]: %q is no number of requests", flag.Arg(0))
		}
	}
	report, err := run(*root, requests)
	if err != nil {
		log.Fatal(err)
	}
	line, err := json.Marshal(report)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// report is the line that is printed.
type report struct {
	Language     string  `json:"language"`
	Requests     int     `json:"requests"`
	Seconds      float64 `json:"seconds"`
	NsPerRequest float64 `json:"ns_per_request"`
	Rate         float64 `json:"rate"`
	SecretGone   bool    `json:"secret_gone"`
}

func run(root string, requests int) (*report, error) {
	engine, err := instar.NewEngine(instar.Config{})
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	elapsed, err := render(engine, root, requests)
	if err != nil {
		return nil, err
	}
	gone, err := secretGone(engine, root)
	if err != nil {
		return nil, err
	}
	return &report{
		Language:     "go",
		Requests:     requests,
		Seconds:      elapsed.Seconds(),
		NsPerRequest: float64(elapsed.Nanoseconds()) / float64(requests),
		Rate:         float64(requests) / elapsed.Seconds(),
		SecretGone:   gone,
	}, nil
}

func instantiatePre(engine *instar.Engine, path string) (*instar.InstancePre, error) {
	module, err := instar.NewModuleFromFile(engine, path)
	if err != nil {
		return nil, err
	}
	linker, err := instar.NewLinker(engine)
	if err != nil {
		return nil, err
	}
	return linker.InstantiatePre(module)
}

// document is a text and what it must become.
type document struct {
	name       string
	text, html []byte
}

func documents(folder string) ([]document, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no documents in %s (%v)", folder, err)
	}
	var all []document
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		html, err := os.ReadFile(strings.TrimSuffix(path, ".md") + ".html")
		if err != nil {
			return nil, err
		}
		all = append(all, document{filepath.Base(path), text, html})
	}
	return all, nil
}

func render(engine *instar.Engine, root string, requests int) (time.Duration, error) {
	all, err := documents(filepath.Join(root, "tests/guests/markdown/cases"))
	if err != nil {
		return 0, err
	}
	pre, err := instantiatePre(engine, filepath.Join(root, "target/guests/markdown.wasm"))
	if err != nil {
		return 0, err
	}
	defer pre.Close()
	start := time.Now()
	for n := range requests {
		d := &all[n%len(all)]
		html, err := pre.CallBytes("render", d.text)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", d.name, err)
		}
		if !bytes.Equal(html, d.html) {
			return 0, fmt.Errorf("%s: request %d became something else:\n%s", d.name, n, html)
		}
	}
	return time.Since(start), nil
}

// secretGone leaves a secret in one instance and searches the next, which has the same slot.
func secretGone(engine *instar.Engine, root string) (bool, error) {
	pre, err := instantiatePre(engine, filepath.Join(root, "target/guests/misbehave.wasm"))
	if err != nil {
		return false, err
	}
	defer pre.Close()
	leave, err := instar.Func1[int32, instar.Void](pre, "leave_secret")
	if err != nil {
		return false, err
	}
	find, err := instar.Func0[int32](pre, "find_secret")
	if err != nil {
		return false, err
	}
	one, err := pre.Instantiate(nil)
	if err != nil {
		return false, err
	}
	if _, err := leave.Call(one, 42); err != nil {
		return false, err
	}
	// The search does find it where it is.
	if there, err := find.Call(one); err != nil || there == 0 {
		return false, fmt.Errorf("the secret is not found in its own instance (%v)", err)
	}
	if err := one.Close(); err != nil {
		return false, err
	}
	found, err := find.CallFresh(nil)
	return found == 0, err
}
