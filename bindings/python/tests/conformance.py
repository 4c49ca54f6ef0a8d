"""Runs the cases of tests/conformance, as its README describes them. One `Case` per file."""

import json
import re
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import instar

ROOT = Path(__file__).resolve().parents[3]
CASES = ROOT / "tests" / "conformance" / "cases"
MODULES = ROOT / "tests" / "conformance" / "modules"
RESULTS = ROOT / "target" / "conformance" / "python.jsonl"
TYPES = {"i": "i32", "I": "i64", "f": "f32", "F": "f64"}
WAIT_SECONDS = 30

Json = dict[str, Any]


class Boom(Exception):
    """What the host function `throw` throws."""


class Mismatch(Exception):
    """A command did something else than the case says."""


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def upper(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def observed(error: BaseException | None) -> str:
    """The `code` of a line: what a command ended with."""
    if isinstance(error, instar.Trap):
        return camel(error.code.name)
    if isinstance(error, instar.Error):
        return camel(error.kind.name)
    return "Host" if isinstance(error, Boom) else ""


def to_python(value: Json) -> Any:
    """An argument for the idiomatic path."""
    match value["type"]:
        case "text":
            return value["value"]
        case "f32":
            return struct.unpack("<f", int(value["value"]).to_bytes(4, "little"))[0]
        case "f64":
            return struct.unpack("<d", int(value["value"]).to_bytes(8, "little"))[0]
        case _:
            return int(value["value"])


def bits_of(type_: str, value: Any) -> int:
    match type_:
        case "f32":
            return int.from_bytes(struct.pack("<f", value), "little")
        case "f64":
            return int.from_bytes(struct.pack("<d", value), "little")
        case "i32":
            return int(value) & 2**32 - 1
        case _:
            return int(value) & 2**64 - 1


def slots_of(value: Json) -> list[int]:
    """The slots of a value: two for a v128, its low half first."""
    bits = int(value["value"])
    return [bits & 2**64 - 1, bits >> 64] if value["type"] == "v128" else [bits]


def same(type_: str, bits: int, expected: str) -> bool:
    if not expected.startswith("nan:"):
        return bits == int(expected)
    width, mantissa = (32, 23) if type_ == "f32" else (64, 52)
    payload, quiet = bits & (1 << mantissa) - 1, 1 << mantissa - 1
    exponent = bits >> mantissa & (1 << width - 1 - mantissa) - 1
    is_nan = exponent == (1 << width - 1 - mantissa) - 1 and payload != 0
    return is_nan and (payload == quiet if expected == "nan:canonical" else bool(payload & quiet))


def content(part: Json) -> bytes:
    data = part["text"].encode() if "text" in part else bytes.fromhex(part["hex"])
    return data * int(part.get("repeat", 1))


class Case:
    """One case: its engine, its names, its recorded list, and a line for each command."""

    def __init__(self, path: Path) -> None:
        self.case: Json = json.loads(path.read_text())
        self.lines: list[Json] = []
        self.engine = instar.Engine(**self.case.get("config", {}))
        self.modules: dict[str, instar.Module] = {}
        self.pres: dict[str, instar.InstancePre] = {}
        self.instances: dict[str, instar.Instance] = {}
        self.recorded: list[tuple[str, int]] = []
        self.entered: threading.Event | None = None
        self.release: threading.Event | None = None

    def run(self) -> None:
        self.run_all(self.case["commands"], "")

    def run_all(self, commands: list[Json], prefix: str) -> bool:
        verdicts = [self.run_one(command, f"{prefix}{at}") for at, command in enumerate(commands)]
        return all(verdicts)

    def run_one(self, command: Json, line: str) -> bool:
        error: BaseException | None = None
        message = ""
        try:
            self.perform(command, line)
        except Mismatch as mismatch:
            message, error = str(mismatch), mismatch.__cause__
        except Exception as unexpected:
            message, error = f"{type(unexpected).__name__}: {unexpected}", unexpected
        code = self.asserted if command["type"].startswith("assert_") and not message else observed(error)
        self.write(line, command["type"], "fail" if message else "pass", code, message)
        return not message

    def write(self, line: str, command: str, result: str, code: str, message: str) -> None:
        self.lines.append(
            {"case": self.case["name"], "line": line, "cmd": command, "result": result, "code": code, "msg": message}
        )

    def perform(self, command: Json, line: str) -> None:
        self.asserted = ""
        getattr(self, f"do_{command['type']}")(command, line)

    # Commands

    def do_compile(self, c: Json, _: str) -> None:
        if "filename" in c:
            module = instar.Module.from_file(self.engine, MODULES / c["filename"])
        else:
            module = instar.Module(self.engine, c["text"] if "text" in c else bytes.fromhex(c["hex"]))
        self.modules[c["as"]] = module

    def do_pre(self, c: Json, _: str) -> None:
        linker = instar.Linker(self.engine)
        for name, host in c["imports"].items():
            params, results = ([TYPES[letter] for letter in half] for half in host["sig"].split(":"))
            menu, _, argument = host["host"].partition(":")
            function = getattr(self, f"host_{menu}")(argument, params, results)
            module, _, field = name.partition(".")
            linker.func(module, field, function, params=params, results=results)
        self.pres[c["as"]] = linker.instantiate_pre(self.modules[c["module"]])

    def do_instantiate(self, c: Json, _: str) -> None:
        self.instances[c["as"]] = self.pres[c["pre"]].instantiate(c.get("data", 0))

    def do_call(self, c: Json, _: str) -> None:
        function = self.function(c)
        self.check(function, function(*map(to_python, c.get("args", []))), c)

    def do_call_raw(self, c: Json, _: str) -> None:
        slots = iter(self.function(c).call_raw([slot for arg in c.get("args", []) for slot in slots_of(arg)]))
        types = [type_.value for type_ in self.function(c).results]
        self.check_bits(types, [next(slots) | (next(slots) << 64 if type_ == "v128" else 0) for type_ in types], c)

    def do_call_bytes(self, c: Json, _: str) -> None:
        self.check_bytes(self.instances[c["instance"]].call_bytes(c["field"], content(c["input"])), c)

    def do_drop(self, c: Json, _: str) -> None:
        self.instances[c["instance"]].close()

    def do_pre_call(self, c: Json, _: str) -> None:
        function = self.pres[c["pre"]].func(c["field"])
        self.check(function, function(*map(to_python, c.get("args", [])), data=c.get("data", 0)), c)

    def do_pre_call_bytes(self, c: Json, _: str) -> None:
        output = self.pres[c["pre"]].call_bytes(c["field"], content(c["input"]), data=c.get("data", 0))
        self.check_bytes(output, c)

    def do_mem_size(self, c: Json, _: str) -> None:
        self.equal(self.instances[c["instance"]].memory.size, c.get("expected"))

    def do_mem_read(self, c: Json, _: str) -> None:
        length = c["len"] if "len" in c else len(c["hex"]) // 2
        self.equal(self.instances[c["instance"]].memory.read(c["offset"], length).hex(), c.get("hex"))

    def do_mem_write(self, c: Json, _: str) -> None:
        self.instances[c["instance"]].memory.write(c["offset"], bytes.fromhex(c["hex"]))

    def do_live(self, c: Json, _: str) -> None:
        self.equal(self.engine.live_instances, c["expected"])

    def do_assert_recorded(self, c: Json, _: str) -> None:
        recorded, self.recorded = self.recorded, []
        expected = c["values"]
        if len(recorded) != len(expected) or not all(
            type_ == value["type"] and same(type_, bits, value["value"])
            for (type_, bits), value in zip(recorded, expected, strict=True)
        ):
            raise Mismatch(f"recorded {recorded}, expected {expected}")

    def do_repeat(self, c: Json, line: str) -> None:
        """Runs the body, and writes one line for each command in it: its first failure or `pass`."""
        start = len(self.lines)
        failed = False
        for _ in range(c["count"]):
            del self.lines[start:]
            if failed := not self.run_all(c["body"], f"{line}."):
                break
        if failed:
            raise Mismatch("a command of the body failed")

    def do_assert_trap(self, c: Json, line: str) -> None:
        error = self.failure(c, line)
        if not (isinstance(error, instar.Trap) and camel(error.code.name) == c["code"]):
            raise Mismatch(f"expected the trap {c['code']}, got {error!r}") from error

    def do_assert_error(self, c: Json, line: str) -> None:
        error = self.failure(c, line)
        if not (isinstance(error, instar.Error) and camel(error.kind.name) == c["kind"]):
            raise Mismatch(f"expected an error of kind {c['kind']}, got {error!r}") from error

    def do_assert_throw(self, c: Json, line: str) -> None:
        error = self.failure(c, line)
        if not (isinstance(error, Boom) and str(error) == c["message"] and error is self.thrown):
            raise Mismatch(f"expected the exception that the host function raised, got {error!r}") from error

    def failure(self, c: Json, line: str) -> Exception | None:
        try:
            self.perform(c["action"], line)
        except Mismatch:
            raise
        except Exception as error:
            self.asserted = observed(error)
            return error
        return None

    def do_two_threads(self, c: Json, line: str) -> None:
        self.entered, self.release = threading.Event(), threading.Event()
        outcome: list[BaseException | None] = []

        def call() -> None:
            try:
                self.do_call(c, line)
                outcome.append(None)
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        try:
            if not self.entered.wait(WAIT_SECONDS):
                raise Mismatch("the guest did not call the host in time")
            passed = self.run_all(c["during"], f"{line}.")
        finally:
            self.release.set()
            thread.join()
            self.entered = self.release = None
        if outcome[0] is not None:
            raise outcome[0]
        if not passed:
            raise Mismatch("a command of `during` failed")

    # What commands share

    def function(self, c: Json) -> Any:
        function = self.instances[c["instance"]].exports[c["field"]]
        if not callable(function):
            raise instar.MissingExportError(instar.ErrorKind.MISSING_EXPORT, f"{c['field']} is not a function")
        return function

    def equal(self, actual: object, expected: object) -> None:
        if expected is not None and actual != expected:
            raise Mismatch(f"expected {expected!r}, got {actual!r}")

    def check(self, function: Any, result: Any, c: Json) -> None:
        types = [type_.value for type_ in function.results]
        values = [] if not types else [result] if len(types) == 1 else list(result)
        self.check_bits(types, [bits_of(type_, value) for type_, value in zip(types, values, strict=True)], c)

    def check_bits(self, types: list[str], results: list[int], c: Json) -> None:
        expected = c.get("expected")
        if expected is None:
            return
        fits = types == [value["type"] for value in expected] and all(
            same(type_, bits, value["value"]) for type_, bits, value in zip(types, results, expected, strict=True)
        )
        if not fits:
            raise Mismatch(f"expected {expected}, got {results} of {types}")

    def check_bytes(self, output: bytes, c: Json) -> None:
        if "expected" in c and output != content(c["expected"]):
            raise Mismatch(f"expected {c['expected']}, got {output[:200]!r}")

    # The menu of host functions

    def host_record(self, _: str, params: list[str], _results: list[str]) -> Callable[..., Any]:
        def record(*args: Any) -> None:
            self.recorded.extend((type_, bits_of(type_, arg)) for type_, arg in zip(params, args, strict=True))

        return record

    def host_add(self, *_: Any) -> Callable[..., Any]:
        return lambda a, b: a + b & 0xFFFFFFFF

    def host_echo(self, *_: Any) -> Callable[..., Any]:
        return lambda *args: args[0] if len(args) == 1 else args if args else None

    def host_data(self, *_: Any) -> Callable[..., Any]:
        return lambda caller: caller.data

    def host_throw(self, *_: Any) -> Callable[..., Any]:
        def throw(*_: Any) -> None:
            self.thrown = Boom("boom")
            raise self.thrown

        return throw

    def host_trap(self, code: str, *_: Any) -> Callable[..., Any]:
        def trap(*_: Any) -> None:
            raise instar.Trap(instar.TrapCode[upper(code)])

        return trap

    def host_reenter(self, export: str, *_: Any) -> Callable[..., Any]:
        return lambda caller, *args: caller.exports[export](*args)

    def host_catch(self, export: str, *_: Any) -> Callable[..., Any]:
        def catch(caller: instar.Caller, *args: Any) -> int:
            try:
                caller.exports[export](*args)
            except Boom:
                return 100
            except instar.Trap as trap:
                return int(trap.code)
            except instar.Error as error:
                return 200 + error.kind
            return 0

        return catch

    def host_read_mem(self, *_: Any) -> Callable[..., Any]:
        return lambda caller, at, length: sum(caller.memory.read(at & 0xFFFFFFFF, length & 0xFFFFFFFF)) & 0xFFFFFFFF

    def host_write_mem(self, *_: Any) -> Callable[..., Any]:
        def write_mem(caller: instar.Caller, at: int, length: int, byte: int) -> None:
            caller.memory.write(at & 0xFFFFFFFF, bytes([byte & 0xFF]) * (length & 0xFFFFFFFF))

        return write_mem

    def host_close(self, name: str, *_: Any) -> Callable[..., Any]:
        def close() -> int:
            try:
                self.instances[name].close()
            except instar.Error as error:
                return int(error.kind)
            return 0

        return close

    def host_block(self, *_: Any) -> Callable[..., Any]:
        def block() -> int:
            if self.entered is None or self.release is None:
                return 0
            self.entered.set()
            if not self.release.wait(WAIT_SECONDS):
                raise TimeoutError("nobody set `release`")
            return 1

        return block


def case_files() -> list[Path]:
    return sorted(CASES.glob("*.json"))


