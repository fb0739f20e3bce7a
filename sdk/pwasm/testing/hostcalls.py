"""The host side of the seam, as Envoy behaves: `_abi.Host` over the emulator's state.

Each rule is the design notes' abi.md §1.2 and §1.5, measured on Envoy 1.40. Kinder than Envoy would be wrong: what
works here and not there is found in production. Callouts, shared state, properties and
foreign functions are in files of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pwasm._abi import BufferType, LogLevel, MapType, StreamType
from pwasm._serde import MAX_PAIRS_SIZE, decode_pairs, encode_pairs, to_bytes, to_text

from .base import BAD_ARGUMENT, NOT_FOUND, OK, UNIMPLEMENTED
from .callouts import Callouts
from .headers import Headers
from .properties import Properties
from .shared import Process, SharedState
from .streams import LocalResponse

if TYPE_CHECKING:
    from pwasm._abi import Plugin

_LOGGED_MAPS = {MapType.HTTP_REQUEST_HEADERS, MapType.HTTP_RESPONSE_HEADERS, MapType.HTTP_RESPONSE_TRAILERS}
_REQUEST_MAPS = {MapType.HTTP_REQUEST_HEADERS, MapType.HTTP_REQUEST_TRAILERS}


class EmulatedHost(Callouts, SharedState, Properties):
    """State and hostcalls; `HostEmulator` adds what drives a plugin."""

    plugin: Plugin

    def __init__(self, vm_configuration: bytes, plugin_configuration: bytes, process: Process, vm_id: str) -> None:
        Callouts.__init__(self)
        SharedState.__init__(self, process, vm_id)
        Properties.__init__(self)
        self.vm_configuration = vm_configuration
        self.plugin_configuration = plugin_configuration
        self.log_level = LogLevel.TRACE
        self.logs: list[tuple[LogLevel, str]] = []
        self.tick_periods: dict[int, int] = {}
        self.roots_waiting: set[int] = set()
        self.crash = ""

    def _crash(self, number: str) -> int:
        # Envoy says OK and dies after the callback; so does this, see HostEmulator.call.
        self.crash = f"{number}: Envoy would crash after this {self.callback} (see pwasm._guards)"
        return OK

    # --- log, time, contexts --------------------------------------------------------------------------------------

    def proxy_log(self, level: int, message: str | bytes, /) -> int:
        if not 0 <= level <= LogLevel.CRITICAL:
            return BAD_ARGUMENT
        if level >= self.log_level:
            self.logs.append((LogLevel(level), to_text(to_bytes(message))))
        return OK

    def proxy_get_log_level(self) -> tuple[int, int]:
        return OK, int(self.log_level)

    def proxy_get_current_time_nanoseconds(self) -> tuple[int, int]:
        return OK, self.now_nanoseconds

    def proxy_set_tick_period_milliseconds(self, milliseconds: int, /) -> int:
        self.tick_periods[self._root_id()] = milliseconds
        return OK

    def proxy_set_effective_context(self, context_id: int, /) -> int:
        if context_id not in self.streams and context_id not in self.roots and context_id != 0:
            return BAD_ARGUMENT
        self.effective_id = context_id or self.context_id
        return OK

    def proxy_done(self) -> int:
        if self.effective_id not in self.roots_waiting:
            return NOT_FOUND
        self.roots_waiting.discard(self.effective_id)
        return OK

    # --- streams --------------------------------------------------------------------------------------------------

    def proxy_continue_stream(self, stream_type: int, /) -> int:
        stream = self._stream()
        if not 0 <= stream_type <= StreamType.UPSTREAM:
            return BAD_ARGUMENT
        if stream_type == StreamType.UPSTREAM:
            return UNIMPLEMENTED
        if stream is None or stream.ended or stream.http == (stream_type == StreamType.DOWNSTREAM):
            return OK
        if stream_type == StreamType.HTTP_RESPONSE and not stream.response_begun:
            return self._crash("K1")
        if stream_type == StreamType.HTTP_REQUEST:
            stream.open_maps -= _REQUEST_MAPS
        stream.resumed |= 1 << stream_type
        if stream.paused_in == stream_type:
            stream.paused_in = None
        return OK

    def proxy_close_stream(self, stream_type: int, /) -> int:
        stream = self._stream()
        if not 0 <= stream_type <= StreamType.UPSTREAM:
            return BAD_ARGUMENT
        if stream is None or stream.http != (stream_type <= StreamType.HTTP_RESPONSE):
            return OK
        if stream.ended:
            return self._crash("K5")
        stream.wants_close = True
        return OK

    def proxy_send_local_response(
        self,
        status_code: int,
        details: str | bytes,
        body: bytes,
        headers: bytes,
        grpc_status: int,
        /,
    ) -> int:
        stream = self._stream()
        if stream is None or not stream.http:
            return OK
        if stream.ended:
            numbers = {"proxy_on_log": "K2", "proxy_on_done": "K3", "proxy_on_delete": "K4"}
            return self._crash(numbers.get(self.callback, "K6"))
        if stream.wants_local is None:
            text = to_text(to_bytes(details)).replace(" ", "_")
            stream.wants_local = LocalResponse(status_code, text, body, Headers(decode_pairs(headers)), grpc_status)
        return OK

    # --- header maps ----------------------------------------------------------------------------------------------

    def _readable(self, map_type: int) -> tuple[int, Headers | None]:
        if map_type in self.call_maps:
            return OK, self.call_maps[map_type]
        stream = self._stream()
        if not 0 <= map_type <= MapType.HTTP_CALL_RESPONSE_TRAILERS or stream is None:
            return BAD_ARGUMENT, None
        if stream.logging:
            headers = stream.maps.get(map_type) if map_type in _LOGGED_MAPS else None
            return (NOT_FOUND, None) if headers is None else (OK, headers)
        return (OK, stream.maps[map_type]) if map_type in stream.open_maps else (BAD_ARGUMENT, None)

    def _writable(self, map_type: int) -> Headers | None:
        stream = self._stream()
        if stream is None or stream.logging:
            return None
        if map_type not in stream.open_maps and map_type == 2 * stream.creates_trailers + 1:
            stream.maps[map_type] = Headers()
            stream.open_maps.add(map_type)
        return stream.maps[map_type] if map_type in stream.open_maps else None

    def proxy_get_header_map_value(self, map_type: int, key: str | bytes, /) -> tuple[int, bytes]:
        status, headers = self._readable(map_type)
        value = None if headers is None else headers.first(to_bytes(key))
        return (status or NOT_FOUND, b"") if value is None else (OK, value)

    def proxy_add_header_map_value(self, map_type: int, key: str | bytes, value: str | bytes, /) -> int:
        headers = self._writable(map_type)
        if headers is None:
            return BAD_ARGUMENT
        headers.add(to_bytes(key), to_bytes(value))
        return OK

    def proxy_replace_header_map_value(self, map_type: int, key: str | bytes, value: str | bytes, /) -> int:
        headers = self._writable(map_type)
        if headers is None:
            return BAD_ARGUMENT
        headers.replace(to_bytes(key), to_bytes(value))
        return OK

    def proxy_remove_header_map_value(self, map_type: int, key: str | bytes, /) -> int:
        headers = self._writable(map_type)
        if headers is None:
            return BAD_ARGUMENT
        headers.remove(to_bytes(key))
        return OK

    def proxy_get_header_map_pairs(self, map_type: int, /) -> tuple[int, bytes]:
        if not 0 <= map_type <= MapType.HTTP_CALL_RESPONSE_TRAILERS:
            return BAD_ARGUMENT, b""
        headers = self._readable(map_type)[1]
        return OK, b"" if headers is None else encode_pairs(headers.raw)

    def proxy_set_header_map_pairs(self, map_type: int, pairs: bytes, /) -> int:
        headers = self._writable(map_type)
        if headers is None:
            return BAD_ARGUMENT
        headers.raw = Headers(decode_pairs(pairs) if len(pairs) <= MAX_PAIRS_SIZE else []).raw
        return OK

    def proxy_get_header_map_size(self, map_type: int, /) -> tuple[int, int]:
        headers = self._writable(map_type)
        return (BAD_ARGUMENT, 0) if headers is None else (OK, headers.size())

    # --- buffers --------------------------------------------------------------------------------------------------

    def _buffer(self, buffer_type: int) -> tuple[int, bytes | bytearray]:
        if not 0 <= buffer_type <= BufferType.FOREIGN_FUNCTION_ARGUMENTS:
            return BAD_ARGUMENT, b""
        if buffer_type == BufferType.VM_CONFIGURATION:
            return OK, self.vm_configuration
        if buffer_type == BufferType.PLUGIN_CONFIGURATION:
            readable = self.callback in {"proxy_on_configure", "proxy_on_context_create"} and self._stream() is None
            return (OK, self.plugin_configuration) if readable else (NOT_FOUND, b"")
        if buffer_type in self.call_buffers:
            return OK, self.call_buffers[buffer_type]
        stream = self._stream()
        if buffer_type > BufferType.UPSTREAM_DATA or stream is None:
            return NOT_FOUND, b""
        return OK, stream.buffers.get(buffer_type, b"")

    def proxy_get_buffer_status(self, buffer_type: int, /) -> tuple[int, int, int]:
        status, data = self._buffer(buffer_type)
        return status, len(data), 0

    def proxy_get_buffer_bytes(self, buffer_type: int, start: int, max_size: int, /) -> tuple[int, bytes]:
        status, data = self._buffer(buffer_type)
        return status, bytes(data[start : start + max_size])

    def proxy_set_buffer_bytes(self, buffer_type: int, start: int, size: int, data: bytes, /) -> int:
        buffer = self._buffer(buffer_type)[1]
        if not isinstance(buffer, bytearray) or 0 < start < len(buffer):
            return BAD_ARGUMENT
        if start == 0:
            buffer[:size] = data
        else:
            buffer += data
        return OK
