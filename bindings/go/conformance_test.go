package instar_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	instar "github.com/instar-runtime/instar-go"
)

// The runner of tests/conformance/README.md. Verdicts go to target/conformance/go.jsonl.

const (
	repository  = "../.."
	suite       = repository + "/tests/conformance"
	resultsFile = repository + "/target/conformance/go.jsonl"
	patience    = 30 * time.Second
)

type conformanceCase struct {
	Name     string
	Requires []string
	Config   struct {
		MaxInstances   int `json:"max_instances"`
		MaxMemoryPages int `json:"max_memory_pages"`
		MaxWasmStack   int `json:"max_wasm_stack"`
	}
	Commands []command
}

type command struct {
	Type, As, Filename, Text     string
	Hex                          *string
	Module, Pre, Instance, Field string
	Imports                      map[string]struct{ Host, Sig string }
	Args, Values                 []constant
	Expected                     json.RawMessage
	Input                        *payload
	Data                         int64
	Offset, Len                  uint64
	Count                        int
	Body, During                 []command
	Code, Kind, Message          string
	Action                       *command
}

type constant struct{ Type, Value string }

type payload struct {
	Text, Hex *string
	Repeat    *int
}

func (p payload) bytes() []byte {
	var bytes []byte
	if p.Text != nil {
		bytes = []byte(*p.Text)
	} else if p.Hex != nil {
		bytes = unhex(*p.Hex)
	}
	if p.Repeat != nil {
		bytes = []byte(strings.Repeat(string(bytes), *p.Repeat))
	}
	return bytes
}

func unhex(text string) []byte {
	bytes, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return bytes
}

// line is one line of the results.
type line struct {
	Case   string `json:"case"`
	Line   string `json:"line"`
	Cmd    string `json:"cmd"`
	Result string `json:"result"`
	Code   string `json:"code"`
	Msg    string `json:"msg"`
}

func TestConformance(t *testing.T) {
	files, err := filepath.Glob(suite + "/cases/*.json")
	check(t, err)
	if len(files) == 0 {
		t.Skip("not in Instar's repository")
	}
	slices.Sort(files)
	var lines []line
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			var c conformanceCase
			text := must(os.ReadFile(file))(t)
			check(t, json.Unmarshal(text, &c))
			for _, ability := range c.Requires {
				if ability != "threads" {
					lines = append(lines, line{Case: c.Name, Cmd: "case", Result: "skip", Msg: "unknown ability " + ability})
					t.Skip(ability)
				}
			}
			seen := runCase(t, &c)
			lines = append(lines, seen...)
			for _, line := range seen {
				if line.Result == "fail" {
					t.Errorf("%s %s: %s", line.Line, line.Cmd, line.Msg)
				}
			}
		})
	}
	check(t, os.MkdirAll(filepath.Dir(resultsFile), 0o755))
	var out strings.Builder
	for _, line := range lines {
		out.Write(must(json.Marshal(line))(t))
		out.WriteByte('\n')
	}
	check(t, os.WriteFile(resultsFile, []byte(out.String()), 0o644))
}

var errBoom = errors.New("boom")

// mismatch is what a command did wrong without an error of the engine.
type mismatch struct{ code, message string }

func (m *mismatch) Error() string { return m.message }

func mismatched(format string, args ...any) error {
	return &mismatch{"", fmt.Sprintf(format, args...)}
}

// observed is the name that the merge tool compares.
func observed(err error) string {
	var trap *instar.Trap
	var wrong *mismatch
	switch {
	case err == nil:
		return ""
	case errors.As(err, &wrong):
		return wrong.code
	case errors.As(err, &trap):
		return trap.Code.String()
	default:
		return instar.KindOf(err).String()
	}
}

type runner struct {
	conformanceCase *conformanceCase
	engine          *instar.Engine
	modules         map[string]*instar.Module
	pres            map[string]*instar.InstancePre
	lines           []line

	mutex     sync.Mutex
	instances map[string]*instar.Instance // by mutex
	origins   map[string]*instar.InstancePre
	recorded  []constant // by mutex
	gate      *gate      // by mutex
}

type gate struct{ entered, release chan struct{} }

func runCase(t *testing.T, c *conformanceCase) []line {
	engine, err := instar.NewEngine(instar.Config{
		MaxInstances: c.Config.MaxInstances, MaxMemoryPages: c.Config.MaxMemoryPages, MaxWasmStack: c.Config.MaxWasmStack, Paranoid: true,
	})
	check(t, err)
	defer engine.Close()
	r := &runner{
		conformanceCase: c,
		engine:          engine,
		modules:         map[string]*instar.Module{},
		pres:            map[string]*instar.InstancePre{},
		instances:       map[string]*instar.Instance{},
		origins:         map[string]*instar.InstancePre{},
	}
	for i := range c.Commands {
		_ = r.command(strconv.Itoa(i), &c.Commands[i])
	}
	return r.lines
}

