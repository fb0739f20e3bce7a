"""Every exception of the SDK.

    HostcallError              the host returned a status other than OK; `.status`, `.hostcall`, `.key`
    ├── NotFound                   1
    ├── BadArgument                2
    ├── SerializationFailure       3
    ├── ParseFailure               4
    ├── BadExpression              5
    ├── InvalidMemoryAccess        6
    ├── Empty                      7
    ├── CasMismatch                8
    ├── ResultMismatch             9
    ├── InternalFailure           10
    ├── BrokenConnection          11
    └── Unimplemented             12
    PhaseError                 the SDK refuses the call in this callback (`RuntimeError`); the host was not called
    RegistrationError          the filter's classes are not registered correctly (`RuntimeError`)
    StepBudgetExceeded         a callback took more steps than `set_step_budget` allows (`BaseException`)
    TimeBudgetExceeded         a callback took more time than `set_time_budget` allows (`BaseException`)

An invalid argument raises a plain `TypeError` or `ValueError` that names it; the host is not called either.
"""

from __future__ import annotations

from ._abi import Status


class HostcallError(Exception):
    """A hostcall failed.

    `hostcall` is its name in the ABI, `status` the number the host returned (one of `Status`, or a number that this
    version does not know), and `key` the argument that identifies what was requested (a header name, a queue, a
    context id), or None.
    """

    def __init__(self, hostcall: str, status: int, key: object = None, callback: str = "") -> None:
        super().__init__(hostcall, status, key, callback)
        self.hostcall = hostcall
        self.status = status
        self.key = key
        self.callback = callback

    def __str__(self) -> str:
        try:
            name = Status(self.status).name
        except ValueError:
            name = "unknown status"
        key = "" if self.key is None else f" for {self.key!r}"
        callback = f" in {self.callback}" if self.callback else ""
        return f"{self.hostcall} failed with {name} ({self.status}){key}{callback}"


class NotFound(HostcallError):  # noqa: N818, named after the status, as in the other SDKs
    """Status 1: what was asked for does not exist."""


class BadArgument(HostcallError):  # noqa: N818
    """Status 2: an argument is invalid, or what it refers to is not available in this callback."""


class SerializationFailure(HostcallError):  # noqa: N818
    """Status 3: the host could not serialize the value (a property that exists but is null)."""


class ParseFailure(HostcallError):  # noqa: N818
    """Status 4: the host could not parse an argument (a gRPC service description)."""


class BadExpression(HostcallError):  # noqa: N818
    """Status 5: a CEL expression is invalid."""


class InvalidMemoryAccess(HostcallError):  # noqa: N818
    """Status 6: the host could not read the plugin's memory, or allocate in it."""


class Empty(HostcallError):  # noqa: N818
    """Status 7: the shared queue is empty."""


class CasMismatch(HostcallError):  # noqa: N818
    """Status 8: the shared data has changed since it was read."""


class ResultMismatch(HostcallError):  # noqa: N818
    """Status 9: the result has an unexpected type."""


class InternalFailure(HostcallError):  # noqa: N818
    """Status 10: the host failed, or its configuration denies this hostcall (capability restriction)."""


class BrokenConnection(HostcallError):  # noqa: N818
    """Status 11: the connection broke."""


class Unimplemented(HostcallError):  # noqa: N818
    """Status 12: this host does not implement the function."""


class PhaseError(RuntimeError):
    """A call that the SDK refuses in this callback, because the host would crash, hang or ignore it."""

    def __init__(self, what: str, callback: str, why: str, hint: str = "") -> None:
        super().__init__(what, callback, why, hint)
        self.what = what
        self.callback = callback
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.what} is refused {'in ' + self.callback if self.callback else 'outside a callback'}: {self.why}"
        return f"{text}\nhint: {self.hint}" if self.hint else text


class RegistrationError(RuntimeError):
    """The filter's classes are not registered, or two of the same kind are."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\nhint: {self.hint}" if self.hint else self.what


class TimeBudgetExceeded(BaseException):
    """A callback took more time than `set_time_budget` allows; it is raised again at each further step."""


class StepBudgetExceeded(BaseException):
    """A callback took more steps than `set_step_budget` allows; it is raised again at each further step."""


BY_STATUS: dict[int, type[HostcallError]] = {
    Status.NOT_FOUND: NotFound,
    Status.BAD_ARGUMENT: BadArgument,
    Status.SERIALIZATION_FAILURE: SerializationFailure,
    Status.PARSE_FAILURE: ParseFailure,
    Status.BAD_EXPRESSION: BadExpression,
    Status.INVALID_MEMORY_ACCESS: InvalidMemoryAccess,
    Status.EMPTY: Empty,
    Status.CAS_MISMATCH: CasMismatch,
    Status.RESULT_MISMATCH: ResultMismatch,
    Status.INTERNAL_FAILURE: InternalFailure,
    Status.BROKEN_CONNECTION: BrokenConnection,
    Status.UNIMPLEMENTED: Unimplemented,
}


def from_status(status: int, hostcall: str, key: object = None, callback: str = "") -> HostcallError:
    """The exception for a status other than OK; `HostcallError` itself for an unknown status."""
    return BY_STATUS.get(status, HostcallError)(hostcall, status, key, callback)


def check(status: int, hostcall: str, key: object = None, callback: str = "") -> None:
    """Raise the exception for `status`, unless it is OK."""
    if status:
        raise from_status(status, hostcall, key, callback)
