"""LEB128, the variable-length integers of the binary format (core spec §5.2.2)."""

from __future__ import annotations


def encode_unsigned(value: int) -> bytes:
    """Shortest encoding of `value` ≥ 0."""
    if value < 0x80:
        return _SHORT[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_signed(value: int) -> bytes:
    """Shortest encoding of a signed `value`."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def decode_unsigned(encoded: bytes) -> int:
    """Value of `encoded`, which holds exactly one unsigned integer."""
    value = 0
    for byte in reversed(encoded):
        value = value << 7 | byte & 0x7F
    return value


_SHORT = [bytes([value]) for value in range(0x80)]
