"""The trace context of a stream's request, for the calls that are made for it.

Sources: W3C Trace Context, "Trace Context HTTP Headers Format"; B3 Propagation, both encodings.
"""

from __future__ import annotations

from .._abi import MapType, Status
from .._serde import decode_pairs, to_text
from .._stream.current import current
from .._stream.records import Stream

HEADERS = frozenset(
    {
        b"traceparent",
        b"tracestate",
        b"b3",
        b"x-b3-traceid",
        b"x-b3-spanid",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-flags",
    }
)


def with_trace_context(pairs: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The headers of a call, with those of the selected stream's request if its class says so."""
    stream = current.stream
    if stream is None or not getattr(stream.context, "passes_trace_context", False):
        return pairs
    own = {name.lower().encode() for name, _ in pairs}
    return [*pairs, *((to_text(name), value) for name, value in _request(stream) if name in HEADERS - own)]


def _request(stream: Stream) -> list[tuple[bytes, bytes]]:
    """The headers of the request; once it has been sent upstream, the host no longer has them."""
    if stream.snapshot is not None:
        return decode_pairs(stream.snapshot)
    status, data = current.host.proxy_get_header_map_pairs(MapType.HTTP_REQUEST_HEADERS)
    return decode_pairs(data) if status == Status.OK else []
