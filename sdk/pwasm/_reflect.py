"""What other people's objects say of themselves, read without running their code, and never of an unexpected type.

A function that `exec` has made has no module; what `sys.modules` contains need not be a module; a lazy module imports
something when an attribute is read; a proxy answers for another object, or raises.
"""

from __future__ import annotations

from types import ModuleType

from ._typing import Any


def namespace_of(module: object) -> dict[str, Any]:
    """The globals of a module; an empty dict for anything else."""
    if not issubclass(type(module), ModuleType):  # not isinstance(): a proxy may lie about its class, or raise
        return {}
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def module_name(of: Any) -> str:
    """The name of the module of a class or function; "" if it has none."""
    name = _attribute(of, "__module__")
    return name if type(name) is str else ""


def name_of(function: Any) -> str:
    """The qualified name of a class or function, else that of the type of the object."""
    name = _attribute(function, "__qualname__")
    if type(name) is str:
        return name
    own: str = type.__dict__["__qualname__"].__get__(type(function))
    return own


def _attribute(of: Any, name: str) -> object:
    try:
        return getattr(of, name, None)
    except Exception:
        return None
