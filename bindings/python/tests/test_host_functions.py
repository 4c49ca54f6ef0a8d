"""Host functions: their types, the Caller, exceptions."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

import instar
from conftest import Pre
from instar import ErrorKind, f32, f64, i32, i64, u32, u64

CALLS = """
(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "gr\\c3\\bc\\c3\\9fe")
  (func (export "call") (param i32) (result i32) (call $host (local.get 0)))
  (func (export "inner") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 10)))
  (func (export "trap") (result i32) (unreachable)))
"""


def test_the_type_comes_from_the_annotations(engine: instar.Engine) -> None:
    linker = instar.Linker(engine)

    @linker.func("env", "mix")
    def mix(a: i32, b: i64, c: f32, d: f64) -> tuple[f64, i32]:
        return d + c, a + b

    assert mix(1, 2, 3.0, 4.0) == (7.0, 3)
    module = instar.Module(
        engine,
        """(module (import "env" "mix" (func $mix (param i32 i64 f32 f64) (result f64 i32)))
             (func (export "mix") (param i32 i64 f32 f64) (result f64 i32)
               (call $mix (local.get 0) (local.get 1) (local.get 2) (local.get 3))))""",
    )
    assert linker.instantiate_pre(module).call("mix", 1, 2, 3.5, 4.5) == (8.0, 3)


def test_explicit_types(pre: Pre) -> None:
    choices: list[list[object]] = [["i32"], [instar.i32], [instar.ValType.I32]]
    for types in choices:
        assert pre(CALLS, host=(lambda x: x + 1, types, types)).call("call", 4) == 5
    assert pre(CALLS, host=(abs, ["i32"], ["i32"])).call("call", -4) == 4


def test_callables_of_every_sort(pre: Pre) -> None:
    class Adder:
        def __init__(self, by: int) -> None:
            self.by = by

        def method(self, x: i32) -> i32:
            return x + self.by

        def __call__(self, x: i32) -> i32:
            return x + self.by

        @staticmethod
        def static(x: i32) -> i32:
            return x + 3

    def plus(by: i32, x: i32) -> i32:
        return x + by

    for function in (Adder(3).method, Adder(3), Adder.static, functools.partial(plus, 3)):
        assert pre(CALLS, host=function).call("call", 4) == 7


def test_unsigned_views(pre: Pre) -> None:
    seen: list[int] = []

    def unsigned(x: u32) -> u32:
        seen.append(x)
        return x

    def signed(x: i32) -> i32:
        seen.append(x)
        return x

    assert pre(CALLS, host=unsigned).call("call", -1) == -1
    assert pre(CALLS, host=signed).call("call", 2**32 - 1) == -1
    assert seen == [2**32 - 1, -1]
    wide = '(module (import "env" "h" (func $h (param i64))) (func (export "f") (param i64) (call $h (local.get 0))))'

    def store(x: u64) -> None:
        seen.append(x)

    pre(wide, h=store).call("f", -1)
    assert seen[-1] == 2**64 - 1


def bad_no_annotation(x) -> i32: ...  # type: ignore[no-untyped-def, empty-body]
def bad_int(x: int) -> i32: ...  # type: ignore[empty-body]
def bad_float(x: float) -> None: ...
def bad_result(x: i32) -> str: ...  # type: ignore[empty-body]
def bad_star(*x: i32) -> i32: ...  # type: ignore[empty-body]
def bad_unknown(x: Unknown) -> i32: ...  # type: ignore[name-defined, empty-body]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (bad_no_annotation, "parameter 'x' has no annotation"),
        (bad_int, "say instar.i32 or instar.i64"),
        (bad_float, "say instar.f32 or instar.f64"),
        (bad_result, "the result has the type <class 'str'>"),
        (bad_star, "is not positional"),
        (bad_unknown, "has the type 'Unknown'"),
        (min, "it has no signature"),
    ],
)
def test_unclear_types_are_refused(engine: instar.Engine, function: Any, reason: str) -> None:
    with pytest.raises(TypeError, match="type of host function env.bad is unclear") as info:
        instar.Linker(engine).func("env", "bad", function)
    assert reason in str(info.value)


def test_functions_that_cannot_take_the_arguments_are_refused(engine: instar.Engine) -> None:
    with pytest.raises(TypeError, match="cannot be called with 2 arguments"):
        instar.Linker(engine).func("env", "f", lambda a: a, params=["i32", "i32"])
    with pytest.raises(TypeError, match="must be callable, not int"):
        instar.Linker(engine).func("env", "f", 7, params=[])  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="'v128'"):
        instar.Linker(engine).func("env", "f", lambda a: a, params=["v128"])


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("x", "host function env.host: result 1 must be an int"),
        (None, "result 1 must be an int"),
        (1.0, "result 1 must be an int"),
        (2**32, "does not fit i32"),
        ((1, 2), "result 1 must be an int"),
    ],
)
def test_wrong_results(pre: Pre, result: Any, message: str) -> None:
    with pytest.raises(instar.Error, match=message) as info:
        pre(CALLS, host=(lambda x: result, ["i32"], ["i32"])).call("call", 1)
    assert info.value.kind is ErrorKind.TYPE


def test_wrong_numbers_of_results(pre: Pre) -> None:
    nothing = '(module (import "env" "h" (func $h)) (func (export "f") (call $h)))'
    with pytest.raises(TypeError, match="has no results, but the Python function returned int"):
        pre(nothing, h=(lambda: 1, [], [])).call("f")
    two = '(module (import "env" "h" (func $h (result i32 i32))) (func (export "f") (result i32 i32) (call $h)))'
    assert pre(two, h=(lambda: [1, 2], [], ["i32", "i32"])).call("f") == (1, 2)
    with pytest.raises(TypeError, match=r"must return 2 results \(i32, i32\), got tuple of 3"):
        pre(two, h=(lambda: (1, 2, 3), [], ["i32", "i32"])).call("f")
    with pytest.raises(TypeError, match=r"must return a tuple of 2 \(i32, i32\), not int"):
        pre(two, h=(lambda: 1, [], ["i32", "i32"])).call("f")


def test_exceptions_come_back_as_themselves(pre: Pre) -> None:
    class Mine(Exception):
        pass

    mine = Mine("mine")

    def fail(x: i32) -> i32:
        raise mine

    failing = pre(CALLS, host=fail)
    with pytest.raises(Mine) as info:
        failing.call("call", 1)
    assert info.value is mine
    names = [entry.name for entry in info.traceback]
    assert names[-1] == "fail"
    with failing.instantiate() as instance:
        with pytest.raises(Mine) as info:
            instance.exports.call(1)
        assert info.value is mine
        assert instance.exports.inner(1) == 10


def test_base_exceptions_come_back_too(pre: Pre) -> None:
    def leave(x: i32) -> i32:
        raise SystemExit(x)

    with pytest.raises(SystemExit) as info:
        pre(CALLS, host=leave).call("call", 3)
    assert info.value.code == 3


def test_a_trap_raised_by_the_host(pre: Pre) -> None:
    trap = instar.Trap(instar.TrapCode.INTEGER_OVERFLOW)

    def fail(x: i32) -> i32:
        raise trap

    with pytest.raises(instar.Trap) as info:
        pre(CALLS, host=fail).call("call", 1)
    assert info.value is trap


def test_the_caller(pre: Pre) -> None:
    seen: list[Any] = []

    def host(caller: instar.Caller, x: i32) -> i32:
        seen.append(caller.data)
        seen.append(caller.memory.read_str(16, 7))
        seen.append(caller.memory.size)
        caller.memory.write(0, b"abc")
        seen.append(caller.exports.memory.read(0, 4))
        seen.append(caller.exports.inner(x))
        seen.append(caller.exports["inner"].call_raw([x]))
        return caller.exports.inner(x) + 1  # type: ignore[no-any-return]

    data = object()
    assert pre(CALLS, host=host).call("call", 4, data=data) == 41
    assert seen == [data, "grüße", 65536, b"abc\0", 40, [40]]


def test_the_caller_by_annotation(pre: Pre) -> None:
    def host(who: instar.Caller, x: i32) -> i32:
        return int(who.data) + x

    calls = pre(CALLS, host=host)
    assert calls.func("call")(4, data=3) == 7
    with calls.instantiate(data=5) as instance:
        assert instance.data == 5
        assert instance.exports.call(1) == 6


def test_data_is_none_by_default(pre: Pre) -> None:
    seen: list[Any] = []

    def host(caller: instar.Caller, x: i32) -> i32:
        seen.append(caller.data)
        return x

    calls = pre(CALLS, host=host)
    calls.call("call", 1)
    calls.func("call")(1)
    calls.func("call")(1, data=None)
    calls.func("call").call_raw([1], data="raw")
    with calls.instantiate() as instance:
        instance.exports.call(1)
        assert instance.data is None
    assert seen == [None, None, None, "raw", None]


def test_errors_of_the_caller(pre: Pre) -> None:
    def host(caller: instar.Caller, x: i32) -> i32:
        with pytest.raises(instar.Error) as bounds:
            caller.memory.read(65530, 7)
        assert bounds.value.kind is ErrorKind.OUT_OF_BOUNDS
        with pytest.raises(AttributeError):
            caller.exports.nope
        with pytest.raises(instar.MissingExportError):
            caller.exports["nope"]
        with pytest.raises(TypeError):
            caller.exports.inner()
        with pytest.raises(instar.Trap):
            caller.exports.trap()
        return x

    assert pre(CALLS, host=host).call("call", 1) == 1


def test_the_caller_ends_with_its_call(pre: Pre) -> None:
    kept: list[Any] = []

    def host(caller: instar.Caller, x: i32) -> i32:
        kept.extend([caller, caller.memory, caller.exports, caller.exports.inner])
        return x

    pre(CALLS, host=host).call("call", 1)
    caller, memory, exports, inner = kept
    uses: list[Callable[[], object]] = [
        lambda: caller.data,
        lambda: caller.memory,
        lambda: memory.size,
        lambda: exports.inner,
        lambda: inner(1),
    ]
    for use in uses:
        with pytest.raises(instar.Error) as info:
            use()
        assert info.value.kind is ErrorKind.STALE_HANDLE


def test_the_caller_stays_on_its_thread(pre: Pre) -> None:
    kinds: list[ErrorKind] = []

    def host(caller: instar.Caller, x: i32) -> i32:
        def use() -> None:
            try:
                caller.data
            except instar.Error as error:
                kinds.append(error.kind)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return x

    pre(CALLS, host=host).call("call", 1)
    assert kinds == [ErrorKind.BUSY]


def test_an_outer_caller_is_busy_during_an_inner_call(pre: Pre) -> None:
    callers: list[instar.Caller] = []
    kinds: list[ErrorKind] = []

    def host(caller: instar.Caller, x: i32) -> i32:
        callers.append(caller)
        if x:
            return caller.exports.call(x - 1) + 1  # type: ignore[no-any-return]
        for outer in callers[:-1]:
            with pytest.raises(instar.Error) as info:
                outer.data
            kinds.append(info.value.kind)
        return 0

    assert pre(CALLS, host=host).call("call", 3) == 3
    assert kinds == [ErrorKind.BUSY] * 3


def test_an_instance_cannot_be_entered_or_closed_by_its_own_host_function(pre: Pre) -> None:
    kinds: list[ErrorKind] = []

    def host(x: i32) -> i32:
        for use in (lambda: instance.exports.inner(1), lambda: instance.memory.size, instance.close):
            with pytest.raises(instar.Error) as info:
                use()
            kinds.append(info.value.kind)
        return x

    with pre(CALLS, host=host).instantiate() as instance:
        assert instance.exports.call(1) == 1
    assert kinds == [ErrorKind.BUSY] * 3


def test_other_instances_can_be_called_by_a_host_function(pre: Pre) -> None:
    def host(x: i32) -> i32:
        return int(other.exports.inner(x)) + int(token(x))

    calls = pre(CALLS, host=host)
    token = calls.func("inner")
    with calls.instantiate() as other, calls.instantiate() as instance:
        assert instance.exports.call(1) == 20


def test_a_start_function_that_raises(engine: instar.Engine, pre: Pre) -> None:
    def fail() -> None:
        raise LookupError("start")

    failing = pre('(module (import "env" "f" (func $f)) (start $f) (func (export "g")))', f=fail)
    with pytest.raises(LookupError, match="start"):
        failing.instantiate()
    with pytest.raises(LookupError, match="start"):
        failing.func("g")()
    assert engine.live_instances == 0
