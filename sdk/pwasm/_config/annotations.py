"""From annotations to the types of a configuration."""

from __future__ import annotations

import dataclasses
import re
import sys
import types
import typing
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, Union

from .types import (
    AnyOf,
    Anything,
    Array,
    Choice,
    Duration,
    Float,
    Int,
    Limited,
    Mapping,
    Plain,
    Range,
    Regex,
    Tuple,
    Type,
    UnsupportedType,
)

_SIMPLE: dict[Any, Callable[[], Type]] = {
    str: lambda: Plain(str, "str", "string"),
    bool: lambda: Plain(bool, "bool", "boolean"),
    None: lambda: Plain(type(None), "null", "null"),
    type(None): lambda: Plain(type(None), "null", "null"),
    int: Int,
    float: Float,
    Any: Anything,
    object: Anything,
    timedelta: Duration,
    re.Pattern: Regex,
    list: lambda: Array(list, Anything(), unique=False),
    dict: lambda: Mapping(_SIMPLE[str](), Anything()),
}


def type_of(annotation: Any, path: str, dataclass: Callable[[type, str], Type]) -> Type:
    """The `Type` of an annotation; `dataclass` creates the types of dataclasses.

    Raises:
        UnsupportedType: no JSON value can have this type.
    """
    if isinstance(annotation, typing.NewType):
        return type_of(annotation.__supertype__, path, dataclass)
    if sys.version_info >= (3, 12) and isinstance(annotation, typing.TypeAliasType):
        return type_of(annotation.__value__, path, dataclass)
    simple = _SIMPLE.get(annotation) if annotation.__hash__ is not None else None
    if simple is not None:
        return simple()
    if isinstance(annotation, type) and not typing.get_origin(annotation):
        if issubclass(annotation, Enum):
            return Choice([(member.value, member) for member in annotation])
        if dataclasses.is_dataclass(annotation):
            return dataclass(annotation, path)
    return _generic(annotation, path, dataclass)


def _generic(annotation: Any, path: str, dataclass: Callable[[type, str], Type]) -> Type:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return Choice([(value, value) for value in arguments])
    if origin is re.Pattern and arguments == (str,):
        return Regex()
    make = _GENERIC.get(origin)
    if make is None:
        raise UnsupportedType(f"{path}: {annotation!r} cannot be read from a configuration")
    of_same = origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
    # In Annotated[int, Range()] and tuple[int, ...] only the first argument is a type.
    types_among = arguments[:1] if origin is typing.Annotated or of_same else arguments
    inner = [type_of(argument, path, dataclass) for argument in types_among]
    if origin is dict and not _is_text(inner[0]):
        raise UnsupportedType(f"{path}: the names in a JSON object are str, so {annotation!r} cannot be read")
    return Array(tuple, inner[0], unique=False) if of_same else make(inner, arguments)


def _is_text(key: Type) -> bool:
    values = key.values if isinstance(key, Choice) else []
    return key.fixed_schema == {"type": "string"} or any(values and type(name) is str for name, _ in values)


def _limited(inner: list[Type], arguments: tuple[Any, ...]) -> Type:
    made = inner[0]
    for extra in arguments[1:]:
        made = Limited(made, extra) if isinstance(extra, Range) else made
    return made


_GENERIC: dict[Any, Callable[[list[Type], tuple[Any, ...]], Type]] = {
    typing.Annotated: _limited,
    Union: lambda inner, _: AnyOf(inner),
    types.UnionType: lambda inner, _: AnyOf(inner),
    list: lambda inner, _: Array(list, inner[0], unique=False),
    set: lambda inner, _: Array(set, inner[0], unique=True),
    frozenset: lambda inner, _: Array(frozenset, inner[0], unique=True),
    tuple: lambda inner, _: Tuple(inner),
    dict: lambda inner, _: Mapping(*inner),
}
