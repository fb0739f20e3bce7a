"""A configuration's text: JSON, or a message of protobuf that contains the same.

This file is part of every module with an HTTP filter, since any of them may be given rules (`rules`). So it imports
neither `dataclasses` nor `typing`, which only modules with a typed configuration have.
"""

from __future__ import annotations

import json
import re

from .._typing import Any, NoReturn
from .objects import STRUCT_BEGINS, VALUE_BEGINS, Object

MAX_BYTES = 4 * 1024 * 1024
"""A larger configuration is refused: each of the workers + 2 VMs that Envoy runs would hold all of it."""
MAX_DEPTH = 100
"""Levels of arrays and objects; deeper nesting is refused, since decoding is recursive."""
_MESSAGE_HINT = (
    "; if it is a protobuf message, Envoy passes a StringValue, Struct or TypedStruct in a form that is read"
)
MAX_PROBLEMS = 20
"""What a message lists."""


class ConfigError(ValueError):
    """A configuration is invalid; `problems` lists everything that is wrong, each as `path: reason`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        shown = self.problems[:MAX_PROBLEMS]
        more = len(self.problems) - len(shown)
        return "\n".join([*shown, *([f"and {more} more"] if more else [])])


def as_text(text: bytes | str) -> str:
    """The text itself.

    Raises:
        ConfigError: it is not UTF-8.
    """
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([f"$: byte {error.start} is not UTF-8"]) from None


def parse(text: bytes | str) -> Any:
    """The value that JSON or a message of protobuf stands for.

    Raises:
        ConfigError: it is neither.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError([f"$: the configuration has {len(text)} bytes, more than {MAX_BYTES}"])
    if isinstance(text, bytes) and text[:1] in (STRUCT_BEGINS, VALUE_BEGINS):
        message = _message(text)
        if message is not None:
            return message
    content = as_text(text)
    if not content.strip():
        return Object()
    _refuse_depth(content)
    try:
        return json.loads(content, object_pairs_hook=_object, parse_float=_float, parse_constant=_refuse_constant)
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:
        hint = _MESSAGE_HINT if any(character < " " and character not in "\t\n\r" for character in content) else ""
        raise ConfigError([f"$: not JSON: {error}{hint}"]) from None


def _message(data: bytes) -> Object | None:
    """The content of a Struct, or of what contains one; None if it is JSON after an empty line.

    Every value of a Struct contains a byte that JSON cannot contain.
    """
    try:
        from . import struct
    except ImportError:  # in the module of a filter without typed configuration, which gets JSON
        return None
    try:
        return struct.decode_message(data, MAX_DEPTH)
    except struct.TooDeep:
        raise ConfigError([f"$: nested deeper than {MAX_DEPTH} levels"]) from None
    except struct.NotAStruct:
        return None


# Without quantifiers there is no backtracking; CPython before 3.11.5 mishandles possessive ones (gh-106052).
_TOKENS = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def _refuse_depth(content: str) -> None:
    depth, in_text = 0, False
    for token in _TOKENS.finditer(content):
        if token[0] == '"':
            in_text = not in_text
        elif not in_text:
            depth += _STEPS.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise ConfigError([f"$: nested deeper than {MAX_DEPTH} levels, at character {token.start()}"])


def _object(pairs: list[tuple[str, Any]]) -> Object:
    made = Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        duplicates = dict.fromkeys(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        made.duplicates = tuple(duplicates)
    return made


def _float(digits: str) -> float:
    number = float(digits)
    if number - number:  # infinite, which no JSON can say: a rule's configuration is written again
        raise ConfigError([f"$: {digits[:20]} is beyond any number of 64 bits"])
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ConfigError([f"$: {name} is not JSON"])
