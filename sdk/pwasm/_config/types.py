"""The types of configuration values: decoding from JSON, encoding to JSON, JSON schema; `annotations` creates them.

    Python                                   JSON
    ──────────────────────────────────────────────────────────────────────────────────────────
    str, bool, None, Any                     the same; Any accepts every value
    int                                      a number without a fraction (3 and 3.0: a Struct has doubles only)
    float                                    a number
    list[T], tuple[T, ...], set[T]           an array; the items of a set must differ
    tuple[A, B]                              an array of two
    dict[str, T]                             an object
    a dataclass                              an object with its fields and no others
    Enum, Literal["a", 1]                    one of the values
    A | B, Optional[T]                       the first that matches
    datetime.timedelta                       "1.5s", "300ms", "2m", "1h", or a number of seconds
    re.Pattern[str]                          a regular expression, compiled
    Annotated[T, Range(…)]                   T within limits

Each problem is appended to a list, with its path, and decoding continues, so that all problems are reported together;
BAD stands for a value that could not be decoded.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from .objects import Object, Problems, kind, report_duplicates

BAD: Any = object()


class UnsupportedType(TypeError):  # noqa: N818, named after what it is about
    """An annotation that no JSON value can match."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Inclusive limits of a number, or of the length of a str, list, set or dict: `Annotated[int, Range(1, 9)]`.

    None means no limit.
    """

    low: float | None = None
    high: float | None = None


class Type:
    """A type: `decode` from JSON, `encode` to it, `schema`."""

    wants = ""
    fixed_schema: typing.ClassVar[dict[str, Any]] = {}

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        raise NotImplementedError

    def encode(self, value: Any) -> Any:
        return value

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return self.fixed_schema

    def wrong(self, value: Any, path: str, problems: Problems) -> Any:
        """Report a value of the wrong type."""
        problems.append(f"{path}: expected {self.wants}, got {kind(value)}")
        return BAD


class Plain(Type):
    """str, bool and None: the value itself."""

    def __init__(self, python: type, wants: str, json_type: str) -> None:
        self.python = python
        self.wants = wants
        self.fixed_schema = {"type": json_type}  # type: ignore[misc]

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        return value if type(value) is self.python else self.wrong(value, path, problems)


class Int(Type):
    wants = "int"
    fixed_schema: typing.ClassVar = {"type": "integer"}

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is float and value.is_integer():
            return int(value)
        return value if type(value) is int else self.wrong(value, path, problems)


class Float(Type):
    wants = "float"
    fixed_schema: typing.ClassVar = {"type": "number"}

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is int:
            try:
                return float(value)
            except OverflowError:
                problems.append(f"{path}: is too large for a float")
                return BAD
        return value if type(value) is float else self.wrong(value, path, problems)


class Anything(Type):
    wants = "anything"

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is list:
            return [self.decode(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
        if isinstance(value, Object):
            report_duplicates(value, path, problems)
            return {name: self.decode(item, f"{path}.{name}", problems) for name, item in value.items()}
        return value


class Array(Type):
    """list[T], tuple[T, ...], set[T], frozenset[T]."""

    def __init__(self, make: Callable[[Iterable[Any]], Any], item: Type, *, unique: bool) -> None:
        self.wants = "array"
        self.make = make
        self.item = item
        self.unique = unique

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not list:
            return self.wrong(value, path, problems)
        items = [self.item.decode(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
        if any(item is BAD for item in items):
            return BAD
        if not self.unique:
            return self.make(items)
        try:
            made = self.make(items)
        except TypeError:
            problems.append(f"{path}: its items cannot be in a set")
            return BAD
        if len(made) != len(items):
            problems.append(f"{path}: duplicate item")
            return BAD
        return made

    def encode(self, value: Any) -> Any:
        items = [self.item.encode(item) for item in value]
        return sorted(items, key=repr) if self.unique else items

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        schema = {"type": "array", "items": self.item.schema(definitions)}
        return {**schema, "uniqueItems": True} if self.unique else schema


class Tuple(Type):
    """tuple[A, B]."""

    def __init__(self, items: list[Type]) -> None:
        self.wants = f"array of {len(items)}"
        self.items = items

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not list or len(value) != len(self.items):
            got = f"array of {len(value)}" if type(value) is list else kind(value)
            problems.append(f"{path}: expected {self.wants}, got {got}")
            return BAD
        pairs = enumerate(zip(self.items, value, strict=True))
        items = tuple(item.decode(part, f"{path}[{index}]", problems) for index, (item, part) in pairs)
        return BAD if any(item is BAD for item in items) else items

    def encode(self, value: Any) -> Any:
        return [item.encode(part) for item, part in zip(self.items, value, strict=True)]

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        items = [item.schema(definitions) for item in self.items]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


class Mapping(Type):
    """dict[str, T]."""

    wants = "object"

    def __init__(self, key: Type, item: Type) -> None:
        self.key = key
        self.item = item

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            return self.wrong(value, path, problems)
        report_duplicates(value, path, problems)
        made = {
            self.key.decode(name, f"{path}.{name} (the name)", problems): self.item.decode(
                item, f"{path}.{name}", problems
            )
            for name, item in value.items()
        }
        return BAD if any(key is BAD or item is BAD for key, item in made.items()) else made

    def encode(self, value: Any) -> Any:
        return {self.key.encode(key): self.item.encode(item) for key, item in value.items()}

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        names = self.key.schema(definitions)
        schema = {"type": "object", "additionalProperties": self.item.schema(definitions)}
        return schema if names == {"type": "string"} else {**schema, "propertyNames": names}


class Choice(Type):
    """Enum and Literal: one of some values."""

    def __init__(self, values: list[tuple[Any, Any]]) -> None:
        self.values = values  # JSON, Python
        self.fixed_schema = {"enum": [value for value, _ in values]}  # type: ignore[misc]
        self.wants = "one of " + ", ".join(repr(value) for value, _ in values)

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        for known, made in self.values:
            if type(known) is type(value) and known == value:
                return made
        got = repr(value) if isinstance(value, (str, int, float, bool)) else kind(value)
        problems.append(f"{path}: expected {self.wants}, got {got[:80]}")
        return BAD

    def encode(self, value: Any) -> Any:
        return next(known for known, made in self.values if type(made) is type(value) and made == value)


class AnyOf(Type):
    """A | B: the first that matches."""

    def __init__(self, options: list[Type]) -> None:
        self.options = options
        self.wants = " or ".join(option.wants for option in options)

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        deepest: Problems = []
        for option in self.options:
            found: Problems = []
            made = option.decode(value, path, found)
            if made is not BAD and not found:
                return made
            if not any(problem.startswith(f"{path}: expected") for problem in found):
                deepest = deepest or found  # the right type, with a problem inside
        if deepest:
            problems += deepest
            return BAD
        return self.wrong(value, path, problems)

    def encode(self, value: Any) -> Any:
        for option in self.options:
            try:
                encoded = option.encode(value)
            except Exception:
                continue
            problems: Problems = []
            if option.decode(as_parsed(encoded), "$", problems) == value and not problems:
                return encoded
        raise TypeError(f"{value!r} is not {self.wants}")

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [option.schema(definitions) for option in self.options]}


class Duration(Type):
    wants = 'a duration such as "1.5s"'
    fixed_schema: typing.ClassVar = {
        "anyOf": [{"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?(ms|s|m|h)$"}, {"type": "number"}]
    }

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        match = _DURATION.fullmatch(value) if type(value) is str else None
        if match is None and type(value) not in {int, float}:
            got = repr(value[:40]) if type(value) is str else kind(value)
            problems.append(f"{path}: expected {self.wants}, got {got}")
            return BAD
        try:
            return timedelta(seconds=value if match is None else float(match[1]) * _UNITS[match[2]])
        except (OverflowError, ValueError):
            problems.append(f"{path}: the duration is too long")
            return BAD

    def encode(self, value: Any) -> Any:
        return f"{value / timedelta(seconds=1)!r}s" if value % timedelta(milliseconds=1) else _short(value)


_DURATION = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _short(value: timedelta) -> str:
    milliseconds = value // timedelta(milliseconds=1)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


class Regex(Type):
    wants = "a regular expression"
    fixed_schema: typing.ClassVar = {"type": "string", "format": "regex"}

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not str:
            return self.wrong(value, path, problems)
        try:
            return re.compile(value)
        except (re.error, RecursionError, OverflowError) as error:
            problems.append(f"{path}: not a regular expression: {error}")
            return BAD

    def encode(self, value: Any) -> Any:
        return value.pattern


class Limited(Type):
    """Annotated[T, Range(…)]."""

    def __init__(self, inner: Type, limits: Range) -> None:
        self.inner = inner
        self.limits = limits
        self.wants = inner.wants

    def decode(self, value: Any, path: str, problems: Problems) -> Any:
        made = self.inner.decode(value, path, problems)
        if made is BAD:
            return BAD
        number = made if isinstance(made, (int, float)) else len(made)
        what = "" if number is made else "its length "
        low, high = self.limits.low, self.limits.high
        if (low is not None and number < low) or (high is not None and number > high):
            wanted = f"between {low} and {high}" if None not in {low, high} else ""
            wanted = wanted or (f"at least {low}" if high is None else f"at most {high}")
            problems.append(f"{path}: {what}must be {wanted}, got {number}")
            return BAD
        return made

    def encode(self, value: Any) -> Any:
        return self.inner.encode(value)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        schema = self.inner.schema(definitions)
        names = _LIMITS.get(schema.get("type", ""), ("minimum", "maximum"))
        limits = dict(zip(names, (self.limits.low, self.limits.high), strict=True))
        return {**schema, **{name: limit for name, limit in limits.items() if limit is not None}}


_LIMITS = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


def as_parsed(value: Any) -> Any:
    """Encoded values as `json` would parse them."""
    if isinstance(value, (list, tuple)):
        return [as_parsed(item) for item in value]
    if isinstance(value, dict):
        return Object((name, as_parsed(item)) for name, item in value.items())
    return value
