"""The exceptions. Their numbers come from the core, their classes from here."""

from ._kinds import ErrorKind, TrapCode


class Error(Exception):
    """What every operation of Instar raises.

    ``kind`` says what went wrong; ``code`` is its stable number (of a ``Trap``, the number of the trap).
    """

    kind: ErrorKind

    def __init__(self, kind: ErrorKind, message: str = "") -> None:
        super().__init__(kind, message)
        self.kind = ErrorKind(kind)

    @property
    def code(self) -> int:
        return self.kind

    def __str__(self) -> str:
        return str(self.args[-1]) or self.kind.name


class Trap(Error):
    """The guest trapped. Raised in a host function, it traps the guest like an instruction of its own."""

    def __init__(self, code: TrapCode, message: str = "") -> None:
        super().__init__(ErrorKind.TRAP)
        self._code = TrapCode(code)
        self.args = (self._code, message or f"wasm trap: {self._code.name.lower().replace('_', ' ')}")

    @property
    def code(self) -> TrapCode:
        return self._code


class CompileError(Error):
    """The module is invalid, or needs a feature that the engine does not have."""


class LinkError(Error):
    """An import is missing or has another type."""


class MissingExportError(Error, KeyError):
    """There is no export of that name."""


class SignatureError(Error, TypeError):
    """A call does not fit the function's type: too few or too many values, or of the wrong type."""

    def __init__(self, message: str = "") -> None:
        super().__init__(ErrorKind.TYPE)
        self.args = (message,)


class RangeError(Error, OverflowError):
    """An integer does not fit the type of its parameter."""

    def __init__(self, message: str = "") -> None:
        super().__init__(ErrorKind.TYPE)
        self.args = (message,)


def _from_native(kind: int, trap: int, message: str) -> Error:
    """The exception for an error of the core. Called by the native half."""
    if trap:
        return Trap(TrapCode(trap), message)
    if kind == ErrorKind.TYPE:
        return SignatureError(message)
    if kind == ErrorKind.LINK:
        return LinkError(ErrorKind.LINK, message)
    if kind == ErrorKind.MISSING_EXPORT:
        return MissingExportError(ErrorKind.MISSING_EXPORT, message)
    if kind in (ErrorKind.INVALID_MODULE, ErrorKind.UNSUPPORTED):
        return CompileError(ErrorKind(kind), message)
    return Error(ErrorKind(kind), message)
