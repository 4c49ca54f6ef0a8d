"""Calling exports: tokens, instances, values, raw slots."""

import array
import math
import struct
from decimal import Decimal
from typing import Any

import pytest

import instar
from conftest import Pre

NUMBERS = """
(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "i32") (param i32) (result i32) (local.get 0))
  (func (export "i64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "nothing"))
  (func (export "swap") (param i32 f64) (result f64 i32) (local.get 1) (local.get 0))
  (func (export "twelve") (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
    (i64.sub (local.get 11) (local.get 0))))
"""

COUNTER = """
(module
  (global $g (mut i32) (i32.const 0))
  (func $next (export "next") (result i32)
    (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))
"""

ODD_NAMES = """
(module
  (func (export "") (result i32) (i32.const 1))
  (func (export "__del__") (result i32) (unreachable))
  (func (export "__class__") (result i32) (i32.const 2))
  (func (export "not an identifier") (result i32) (i32.const 3))
  (func (export "class") (result i32) (i32.const 4))
  (func (export "mro") (result i32) (i32.const 5))
  (func (export "_private") (result i32) (i32.const 6))
  (func (export "gr\\c3\\bc\\c3\\9fe") (result i32) (i32.const 7))
  (table (export "table") 1 funcref)
  (global (export "global") i32 (i32.const 1)))
"""


def test_a_token_is_a_fresh_instance_per_call(pre: Pre) -> None:
    next_ = pre(COUNTER).func("next")
    assert [next_() for _ in range(5)] == [1] * 5


def test_an_instance_keeps_its_state(pre: Pre) -> None:
    with pre(COUNTER).instantiate() as instance:
        assert [instance.exports.next() for _ in range(3)] == [1, 2, 3]


def test_instances_do_not_share_state(pre: Pre) -> None:
    counter = pre(COUNTER)
    with counter.instantiate() as a, counter.instantiate() as b:
        assert (a.exports.next(), a.exports.next(), b.exports.next()) == (1, 2, 1)


def test_calls_by_name(pre: Pre) -> None:
    numbers = pre(NUMBERS)
    assert numbers.call("add", 2, 3) == 5
    assert numbers.call("nothing") is None
    assert numbers.call("swap", 1, 2.5, data="ignored") == (2.5, 1)


def test_more_parameters_than_fit_inline(pre: Pre) -> None:
    numbers = pre(NUMBERS)
    assert numbers.func("twelve")(*range(12)) == 11
    with numbers.instantiate() as instance:
        assert instance.exports.twelve(*range(100, 112)) == 11


@pytest.mark.parametrize(
    ("name", "given", "result"),
    [
        ("i32", -1, -1),
        ("i32", 2**32 - 1, -1),
        ("i32", -(2**31), -(2**31)),
        ("i32", 2**31, -(2**31)),
        ("i32", True, 1),
        ("i64", -1, -1),
        ("i64", 2**64 - 1, -1),
        ("i64", -(2**63), -(2**63)),
        ("i64", 2**63, -(2**63)),
        ("f32", 1, 1.0),
        ("f32", 0.1, struct.unpack("f", struct.pack("f", 0.1))[0]),
        ("f32", 1e300, math.inf),
        ("f64", -1.0, -1.0),
        ("f64", 2**53, 2.0**53),
        ("f64", Decimal("0.5"), 0.5),
    ],
)
def test_values(pre: Pre, name: str, given: Any, result: Any) -> None:
    numbers = pre(NUMBERS)
    assert numbers.func(name)(given) == result
    with numbers.instantiate() as instance:
        assert instance.exports[name](given) == result


class Index:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.mark.parametrize("value", [-1, 5, 2**63, 2**64 - 1])
def test_what_has_index_is_an_int(pre: Pre, value: int) -> None:
    assert pre(NUMBERS).call("i64", Index(value)) == pre(NUMBERS).call("i64", value)  # type: ignore[arg-type]


def test_an_index_that_raises_is_passed_on(pre: Pre) -> None:
    class Broken:
        def __index__(self) -> int:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pre(NUMBERS).func("i32")(Broken())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["i32", "f64"])