// command executes a command and writes its line. The first failure of a repeated one stays.
func (r *runner) command(at string, c *command) error {
	code, err := r.guarded(at, c)
	seen := line{Case: r.conformanceCase.Name, Line: at, Cmd: c.Type, Result: "pass", Code: code}
	if err != nil {
		seen.Result, seen.Code, seen.Msg = "fail", observed(err), err.Error()
	}
	switch i := slices.IndexFunc(r.lines, func(old line) bool { return old.Line == at }); {
	case i < 0:
		r.lines = append(r.lines, seen)
	case r.lines[i].Result == "pass":
		r.lines[i] = seen
	}
	return err
}

func (r *runner) guarded(at string, c *command) (code string, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = mismatched("panic: %v", value)
		}
	}()
	return r.execute(at, c)
}

// execute gives the code that an assert observed.
func (r *runner) execute(at string, c *command) (string, error) {
	switch c.Type {
	case "compile":
		return "", r.compile(c)
	case "pre":
		return "", r.pre(c)
	case "instantiate":
		pre := r.pres[c.Pre]
		instance, err := pre.Instantiate(c.Data)
		if err != nil {
			return "", err
		}
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.instances[c.As], r.origins[c.As] = instance, pre
		return "", nil
	case "call", "pre_call":
		return "", r.call(c)
	case "call_raw":
		instance, pre := r.instance(c.Instance)
		function, err := pre.Func(c.Field)
		if err != nil {
			return "", err
		}
		slots := toSlots(c.Args, function.Signature().Results)
		if err := function.CallRaw(instance, slots); err != nil {
			return "", err
		}
		return "", c.compareResults(fromSlots(function.Signature().Results, slots))
	case "call_bytes":
		instance, _ := r.instance(c.Instance)
		answer, err := instance.CallBytes(c.Field, c.Input.bytes())
		return "", c.compareBytes(answer, err)
	case "pre_call_bytes":
		function, err := r.pres[c.Pre].BytesFunc(c.Field)
		if err != nil {
			return "", err
		}
		answer, err := function.CallFresh(c.Data, c.Input.bytes())
		return "", c.compareBytes(answer, err)
	case "drop":
		instance, _ := r.instance(c.Instance)
		return "", instance.Close()
	case "mem_size":
		instance, _ := r.instance(c.Instance)
		size, err := instance.Memory("memory").Size()
		if want := string(c.Expected); err == nil && want != "" && want != strconv.FormatUint(size, 10) {
			return "", mismatched("the memory has %d bytes, not %s", size, want)
		}
		return "", err
	case "mem_read":
		instance, _ := r.instance(c.Instance)
		bytes := make([]byte, c.Len)
		if err := instance.Memory("memory").Read(c.Offset, bytes); err != nil {
			return "", err
		}
		if c.Hex != nil && hex.EncodeToString(bytes) != *c.Hex {
			return "", mismatched("the memory has %x, not %s", bytes, *c.Hex)
		}
		return "", nil
	case "mem_write":
		instance, _ := r.instance(c.Instance)
		return "", instance.Memory("memory").Write(c.Offset, unhex(*c.Hex))
	case "live":
		live, err := r.engine.LiveInstances()
		if err == nil && strconv.Itoa(live) != string(c.Expected) {
			return "", mismatched("%d instances are alive, not %s", live, c.Expected)
		}
		return "", err
	case "assert_recorded":
		r.mutex.Lock()
		defer r.mutex.Unlock()
		recorded := r.recorded
		r.recorded = nil
		return "", compare("recorded", c.Values, recorded)
	case "repeat":
		for round := range c.Count {
			for i := range c.Body {
				at := fmt.Sprintf("%s.%d", at, i)
				if err := r.command(at, &c.Body[i]); err != nil {
					return "", mismatched("command %s failed in round %d", at, round)
				}
			}
		}
		return "", nil
	case "two_threads":
		return "", r.twoThreads(at, c)
	case "assert_trap":
		return r.assert(c.Action, c.Code, func(err error) bool {
			var trap *instar.Trap
			return errors.As(err, &trap) && trap.Code.String() == c.Code
		})
	case "assert_error":
		return r.assert(c.Action, c.Kind, func(err error) bool { return instar.KindOf(err).String() == c.Kind })
	case "assert_throw":
		return r.assert(c.Action, c.Message, func(err error) bool { return err == errBoom && err.Error() == c.Message })
	default:
		return "", mismatched("unknown command %q", c.Type)
	}
}

