"""Values of JSON as the decoders pass them on; see `text`."""

from __future__ import annotations

from .._typing import Any

Problems = list[str]

STRUCT_BEGINS, VALUE_BEGINS = b"\n", b"*"
"""The first tag of a Struct or TypedStruct, and that of a Value with a Struct, with which no JSON begins."""


class Object(dict[str, Any]):
    """A JSON object that remembers its duplicate names."""

    duplicates: tuple[str, ...] = ()


def kind(value: object) -> str:
    """The name of a JSON value's type in messages."""
    return _KINDS.get(type(value), type(value).__name__)


_KINDS = {type(None): "null", Object: "object", dict: "object", list: "array", float: "float", int: "int", str: "str"}


def report_duplicates(value: object, path: str, problems: Problems) -> None:
    """Report duplicate names of an object; JSON does not specify which one counts."""
    problems += [f"{path}.{name}: duplicate key" for name in getattr(value, "duplicates", ())]
