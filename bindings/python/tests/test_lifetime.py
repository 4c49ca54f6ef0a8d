"""Closing, collecting, cycles, leaks, threads."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import instar
from conftest import Pre
from instar import ErrorKind, i32

COUNTER = """
(module
  (import "env" "host" (func $host (result i32)))
  (memory (export "memory") 1)
  (global $g (mut i32) (i32.const 0))
  (func (export "next") (result i32)
    (global.set $g (i32.add (global.get $g) (i32.const 1)))
    (i32.store (i32.const 4096) (global.get $g))
    (global.get $g))
  (func (export "host") (result i32) (call $host)))
"""
ZERO: tuple[Callable[[], int], list[str], list[str]] = (lambda: 0, [], ["i32"])


class Thing:
    """Something that can be watched and can hold anything."""

    held: Any


def test_use_after_close(engine: instar.Engine, pre: Pre) -> None:
    instance = pre(COUNTER, host=ZERO).instantiate()
    exports, next_, memory = instance.exports, instance.exports.next, instance.memory
    instance.close()
    assert engine.live_instances == 0
    instance.close()
    uses: list[Callable[[], object]] = [
        lambda: exports.next(),
        lambda: next_(),
        lambda: next_.call_raw([]),
        lambda: memory.size,
        lambda: memory.read(0, 1),
        lambda: memory.write(0, b"x"),
        lambda: memory.grow(1),
        lambda: instance.exports.next(),
        lambda: instance.memory.size,
    ]
    for use in uses:
        with pytest.raises(instar.Error) as info:
            use()
        assert info.value.kind is ErrorKind.STALE_HANDLE
    assert repr(memory) == "<instar.Memory, closed>"


def test_a_stale_handle_never_reaches_the_next_tenant(pre: Pre) -> None:
    counter = pre(COUNTER, host=ZERO)
    old = counter.instantiate()
    old_next = old.exports.next
    old.close()
    with counter.instantiate() as new:
        with pytest.raises(instar.Error):
            old_next()
        with pytest.raises(instar.Error):
            old.memory.write(0, b"x")
        old.close()
        assert new.exports.next() == 1


def test_leaving_the_with_statement_closes(engine: instar.Engine, pre: Pre) -> None:
    counter = pre(COUNTER, host=ZERO)
    with pytest.raises(ZeroDivisionError), counter.instantiate() as instance:
        assert engine.live_instances == 1
        1 / 0
    assert engine.live_instances == 0
    with pytest.raises(instar.Error), instance as again:
        again.exports.next()


def test_forgotten_instances_are_closed_at_once(engine: instar.Engine, pre: Pre) -> None:
    counter = pre(COUNTER, host=ZERO)
    for _ in range(20_000):  # more than the pool has
        counter.instantiate()
        counter.instantiate().exports.next()
    assert engine.live_instances == 0


def test_data_is_released_with_the_instance(pre: Pre) -> None:
    counter = pre(COUNTER, host=ZERO)
    data = Thing()
    watch = weakref.ref(data)
    instance = counter.instantiate(data)
    exports = instance.exports
    del data
    assert watch() is instance.data
    instance.close()
    del exports
    assert watch() is None
    data = Thing()
    before = sys.getrefcount(data)
    for _ in range(100):
        counter.func("next")(data=data)
        counter.call("next", data=data)
        counter.func("next").call_raw([], data=data)
        counter.instantiate(data).exports.next()
    assert sys.getrefcount(data) == before


def collected(make: Callable[[], weakref.ref[Thing]]) -> bool:
    gc.collect()
    watch = make()
    assert watch() is not None, "nothing to collect: the cycle is no cycle"
    gc.collect()
    return watch() is None


def test_a_cycle_through_data_is_collected(engine: instar.Engine, pre: Pre) -> None:
    counter = pre(COUNTER, host=ZERO)

    def make(use: Callable[[instar.Instance], Any]) -> weakref.ref[Thing]:
        thing = Thing()
        instance = counter.instantiate(data=thing)
        thing.held = use(instance)
        return weakref.ref(thing)

    uses: list[Callable[[instar.Instance], Any]] = [
        lambda instance: instance,
        lambda instance: (instance, instance.exports),
        lambda instance: instance.exports,
        lambda instance: instance.exports.next,
        lambda instance: instance.memory,
        lambda instance: instance.exports.memory,
    ]
    for use in uses:
        assert collected(lambda: make(use))
        assert engine.live_instances == 0


def test_a_cycle_through_a_host_function_is_collected(engine: instar.Engine) -> None:
    def make(keep: str) -> weakref.ref[Thing]:
        thing = Thing()
        linker = instar.Linker(engine)
        linker.func("env", "host", lambda: thing.held and 0, params=[], results=["i32"])
        pre = linker.instantiate_pre(instar.Module(engine, COUNTER))
        instance = pre.instantiate()
        thing.held = {
            "linker": linker,
            "pre": pre,
            "func": pre.func("next"),
            "instance": instance,
            "exports": instance.exports,
            "bound": instance.exports.next,
        }[keep]
        return weakref.ref(thing)

    for keep in ("linker", "pre", "func", "instance", "exports", "bound"):
        assert collected(lambda: make(keep)), keep
    assert engine.live_instances == 0


def test_host_functions_live_as_long_as_the_pre(engine: instar.Engine) -> None:
    def make() -> instar.Func:
        linker = instar.Linker(engine)
        linker.func("env", "host", lambda: 7, params=[], results=["i32"])
        return linker.instantiate_pre(instar.Module(engine, COUNTER)).func("host")

    host = make()
    gc.collect()
    assert host() == 7


def test_everything_may_go_in_any_order(engine: instar.Engine) -> None:
    linker = instar.Linker(engine)
    linker.func("env", "host", lambda: 7, params=[], results=["i32"])
    pre = linker.instantiate_pre(instar.Module(engine, COUNTER))
    instance = pre.instantiate()
    token = pre.func("host")
    del linker, pre
    gc.collect()
    assert (instance.exports.host(), token()) == (7, 7)
    exports = instance.exports
    del instance, token
    gc.collect()
    assert exports.host() == 7
    del exports


def test_an_engine_may_go_first() -> None:
    engine = instar.Engine()
    module = instar.Module(engine, "(module (memory (export \"memory\") 1) (func (export \"f\") (result i32) (i32.const 3)))")
    pre = instar.Linker(engine).instantiate_pre(module)
    instance = pre.instantiate()
    exports = instance.exports
    del engine, module, pre, instance
    gc.collect()
    assert (exports.f(), exports.memory.size) == (3, 65536)


@pytest.mark.parametrize("release_gil", [False, True])
def test_everything_may_be_alive_at_exit(release_gil: bool) -> None:
    program = f"""if True:
        import instar, threading
        engine = instar.Engine(release_gil={release_gil})
        linker = instar.Linker(engine)
        linker.func("env", "host", lambda caller: caller.data, params=[], results=["i32"])
        pre = linker.instantiate_pre(instar.Module(engine, {COUNTER!r}))
        token = pre.func("host")
        instance = pre.instantiate(data=3)
        bound, memory = instance.exports.host, instance.memory
        class Late:
            def __del__(self):
                for use in (bound, token, lambda: memory.size, pre.instantiate):
                    try: use()
                    except Exception: pass
        late = cycle = Late()
        cycle.held = (cycle, instance, bound)
        assert bound() == 3
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_collections_at_every_allocation(pre: Pre) -> None:
    counter = pre(COUNTER, host=(lambda caller: caller.memory.size, [], ["i32"]))
    thresholds = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for _ in range(20):
            with pre(COUNTER, host=ZERO).instantiate(data=[]) as instance:
                assert (instance.exports.next(), instance.exports["next"]()) == (1, 2)
            assert counter.instantiate(data={}).exports.host() == 65536
            assert counter.func("next")(data=[[]]) == 1
    finally:
        gc.set_threshold(*thresholds)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_nothing_leaks(pre: Pre) -> None:
    counter = pre(COUNTER, host=(lambda caller: caller.memory.size & 1, [], ["i32"]))
    token = counter.func("next")

    def round_() -> None:
        for n in range(2_000):
            with counter.instantiate(data=object()) as instance:
                instance.exports.next()
                instance.exports.host()
                instance.memory.write(0, b"x" * 100)
            token()
            token.call_raw([], data=n)
            counter.call("next")
            with pytest.raises(TypeError):
                token(1)

    for _ in range(3):
        round_()
    gc.collect()
    before, blocks = resident_bytes(), sys.getallocatedblocks()
    for _ in range(10):
        round_()
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 1_000
    assert resident_bytes() - before < 4 << 20


