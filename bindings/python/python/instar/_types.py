"""Value types, and what a module says of its imports and exports."""

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, TypeAlias


class ValType(StrEnum):
    """A value type of WebAssembly."""

    I32 = "i32"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    V128 = "v128"
    FUNCREF = "funcref"
    EXTERNREF = "externref"


# For annotations of host functions, and for `params=` and `results=`. To a type checker they are plain int and float.
i32: TypeAlias = Annotated[int, "i32"]
i64: TypeAlias = Annotated[int, "i64"]
f32: TypeAlias = Annotated[float, "f32"]
f64: TypeAlias = Annotated[float, "f64"]
# The same types as i32 and i64, but a host function sees its arguments unsigned: right for pointers and lengths.
u32: TypeAlias = Annotated[int, "u32"]
u64: TypeAlias = Annotated[int, "u64"]

Kind: TypeAlias = Literal["func", "memory", "table", "global"]


class FuncType(NamedTuple):
    """The type of a function."""

    params: tuple[ValType, ...]
    results: tuple[ValType, ...]


class ImportType(NamedTuple):
    """What a module wants. ``func`` is the type if it is a function."""

    module: str
    name: str
    kind: Kind
    func: FuncType | None


class ExportType(NamedTuple):
    """What a module offers. ``func`` is the type if it is a function."""

    name: str
    kind: Kind
    func: FuncType | None
