"""Stand-ins for parts of Python that a Wasm module does not have. In the guest this package is called `pwasm_absent`.

Libraries import `ssl`, `mmap` or `ctypes` at the top of files whose other half a filter uses. So each of these can be
imported, subclassed, caught and compared with, and raises a RuntimeError that says why when it is used. A module in C
has a stand-in; what Python's library builds on it (`ssl` on `_ssl`) is Python's own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


def functions(module: str, names: str, why: str) -> dict[str, Callable[..., NoReturn]]:
    """Functions that raise, by name."""
    return {name: _function(f"{module}.{name}()", why) for name in names.split()}


def types(module: str, names: str, why: str) -> dict[str, type]:
    """Types that cannot be instantiated, by name; `_SSLContext` is what `ssl.SSLContext` derives from."""
    return {
        name: type(name, (), {"__module__": module, "__new__": _new(f"{module}.{name.lstrip('_')}", why)})
        for name in names.split()
    }


def absent(what: str, why: str) -> RuntimeError:
    """The error for a use of `what`."""
    return RuntimeError(f"{what} does not work in a Wasm module: {why}")


def _function(what: str, why: str) -> Callable[..., NoReturn]:
    def function(*_arguments: object, **_options: object) -> NoReturn:
        raise absent(what, why)

    return function


def _new(what: str, why: str) -> Callable[..., NoReturn]:
    def __new__(_cls: type, *_arguments: object, **_options: object) -> NoReturn:  # noqa: N807
        raise absent(what, why)

    return __new__
