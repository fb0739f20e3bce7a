"""Properties of the emulated host, and Envoy's foreign functions (docs/abi.md §1.2, §1.11, §1.12)."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from pwasm._abi import Status
from pwasm._hostcalls.properties import RESERVED
from pwasm._protobuf import decode_fields
from pwasm._serde import to_bytes, to_text

from .base import NOT_FOUND, OK, Part
from .property_table import EVERYWHERE, NOT_SERIALISABLE, of_stream
from .rules import holds, status_of
from .side import HttpSide

ForeignFunction = Callable[[bytes], bytes | Status]

_PATH_END = b"\0"
_MEMORY = 256 * 1024 * 1024
"""What a module can allocate at most."""
_FACTORIES = frozenset({b"envoy.tcp_proxy.cluster", b"envoy.network.upstream_server_name"})


class Properties(Part):
    """Properties of the stream and the proxy, and the host's functions beyond the ABI."""

    def __init__(self) -> None:
        Part.__init__(self)
        self.properties: dict[tuple[str, ...], bytes] = {}
        """Properties of all streams and plugins, as Envoy encodes them; they override those derived from the stream."""
        self.plugin_names: dict[int, tuple[str, str, str]] = {}  # root context → name, root_id, vm_id
        self.foreign_functions: dict[str, ForeignFunction] = {
            "compress": zlib.compress,
            "uncompress": self._uncompress,
            "clear_route_cache": self._clear_route_cache,
            "expr_create": self._expr_create,
            "expr_evaluate": self._expr_evaluate,
            "expr_delete": self._expr_delete,
            "declare_property": self._declare_property,
            "set_envoy_filter_state": self._set_envoy_filter_state,
        }
        self.expressions: dict[str, bytes | None] = {}
        """CEL expressions by text with their encoded results; None for null. Any other text is not an expression."""
        self.expression_tokens: dict[int, str] = {}
        self.declared: set[bytes] = set()
        self.filter_state: dict[bytes, bytes] = {}
        """The filter state set by `set_envoy_filter_state`."""
        self._next_expression = 0

    # --- properties -----------------------------------------------------------------------------------------------

    def proxy_get_property(self, path: bytes, /) -> tuple[int, bytes]:
        stream = self._seen()
        own = path.removesuffix(_PATH_END)
        if stream is not None and own in stream.properties:
            return OK, stream.properties[own]
        segments = tuple(to_text(segment) for segment in path.removesuffix(_PATH_END).split(_PATH_END))
        if segments in self.properties:
            return OK, self.properties[segments]
        name = ".".join(segments)
        if name in NOT_SERIALISABLE and holds("what is no value cannot be read"):
            return status_of("no value"), b""
        found = EVERYWHERE.get(name)
        if len(segments) == 1 and name.startswith("plugin_"):
            names = dict(zip(("name", "root_id", "vm_id"), self.plugin_names.get(self._root_id(), ()), strict=False))
            text = names.get(name.removeprefix("plugin_"))
            found = None if text is None else text.encode()
        elif found is None:
            found = of_stream(stream, name)
        return (status_of("property missing"), b"") if found is None else (OK, found)

    def proxy_set_property(self, path: bytes, value: bytes, /) -> int:
        stream = self._stream()
        if stream is None:
            return status_of("property missing")
        # Setting one of Envoy's own succeeds without effect; a name with a NUL is stored, but cannot be read back.
        if _PATH_END not in path and to_text(path) not in RESERVED:
            stream.properties[path] = value
        return OK

    # --- foreign functions ----------------------------------------------------------------------------------------

    def register_foreign_function(self, name: str, function: ForeignFunction) -> None:
        """Register a foreign function: it returns its result, or a `Status` if it fails."""
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

    def _clear_route_cache(self, _: bytes) -> bytes:
        stream = self._stream()
        if isinstance(stream, HttpSide) and stream.flows[0].headers_sent:
            self.crash_on("K17")  # as when a header is written
        return b""

    def _uncompress(self, data: bytes) -> bytes | Status:
        inflater = zlib.decompressobj()
        try:
            result = inflater.decompress(data, _MEMORY)
        except zlib.error:
            return Status.SERIALIZATION_FAILURE
        if len(result) == _MEMORY:
            self.kill("K13")
        return result if inflater.eof else Status.SERIALIZATION_FAILURE
