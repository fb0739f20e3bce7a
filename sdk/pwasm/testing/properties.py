"""Properties of the emulated host, and Envoy's foreign functions (design notes, abi.md §1.2, §1.11, §1.12)."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from pwasm._abi import Status
from pwasm._properties import RESERVED
from pwasm._serde import encode_pairs, to_bytes, to_text
from pwasm.foreign import decode_fields

from .base import NOT_FOUND, OK, Part
from .headers import Headers
from .http_stream import HttpStream
from .stream import Stream

SERIALIZATION_FAILURE, INTERNAL_FAILURE = int(Status.SERIALIZATION_FAILURE), int(Status.INTERNAL_FAILURE)
ForeignFunction = Callable[[bytes], bytes | Status]

_OF_HEADERS = {
    ("request", "path"): ":path",
    ("request", "host"): ":authority",
    ("request", "scheme"): ":scheme",
    ("request", "method"): ":method",
    ("request", "referer"): "referer",
    ("request", "useragent"): "user-agent",
    ("request", "id"): "x-request-id",
}
_PATH_END = b"\0"
_FACTORIES = frozenset({b"envoy.tcp_proxy.cluster", b"envoy.network.upstream_server_name"})


class Properties(Part):
    """What the plugin can ask about the stream and the proxy, and the host's functions beyond the ABI."""

    def __init__(self) -> None:
        Part.__init__(self)
        self.properties: dict[tuple[str, ...], bytes] = {}
        """Properties of every stream and plugin, encoded as Envoy does; they win over those made from the stream."""
        self.plugin_names: dict[int, tuple[str, str, str]] = {}  # root context → name, root_id, vm_id
        self.foreign_functions: dict[str, ForeignFunction] = {
            "compress": zlib.compress,
            "uncompress": _uncompress,
            "clear_route_cache": lambda _: b"",
            "expr_create": self._expr_create,
            "expr_evaluate": self._expr_evaluate,
            "expr_delete": self._expr_delete,
            "declare_property": self._declare_property,
            "set_envoy_filter_state": self._set_envoy_filter_state,
        }
        self.expressions: dict[str, bytes | None] = {}
        """CEL expressions by text with their results, encoded; None for null. Any other text is no expression."""
        self.expression_tokens: dict[int, str] = {}
        self.declared: set[bytes] = set()
        self.filter_state: dict[bytes, bytes] = {}
        """What `set_envoy_filter_state` set."""
        self._next_expression = 0

    # --- properties -----------------------------------------------------------------------------------------------

    def proxy_get_property(self, path: bytes, /) -> tuple[int, bytes]:
        stream = self._stream()
        if stream is not None and path in stream.properties:
            return OK, stream.properties[path]
        segments = tuple(to_text(segment) for segment in path.removesuffix(_PATH_END).split(_PATH_END))
        if segments in self.properties:
            return OK, self.properties[segments]
        if segments in {("",), ("filter_state",)}:
            return SERIALIZATION_FAILURE, b""
        if len(segments) == 1 and segments[0].startswith("plugin_"):
            names = dict(zip(("name", "root_id", "vm_id"), self.plugin_names.get(self._root_id(), ()), strict=False))
            value = names.get(segments[0].removeprefix("plugin_"))
            return (NOT_FOUND, b"") if value is None else (OK, value.encode())
        found = _of_stream(stream, segments) if isinstance(stream, HttpStream) else None
        return (NOT_FOUND, b"") if found is None else (OK, found)

    def proxy_set_property(self, path: bytes, value: bytes, /) -> int:
        stream = self._stream()
        if stream is None:
            return NOT_FOUND
        # One of Envoy's own is "set" and keeps its value; with a NUL inside it is stored, but reading splits there.
        if _PATH_END not in path and to_text(path) not in RESERVED:
            stream.properties[path] = value
        return OK

    # --- foreign functions ----------------------------------------------------------------------------------------

    def register_foreign_function(self, name: str, function: ForeignFunction) -> None:
        """Offer a foreign function: it returns its result, or a `Status` when it fails."""
        self.foreign_functions[name] = function

    def proxy_call_foreign_function(self, name: str | bytes, arguments: bytes, /) -> tuple[int, bytes]:
        function = self.foreign_functions.get(to_text(to_bytes(name)))
        if function is None:
            return NOT_FOUND, b""
        result = function(arguments)
        return (int(result), b"") if isinstance(result, Status) else (OK, result)

    def _expr_create(self, text: bytes) -> bytes | Status:
        if to_text(text) not in self.expressions:
            return Status.BAD_ARGUMENT
        token = self._next_expression
        self._next_expression += 1
        self.expression_tokens[token] = to_text(text)
        return token.to_bytes(4, "little")

    def _expr_evaluate(self, token: bytes) -> bytes | Status:
        if len(token) != 4:
            return Status.BAD_ARGUMENT
        text = self.expression_tokens.get(int.from_bytes(token, "little"))
        if text is None:
            return Status.NOT_FOUND
        result = self.expressions.get(text)
        return Status.INTERNAL_FAILURE if result is None else result

    def _expr_delete(self, token: bytes) -> bytes | Status:
        if len(token) != 4:
            return Status.BAD_ARGUMENT
        self.expression_tokens.pop(int.from_bytes(token, "little"), None)
        return b""

    def _declare_property(self, message: bytes) -> bytes | Status:
        name = decode_fields(message).get(1)
        if not isinstance(name, bytes) or name in self.declared:
            return Status.BAD_ARGUMENT
        self.declared.add(name)
        return b""

    def _set_envoy_filter_state(self, message: bytes) -> bytes | Status:
        fields = decode_fields(message)
        name, value = fields.get(1), fields.get(2, b"")
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            return Status.BAD_ARGUMENT
        if name not in _FACTORIES:
            return Status.NOT_FOUND
        self.filter_state[name] = value
        return b""