func (r *runner) assert(action *command, wanted string, isIt func(error) bool) (string, error) {
	_, err := r.guarded("", action)
	var wrong *mismatch
	switch {
	case err == nil:
		return "", mismatched("expected %s, but it succeeded", wanted)
	case errors.As(err, &wrong):
		return "", err
	case isIt(err):
		return observed(err), nil
	default:
		return "", &mismatch{observed(err), fmt.Sprintf("expected %s, got %v", wanted, err)}
	}
}

func (r *runner) compile(c *command) (err error) {
	var module *instar.Module
	switch {
	case c.Filename != "":
		module, err = instar.NewModuleFromFile(r.engine, filepath.Join(suite, "modules", c.Filename))
	case c.Hex != nil:
		module, err = instar.NewModule(r.engine, unhex(*c.Hex))
	default:
		module, err = instar.NewModule(r.engine, []byte(c.Text))
	}
	if err == nil {
		r.modules[c.As] = module
	}
	return err
}

func (r *runner) pre(c *command) error {
	linker, err := instar.NewLinker(r.engine)
	if err != nil {
		return err
	}
	defer linker.Close()
	for path, imported := range c.Imports {
		module, name, _ := strings.Cut(path, ".")
		if err := r.define(linker, module, name, imported.Host, imported.Sig); err != nil {
			return err
		}
	}
	pre, err := linker.InstantiatePre(r.modules[c.Module])
	if err == nil {
		r.pres[c.As] = pre
	}
	return err
}

func (r *runner) instance(name string) (*instar.Instance, *instar.InstancePre) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.instances[name], r.origins[name]
}

// call takes the typed path for some signatures and the dynamic one for the others.
func (r *runner) call(c *command) error {
	var instance *instar.Instance
	pre := r.pres[c.Pre]
	if c.Type == "call" {
		instance, pre = r.instance(c.Instance)
	}
	args := make([]any, len(c.Args))
	var types strings.Builder
	for i, arg := range c.Args {
		args[i] = arg.value()
		types.WriteString(arg.Type + " ")
	}
	var results []any
	handled := false
	if function, err := pre.Func(c.Field); err == nil {
		for _, t := range function.Signature().Results {
			types.WriteString("-> " + t.String())
		}
		results, handled, err = typed(pre, instance, c.Data, c.Field, types.String(), args)
		if err != nil {
			return err
		}
	}
	if !handled {
		var err error
		if instance != nil {
			results, err = instance.Call(c.Field, args...)
		} else {
			results, err = pre.Call(c.Data, c.Field, args...)
		}
		if err != nil {
			return err
		}
	}
	actual := make([]constant, len(results))
	for i, result := range results {
		actual[i] = fromValue(result)
	}
	return c.compareResults(actual)
}

// typed calls with a generic function, if there is one for the types.
func typed(pre *instar.InstancePre, instance *instar.Instance, data any, name, types string, args []any) ([]any, bool, error) {
	switch types {
	case "-> i32":
		return typed0[int32](pre, instance, data, name)
	case "-> f64":
		return typed0[float64](pre, instance, data, name)
	case "i32 -> i32":
		return typed1[int32, int32](pre, instance, data, name, args)
	case "f32 -> f32":
		return typed1[float32, float32](pre, instance, data, name, args)
	case "i64 -> i64":
		return typed1[int64, int64](pre, instance, data, name, args)
	case "i32 i32 -> i32":
		return typed2[int32, int32, int32](pre, instance, data, name, args)
	case "i64 i64 -> i64":
		return typed2[int64, int64, int64](pre, instance, data, name, args)
	case "f32 f32 -> f32":
		return typed2[float32, float32, float32](pre, instance, data, name, args)
	case "f64 f64 -> f64":
		return typed2[float64, float64, float64](pre, instance, data, name, args)
	default:
		return nil, false, nil
	}
}

func typed0[R instar.Value](pre *instar.InstancePre, instance *instar.Instance, data any, name string) ([]any, bool, error) {
	function, err := instar.Func0[R](pre, name)
	if err != nil {
		return nil, false, err
	}
	var result R
	if instance != nil {
		result, err = function.Call(instance)
	} else {
		result, err = function.CallFresh(data)
	}
	return []any{result}, true, err
}

func typed1[A, R instar.Value](pre *instar.InstancePre, instance *instar.Instance, data any, name string, args []any) ([]any, bool, error) {
	function, err := instar.Func1[A, R](pre, name)
	if err != nil {
		return nil, false, err
	}
	var result R
	if instance != nil {
		result, err = function.Call(instance, args[0].(A))
	} else {
		result, err = function.CallFresh(data, args[0].(A))
	}
	return []any{result}, true, err
}

