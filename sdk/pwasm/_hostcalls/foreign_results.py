"""What a foreign function may return.

Envoy copies the result of a foreign function into memory that it has the module allocate, and does not check whether
there was any (K13 in docs/abi.md §0): if the module's memory is full, the whole proxy ends. So it is made sure before
the call that there is room for the result; and a function whose result has no bound is not called at all.
"""

from __future__ import annotations

from collections.abc import Callable

from .._abi import Status
from .._stream.guards import failed

UNCOMPRESS_LIMIT = 16 * 1024 * 1024
"""The most bytes that `uncompress` returns unless it is told otherwise."""

_ANY_RESULT = 1024 * 1024
_SMALL_RESULTS = frozenset(
    {
        "clear_route_cache",
        "declare_property",
        "expr_create",
        "expr_delete",
        "expr_evaluate",
        "set_envoy_filter_state",
        "sign",
        "verify_signature",
    }
)
"""Functions of Envoy whose results are no larger than a request's headers, for which there is always room."""


def uncompress(data: bytes, max_size: int = UNCOMPRESS_LIMIT) -> bytes:
    """Envoy's function "uncompress", in the module: 265 kB may inflate to 260 MB."""
    import zlib

    inflater = zlib.decompressobj()
    try:
        result = inflater.decompress(data, max_size + 1)
    except zlib.error:
        raise failed(Status.SERIALIZATION_FAILURE, "proxy_call_foreign_function", "uncompress") from None
    if len(result) > max_size:
        raise ValueError(f"the {len(data)} bytes uncompress to more than {max_size}")
    if not inflater.eof:
        raise failed(Status.SERIALIZATION_FAILURE, "proxy_call_foreign_function", "uncompress")
    return result


INSTEAD: dict[str, Callable[[bytes], bytes]] = {"uncompress": uncompress}
"""Functions whose results have no bound, and what is called instead of them."""


def make_room(name: str, argument: bytes) -> None:
    """Make sure that the module has room for the result.

    Raises:
        MemoryError: it does not.
    """
    if name not in _SMALL_RESULTS:
        size = len(argument) + (len(argument) >> 10) + 64 if name == "compress" else _ANY_RESULT
        bytearray(size)  # the memory it took is free again, and large enough
