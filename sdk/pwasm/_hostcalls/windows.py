"""A callback's view of buffers while coroutines of its stream wait (see `Window`)."""

from __future__ import annotations

from .._stream.records import Window
from .._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._protocols import Host

ALL_BYTES = 2**31 - 1


def read(host: Host, buffer_type: int, window: Window, start: int, size: int) -> tuple[int, bytes]:
    """Read the bytes that a callback sees (like `proxy_get_buffer_bytes`)."""
    if not window.open:
        size = min(size, max(window.length - start, 0))
    if not size:
        return 0, b""
    return host.proxy_get_buffer_bytes(buffer_type, window.start + start, size)


def write(host: Host, buffer_type: int, window: Window, start: int, size: int, data: bytes) -> int:
    """Change only the bytes that a callback sees (like `proxy_set_buffer_bytes`, which cannot start in the middle)."""
    status, whole = host.proxy_get_buffer_bytes(buffer_type, 0, ALL_BYTES)
    if status:
        return status
    end = len(whole) if window.open else window.start + window.length
    seen = whole[window.start : end]
    changed = seen[:start] + data + seen[start + size :]
    window.length = len(changed)
    return host.proxy_set_buffer_bytes(buffer_type, 0, ALL_BYTES, whole[: window.start] + changed + whole[end:])