func typed2[A, B, R instar.Value](pre *instar.InstancePre, instance *instar.Instance, data any, name string, args []any) ([]any, bool, error) {
	function, err := instar.Func2[A, B, R](pre, name)
	if err != nil {
		return nil, false, err
	}
	var result R
	if instance != nil {
		result, err = function.Call(instance, args[0].(A), args[1].(B))
	} else {
		result, err = function.CallFresh(data, args[0].(A), args[1].(B))
	}
	return []any{result}, true, err
}

func (r *runner) twoThreads(at string, c *command) error {
	instance, pre := r.instance(c.Instance)
	function, err := pre.Func(c.Field)
	if err != nil {
		return err
	}
	slots := toSlots(c.Args, function.Signature().Results)
	g := &gate{make(chan struct{}), make(chan struct{})}
	r.mutex.Lock()
	r.gate = g
	r.mutex.Unlock()
	done := make(chan error, 1)
	go func() { done <- function.CallRaw(instance, slots) }()
	timedOut := false
	select {
	case <-g.entered:
		for i := range c.During {
			_ = r.command(fmt.Sprintf("%s.%d", at, i), &c.During[i])
		}
	case <-time.After(patience):
		timedOut = true
	}
	close(g.release)
	if err := <-done; err != nil {
		return err
	}
	if timedOut {
		return mismatched("the guest did not call block within %v", patience)
	}
	return c.compareResults(fromSlots(function.Signature().Results, slots))
}

// define defines one function of the menu.
func (r *runner) define(linker *instar.Linker, module, name, menu, sig string) error {
	letters := func(text string) (types []instar.ValueType) {
		for _, letter := range []byte(text) {
			types = append(types, instar.ValueType(letter))
		}
		return types
	}
	p, q, _ := strings.Cut(sig, ":")
	params, results := letters(p), letters(q)
	what, detail, _ := strings.Cut(menu, ":")
	raw := func(function instar.HostFunc) error { return linker.Func(module, name, function, params, results) }
	switch what {
	case "record":
		return raw(func(_ instar.Caller, stack []uint64) error {
			r.mutex.Lock()
			defer r.mutex.Unlock()
			r.recorded = append(r.recorded, fromSlots(params, stack)...)
			return nil
		})
	case "add":
		return instar.HostFunc2(linker, module, name, func(_ instar.Caller, a, b int32) (int32, error) { return a + b, nil })
	case "echo":
		return raw(func(instar.Caller, []uint64) error { return nil })
	case "data":
		return instar.HostFunc0(linker, module, name, func(c instar.Caller) (int32, error) { return int32(c.Data().(int64)), nil })
	case "throw":
		return raw(func(instar.Caller, []uint64) error { return errBoom })
	case "trap":
		for code := instar.TrapCode(1); code < 100; code++ {
			if code.String() == detail {
				return raw(func(instar.Caller, []uint64) error { return &instar.Trap{Code: code} })
			}
		}
		return mismatched("no trap code %q", detail)
	case "reenter":
		return raw(func(c instar.Caller, stack []uint64) error { return c.CallRaw(detail, stack) })
	case "catch":
		return raw(func(c instar.Caller, stack []uint64) error {
			err := c.CallRaw(detail, stack)
			var trap *instar.Trap
			switch {
			case err == nil:
				stack[0] = 0
			case errors.As(err, &trap):
				stack[0] = uint64(trap.Code)
			case err == errBoom:
				stack[0] = 100
			default:
				stack[0] = 200 + uint64(instar.KindOf(err))
			}
			return nil
		})
	case "read_mem":
		return instar.HostFunc2(linker, module, name, func(c instar.Caller, at, length uint32) (uint32, error) {
			bytes := make([]byte, min(length, 1<<20))
			if err := c.Memory("memory").Read(uint64(at), bytes); err != nil {
				return 0, err
			}
			sum := uint32(0)
			for _, b := range bytes {
				sum += uint32(b)
			}
			return sum, nil
		})
	case "write_mem":
		return instar.HostFunc3(linker, module, name, func(c instar.Caller, at, length, b uint32) (instar.Void, error) {
			bytes := slices.Repeat([]byte{byte(b)}, int(min(length, 1<<20)))
			return instar.Void{}, c.Memory("memory").Write(uint64(at), bytes)
		})
	case "close":
		return instar.HostFunc0(linker, module, name, func(instar.Caller) (int32, error) {
			instance, _ := r.instance(detail)
			return int32(instar.KindOf(instance.Close())), nil
		})
	case "block":
		return instar.HostFunc0(linker, module, name, func(instar.Caller) (int32, error) {
			r.mutex.Lock()
			g := r.gate
			r.gate = nil
			r.mutex.Unlock()
			if g == nil {
				return 0, nil
			}
			close(g.entered)
			select {
			case <-g.release:
				return 1, nil
			case <-time.After(patience):
				return 0, errors.New("release was not set in time")
			}
		})
	default:
		return mismatched("%q is not on the menu", menu)
	}
}

