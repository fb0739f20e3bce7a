"""The functions on body and data buffers, created once for each buffer; see `header_maps` for the reason."""

from __future__ import annotations

from collections.abc import Callable

from .. import _validate
from .._abi import BufferType, Status
from .._stream.current import current
from .._stream.guards import failed, has_buffer, stream_for
from .._stream.holding import buffer_size
from .._stream.marks import NO_LENGTH
from .._typing import Protocol
from . import framing
from .published import publish

MAX_U32 = 2**32 - 1

_NAMES = {
    BufferType.HTTP_REQUEST_BODY: ("http_request_body", "the request body"),
    BufferType.HTTP_RESPONSE_BODY: ("http_response_body", "the response body"),
    BufferType.DOWNSTREAM_DATA: ("downstream_data", "the data from the client"),
    BufferType.UPSTREAM_DATA: ("upstream_data", "the data from upstream"),
}


_HTTP = (BufferType.HTTP_REQUEST_BODY, BufferType.HTTP_RESPONSE_BODY)

_WHERE = {
    BufferType.HTTP_REQUEST_BODY: "`on_http_request_body`, while the request is held after it, and in\n"
    "`on_http_request_trailers` for the part that was held",
    BufferType.HTTP_RESPONSE_BODY: "`on_http_response_body`, while the response is held after it, and in\n"
    "`on_http_response_trailers` for the part that was held",
    BufferType.DOWNSTREAM_DATA: "`on_downstream_data`, and while the data is held after it",
    BufferType.UPSTREAM_DATA: "`on_upstream_data`",
}
"""The callbacks in which the bytes are available (measured: tests/conformance)."""


class Read(Protocol):
    """Signature of the functions that read a buffer."""

    def __call__(self, start: int = 0, max_size: int | None = None) -> bytes: ...


class Write(Protocol):
    """Signature of the functions that change a buffer."""

    def __call__(self, data: bytes | str) -> None: ...


def _named(function: Callable[..., object], verb: str, buffer_type: BufferType, doc: str) -> str:
    name, noun = _NAMES[buffer_type]
    doc = doc.format(noun=noun, buffer=buffer_type.name, where=_WHERE[buffer_type])
    return publish(function, f"{verb}_{name}", doc)


def get(buffer_type: BufferType) -> Read:
    """Create `get_…`."""

    direction = int(buffer_type)

    def function(start: int = 0, max_size: int | None = None) -> bytes:
        start = _validate.integer("start", start, 0, MAX_U32)
        size = MAX_U32 if max_size is None else _validate.integer("max_size", max_size, 0, MAX_U32)
        stream = stream_for(what)
        held = None if stream.waiting is None else stream.waiting.bytes.get(buffer_type)
        if held is not None:
            return held.read(start, size)
        if not has_buffer(stream, direction):
            return b""
        status, data = current.host.proxy_get_buffer_bytes(buffer_type, start, size)
        if status:
            raise failed(status, "proxy_get_buffer_bytes", buffer_type.name)
        return data

    what = _named(function, "get", buffer_type, _GET_DOC)
    return function


def _writer(buffer_type: BufferType, verb: str, start: int, size: int, doc: str) -> Write:
    direction = int(buffer_type)
    unsized = NO_LENGTH << buffer_type if buffer_type in _HTTP else 0

    def function(data: bytes | str) -> None:
        written = _validate.data("data", data)
        stream = stream_for(what)
        held = None if stream.waiting is None else stream.waiting.bytes.get(buffer_type)
        if held is None and not has_buffer(stream, direction):
            raise failed(Status.BAD_ARGUMENT, "proxy_set_buffer_bytes", buffer_type.name)
        if unsized and not stream.marks & unsized:
            replaced = buffer_size(stream, buffer_type) if size else 0
            framing.check_edit(what, stream, direction, len(written) - replaced)
        if held is not None:
            held.write(start, size, written)
            return
        status = current.host.proxy_set_buffer_bytes(buffer_type, start, size, written)
        if status:
            raise failed(status, "proxy_set_buffer_bytes", buffer_type.name)

    what = _named(function, verb, buffer_type, doc + _WRITE_DOC)
    return function


def append(buffer_type: BufferType) -> Write:
    """Create `append_…`; a start at or beyond the end appends."""
    return _writer(buffer_type, "append", 2**31 - 1, 0, "Append `data` to the bytes of {noun} that have arrived.")


def prepend(buffer_type: BufferType) -> Write:
    """Create `prepend_…`."""
    return _writer(buffer_type, "prepend", 0, 0, "Insert `data` before the bytes of {noun} that have arrived.")


def replace(buffer_type: BufferType) -> Write:
    """Create `replace_…`; a size beyond the end means everything."""
    return _writer(buffer_type, "replace", 0, 2**31 - 1, "Replace the bytes of {noun} that have arrived with `data`.")


_GET_DOC = """The bytes of {noun} that have arrived.

May be called in {where}.

Args:
    start: index of the first byte; beyond the end the result is empty.
    max_size: maximum number of bytes to return; None for all.

Raises:
    PhaseError: no stream is selected.
    HostcallError: the host refused.

Source: proxy_get_buffer_bytes with {buffer}."""

_WRITE_DOC = """

May be called in {where}.

The host never corrects `content-length`. A class that changes the size of a body declares `edits_request_body` or
`edits_response_body` (or the `buffer_…` that imply them), or removes the header in the headers callback.

Args:
    data: bytes, or a str that is encoded as UTF-8.

Raises:
    PhaseError: no stream is selected, or the size changes although `content-length` has been sent.
    BadArgument: {noun} cannot be changed in this callback.

Source: proxy_set_buffer_bytes with {buffer}."""
