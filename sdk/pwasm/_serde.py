"""The two encodings inside byte strings that cross the seam: pairs and property paths.

Pairs (header maps), all numbers little-endian u32:

    count  (key_size value_size)*count  (key 0x00 value 0x00)*count

The example in the 0.2.1 specification, § Serialization, is wrong about both the numbers (it shows one byte each) and
the characters; this is the format that proxy-wasm-cpp-host reads and writes. For *malformed* input its parser returns
an empty list instead of an error, and so does ours: the data was written by the host, and a filter could not do
anything about it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

MAX_PAIRS = 1024
MAX_PAIRS_SIZE = 1024 * 1024
"""The host silently treats a larger list as empty (docs/abi.md §1.5), so the SDK refuses it."""

_U32 = struct.Struct("<I")


def to_bytes(text: str | bytes) -> bytes:
    """The bytes of a text argument on the wire; ValueError if the text has lone surrogates."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """The text of bytes from the wire; never fails, and `to_bytes` restores the same bytes."""
    return data.decode("utf-8", "surrogateescape")


def encode_pairs(pairs: Sequence[tuple[str | bytes, str | bytes]], argument: str = "headers") -> bytes:
    """Encode a header map; `argument` is its name in error messages.

    Raises:
        ValueError: more than 1024 pairs, or more than 1 MiB encoded.
    """
    count = len(pairs)
    if count > MAX_PAIRS:
        raise ValueError(f"{argument}: {count} pairs, but the host reads at most {MAX_PAIRS}")
    sizes: list[int] = [count]
    parts: list[bytes] = [b""]
    for pair in pairs:
        for text in pair:
            data = to_bytes(text)
            sizes.append(len(data))
            parts.append(data)
            parts.append(b"\0")
    parts[0] = struct.pack(f"<{len(sizes)}I", *sizes)
    encoded = b"".join(parts)
    if len(encoded) > MAX_PAIRS_SIZE:
        raise ValueError(f"{argument}: {len(encoded)} bytes encoded, but the host reads at most {MAX_PAIRS_SIZE}")
    return encoded


def decode_pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """Decode a header map; returns an empty list for an empty map in any encoding, and for malformed data.

    Hosts encode an empty map as no bytes at all, as one zero byte, or as a count of 0.
    """
    size = len(data)
    if size < 4:
        return []
    (count,) = _U32.unpack_from(data)
    position = 4 + 8 * count
    if count == 0 or count > MAX_PAIRS or position > size:
        return []
    sizes = struct.unpack_from(f"<{2 * count}I", data, 4)
    fields: list[bytes] = []
    for length in sizes:
        end = position + length
        if end >= size or data[end]:
            return []
        fields.append(data[position:end])
        position = end + 1
    return list(zip(fields[::2], fields[1::2], strict=True)) if position == size else []


def encode_path(path: str | Iterable[str]) -> bytes:
    """Encode a property path: `("request", "path")` or `"request.path"` → `b"request\\0path"`."""
    segments = path.split(".") if isinstance(path, str) else path
    return b"\0".join([to_bytes(segment) for segment in segments])


def decode_path(path: bytes) -> tuple[str, ...]:
    """The segments of an encoded property path; one trailing NUL is tolerated, as by the host."""
    return tuple(to_text(segment) for segment in path.removesuffix(b"\0").split(b"\0"))
