"""google.protobuf.Struct as Envoy passes it: as a serialized message, not as JSON (measured with 1.40).

Likewise what a control plane may wrap it into: `google.protobuf.Value`, and `xds.type.v3.TypedStruct`.

    Struct       map<string, Value> fields = 1        an entry: string key = 1; Value value = 2
    Value        null = 1 (varint), number = 2 (double), string = 3, bool = 4 (varint), Struct = 5, ListValue = 6
    ListValue    repeated Value values = 1
    TypedStruct  string type_url = 1; Struct value = 2

Source: google/protobuf/struct.proto; the wire format of protobuf, https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from .._protobuf import BYTES, FIXED64, VARINT, fields_of
from .._typing import Any
from .objects import VALUE_BEGINS, Object


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
    for _, entry in _fields(data, {1: BYTES}):
        parts = dict(_fields(entry, {1: BYTES, 2: BYTES}))
        made[_text(parts.get(1, b""))] = _value(parts.get(2, b""), levels)
    return made


def decode_message(data: bytes, levels: int) -> Object:
    """Decode a Struct, or what contains one; the same errors as `decode`."""
    if data[:1] == VALUE_BEGINS:
        value = _value(data, levels + 1)
        if not isinstance(value, Object):
            raise NotAStruct("a value that is no Struct")
        return value
    try:
        return decode(data, levels)
    except NotAStruct:
        parts = dict(_fields(data, {1: BYTES, 2: BYTES}))
        if b"/" not in parts.get(1, b""):
            raise
        return decode(parts.get(2, b""), levels)


def _value(data: bytes, levels: int) -> Any:
    found = list(_fields(data, {1: VARINT, 2: FIXED64, 3: BYTES, 4: VARINT, 5: BYTES, 6: BYTES}))
    if not found:
        raise NotAStruct("a value without a kind")
    kind, content = found[-1]
    if kind == 5:
        return decode(content, levels - 1)
    if kind == 6:
        if levels <= 1:
            raise TooDeep
        return [_value(item, levels - 1) for _, item in _fields(content, {1: BYTES})]
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
    fields = fields_of(data)
    if fields is None:
        raise NotAStruct("it is malformed")
    for number, kind, value in fields:
        if wanted.get(number) != kind:
            raise NotAStruct(f"field {number} of type {kind}")
        yield number, value
