"""Errors: classes, kinds, codes, messages."""

import pickle
from pathlib import Path

import pytest

import instar
from conftest import Pre
from instar import ErrorKind, TrapCode
from instar import _instar


def test_the_numbers_are_those_of_the_core() -> None:
    kinds, codes = _instar._numbers()

    def upper(name: str) -> str:
        return "".join(f"_{c}" if c.isupper() and at else c for at, c in enumerate(name)).upper()

    assert [(upper(name), number) for name, number in kinds] == [(kind.name, kind) for kind in ErrorKind]
    assert [(upper(name), number) for name, number in codes] == [(code.name, code) for code in TrapCode]


def test_traps(pre: Pre) -> None:
    traps = pre(
        """(module
          (memory (export "memory") 1)
          (func (export "unreachable") unreachable)
          (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
          (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
          (func $forever (export "forever") (result i32) (i32.add (call $forever) (i32.const 1))))"""
    )
    for name, args, code in [
        ("unreachable", (), TrapCode.UNREACHABLE),
        ("divide", (0,), TrapCode.INTEGER_DIVIDE_BY_ZERO),
        ("load", (65533,), TrapCode.MEMORY_OUT_OF_BOUNDS),
        ("forever", (), TrapCode.STACK_OVERFLOW),
    ]:
        with pytest.raises(instar.Trap) as info:
            traps.call(name, *args)
        assert info.value.code is code
        assert info.value.kind is ErrorKind.TRAP
        assert str(info.value).startswith("wasm trap: ")
        with traps.instantiate() as instance:
            with pytest.raises(instar.Trap):
                instance.exports[name](*args)
            assert instance.exports.divide(1) == 1


def test_invalid_modules(engine: instar.Engine, tmp_path: Path) -> None:
    sources: list[str | bytes] = [b"", b"\0asm\1\0\0", "(module (func (result i32)))", "(modul)", b"\x7fELF"]
    for source in sources:
        with pytest.raises(instar.CompileError) as info:
            instar.Module(engine, source)
        assert info.value.kind is ErrorKind.INVALID_MODULE
        assert str(info.value)
    with pytest.raises(TypeError, match="wants the bytes of a module"):
        instar.Module(engine, 7)  # type: ignore[arg-type]
    with pytest.raises(instar.Error) as os_error:
        instar.Module.from_file(engine, tmp_path / "missing.wasm")
    assert os_error.value.kind is ErrorKind.OS
    assert "missing.wasm" in str(os_error.value)


def test_modules_from_every_source(engine: instar.Engine, tmp_path: Path) -> None:
    wasm = b"\0asm\1\0\0\0"
    path = tmp_path / "empty.wasm"
    path.write_bytes(wasm)
    for source in (wasm, bytearray(wasm), memoryview(wasm), "(module)", b"(module)"):
        instar.Module(engine, source)
    instar.Module.from_file(engine, path)
    instar.Module.from_file(engine, str(path))


def test_what_a_module_tells_of_itself(engine: instar.Engine) -> None:
    module = instar.Module(
        engine,
        """(module $plugin
          (import "env" "log" (func (param i32 f64) (result i64)))
          (import "env" "memory" (memory 1))
          (func (export "f"))
          (table (export "t") 1 funcref)
          (global (export "g") i32 (i32.const 1)))""",
    )
    assert module.name == "plugin"
    assert module.imports == [
        ("env", "log", "func", (("i32", "f64"), ("i64",))),
        ("env", "memory", "memory", None),
    ]
    assert module.exports == [("f", "func", ((), ())), ("t", "table", None), ("g", "global", None)]
    func = module.imports[0].func
    assert func is not None and func.params[0] is instar.ValType.I32
    assert instar.Module(engine, "(module)").name is None


def test_link_errors(engine: instar.Engine) -> None:
    module = instar.Module(engine, '(module (import "env" "log" (func (param i32))))')
    linker = instar.Linker(engine)
    with pytest.raises(instar.LinkError, match="env.log") as info:
        linker.instantiate_pre(module)
    assert info.value.kind is ErrorKind.LINK
    linker.func("env", "log", print, params=["i64"], results=[])
    with pytest.raises(instar.LinkError, match="i64"):
        linker.instantiate_pre(module)
    with pytest.raises(instar.LinkError, match="defined already"):
        linker.func("env", "log", print, params=["i32"], results=[])


def test_missing_exports(pre: Pre) -> None:
    empty = pre('(module (func (export "f")))')
    for attempt in (lambda: empty.func("g"), lambda: empty.call("g"), lambda: empty.call_bytes("g", b"")):
        with pytest.raises(instar.MissingExportError) as info:
            attempt()
        assert info.value.kind is ErrorKind.MISSING_EXPORT
    with empty.instantiate() as instance, pytest.raises(instar.MissingExportError):
        instance.memory


def test_pool_exhausted() -> None:
    engine = instar.Engine(max_instances=2)
    empty = instar.Linker(engine).instantiate_pre(instar.Module(engine, "(module)"))
    with empty.instantiate(), empty.instantiate():
        with pytest.raises(instar.Error) as info:
            empty.instantiate()
        assert info.value.kind is ErrorKind.POOL_EXHAUSTED
    empty.instantiate().close()


def test_configuration() -> None:
    with pytest.raises(instar.Error) as info:
        instar.Engine(max_instances=0)
    assert info.value.kind is ErrorKind.CONFIG
    assert info.value.code == ErrorKind.CONFIG
    with pytest.raises(TypeError):
        instar.Engine(7)  # type: ignore[call-arg]
    assert instar.Engine(release_gil=True).release_gil


def test_memory_limit() -> None:
    engine = instar.Engine(max_memory_pages=2)
    linker = instar.Linker(engine)
    wat = '(module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))'
    grow = linker.instantiate_pre(instar.Module(engine, wat)).func("grow")
    assert (grow(1), grow(2)) == (1, -1)


def test_exceptions_can_be_pickled() -> None:
    errors = [
        instar.Error(ErrorKind.BUSY, "busy"),
        instar.Trap(TrapCode.UNREACHABLE),
        instar.LinkError(ErrorKind.LINK, "no"),
        instar.SignatureError("wrong"),
        instar.RangeError("far"),
    ]
    for error in errors:
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert (str(copy), copy.kind, copy.code) == (str(error), error.kind, error.code)


def test_texts_of_exceptions() -> None:
    assert str(instar.Error(ErrorKind.BUSY)) == "BUSY"
    assert str(instar.Trap(TrapCode.INTEGER_OVERFLOW)) == "wasm trap: integer overflow"
    assert str(instar.Trap(TrapCode.UNREACHABLE, "on purpose")) == "on purpose"
