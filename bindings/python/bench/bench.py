"""Instar and wasmtime (PyPI) side by side in one process: medians of several repetitions, one line of JSON per case.

Both run on this one thread, so its CPU time is what is measured: a busy machine changes the figures little.

bindings/python/bench/run.sh        builds what it needs, and runs this

* create_call_drop: a fresh instance, one call, everything dropped: what a request in a sandbox of its own costs.
  `token` is `pre.func(…)()`; `with` is `with pre.instantiate() as instance`, with the call in it.
* create_call_drop_data64k: the same for a module with 64 KiB of data, of which 4 bytes are written.
* call: `add(40, 2)` in an instance that stays.
* callback: a guest that calls two Python functions, in an instance that stays.
* memory_read: 16 bytes copied out.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import wasmtime

import instar

GUESTS = Path(__file__).resolve().parents[3] / "target" / "guests"
REPETITIONS = 7
SECONDS_PER_REPETITION = 0.15

Body = Callable[[int], None]


def nanoseconds(body: Body) -> float:
    """The median time of one round of `body`, which runs as many rounds as it is told."""
    rounds = 1
    while (seconds := timed(body, rounds)) < SECONDS_PER_REPETITION / 10:
        rounds *= 4
    rounds = max(1, int(rounds * SECONDS_PER_REPETITION / seconds))
    return statistics.median(timed(body, rounds) for _ in range(REPETITIONS)) / rounds * 1e9


def timed(body: Body, rounds: int) -> float:
    start = time.thread_time()
    body(rounds)
    return time.thread_time() - start


def log(number: int) -> None:
    pass


def add(a: int, b: int) -> int:
    return a + b


class Ours:
    def __init__(self) -> None:
        self.engine = instar.Engine()

    def pre(self, guest: str) -> instar.InstancePre:
        linker = instar.Linker(self.engine)
        linker.func("env", "log", log, params=["i32"], results=[])
        linker.func("env", "add", add, params=["i32", "i32"], results=["i32"])
        return linker.instantiate_pre(instar.Module.from_file(self.engine, GUESTS / guest))

    def create_token(self, guest: str, name: str, *args: int) -> Body:
        token = self.pre(guest).func(name)

        def body(rounds: int) -> None:
            for _ in range(rounds):
                token(*args)

        return body

    def create_with_add(self) -> Body:
        pre = self.pre("add.wat")

        def body(rounds: int) -> None:
            for _ in range(rounds):
                with pre.instantiate() as instance:
                    instance.exports.add(40, 2)

        return body

    def call(self) -> Body:
        exports = self.pre("add.wat").instantiate().exports

        def body(rounds: int) -> None:
            for _ in range(rounds):
                exports.add(40, 2)

        return body

    def callback(self) -> Body:
        exports = self.pre("host.wat").instantiate().exports

        def body(rounds: int) -> None:
            for _ in range(rounds):
                exports.run(7)

        return body

    def memory_read(self) -> Body:
        memory = self.pre("data64k.wat").instantiate().memory

        def body(rounds: int) -> None:
            for _ in range(rounds):
                memory.read(1024, 16)

        return body


class Theirs:
    """wasmtime as its documentation shows it: InstancePre, and functions looked up once where an instance stays."""

    def __init__(self) -> None:
        self.engine = wasmtime.Engine()

    def pre(self, guest: str) -> wasmtime.InstancePre:
        i32 = wasmtime.ValType.i32()
        linker = wasmtime.Linker(self.engine)
        linker.define_func("env", "log", wasmtime.FuncType([i32], []), log)
        linker.define_func("env", "add", wasmtime.FuncType([i32, i32], [i32]), add)
        wasm = wasmtime.wat2wasm((GUESTS / guest).read_text())
        return linker.instantiate_pre(wasmtime.Module(self.engine, wasm))

    def create(self, guest: str, name: str, *args: int) -> Body:
        pre = self.pre(guest)

        def body(rounds: int) -> None:
            for _ in range(rounds):
                store = wasmtime.Store(self.engine)
                pre.instantiate(store).exports(store)[name](store, *args)  # type: ignore[operator]
                store.close()

        return body

    def call(self, guest: str, name: str, *args: int) -> Body:
        store = wasmtime.Store(self.engine)
        function = self.pre(guest).instantiate(store).exports(store)[name]

        def body(rounds: int) -> None:
            for _ in range(rounds):
                function(store, *args)  # type: ignore[operator]

        return body

    def memory_read(self) -> Body:
        store = wasmtime.Store(self.engine)
        memory = self.pre("data64k.wat").instantiate(store).exports(store)["memory"]
        assert isinstance(memory, wasmtime.Memory)

        def body(rounds: int) -> None:
            for _ in range(rounds):
                memory.read(store, 1024, 1040)

        return body


def cases() -> Iterator[tuple[str, Body, Body]]:
    ours, theirs = Ours(), Theirs()
    add_created = theirs.create("add.wat", "add", 40, 2)
    yield "create_call_drop/token", ours.create_token("add.wat", "add", 40, 2), add_created
    yield "create_call_drop/with", ours.create_with_add(), add_created
    touch = ("data64k.wat", "touch", 1, 4)
    yield "create_call_drop_data64k/token", ours.create_token(*touch), theirs.create(*touch)
    yield "call", ours.call(), theirs.call("add.wat", "add", 40, 2)
    yield "callback", ours.callback(), theirs.call("host.wat", "run", 7)
    yield "memory_read", ours.memory_read(), theirs.memory_read()


def main() -> None:
    peer = {"peer_name": "wasmtime (PyPI)", "peer_version": version("wasmtime")}
    for case, ours, theirs in cases():
        figures = {"instar": round(nanoseconds(ours), 1), "peer": round(nanoseconds(theirs), 1)}
        print(json.dumps({"case": case, "unit": "ns", **figures, **peer}), flush=True)


if __name__ == "__main__":
    main()