// -- values --

func (c constant) bits() uint64 {
	bits, err := strconv.ParseUint(c.Value, 10, 64)
	if err != nil {
		panic(err)
	}
	return bits
}

func (c constant) value() any {
	switch c.Type {
	case "i32":
		return int32(c.bits())
	case "i64":
		return int64(c.bits())
	case "f32":
		return math.Float32frombits(uint32(c.bits()))
	case "f64":
		return math.Float64frombits(c.bits())
	default:
		return c.Value
	}
}

func fromValue(value any) constant {
	switch v := value.(type) {
	case int32:
		return constant{"i32", strconv.FormatUint(uint64(uint32(v)), 10)}
	case int64:
		return constant{"i64", strconv.FormatUint(uint64(v), 10)}
	case float32:
		return constant{"f32", strconv.FormatUint(uint64(math.Float32bits(v)), 10)}
	case float64:
		return constant{"f64", strconv.FormatUint(math.Float64bits(v), 10)}
	default:
		panic(fmt.Sprintf("%T is no value", value))
	}
}

// toSlots gives the slots of these values, and at least as many as results of these types take. A v128 takes two, its low half first.
func toSlots(values []constant, results []instar.ValueType) []uint64 {
	var slots []uint64
	for _, value := range values {
		if value.Type != "v128" {
			slots = append(slots, value.bits())
			continue
		}
		bits, ok := new(big.Int).SetString(value.Value, 10)
		if !ok {
			panic(value.Value)
		}
		low := new(big.Int).And(bits, new(big.Int).SetUint64(math.MaxUint64))
		slots = append(slots, low.Uint64(), new(big.Int).Rsh(bits, 64).Uint64())
	}
	wanted := 0
	for _, t := range results {
		wanted += width(t)
	}
	return append(slots, make([]uint64, max(wanted-len(slots), 0))...)
}

func width(t instar.ValueType) int {
	if t == instar.V128 {
		return 2
	}
	return 1
}

func fromSlots(types []instar.ValueType, slots []uint64) []constant {
	values := make([]constant, len(types))
	for i, t := range types {
		bits := new(big.Int).SetUint64(slots[0])
		switch t {
		case instar.I32, instar.F32:
			bits.SetUint64(uint64(uint32(slots[0])))
		case instar.V128:
			bits.Or(bits, new(big.Int).Lsh(new(big.Int).SetUint64(slots[1]), 64))
		}
		values[i] = constant{t.String(), bits.String()}
		slots = slots[width(t):]
	}
	return values
}

func (c constant) matches(actual constant) bool {
	if c.Type != actual.Type || !strings.HasPrefix(c.Value, "nan:") {
		return c == actual
	}
	bits := actual.bits()
	exponentAndQuiet, sign := uint64(0x7fc00000), uint64(1)<<31
	if c.Type == "f64" {
		exponentAndQuiet, sign = 0x7ff8000000000000, 1<<63
	}
	if c.Value == "nan:canonical" {
		return bits&^sign == exponentAndQuiet
	}
	return bits&exponentAndQuiet == exponentAndQuiet
}

func compare(what string, expected, actual []constant) error {
	if !slices.EqualFunc(expected, actual, constant.matches) {
		return mismatched("%s: expected %v, got %v", what, expected, actual)
	}
	return nil
}

func (c *command) compareResults(actual []constant) error {
	if c.Expected == nil {
		return nil
	}
	var expected []constant
	if err := json.Unmarshal(c.Expected, &expected); err != nil {
		return mismatched("the case is wrong: %v", err)
	}
	return compare(c.Field, expected, actual)
}

func (c *command) compareBytes(answer []byte, err error) error {
	if err != nil || c.Expected == nil {
		return err
	}
	var expected payload
	if err := json.Unmarshal(c.Expected, &expected); err != nil {
		return mismatched("the case is wrong: %v", err)
	}
	if string(expected.bytes()) != string(answer) {
		return mismatched("%s: got %d bytes: %.100q", c.Field, len(answer), answer)
	}
	return nil
}
