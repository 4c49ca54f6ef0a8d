"""Modules that use vectors, 64-bit and several memories, tail calls and typed references."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest

import instar
from conformance import MODULES
from conftest import Pre
from instar import ErrorKind, TrapCode, ValType


@pytest.fixture
def features(engine: instar.Engine) -> instar.InstancePre:
    return instar.Linker(engine).instantiate_pre(instar.Module.from_file(engine, MODULES / "features.wat"))


@pytest.fixture
def instance(features: instar.InstancePre) -> Iterator[instar.Instance]:
    with features.instantiate() as instance:
        yield instance


def test_features_inside_of_a_module_work_behind_numbers(features: instar.InstancePre, instance: instar.Instance) -> None:
    exports = instance.exports
    assert exports.four_products(3, 5) == features.call("four_products", 3, 5) == 60
    assert exports.sum(1_000_000, 0) == exports.sum_by_reference(1_000_000, 0) == 500_000_500_000
    exports.copy_out(100, 8, 16)
    assert exports.load_other(115) == exports.other.read(115, 1)[0] == 16
    assert exports.load64(8) == 0x0807060504030201
    for name, code in [("call_null", TrapCode.NULL_FUNCTION_REFERENCE), ("null_as_non_null", TrapCode.NULL_REFERENCE)]:
        with pytest.raises(instar.Trap) as info:
            exports[name]()
        assert info.value.code is code


def test_vectors_travel_in_two_slots(features: instar.InstancePre, instance: instar.Instance) -> None:
    mixed = features.func("mixed")
    assert mixed.params == (ValType.I32, ValType.V128, ValType.F64)
    assert mixed.results == (ValType.F64, ValType.V128, ValType.I32)
    assert repr(mixed) == "<instar.Func mixed(i32, v128, f64) -> (f64, v128, i32)>"
    half, minus_half = (struct.unpack("<Q", struct.pack("<d", x))[0] for x in (0.5, -0.5))
    given = [5, 10, 2**64 - 1, half]
    for call_raw in (mixed.call_raw, instance.exports.mixed.call_raw):
        assert call_raw(given) == [minus_half, 15, 4, 6]
        with pytest.raises(instar.SignatureError, match=r"takes 4 slots \(i32, v128, f64; a v128 takes two\), got 3"):
            call_raw(given[:3])
    assert instance.exports.swap_halves.call_raw([1, 2]) == [2, 1]
    assert instance.exports.splat.call_raw([7]) == [7, 7]
    assert instance.exports.low_half.call_raw([7, 8]) == [7]


def test_many_vectors(pre: Pre) -> None:
    params = " ".join(["v128"] * 1000)
    last = pre(f'(module (func (export "last") (param {params}) (result v128) (local.get 999)))').func("last")
    assert last.call_raw(range(2000)) == [1998, 1999]


@pytest.mark.parametrize("args", [(), (1,), (1, 2), (None,), (b"0123456789abcdef",)])
def test_a_vector_is_no_value(features: instar.InstancePre, instance: instar.Instance, args: tuple[Any, ...]) -> None:
    for name, type_ in [("low_half", r"\(v128\) -> \(i64\)"), ("splat", r"\(i64\) -> \(v128\)")]:
        message = rf"{name}\(\) has the type {type_}: a vector is no Python value; use call_raw\(\)"
        functions: list[Any] = [features.func(name), instance.exports[name]]
        for function in functions:
            with pytest.raises(instar.SignatureError, match=message) as info:
                function(*args)
            assert info.value.kind is ErrorKind.TYPE
        with pytest.raises(instar.SignatureError, match=message):
            features.call(name, *args)


@pytest.mark.parametrize("name", ["take_function", "give_function", "take_object"])
def test_a_reference_is_no_value(features: instar.InstancePre, instance: instar.Instance, name: str) -> None:
    functions: list[Any] = [features.func(name), instance.exports[name]]
    for function in functions:
        for call, args in ((function, ()), (function, (None,)), (function.call_raw, ([0],))):
            with pytest.raises(instar.SignatureError, match="references cannot be passed to or from Python"):
                call(*args)
    assert instance.exports.sum(4, 0) == 10


def test_modules_tell_of_vectors_and_references(features: instar.InstancePre) -> None:
    types = {export.name: export.func for export in features.module.exports}
    assert types["splat"] == ((ValType.I64,), (ValType.V128,))
    assert types["take_function"] == ((ValType.FUNCREF,), ())
    assert types["take_object"] == ((ValType.EXTERNREF,), ())


def test_callers_take_vectors_in_slots(pre: Pre) -> None:
    seen = []

    def f(caller: instar.Caller) -> None:
        mixed = caller.exports.mixed
        seen.append(mixed.call_raw([5, 10, 20]))
        with pytest.raises(instar.SignatureError, match="a vector is no Python value"):
            mixed(5, 10)
        with pytest.raises(instar.SignatureError, match="references cannot be passed"):
            caller.exports.take(None)

    pre(
        """(module
          (import "env" "f" (func $f))
          (func (export "run") (call $f))
          (func (export "take") (param funcref))
          (func (export "mixed") (param i32 v128) (result v128 i32)
            (i64x2.add (local.get 1) (i64x2.splat (i64.const 1))) (local.get 0)))""",
        f=f,
    ).call("run")
    assert seen == [[11, 21, 5]]


@pytest.mark.parametrize("type_", ["v128", ValType.V128, ValType.FUNCREF, ValType.EXTERNREF])
def test_host_functions_take_and_give_numbers_only(engine: instar.Engine, type_: str) -> None:
    with pytest.raises(TypeError, match=r"host function env\.f is unclear: params\[0\] has the type .*i32, i64, f32, f64"):
        instar.Linker(engine).func("env", "f", lambda a: None, params=[type_])
    with pytest.raises(TypeError, match=r"results\[0\] has the type"):
        instar.Linker(engine).func("env", "f", lambda: 0, params=[], results=[type_])


def test_addresses_beyond_4_gib_reach_a_64_bit_memory() -> None:
    engine = instar.Engine(max_memory_pages=65_600)
    module = instar.Module(
        engine,
        """(module (memory (export "memory") i64 65537)
          (func (export "load") (param i64) (result i64) (i64.load (local.get 0))))""",
    )
    at = 2**32 + 8
    with instar.Linker(engine).instantiate(module) as instance:
        instance.memory.write(at, b"beyond!!")
        assert instance.exports.load(at) == int.from_bytes(b"beyond!!", "little")
        assert instance.exports.load(8) == 0
        assert instance.memory.read(at, 8) == b"beyond!!"
        assert instance.memory.grow(1) == 65_537
        assert instance.memory.size == 65_538 << 16
