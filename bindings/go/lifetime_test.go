package instar_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	instar "github.com/instar-runtime/instar-go"
)

func TestClosingTwiceIsFineAndUseAfterCloseIsErrClosed(t *testing.T) {
	engine := must(instar.NewEngine(instar.Config{}))(t)
	pre := linkPre(t, engine, nil)
	add := must(instar.Func2[int32, int32, int32](pre, "add"))(t)
	echo := must(pre.BytesFunc("echo"))(t)
	instance := must(pre.Instantiate("data"))(t)
	memory := instance.Memory("memory")
	for range 2 {
		check(t, instance.Close())
		for what, err := range map[string]error{
			"typed":   second(add.Call(instance, 1, 2)),
			"raw":     add.Func().CallRaw(instance, make([]uint64, 2)),
			"dynamic": second(instance.Call("add", int32(1), int32(2))),
			"bytes":   second(echo.Call(instance, nil)),
			"memory":  memory.Write(0, []byte("x")),
		} {
			if !errors.Is(err, instar.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	for range 2 {
		check(t, pre.Close())
		for what, err := range map[string]error{
			"typed":       second(add.CallFresh(nil, 1, 2)),
			"data":        second(add.CallFresh("data", 1, 2)),
			"dynamic":     second(pre.Call(nil, "add", int32(1), int32(2))),
			"bytes":       second(echo.CallFresh(nil, nil)),
			"name":        second(pre.Func("load")),
			"instantiate": second(pre.Instantiate(nil)),
		} {
			if !errors.Is(err, instar.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	module := must(instar.NewModule(engine, []byte("(module)")))(t)
	linker := must(instar.NewLinker(engine))(t)
	for range 2 {
		check(t, engine.Close())
		if _, err := instar.NewModule(engine, []byte("(module)")); !errors.Is(err, instar.ErrClosed) {
			t.Error(err)
		}
		if _, err := instar.NewLinker(engine); !errors.Is(err, instar.ErrClosed) {
			t.Error(err)
		}
		if _, err := engine.LiveInstances(); !errors.Is(err, instar.ErrClosed) {
			t.Error(err)
		}
	}
	empty := must(linker.InstantiatePre(module))(t)
	for range 2 {
		check(t, module.Close())
		if _, err := module.Exports(); !errors.Is(err, instar.ErrClosed) {
			t.Error(err)
		}
		if _, err := linker.InstantiatePre(module); !errors.Is(err, instar.ErrClosed) {
			t.Error(err)
		}
	}
	for range 2 {
		check(t, linker.Close())
		if err := linker.AllowShadowing(true); !errors.Is(err, instar.ErrClosed) {
			t.Error(err)
		}
	}
	must(empty.Instantiate(nil))(t).Close()
	check(t, empty.Close())
}

func second[T any](_ T, err error) error { return err }

func TestAnInstanceCanBeClosedAfterItsPreAndEngine(t *testing.T) {
	engine := must(instar.NewEngine(instar.Config{}))(t)
	pre := linkPre(t, engine, nil)
	instance := must(pre.Instantiate(nil))(t)
	check(t, engine.Close())
	check(t, pre.Close())
	if _, err := instance.Call("add", int32(1), int32(2)); !errors.Is(err, instar.ErrClosed) {
		t.Error(err)
	}
	check(t, instance.Close())
	check(t, instance.Close())
}

func TestThePoolIsExhaustedAndRecovers(t *testing.T) {
	pre := newPre(t, instar.Config{MaxInstances: 2}, nil)
	one, two := must(pre.Instantiate(nil))(t), must(pre.Instantiate(nil))(t)
	if _, err := pre.Instantiate(nil); !errors.Is(err, instar.ErrPoolExhausted) {
		t.Error(err)
	}
	if _, err := pre.Call(nil, "nothing"); !errors.Is(err, instar.ErrPoolExhausted) {
		t.Error(err)
	}
	check(t, one.Close())
	must(pre.Instantiate(nil))(t).Close()
	check(t, two.Close())
}

func TestAnInstanceInACallIsBusy(t *testing.T) {
	var instance *instar.Instance
	entered, release := make(chan struct{}), make(chan struct{})
	pre := newPre(t, instar.Config{}, func(_ instar.Caller, n int32) (int32, error) {
		// From inside its own call.
		if err := instance.Close(); !errors.Is(err, instar.ErrBusy) {
			return 0, errors.Join(errors.New("close in the own call"), err)
		}
		if _, err := instance.Call("nothing"); !errors.Is(err, instar.ErrBusy) {
			return 0, errors.Join(errors.New("call in the own call"), err)
		}
		close(entered)
		<-release
		return n, nil
	})
	instance = newInstance(t, pre, nil)
	call := must(instar.Func1[int32, int32](pre, "call_host"))(t)
	done := make(chan error)
	go func() { done <- second(call.Call(instance, 1)) }()
	<-entered
	if _, err := instance.Call("nothing"); !errors.Is(err, instar.ErrBusy) {
		t.Error(err)
	}
	if err := instance.Memory("memory").Read(0, make([]byte, 1)); !errors.Is(err, instar.ErrBusy) {
		t.Error(err)
	}
	if err := instance.Close(); !errors.Is(err, instar.ErrBusy) {
		t.Error(err)
	}
	close(release)
	check(t, <-done)
	must(instance.Call("nothing"))(t)
}

func TestAnInstanceCanMoveBetweenGoroutines(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	instance := newInstance(t, pre, nil)
	count := must(instar.Func0[int32](pre, "count"))(t)
	for want := range int32(50) {
		done := make(chan int32)
		go func() {
			runtime.LockOSThread() // ends with the goroutine: a new thread each time
			done <- must(count.Call(instance))(t)
		}()
		if got := <-done; got != want+1 {
			t.Fatal(got)
		}
	}
}

func TestGoroutinesShareAPreAndSeeTheirOwnData(t *testing.T) {
	pre := newPre(t, instar.Config{MaxInstances: 64}, func(c instar.Caller, n int32) (int32, error) {
		if n%64 == 0 {
			runtime.GC()
		}
		return c.Data().(int32), nil
	})
	call := must(instar.Func1[int32, int32](pre, "call_host"))(t)
	var group sync.WaitGroup
	for worker := range int32(8) {
		group.Go(func() {
			for n := range int32(500) {
				data := worker<<16 | n
				if n%2 == 0 {
					if got, err := call.CallFresh(data, n); err != nil || got != data {
						t.Error(got, err)
					}
					continue
				}
				instance, err := pre.Instantiate(data)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := call.Call(instance, n); err != nil || got != data {
					t.Error(got, err)
				}
				check(t, instance.Close())
			}
		})
	}
	group.Wait()
}

func TestOneInstanceHammeredByManyGoroutines(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	instance := newInstance(t, pre, nil)
	count := must(instar.Func0[int32](pre, "count"))(t)
	var calls, busy atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5000 {
				switch _, err := count.Call(instance); {
				case err == nil:
					calls.Add(1)
				case errors.Is(err, instar.ErrBusy):
					busy.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := must(count.Call(instance))(t); got != calls.Load()+1 {
		t.Errorf("%d calls, %d busy, but the guest counted %d", calls.Load(), busy.Load(), got)
	}
}

func TestClosingWhileOthersCallIsNeverHarm(t *testing.T) {
	for range 20 {
		engine := must(instar.NewEngine(instar.Config{}))(t)
		pre := linkPre(t, engine, nil)
		add := must(instar.Func2[int32, int32, int32](pre, "add"))(t)
		instance := must(pre.Instantiate(nil))(t)
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				for {
					_, err := add.CallFresh("data", 1, 2)
					_, other := add.Call(instance, 1, 2)
					if other != nil && !errors.Is(other, instar.ErrClosed) && !errors.Is(other, instar.ErrBusy) {
						t.Error(other)
					}
					if err != nil {
						if !errors.Is(err, instar.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		time.Sleep(time.Millisecond)
		for errors.Is(instance.Close(), instar.ErrBusy) {
		}
		check(t, pre.Close())
		check(t, engine.Close())
		group.Wait()
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 200 {
		runtime.GC()
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("never: %s", what)
}

func TestForgottenInstancesAreClosedByTheCollector(t *testing.T) {
	engine := newEngine(t, instar.Config{MaxInstances: 10})
	pre := linkPre(t, engine, nil)
	forget := func() {
		for range 9 {
			data := make([]byte, 1)
			instance := must(pre.Instantiate(data))(t)
			must(instance.Call("nothing"))(t)
		}
	}
	for range 5 {
		forget()
		eventually(t, "forgotten instances go", func() bool {
			check(t, must(pre.Instantiate(nil))(t).Close())
			return must(engine.LiveInstances())(t) == 0
		})
	}
}

func TestAnInstanceInUseIsNotCollected(t *testing.T) {
	pre := newPre(t, instar.Config{}, func(_ instar.Caller, n int32) (int32, error) {
		runtime.GC()
		runtime.GC()
		return n, nil
	})
	call := must(instar.Func1[int32, int32](pre, "call_host"))(t)
	for range 20 {
		instance := must(pre.Instantiate(nil))(t)
		if got := must(call.Call(instance, 7))(t); got != 7 {
			t.Error(got)
		}
		check(t, instance.Close())
	}
}

func TestHostFunctionsLiveAsLongAsTheirPre(t *testing.T) {
	engine := newEngine(t, instar.Config{})
	module := must(instar.NewModule(engine, []byte(guest)))(t)
	var collected atomic.Int32
	link := func() *instar.InstancePre {
		linker := must(instar.NewLinker(engine))(t)
		big := &[1000]int32{5}
		runtime.AddCleanup(big, func(int) { collected.Add(1) }, 0)
		check(t, instar.HostFunc1(linker, "env", "host", func(_ instar.Caller, n int32) (int32, error) { return big[0] + n, nil }))
		pre := must(linker.InstantiatePre(module))(t)
		check(t, linker.Close())
		return pre
	}
	pre := link()
	runtime.GC()
	runtime.GC()
	if got := must(pre.Call(nil, "call_host", int32(1)))(t); got[0] != any(int32(6)) {
		t.Error(got)
	}
	check(t, pre.Close())
	eventually(t, "the host function goes with its pre", func() bool { return collected.Load() == 1 })
	// The same without any Close.
	_ = link()
	eventually(t, "everything goes when it is forgotten", func() bool { return collected.Load() == 2 })
}

func TestDataIsLetGo(t *testing.T) {
	pre := newPre(t, instar.Config{}, nil)
	var collected atomic.Int32
	data := func() any {
		value := new([1000]int)
		runtime.AddCleanup(value, func(int) { collected.Add(1) }, 0)
		return value
	}
	nothing := must(instar.Func0[instar.Void](pre, "nothing"))(t)
	must(nothing.CallFresh(data()))(t)
	must(pre.Instantiate(data()))(t).Close()
	eventually(t, "data goes", func() bool { return collected.Load() == 2 })
}

func residentBytes(t *testing.T) int {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages := must(strconv.Atoi(strings.Fields(string(statm))[1]))(t)
	return pages * os.Getpagesize()
}

func TestNothingLeaks(t *testing.T) {
	engine := newEngine(t, instar.Config{})
	pre := linkPre(t, engine, func(_ instar.Caller, n int32) (int32, error) { return 0, errors.New("no") })
	call := must(instar.Func1[int32, int32](pre, "call_host"))(t)
	echo := must(pre.BytesFunc("echo"))(t)
	input := make([]byte, 20_000)
	round := func() {
		for range 2000 {
			instance := must(pre.Instantiate("data"))(t)
			must(echo.Call(instance, input))(t)
			if _, err := call.Call(instance, 1); err == nil {
				t.Fatal("no error")
			}
			check(t, instance.Close())
			_, _ = pre.Call(nil, "fail")
			_, _ = call.CallFresh(1, 1)
		}
		for range 5 {
			other := must(instar.NewEngine(instar.Config{}))(t)
			linkedPre := linkPre(t, other, nil)
			must(linkedPre.Call(nil, "nothing"))(t)
			check(t, linkedPre.Close())
			check(t, other.Close())
		}
		runtime.GC()
	}
	round()
	round()
	before := residentBytes(t)
	for range 5 {
		round()
	}
	if grown := residentBytes(t) - before; grown > 16<<20 {
		t.Errorf("%d KiB more after 10 000 instances", grown>>10)
	}
}

func TestEverythingForgottenAtOnceGoes(t *testing.T) {
	mappings := func() int {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip(err)
		}
		return strings.Count(string(maps), "\n")
	}
	forget := func() {
		engine := must(instar.NewEngine(instar.Config{}))(t)
		module := must(instar.NewModule(engine, []byte(guest)))(t)
		linker := must(instar.NewLinker(engine))(t)
		check(t, instar.HostFunc1(linker, "env", "host", func(_ instar.Caller, n int32) (int32, error) { return n, nil }))
		must(must(linker.InstantiatePre(module))(t).Instantiate("data"))(t)
	}
	forget()
	before := mappings()
	for range 50 {
		forget()
	}
	eventually(t, "memories of forgotten engines are unmapped", func() bool { return mappings() < before+25 })
}

func TestEndingTheGoroutineInAHostFunctionIsACrashWithItsReason(t *testing.T) {
	if os.Getenv("INSTAR_TEST_GOEXIT") != "" {
		pre := newPre(t, instar.Config{}, func(instar.Caller, int32) (int32, error) {
			runtime.Goexit()
			return 0, nil
		})
		_, _ = pre.Call(nil, "call_host", int32(1))
		return
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), "INSTAR_TEST_GOEXIT=1")
	output, err := again.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "a host function ended its goroutine") {
		t.Errorf("%v: %s", err, output)
	}
}
