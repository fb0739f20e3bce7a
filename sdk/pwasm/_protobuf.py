"""As much of the encoding of protobuf as Envoy's functions and properties need.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""
_SIZES = {FIXED64: 8, FIXED32: 4}

Field = tuple[int, int, "int | bytes"]
"""A number, a wire type, and a value: an int for a varint, else bytes (8 or 4 of them for a fixed number)."""


def encode_field(number: int, value: int | bytes | str) -> bytes:
    """One field of a message; a default value is omitted."""
    if not value:
        return b""
    if isinstance(value, int):
        return _encode_varint(number << 3) + _encode_varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _encode_varint(number << 3 | BYTES) + _encode_varint(len(data)) + data


def decode_fields(message: bytes) -> dict[int, int | bytes]:
    """The fields of a message by number; the last one counts, and a malformed message has none.

    Every wire type but groups, which have been deprecated since 2008.
    """
    return {number: value for number, _, value in fields_of(message) or ()}


def fields_of(message: bytes) -> list[Field] | None:
    """The fields of a message in their order; None if it is malformed."""
    fields: list[Field] = []
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        value: int | bytes = 0
        kind = key & 7
        if kind == VARINT:
            value, position = _varint(message, position)
        elif kind == BYTES or kind in _SIZES:
            size = _SIZES.get(kind, 0)
            if kind == BYTES:
                size, position = _varint(message, position)
            value = message[position : position + size]
            position += size
        else:
            return None
        if position > end or not key >> 3:
            return None
        fields.append((key >> 3, kind, value))
    return fields


_TOO_LONG = 1 << 62


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A number and the position after it, which is beyond the end if the number is malformed."""
    value = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
    return 0, _TOO_LONG


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
