#!/usr/bin/env python3
"""Writes the *.g.cs files: the native functions of instar_ffi.h, and overloads for 0 to 8 arguments. (ErrorKinds.g.cs is
written with the other languages' copies, by `make bless`.)

    ./generate.py           write them
    ./generate.py --check   fail if a file is not what would be written
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADER = HERE / "../uniffi/include/instar_ffi.h"
ARITIES = range(9)

# C# types of the header's u64 parameters that are addresses; all others stay numbers.
ADDRESSES = {"ptr": "byte*", "buf": "byte*", "dst": "byte*", "src": "byte*", "slots": "ulong*"}
SPECIAL = {
    ("buffer_free", "ptr"): "ulong",
    ("linker_func", "callback"): "delegate* unmanaged[Cdecl]<ulong, ulong, ulong*, uint, ulong>",
    ("linker_func", "release"): "delegate* unmanaged[Cdecl]<ulong, void>",
}


def types(n):
    return [f"T{i}" for i in range(1, n + 1)]


def angle(names):
    return f"<{', '.join(names)}>" if names else ""


def where(names):
    return "".join(f" where {name} : unmanaged" for name in names)


def arguments(n):
    return [f"a{i}" for i in range(1, n + 1)]


def key(n, result):
    """The packed signature: a constant once the type arguments are known."""
    parts = [f"Slot.Param<T{i}>({i})" for i in range(1, n + 1)]
    if result:
        parts.append("Slot.Result<TResult>()")
    return " | ".join(parts) or "0"


def describe(n, result):
    return f"{n} argument{'' if n == 1 else 's'}{' and a result' if result else ''}"


def delegates():
    for n in ARITIES:
        params = "".join(f", T{i} a{i}" for i in range(1, n + 1))
        ins = [f"in {t}" for t in types(n)]
        yield f"""/// <summary>A host function with {describe(n, False)} that uses the instance that called it.</summary>
public delegate void CallerAction{angle(ins)}(Caller caller{params}){where(types(n))};

/// <summary>A host function with {describe(n, True)} that uses the instance that called it.</summary>
public delegate TResult CallerFunc{angle(ins + ["out TResult"])}(Caller caller{params}){where(types(n) + ["TResult"])};
"""


def linker():
    for n in ARITIES:
        for caller in (False, True):
            for result in (False, True):
                names = types(n) + (["TResult"] if result else [])
                delegate = ("Caller" if caller else "") + ("Func" if result else "Action")
                reads = ["caller"] if caller else []
                reads += [f"Slot.Read<T{i}>(s{f' + {i - 1}' if i > 1 else ''})" for i in range(1, n + 1)]
                call = f"function({', '.join(reads)})"
                body = f"Slot.Write(s, {call})" if result else call
                binder = "(caller, s)" if caller else "(_, s)"
                yield f"""    /// <summary>Defines a host function with {describe(n, result)}{' that takes the <see cref="Caller"/> first' if caller else ''}.</summary>
    /// <inheritdoc cref="DefineRaw" path="/remarks|/exception|/returns"/>
    public Linker DefineFunction{angle(names)}(string module, string name, {delegate}{angle(names)} function){where(names)} =>
        Define(module, name, {key(n, result)}, function, {binder} => {body});
"""


def calls(data, receiver):
    """Typed calls of an Instance (data False) or an InstancePre (data True)."""
    for n in ARITIES:
        for result in (False, True):
            names = types(n) + (["TResult"] if result else [])
            params = "".join(f", T{i} a{i}" for i in range(1, n + 1))
            slots = max(n, 1 if result else 0)
            writes = "".join(f"\n        Slot.Write(&slots._{i}, a{i + 1});" for i in range(n))
            declare = "\n        Slots slots;" if slots else ""
            pass_slots = "&slots._0" if slots else "null"
            data_param = ", object? data" if data else ""
            data_arg = ", data" if data else ""
            yield f"""    private {'TResult' if result else 'void'} Typed{angle(names)}(ExportFunction function{data_param}{params}){where(names)}
    {{{declare}{writes}
        Invoke(function, {pass_slots}{data_arg});{f'''
        return Slot.Read<TResult>(&slots._0);''' if result else ''}
    }}

    /// <summary>Calls a function with {describe(n, result)}{' in a fresh instance' if data else ''}, without a delegate.</summary>
    /// <inheritdoc cref="Call(ExportFunction, Span{{ulong}}{', object?' if data else ''})" path="/exception"/>
    public {'TResult' if result else 'void'} Call{angle(names)}(ExportFunction function{params}){where(names)}
    {{
        function.Require({key(n, result)});
        {'return ' if result else ''}Typed{angle(names)}(function{', null' if data else ''}{''.join(f', {a}' for a in arguments(n))});
    }}

    /// <summary>The exported function with {describe(n, result)} as a delegate{'; each call runs in a fresh instance' if data else ''}.</summary>
    /// <param name="name">Name of the export.</param>{'''
    /// <param name="data">What host functions see as <see cref="Caller.Data"/>.</param>''' if data else ''}
    /// <exception cref="InstarException"><see cref="ErrorKind.MissingExport"/>; <see cref="ErrorKind.Type"/> if its type is another one.</exception>
    public {'Func' if result else 'Action'}{angle(names)} Get{'Function' if result else 'Action'}{angle(names)}(string name{', object? data = null' if data else ''}){where(names)}
    {{
        ExportFunction function = {receiver}.GetFunction(name);
        function.Require({key(n, result)});
        return ({', '.join(arguments(n))}) => Typed{angle(names)}(function{data_arg}{''.join(f', {a}' for a in arguments(n))});
    }}
