"""google.protobuf.Struct as Envoy passes it: as a serialized message, not as JSON (measured with 1.40).

    Struct     map<string, Value> fields = 1          an entry: string key = 1; Value value = 2
    Value      null = 1 (varint), number = 2 (double), string = 3, bool = 4 (varint), Struct = 5, ListValue = 6
    ListValue  repeated Value values = 1

Source: google/protobuf/struct.proto; the wire format of protobuf, https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

from .types import Object

_VARINT, _FIXED64, _BYTES = 0, 1, 2


class NotAStruct(ValueError):  # noqa: N818, named after what it is
    """The bytes are not a serialized Struct."""


class TooDeep(ValueError):  # noqa: N818
    """The Struct is nested too deeply."""


def decode(data: bytes, levels: int) -> Object:
    """Decode a serialized Struct of at most `levels` levels.

    Raises:
        NotAStruct: `data` is not a Struct.
        TooDeep: it has more levels.
    """
    if levels <= 0:
        raise TooDeep
    made = Object()
    for _, entry in _fields(data, {1: _BYTES}):
        parts = dict(_fields(entry, {1: _BYTES, 2: _BYTES}))
        made[_text(parts.get(1, b""))] = _value(parts.get(2, b""), levels)
    return made


def _value(data: bytes, levels: int) -> Any:
    found = list(_fields(data, {1: _VARINT, 2: _FIXED64, 3: _BYTES, 4: _VARINT, 5: _BYTES, 6: _BYTES}))
    if not found:
        raise NotAStruct("a value without a kind")
    kind, content = found[-1]
    if kind == 5:
        return decode(content, levels - 1)
    if kind == 6:
        if levels <= 1:
            raise TooDeep
        return [_value(item, levels - 1) for _, item in _fields(content, {1: _BYTES})]
    if kind == 2:
        return _number(content)
    if kind == 3:
        return _text(content)
    return bool(content) if kind == 4 else None


def _number(content: bytes) -> int | float:
    """Decode a double; one without a fraction becomes an int, as in JSON."""
    number: float = struct.unpack("<d", content)[0]
    if not math.isfinite(number):
        raise NotAStruct(f"{number} is not JSON")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise NotAStruct("a text that is not UTF-8") from error


def _fields(data: bytes, wanted: dict[int, int]) -> Iterator[tuple[int, Any]]:
    """The fields of a message: their number and content, which is int for a varint and bytes otherwise."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wanted.get(number) != wire_type:
            raise NotAStruct(f"field {number} of type {wire_type}")
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size, at = (8, at) if wire_type == _FIXED64 else _varint(data, at)
        if at + size > len(data):
            raise NotAStruct("it is cut off")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise NotAStruct("it is cut off")
