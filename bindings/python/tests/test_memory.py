"""Linear memory, by checked copies."""

import pytest

import instar
from conftest import Pre
from instar import ErrorKind

MEMORY = """
(module
  (memory (export "memory") 1 3)
  (data (i32.const 8) "gr\\c3\\bc\\c3\\9fe\\ff")
  (func (export "load8") (param i32) (result i32) (i32.load8_u (local.get 0))))
"""


def test_read_and_write(pre: Pre) -> None:
    with pre(MEMORY).instantiate() as instance:
        memory = instance.memory
        assert memory.size == len(memory) == 65536
        assert memory.read(8, 2) == b"gr"
        assert memory.read(65536, 0) == b""
        assert memory.read_str(8, 7) == "grüße"
        for data in (b"\1", bytearray(b"\2"), memoryview(b"\3")):
            memory.write(65535, data)
            assert instance.exports.load8(65535) == data[0] == instance.exports.memory.read(65535, 1)[0]
        with pytest.raises(UnicodeDecodeError):
            memory.read_str(8, 8)


def test_writes_are_undone(pre: Pre) -> None:
    fresh = pre(MEMORY)
    for _ in range(3):
        with fresh.instantiate() as instance:
            assert instance.memory.read(0, 1) == b"\0"
            assert instance.memory.grow(1) == 1
            assert instance.memory.size == 131072
            instance.memory.write(0, b"\xff" * 131072)


def test_growing(pre: Pre) -> None:
    with pre(MEMORY).instantiate() as instance:
        assert instance.memory.grow(0) == 1
        assert instance.memory.grow(2) == 1
        with pytest.raises(instar.Error) as info:
            instance.memory.grow(1)
        assert info.value.kind is ErrorKind.LIMIT
        assert instance.memory.read(3 * 65536 - 1, 1) == b"\0"


@pytest.mark.parametrize(
    ("addr", "length"), [(65536, 1), (65535, 2), (0, 65537), (2**63, 1), (2**64 - 1, 1), (1, 2**64 - 1), (0, 2**40)]
)
def test_out_of_bounds(pre: Pre, addr: int, length: int) -> None:
    with pre(MEMORY).instantiate() as instance:
        for read in (instance.memory.read, instance.memory.read_str):
            with pytest.raises(instar.Error) as info:
                read(addr, length)
            assert info.value.kind is ErrorKind.OUT_OF_BOUNDS
        if length < 2**20:
            with pytest.raises(instar.Error) as info:
                instance.memory.write(addr, bytes(length))
            assert info.value.kind is ErrorKind.OUT_OF_BOUNDS


def test_negative_addresses(pre: Pre) -> None:
    with pre(MEMORY).instantiate() as instance:
        for addr, length in ((-1, 1), (0, -1)):
            with pytest.raises(OverflowError):
                instance.memory.read(addr, length)
        with pytest.raises(TypeError):
            instance.memory.write(0, "text")  # type: ignore[arg-type]


def test_memory_keeps_the_instance_open(engine: instar.Engine, pre: Pre) -> None:
    memory = pre(MEMORY).instantiate().memory
    assert memory.read(8, 2) == b"gr"
    other = pre(MEMORY).instantiate().exports.memory
    assert other.read(8, 2) == b"gr"
    assert engine.live_instances == 2
    del memory, other
    assert engine.live_instances == 0
