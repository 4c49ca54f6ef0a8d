"""``Linker.func``: the type of a host function, from its annotations or as given."""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

from ._instar import Caller, Linker
from ._types import ValType

# What the native half calls the types (`Kind::from_letter`).
_LETTERS = {"i32": "i", "u32": "u", "i64": "I", "u64": "U", "f32": "f", "f64": "F"}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def define(
    linker: Linker,
    module: str,
    name: str,
    function: Callable[..., Any] | None,
    *,
    params: Iterable[object] | None,
    results: Iterable[object] | None,
) -> Callable[..., Any]:
    """Defines a host function, or returns the decorator that does."""
    if function is None:
        return lambda function: define(linker, module, name, function, params=params, results=results)
    if not callable(function):
        raise TypeError(f"host function {module}.{name} must be callable, not {type(function).__name__}")
    host = _Host(f"{module}.{name}", function)
    param_letters = host.params() if params is None else host.letters(params, "params")
    result_letters = host.results() if results is None else host.letters(results, "results")
    host.check(len(param_letters))
    linker._define(function, module, name, param_letters, result_letters, host.wants_caller)
    return function


class _Host:
    """A function that becomes a host function, and what its signature says."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.signature = _signature(function)
        self.hints = _hints(function)
        first = next(iter(self.signature.parameters.values()), None) if self.signature else None
        self.wants_caller = first is not None and (first.name == "caller" or self.hints.get(first.name) is Caller)

    def params(self) -> str:
        if self.signature is None:
            self.unclear("it has no signature")
        parameters = list(self.signature.parameters.values())[self.wants_caller :]
        return "".join(self.parameter(parameter) for parameter in parameters)

    def parameter(self, parameter: inspect.Parameter) -> str:
        if parameter.kind not in _POSITIONAL:
            self.unclear(f"parameter {str(parameter)!r} is not positional")
        if parameter.annotation is inspect.Parameter.empty:
            self.unclear(f"parameter {parameter.name!r} has no annotation")
        return self.letter(self.hints.get(parameter.name, parameter.annotation), f"parameter {parameter.name!r}")

    def results(self) -> str:
        hint = self.hints.get("return", None if self.signature is None else self.signature.return_annotation)
        if hint in (None, type(None), NoReturn, inspect.Signature.empty):
            return ""
        if get_origin(hint) is tuple:
            return "".join(self.letter(part, "the result") for part in get_args(hint) if part != ())
        return self.letter(hint, "the result")

    def letters(self, types: Iterable[object], what: str) -> str:
        return "".join(self.letter(type_, f"{what}[{at}]") for at, type_ in enumerate(types))

    def letter(self, type_: object, what: str) -> str:
        if get_origin(type_) is Annotated:
            for mark in get_args(type_)[1:]:
                if isinstance(mark, str) and mark in _LETTERS:
                    return _LETTERS[mark]
        if isinstance(type_, ValType):
            type_ = type_.value
        if isinstance(type_, str) and type_ in _LETTERS:
            return _LETTERS[type_]
        hint = {int: "; say instar.i32 or instar.i64", float: "; say instar.f32 or instar.f64"}.get(type_, "")  # type: ignore[call-overload]
        self.unclear(f"{what} has the type {type_!r}{hint}")

    def check(self, count: int) -> None:
        """Finds out now rather than at the first call whether the function takes its arguments."""
        if self.signature is None:
            return
        try:
            self.signature.bind(*[None] * (count + self.wants_caller))
        except TypeError as error:
            raise TypeError(f"host function {self.name} cannot be called with {count} arguments: {error}") from None

    def unclear(self, reason: str) -> NoReturn:
        raise TypeError(
            f"the type of host function {self.name} is unclear: {reason}. Annotate it with instar.i32, i64, f32, f64 "
            "(or u32, u64), or give params= and results="
        )


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if hasattr(function, "__annotations__") else getattr(function, "__call__", function)
    try:
        return get_type_hints(target, include_extras=True)
    except (TypeError, NameError):  # annotations that cannot be resolved are reported by name where they are needed
        return {}