def test_pres_do_not_leak(engine: instar.Engine) -> None:
    module = instar.Module(engine, COUNTER)

    def round_() -> None:
        for _ in range(100):
            linker = instar.Linker(engine)
            linker.func("env", "host", lambda: 0, params=[], results=["i32"])
            pre = linker.instantiate_pre(module)
            pre.func("next")()
            with pre.instantiate() as instance:
                instance.exports.next()
        gc.collect()

    round_()
    blocks = sys.getallocatedblocks()
    for _ in range(5):
        round_()
    assert sys.getallocatedblocks() - blocks < 500


@pytest.mark.parametrize("release_gil", [False, True])
def test_a_second_thread_is_refused(release_gil: bool) -> None:
    engine = instar.Engine(release_gil=release_gil)
    entered, release = threading.Event(), threading.Event()
    linker = instar.Linker(engine)

    @linker.func("env", "host")
    def host() -> i32:
        entered.set()
        assert release.wait(30)
        return 5

    with linker.instantiate_pre(instar.Module(engine, COUNTER)).instantiate() as instance:
        results: list[int] = []
        thread = threading.Thread(target=lambda: results.append(instance.exports.host()))
        thread.start()
        assert entered.wait(30)
        try:
            for use in (instance.exports.next, lambda: instance.memory.size, instance.close):
                with pytest.raises(instar.Error) as info:
                    use()
                assert info.value.kind is ErrorKind.BUSY
        finally:
            release.set()
            thread.join()
        assert results == [5]
        assert instance.exports.next() == 1


