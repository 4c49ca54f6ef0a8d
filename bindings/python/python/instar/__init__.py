"""Instar: a fresh WebAssembly instance for every request, at the price of a function call.

    import instar

    engine = instar.Engine()
    module = instar.Module.from_file(engine, "plugin.wasm")
    handle = instar.Linker(engine).instantiate_pre(module).func("handle")
    handle(42)  # a fresh instance, the call, and everything undone
"""

from ._errors import CompileError, Error, LinkError, MissingExportError, RangeError, SignatureError, Trap
from ._instar import (
    BytesFunc,
    Caller,
    CallerExports,
    CallerFunc,
    Engine,
    ExportFunc,
    Func,
    Instance,
    InstancePre,
    Linker,
    Memory,
    Module,
    __version__,
)
from ._kinds import ErrorKind, TrapCode
from ._types import ExportType, FuncType, ImportType, ValType, f32, f64, i32, i64, u32, u64

for _class in (CompileError, Error, LinkError, MissingExportError, RangeError, SignatureError, Trap):
    _class.__module__ = __name__  # what tracebacks and pickles call it
del _class

__all__ = [
    "BytesFunc",
    "Caller",
    "CallerExports",
    "CallerFunc",
    "CompileError",
    "Engine",
    "Error",
    "ErrorKind",
    "ExportFunc",
    "ExportType",
    "Func",
    "FuncType",
    "ImportType",
    "Instance",
    "InstancePre",
    "LinkError",
    "Linker",
    "Memory",
    "MissingExportError",
    "Module",
    "RangeError",
    "SignatureError",
    "Trap",
    "TrapCode",
    "ValType",
    "__version__",
    "f32",
    "f64",
    "i32",
    "i64",
    "u32",
    "u64",
]
