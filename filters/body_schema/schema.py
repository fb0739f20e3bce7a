"""A subset of JSON Schema (draft 2020-12): the keywords that constrain the structure of a body, without references.

A schema is compiled into checks when Envoy starts. An unknown keyword is an error then, instead of being silently
ignored; only annotations, which do not affect validity, are ignored.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

Problems = Iterator[tuple[str, str]]
"""Path and reason of each problem."""
Check = Callable[[Any, str], Problems]

ANNOTATIONS = {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"}


def is_number(value: Any) -> bool:
    """Whether a value is a number in JSON; in Python, True is one too."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def members_of(value: Any) -> dict[str, Any]:
    """The members of a JSON object; none for any other value."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items_of(value: Any) -> list[Any]:
    """The items of a JSON array; none for any other value."""
    match value:
        case [*items]:
            return items
        case _:
            return []


TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": is_number,
    "integer": lambda value: is_number(value) and value == value // 1,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
# Keyword → the type it applies to, the condition, and the message if it does not hold.
LIMITS: dict[str, tuple[str, Callable[[Any, Any], bool], str]] = {
    "minimum": ("number", lambda value, limit: value >= limit, "must be at least {}"),
    "maximum": ("number", lambda value, limit: value <= limit, "must be at most {}"),
    "exclusiveMinimum": ("number", lambda value, limit: value > limit, "must be more than {}"),
    "exclusiveMaximum": ("number", lambda value, limit: value < limit, "must be less than {}"),
    "minLength": ("string", lambda value, limit: len(value) >= limit, "must have {} characters or more"),
    "maxLength": ("string", lambda value, limit: len(value) <= limit, "must have {} characters or fewer"),
    "minItems": ("array", lambda value, limit: len(value) >= limit, "must have {} items or more"),
    "maxItems": ("array", lambda value, limit: len(value) <= limit, "must have {} items or fewer"),
    "minProperties": ("object", lambda value, limit: len(value) >= limit, "must have {} members or more"),
    "maxProperties": ("object", lambda value, limit: len(value) <= limit, "must have {} members or fewer"),
}


def compiled(schema: Any, at: str = "schema") -> Check:
    """The check for a schema.

    Raises:
        ValueError: it is not a schema, or has an unknown keyword; the message has the place.
    """
    if isinstance(schema, bool):
        return _check(lambda _: schema, "is not allowed")
    if not isinstance(schema, dict):
        raise ValueError(f"{at}: must be an object or a boolean")
    keywords = cast("dict[str, Any]", schema)
    checks = [
        _keyword(name, value, keywords, f"{at}.{name}") for name, value in keywords.items() if name not in ANNOTATIONS
    ]
    return lambda value, path: (problem for check in checks for problem in check(value, path))


def _keyword(name: str, wanted: Any, schema: dict[str, Any], at: str) -> Check:
    if name in LIMITS and is_number(wanted):
        kind, holds, words = LIMITS[name]
        return _check(lambda value: not TYPES[kind](value) or holds(value, wanted), words.format(wanted))
    accepted, make = KEYWORDS.get(name, ((), _const))
    if not isinstance(wanted, accepted):
        raise ValueError(f"{at}: is not supported, or not with this value")
    return make(wanted, schema, at)


def _check(holds: Callable[[Any], bool], reason: str) -> Check:
    return lambda value, path: iter(() if holds(value) else ((path, reason),))


def _type(wanted: Any, schema: dict[str, Any], at: str) -> Check:
    names = items_of(wanted) if isinstance(wanted, list) else [wanted]
    if not names or any(name not in TYPES for name in names):
        raise ValueError(f"{at}: must name {', '.join(TYPES)}")
    return _check(lambda value: any(TYPES[name](value) for name in names), f"must be {' or '.join(names)}")


def _enum(wanted: Any, schema: dict[str, Any], at: str) -> Check:
    allowed = [_canonical(one) for one in wanted]
    return _check(lambda value: _canonical(value) in allowed, f"must be {' or '.join(allowed)}")


def _const(wanted: Any, schema: dict[str, Any], at: str) -> Check:
    return _enum([wanted], schema, at)


def _pattern(wanted: Any, schema: dict[str, Any], at: str) -> Check:
    pattern = re.compile(wanted)
    return _check(lambda value: not isinstance(value, str) or bool(pattern.search(value)), f"must match {wanted}")


def _required(wanted: Any, schema: dict[str, Any], at: str) -> Check:
    if not all(isinstance(name, str) for name in wanted):
        raise ValueError(f"{at}: must be names")
    return lambda value, path: (
        (member(path, name), "is missing") for name in wanted if isinstance(value, dict) and name not in value
    )


def _items(wanted: Any, schema: dict[str, Any], at: str) -> Check:
    check = compiled(wanted, at)
    return lambda value, path: (
        problem for number, item in enumerate(items_of(value)) for problem in check(item, f"{path}[{number}]")
    )


def _properties(wanted: Any, schema: dict[str, Any], at: str) -> Check:
    checks = {name: compiled(one, member(at, name)) for name, one in wanted.items()}
    return lambda value, path: (
        problem
        for name, check in checks.items()
        if isinstance(value, dict) and name in value
        for problem in check(value[name], member(path, name))
    )


def _others(wanted: Any, schema: dict[str, Any], at: str) -> Check:
    check, known = compiled(wanted, at), frozenset(schema.get("properties", ()))
    return lambda value, path: (
        problem
        for name, one in members_of(value).items()
        if name not in known
        for problem in check(one, member(path, name))
    )


Maker = Callable[[Any, dict[str, Any], str], Check]
# Keyword → the type of its value, and the function that creates its check.
KEYWORDS: dict[str, tuple[type | tuple[type, ...], Maker]] = {
    "type": ((str, list), _type),
    "enum": (list, _enum),
    "const": (object, _const),
    "pattern": (str, _pattern),
    "required": (list, _required),
    "items": ((dict, bool), _items),
    "properties": (dict, _properties),
    "additionalProperties": ((dict, bool), _others),
}


def member(path: str, key: str) -> str:
    """The path of a member; limited in length, since a client chooses the key."""
    return f"{path}.{key}" if re.fullmatch(r"\w{1,64}", key, re.ASCII) else f"{path}[{json.dumps(key[:64])}]"


def _canonical(value: Any) -> str:
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value, sort_keys=True)
