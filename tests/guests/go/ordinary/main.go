// An ordinary Go program: maps, sorting, JSON, formatting, goroutines, panics. Standard input: a number that scales the work,
// 1 if there is none. The output depends on nothing else.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"text/template"
)

type shape interface {
	Area() float64
}

type circle struct{ Radius float64 }
type rectangle struct{ Width, Height float64 }

func (c circle) Area() float64    { return 3.0 * c.Radius * c.Radius }
func (r rectangle) Area() float64 { return r.Width * r.Height }

type record struct {
	ID     int               `json:"id"`
	Name   string            `json:"name"`
	Tags   []string          `json:"tags,omitempty"`
	Extra  map[string]any    `json:"extra"`
	Parent *record           `json:"parent,omitempty"`
	Labels map[string]string `json:"labels"`
}

// A generator of its own: the same numbers in every version of Go.
type chance uint64

func (c *chance) next() uint64 {
	*c += 0x9e3779b97f4a7c15
	z := uint64(*c)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func words(out io.Writer, scale int) {
	random := chance(1)
	counts := map[string]int{}
	for range 20000 * scale {
		length := random.next()%3 + 1
		word := make([]byte, length)
		for i := range word {
			word[i] = 'a' + byte(random.next()%8)
		}
		counts[string(word)]++
	}
	keys := make([]string, 0, len(counts))
	for key := range counts {
		keys = append(keys, key)
	}
	sort.Slice(keys, func(i, j int) bool {
		if counts[keys[i]] != counts[keys[j]] {
			return counts[keys[i]] > counts[keys[j]]
		}
		return keys[i] < keys[j]
	})
	fmt.Fprintf(out, "words: %d, most %q, least %q\n", len(keys), keys[:5], keys[len(keys)-5:])
}

func documents(out io.Writer, scale int) error {
	records := []record{}
	for i := range 200 * scale {
		r := record{ID: i, Name: fmt.Sprintf("record %03d \u00e9\"", i), Labels: map[string]string{"b": "2", "a": "1"}}
		r.Extra = map[string]any{"half": float64(i) / 2, "list": []int{i, i * i}, "none": nil, "even": i%2 == 0}
		if i%3 == 0 {
			r.Tags = []string{"x", "<y>", "z & z"}
		}
		if i > 0 && i%10 == 0 {
			parent := records[i-1]
			r.Parent = &parent
		}
		records = append(records, r)
	}
	text, err := json.Marshal(records)
	if err != nil {
		return err
	}
	var back []record
	if err := json.Unmarshal(text, &back); err != nil {
		return err
	}
	again, err := json.MarshalIndent(back[len(back)-1], "", " ")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "documents: %d bytes, %x\n%s\n", len(text), sha256.Sum256(text), again)
	var wrong struct{ ID string }
	fmt.Fprintf(out, "error: %v\n", json.Unmarshal([]byte(`{"id": 7}`), &wrong))
	return nil
}

func goroutines(out io.Writer, scale int) {
	jobs, results := make(chan int), make(chan [2]int, 4)
	var workers sync.WaitGroup
	for range 8 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for n := range jobs {
				steps := 0
				for m := n; m != 1; steps++ {
					if m%2 == 0 {
						m /= 2
					} else {
						m = 3*m + 1
					}
				}
				results <- [2]int{n, steps}
			}
		}()
	}
	go func() {
		for n := 1; n <= 3000*scale; n++ {
			jobs <- n
		}
		close(jobs)
		workers.Wait()
		close(results)
	}()
	var mutex sync.Mutex
	sum, best := 0, [2]int{}
	for result := range results {
		mutex.Lock()
		sum += result[1]
		if result[1] > best[1] || result[1] == best[1] && result[0] < best[0] {
			best = result
		}
		mutex.Unlock()
	}
	fmt.Fprintf(out, "goroutines: %d steps, most for %d: %d\n", sum, best[0], best[1])
}

func caught(f func()) (message string) {
	defer func() {
		if r := recover(); r != nil {
			message = fmt.Sprint(r)
		}
	}()
	f()
	return "none"
}

var errDeep = errors.New("deep")

func errorsAndPanics(out io.Writer) {
	var nobody *record
	var none map[string]int
	list, index, zero := []int{1, 2}, 5, 0
	var any any = "text"
	fmt.Fprintln(out, "panic:", caught(func() { fmt.Fprint(out, nobody.Name) }))
	fmt.Fprintln(out, "panic:", caught(func() { none["a"] = 1 }))
	fmt.Fprintln(out, "panic:", caught(func() { list[index]++ }))
	fmt.Fprintln(out, "panic:", caught(func() { index /= zero }))
	fmt.Fprintln(out, "panic:", caught(func() { _ = any.(int) }))
	err := fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", errDeep))
	fmt.Fprintln(out, "error:", err, errors.Is(err, errDeep), errors.Unwrap(err))
}

func formats(out io.Writer) error {
	shapes := []shape{circle{2}, rectangle{3, 4.5}, &circle{0.1}}
	slices.SortFunc(shapes, func(a, b shape) int {
		switch {
		case a.Area() < b.Area():
			return -1
		case a.Area() > b.Area():
			return 1
		}
		return 0
	})
	for _, s := range shapes {
		fmt.Fprintf(out, "%T %8.3f\n", s, s.Area())
	}
	fmt.Fprintf(out, "%+v %#v %x %q %v %e %g %08b %U\n", rectangle{1, 2}, []string{"a"}, "hex", 'ü', []byte("b"), 1e100, 0.1, 37, '⌘')
	expression := regexp.MustCompile(`(\w+)@(\w+)\.(com|org)`)
	fmt.Fprintln(out, expression.ReplaceAllString("ann@example.com, bob@site.org, no@where.net", "$2:$1"))
	text := template.Must(template.New("t").Parse("{{range $i, $s := .}}{{if $i}}, {{end}}{{printf \"%.1f\" $s.Area}}{{end}}\n"))
	return text.Execute(out, shapes)
}

func numbers(out io.Writer, scale int) error {
	factorial := new(big.Int).MulRange(1, int64(300*scale))
	digits := factorial.String()
	fmt.Fprintf(out, "numbers: %d digits, %s...%s\n", len(digits), digits[:20], strings.TrimRight(digits, "0")[:10])
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	for i := range 2000 * scale {
		fmt.Fprintf(writer, "line %d of text that repeats itself\n", i)
	}
	if err := writer.Close(); err != nil {
		return err
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed.Bytes()))
	if err != nil {
		return err
	}
	unpacked, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "packed: %x of %d bytes\n", sha256.Sum256(unpacked), len(unpacked))
	return nil
}

func run() error {
	scale := 1
	if _, err := fmt.Scan(&scale); err != nil && err != io.EOF {
		return err
	}
	if scale < 1 || scale > 100 {
		return fmt.Errorf("the scale is %d; it must be 1 to 100", scale)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	words(out, scale)
	goroutines(out, scale)
	errorsAndPanics(out)
	if err := documents(out, scale); err != nil {
		return err
	}
	if err := formats(out); err != nil {
		return err
	}
	return numbers(out, scale)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "go:", err)
		os.Exit(1)
	}
}