def _uncompress(data: bytes) -> bytes | Status:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return Status.SERIALIZATION_FAILURE


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _of_stream(stream: HttpStream, segments: tuple[str, ...]) -> bytes | None:
    """A property made from what the stream is now."""
    if segments == ("response", "code_details"):
        return to_bytes(stream.details) if stream.details else None
    headers = stream.request_headers if segments[0] == "request" else _response_headers(stream)
    if headers is None:
        return None
    if segments in _OF_HEADERS:
        return headers.first(_OF_HEADERS[segments].encode())
    if segments[1:2] == ("headers",):
        if len(segments) == 2:
            return encode_pairs([(name, ",".join(headers.get_all(name))) for name in dict(headers)])
        name = ".".join(segments[2:])
        return to_bytes(",".join(headers.get_all(name))) if name in headers else None
    made = _MADE.get(segments)
    return None if made is None else made(stream, headers)


_MADE: dict[tuple[str, ...], Callable[[HttpStream, Headers], bytes]] = {
    ("request", "url_path"): lambda _, headers: (headers.first(b":path") or b"").partition(b"?")[0],
    ("request", "query"): lambda _, headers: (headers.first(b":path") or b"").partition(b"?")[2],
    ("request", "protocol"): lambda *_: b"HTTP/1.1",
    ("request", "time"): lambda stream, _: _u64(stream.host.now_nanoseconds),
    ("request", "size"): lambda stream, _: _u64(stream.request_size),
    ("request", "headers_bytes"): lambda _, headers: _u64(headers.size()),
    ("response", "headers_bytes"): lambda _, headers: _u64(headers.size()),
    ("response", "code"): lambda _, headers: _u64(int(headers.get(":status") or 0)),
}


def _response_headers(stream: Stream) -> Headers | None:
    return stream.response.headers if isinstance(stream, HttpStream) else None