"""


def caller():
    for n in ARITIES:
        for result in (False, True):
            names = types(n) + (["TResult"] if result else [])
            params = "".join(f", T{i} a{i}" for i in range(1, n + 1))
            slots = max(n, 1 if result else 0)
            declare = "\n        Slots slots;" if slots else ""
            writes = "".join(f"\n        Slot.Write(&slots._{i}, a{i + 1});" for i in range(n))
            yield f"""    /// <summary>Calls an export of the calling instance with {describe(n, result)}.</summary>
    /// <inheritdoc cref="Call(string, Span{{ulong}})" path="/exception"/>
    public {'TResult' if result else 'void'} Call{angle(names)}(string name{params}){where(names)}
    {{
        Require(name, {key(n, result)});{declare}{writes}
        Invoke(name, {'&slots._0' if slots else 'null'}, {slots});{'''
        return Slot.Read<TResult>(&slots._0);''' if result else ''}
    }}
"""


def native(header):
    """One extern method per function of the header."""
    contract = re.search(r"UNIFFI_CONTRACT_VERSION (\d+)", header)[1]
    abi = re.search(r"FFI_ABI_VERSION (\d+)", header)[1]
    yield f"""    public const string Library = "instar_ffi";
    public const uint ContractVersion = {contract};
    public const uint AbiVersion = {abi};

    private const string Prefix = "uniffi_instar_ffi_fn_func_";

    [DllImport(Library, EntryPoint = "ffi_instar_ffi_rustbuffer_free")]
    public static extern void rustbuffer_free(RustBuffer buffer, RustCallStatus* status);
"""
    c_types = {"uint64_t": "ulong", "uint32_t": "uint", "void": "void"}
    for found in re.finditer(r"/\* -- (.*?) -+ \*/|(\w+) uniffi_instar_ffi_fn_func_(\w+)\((.*?)RustCallStatus \*status\);", header):
        section, result, name, params = found.groups()
        if section:
            yield f"    // {section.strip()}\n"
            continue
        managed = []
        for param in params.split(",")[:-1]:
            c_type, c_name = param.split()
            kind = SPECIAL.get((name, c_name)) or ("ulong*" if c_name.startswith("out_") else None)
            kind = kind or ADDRESSES.get("ptr" if c_name.endswith("_ptr") else c_name) or c_types[c_type]
            first, *rest = c_name.split("_")
            managed.append(f"{kind} {first}{''.join(word.title() for word in rest)}")
        managed.append("RustCallStatus* status")
        yield f"""    [DllImport(Library, EntryPoint = Prefix + nameof({name}))]
    public static extern {c_types[result]} {name}(
        {", ".join(managed)});
"""


def source(origin, body, usings="using System;\n"):
    return f"// Generated by generate.py from {origin}; do not edit.\n{usings}\nnamespace Instar;\n\n{body}"


def partial(head, blocks):
    return source("its own rules", f"{head}\n{{\n" + "\n".join(blocks) + "}\n", "#nullable enable\nusing System;\nusing Instar.Interop;\n")


def files():
    root = HERE / "src/Instar"
    yield root / "Interop/Native.g.cs", source("bindings/uniffi/include/instar_ffi.h", """/// <summary>The native functions; the header says what each does.</summary>
/// <remarks>Everything is blittable, so a call is a plain native call (some 1 ns).</remarks>
internal static unsafe class Native
{
""" + "\n".join(native(HEADER.read_text())) + "}\n", "using System.Runtime.InteropServices;\n").replace("namespace Instar;", "namespace Instar.Interop;")
    yield root / "Delegates.g.cs", source("its own rules", "\n".join(delegates()), "")
    yield root / "Linker.g.cs", partial("public sealed unsafe partial class Linker", linker())
    yield root / "Instance.g.cs", partial("public sealed unsafe partial class Instance", calls(False, "_pre"))
    yield root / "InstancePre.g.cs", partial("public sealed unsafe partial class InstancePre", calls(True, "this"))
    yield root / "Caller.g.cs", partial("public readonly unsafe ref partial struct Caller", caller())


def main():
    stale = []
    for path, text in files():
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text)
    if "--check" in sys.argv and stale:
        sys.exit(f"not what generate.py writes: {', '.join(stale)}; run bindings/dotnet/generate.py")
    print(f"{len(stale)} files written" if stale else "all generated files are up to date")


if __name__ == "__main__":
    main()