@pytest.mark.parametrize("release_gil", [False, True])
def test_many_threads(release_gil: bool) -> None:
    engine = instar.Engine(release_gil=release_gil)
    linker = instar.Linker(engine)
    linker.func("env", "host", lambda caller: caller.data, params=[], results=["i32"])
    pre = linker.instantiate_pre(instar.Module(engine, COUNTER))
    token, host = pre.func("next"), pre.func("host")
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(500):
                assert token() == 1
                assert host(data=number * 1000 + n) == number * 1000 + n
                with pre.instantiate(data=n) as instance:
                    assert instance.exports.next() == 1
                    assert instance.exports.host() == n
                    assert instance.exports.next() == 2
                if n % 100 == 0:
                    gc.collect()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert engine.live_instances == 0


def test_guests_run_in_parallel_without_the_gil() -> None:
    engine = instar.Engine(release_gil=True)
    wat = """(module (func (export "spin") (param i64)
      (loop $l (local.set 0 (i64.sub (local.get 0) (i64.const 1))) (br_if $l (i64.ne (local.get 0) (i64.const 0))))))"""
    spin = instar.Linker(engine).instantiate_pre(instar.Module(engine, wat)).func("spin")
    done = threading.Event()

    def work() -> None:
        spin(300_000_000)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    ticks = 0
    while not done.is_set():
        ticks += 1
    thread.join()
    assert ticks > 100, "this thread stood still while the guest ran"


def test_an_instance_moves_between_threads(pre: Pre) -> None:
    with pre(COUNTER, host=ZERO).instantiate() as instance:
        results: list[int] = []
        for _ in range(5):
            thread = threading.Thread(target=lambda: results.append(instance.exports.next()))
            thread.start()
            thread.join()
        assert results == [1, 2, 3, 4, 5]
