"""JSON schema validation errors in plain language: where, what, and what was perhaps meant."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jsonschema

_SHOWN = 8
_LIMITS = {
    "minLength": "shorter than {} character(s)",
    "maxLength": "longer than {} characters",
    "pattern": "does not match {}",
    "minimum": "less than {}",
    "maximum": "more than {}",
    "maxItems": "more than {} items",
}
_WANTED = {
    "object": "a mapping", "array": "a list", "string": "a string", "integer": "an integer",
    "number": "a number", "boolean": "true or false", "null": "null",
}  # fmt: skip
_NAMES = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean", int: "an integer", float: "a number"}


def problems(value: Any, schema: dict[str, Any], whole: str) -> list[str]:
    """Everything in `value` that `schema` does not allow; `whole` names the value itself."""
    found = jsonschema.Draft202012Validator(schema).iter_errors(value)
    ordered = sorted(found, key=lambda error: [str(part) for part in error.absolute_path])
    return [line for error in ordered for line in _explain(error, whole)]


def listed(lines: Sequence[str]) -> str:
    """The lines as a list, shortened to a count beyond a limit."""
    more = len(lines) - _SHOWN
    return "\n".join(f"- {line}" for line in [*lines[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def near(word: str, known: Iterable[Any]) -> str:
    """`; did you mean '…'?` if one of the `known` words is close to `word`, else ""."""
    words = {str(item).lower(): str(item) for item in known}
    found = difflib.get_close_matches(word.lower(), words, n=1)
    return f"; did you mean '{words[found[0]]}'?" if found and words[found[0]] != word else ""


def _explain(error: jsonschema.ValidationError, whole: str) -> Iterator[str]:
    where = _path(error.absolute_path) or whole
    value: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    rule = str(error.validator)
    if rule == "additionalProperties" and wanted is False:
        known = list(schema.get("properties", ()))
        yield from (f"{where} has no field '{key}'{near(str(key), known)}" for key in value if key not in known)
    elif rule == "required":
        yield f"{where} is missing the required field '{error.message.split(chr(39))[1]}'"
    elif rule == "enum":
        yield f"{where} is {_shown(value)}, but must be {' or '.join(map(_shown, wanted))}{near(str(value), wanted)}"
    elif rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        yield f"{where} is {_type_of(value)}, but must be {' or '.join(_WANTED[kind] for kind in kinds)}"
    elif rule in _LIMITS:
        yield f"{where} is {_shown(value)}: {_LIMITS[rule].format(wanted)}"
    else:
        yield f"{where}: {error.message}"


def _type_of(value: Any) -> str:
    name = _NAMES.get(type(value), "null")
    return f"{name}, {_shown(value)}" if isinstance(value, bool | int | float | str) else name


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"


def _path(parts: Iterable[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
