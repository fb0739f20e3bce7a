"""The parts of `typing` that the SDK needs: the real ones for type checkers and outside of Wasm, stubs inside.

`typing` creates a few hundred objects, and classes created with it import `annotationlib` and `ast`: half a megabyte in
every VM, for annotations that are not used there. A filter that imports `typing` gets the real module.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False

if TYPE_CHECKING or sys.platform != "wasi":
    from typing import Any, Final, Generic, NamedTuple, NoReturn, Protocol, TypeVar, cast, overload
else:
    from collections import namedtuple

    Any = Final = NoReturn = object

    def cast(_type, value):
        return value

    def overload(function):
        return function

    def TypeVar(_name, *_constraints, **_options):  # noqa: N802
        return object

    class Generic:
        def __class_getitem__(cls, _parameters):
            return cls

    Protocol = Generic

    class _MakesNamedTuples(type):
        """Turns annotations into fields, and copies the rest of the body into the class."""

        def __new__(mcs, name, _bases, body):
            fields = body.pop("__annotations__")
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body.pop("__module__"))
            for key, value in body.items():
                setattr(made, key, value)
            return made

    NamedTuple = type.__new__(_MakesNamedTuples, "NamedTuple", (), {})

__all__ = [
    "TYPE_CHECKING",
    "Any",
    "Final",
    "Generic",
    "NamedTuple",
    "NoReturn",
    "Protocol",
    "TypeVar",
    "cast",
    "overload",
]