@pytest.mark.parametrize("value", ["7", None, [], 1.5j])
def test_wrong_types(pre: Pre, name: str, value: Any) -> None:
    with pytest.raises(instar.SignatureError, match=rf"{name}\(\) argument 1 must be an? (int|float) \({name}\), not ") as info:
        pre(NUMBERS).func(name)(value)
    assert isinstance(info.value, TypeError)
    assert info.value.kind is instar.ErrorKind.TYPE


def test_floats_are_no_ints(pre: Pre) -> None:
    with pytest.raises(TypeError, match="must be an int"):
        pre(NUMBERS).func("i32")(1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("i32", 2**32), ("i32", -(2**31) - 1), ("i64", 2**64), ("i64", -(2**63) - 1), ("i32", 2**200), ("f64", 10**400)],
)
def test_out_of_range(pre: Pre, name: str, value: int) -> None:
    with pytest.raises(OverflowError, match=f"does not fit {name}") as info:
        pre(NUMBERS).func(name)(value)
    assert isinstance(info.value, instar.RangeError)
    assert info.value.kind is instar.ErrorKind.TYPE


@pytest.mark.parametrize("args", [(), (1,), (1, 2, 3)])
def test_wrong_number_of_arguments(pre: Pre, args: tuple[int, ...]) -> None:
    numbers = pre(NUMBERS)
    message = rf"add\(\) takes 2 arguments \(i32, i32\), got {len(args)}"
    with pytest.raises(TypeError, match=message):
        numbers.func("add")(*args)
    with pytest.raises(TypeError, match=message):
        numbers.call("add", *args)
    with numbers.instantiate() as instance, pytest.raises(TypeError, match=message):
        instance.exports.add(*args)


def test_unknown_keywords(pre: Pre) -> None:
    numbers = pre(NUMBERS)
    with pytest.raises(TypeError, match="unexpected keyword argument 'b'"):
        numbers.func("add")(1, 2, b=3)  # type: ignore[call-arg]
    with numbers.instantiate() as instance, pytest.raises(TypeError, match="unexpected keyword argument 'data'"):
        instance.exports.add(1, 2, data=3)


def test_argument_unpacking(pre: Pre) -> None:
    numbers = pre(NUMBERS)
    keywords: dict[str, Any] = {"data": 1}
    assert numbers.func("add")(*[1, 2], **keywords) == 3
    with numbers.instantiate() as instance:
        assert instance.exports.add(*[1, 2]) == 3
        assert instance.exports["add"](*[1, 2]) == 3
        assert list(map(instance.exports.add, [1, 2], [3, 4])) == [4, 6]
        assert type(instance.exports.add).__call__(instance.exports.add, 1, 2) == 3


def test_raw_slots(pre: Pre) -> None:
    numbers = pre(NUMBERS)
    assert numbers.func("add").call_raw([2**32 - 1, 2]) == [1]
    assert numbers.func("f32").call_raw(array.array("Q", [0x7FA00001])) == [0x7FA00001]
    assert numbers.func("nothing").call_raw((), data=1) == []
    bits = struct.unpack("<Q", struct.pack("<d", 2.5))[0]
    with numbers.instantiate() as instance:
        assert instance.exports.swap.call_raw((7, bits)) == [bits, 7]
        with pytest.raises(TypeError, match=r"call_raw of swap\(\) takes 2 slots \(i32, f64\), got 1"):
            instance.exports.swap.call_raw([1])
    with pytest.raises(OverflowError):
        numbers.func("i64").call_raw([-1])
    with pytest.raises(TypeError, match=r"i64\(\) slot 1 must be an int"):
        numbers.func("i64").call_raw(["x"])  # type: ignore[list-item]


def test_bound_functions_keep_the_instance_open(engine: instar.Engine, pre: Pre) -> None:
    next_ = pre(COUNTER).instantiate().exports.next
    assert engine.live_instances == 1
    assert (next_(), next_()) == (1, 2)
    del next_
    assert engine.live_instances == 0


def test_what_a_function_tells_of_itself(pre: Pre) -> None:
    numbers = pre(NUMBERS)
    swap = numbers.func("swap")
    assert swap.__name__ == "swap"
    assert swap.params == (instar.ValType.I32, instar.ValType.F64)
    assert swap.results == ("f64", "i32")
    assert repr(swap) == "<instar.Func swap(i32, f64) -> (f64, i32)>"
    with numbers.instantiate() as instance:
        assert repr(instance.exports.swap) == "<instar.ExportFunc swap(i32, f64) -> (f64, i32)>"
        assert instance.exports.swap.results == swap.results


def test_exports_by_odd_names(pre: Pre) -> None:
    odd = pre(ODD_NAMES)
    with odd.instantiate() as instance:
        exports = instance.exports
        assert exports[""]() == 1
        assert exports["__class__"]() == 2 and type(exports).__name__ == "Exports"
        assert exports["not an identifier"]() == 3
        assert getattr(exports, "class")() == 4
        assert exports.mro() == 5
        assert exports._private() == 6
        assert exports.grüße() == 7
        assert set(exports) == {"", "__del__", "__class__", "not an identifier", "class", "mro", "_private", "grüße"}
        assert len(exports) == 8 and "mro" in exports and "nope" not in exports and 7 not in exports
        assert "_private" in dir(exports)
        with pytest.raises(AttributeError, match="nope"):
            exports.nope
        with pytest.raises(KeyError) as info:
            exports["nope"]
        assert isinstance(info.value, instar.MissingExportError)
        with pytest.raises(instar.MissingExportError, match="no export 'table' that is a function or a memory"):
            exports["table"]
        assert "mro" in repr(exports)


def test_functions_of_another_module_are_refused(pre: Pre) -> None:
    counter, numbers = pre(COUNTER), pre(NUMBERS)
    with counter.instantiate() as a, numbers.instantiate() as b:
        method = type(a.exports).__dict__["next"]
        assert method(a.exports) == 1
        with pytest.raises(TypeError, match="exports of an instance that it belongs to"):
            method(b.exports)
        with pytest.raises(TypeError, match="exports of an instance that it belongs to"):
            method()
        with pytest.raises(TypeError, match="exports of an instance that it belongs to"):
            method.__get__(b.exports)
        with pytest.raises(TypeError):
            type(a.exports)()
        with pytest.raises(TypeError):
            type(method)()
        with pytest.raises(TypeError):
            instar.Func()


def test_references_cannot_be_passed(pre: Pre) -> None:
    references = pre('(module (func (export "f") (param externref) (result externref) (local.get 0)))')
    message = r"f\(\) has the type \(externref\) -> \(externref\): references cannot be passed"
    for given in (object(), None):
        with pytest.raises(instar.SignatureError, match=message):
            references.func("f")(given)  # type: ignore[arg-type]
    with pytest.raises(instar.SignatureError, match=message):
        references.func("f").call_raw([1])


def test_bytes_in_bytes_out(pre: Pre) -> None:
    echo = pre(
        """(module
          (memory (export "memory") 1)
          (func (export "alloc") (param i32) (result i32) (i32.const 1024))
          (func (export "reverse") (param $at i32) (param $len i32) (result i64)
            (local $i i32)
            (loop $again
              (if (i32.lt_u (local.get $i) (local.get $len)) (then
                (i32.store8 offset=8192 (i32.sub (i32.sub (local.get $len) (local.get $i)) (i32.const 1))
                  (i32.load8_u (i32.add (local.get $at) (local.get $i))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $again))))
            (i64.or (i64.const 0x200000000000) (i64.extend_i32_u (local.get $len)))))"""
    )
    for data in (b"", b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4], array.array("B", b"abc")):
        assert echo.call_bytes("reverse", data) == bytes(data)[::-1]
        assert echo.bytes_func("reverse")(data, data=1) == bytes(data)[::-1]
    assert repr(echo.bytes_func("reverse")) == "<instar.BytesFunc reverse>"
    with echo.instantiate() as instance:
        assert instance.call_bytes("reverse", b"hello") == b"olleh"
        assert instance.call_bytes("reverse", b"again") == b"niaga"
    with pytest.raises(TypeError):
        echo.call_bytes("reverse", "text")  # type: ignore[arg-type]
    with pytest.raises(instar.MissingExportError):
        echo.call_bytes("nope", b"")
