"""The host side of the seam with Envoy's behavior: `_protocols.Host` over the emulator's state.

Each rule is one of docs/abi.md §1.2 and §1.5, measured with Envoy 1.40. Being more lenient than Envoy would be wrong:
a bug that passes here would be found in production. Callouts, shared state, properties and foreign functions are in
separate files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pwasm._abi import BufferType, LogLevel, MapType, StreamType
from pwasm._guest.unresolved import UNRESOLVED
from pwasm._serde import MAX_PAIRS_SIZE, decode_pairs, encode_pairs, to_bytes, to_text
from pwasm._stream.phases import PHASES

from .base import OK, Stream
from .callouts import Callouts
from .headers import Headers
from .local import LocalResponse
from .properties import Properties
from .rules import CONTINUE, holds, status_of
from .shared import Process, SharedState
from .side import HttpSide
from .tcp_stream import TcpStream

if TYPE_CHECKING:
    from pwasm._protocols import Plugin

_KILLS = {"proxy_on_log": "K2", "proxy_on_done": "K3", "proxy_on_delete": "K4"}
_CONFIGURES = {"proxy_on_configure", "proxy_on_context_create"}
_OF_ONE_CALLBACK = {BufferType.HTTP_CALL_RESPONSE_BODY}


def _key(map_type: int, name: str | bytes) -> bytes:
    """The name under which the host looks for a header: a request's `host` is its `:authority`."""
    key = to_bytes(name)
    is_host = map_type == MapType.HTTP_REQUEST_HEADERS and key.lower() == b"host"
    return b":authority" if is_host and holds("the host of a request is its :authority") else key


class EmulatedHost(Callouts, SharedState, Properties):
    """State and hostcalls; `HostEmulator` adds the methods that drive a plugin."""

    plugin: Plugin

    def __init__(self, vm_configuration: bytes, plugin_configuration: bytes, process: Process, vm_id: str) -> None:
        Callouts.__init__(self)
        SharedState.__init__(self, process, vm_id)
        Properties.__init__(self)
        self.vm_configuration = vm_configuration
        self.plugin_configuration = plugin_configuration
        self.log_level = LogLevel.TRACE
        self.logs: list[tuple[LogLevel, str]] = []
        self.unresolved: list[str] = []
        """The modules that the plugin, if it is built from Python, was asked for and does not have."""
        self.tick_periods: dict[int, int] = {}
        self.roots_waiting: set[int] = set()

    # --- log, time, contexts --------------------------------------------------------------------------------------

    def proxy_log(self, level: int, message: str | bytes, /) -> int:
        if not 0 <= level <= LogLevel.CRITICAL:
            return status_of("unknown log level")
        text = to_text(to_bytes(message))
        if level == LogLevel.TRACE and text.startswith(UNRESOLVED):
            self.unresolved.append(text.removeprefix(UNRESOLVED))
        elif level >= self.log_level:
            self.logs.append((LogLevel(level), text))
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
            return status_of("unknown context")
        self.effective_id = context_id or self.context_id
        return OK

    def proxy_done(self) -> int:
        if self.effective_id not in self.roots_waiting:
            return status_of("done without need")
        self.roots_waiting.discard(self.effective_id)
        return OK

    # --- streams --------------------------------------------------------------------------------------------------

    def proxy_continue_stream(self, stream_type: int, /) -> int:
        stream = self._stream()
        if not 0 <= stream_type <= StreamType.UPSTREAM:
            return status_of("unknown stream type")
        if stream_type == StreamType.UPSTREAM:
            return status_of("continue upstream")
        if stream is None or stream.ended:
            return OK
        if isinstance(stream, TcpStream):
            if stream_type == StreamType.DOWNSTREAM:
                self.after(stream.resume)
        elif isinstance(stream, HttpSide) and stream_type != StreamType.DOWNSTREAM:
            flow = stream.flows[stream_type]
            if stream_type == StreamType.HTTP_RESPONSE and flow.headers is None:
                return self.kill("K1")
            held = flow.state != CONTINUE
            if held and self._own_stream() is stream and PHASES[self.callback].direction == 1 - stream_type:
                self.crash_on("K14")  # Envoy survives most of these, see docs/abi.md §0.1
            flow.continued()
            self.after(flow.resume)
        return OK

    def proxy_close_stream(self, stream_type: int, /) -> int:
        stream = self._stream()
        if not 0 <= stream_type <= StreamType.UPSTREAM:
            return status_of("unknown stream type")
        if stream is None or stream.http != (stream_type <= StreamType.HTTP_RESPONSE):
            return OK
        if stream.ended:
            return self.kill("K5")
        self._stops_another(stream)
        if isinstance(stream, HttpSide) and stream.wants_local and not holds("close wins over a local response"):
            return OK
        self.after(stream.closed_by_plugin)
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
        if not isinstance(stream, HttpSide):
            return OK
        if stream.ended:
            return self.kill(_KILLS.get(stream.phase if self.context_id == stream.context_id else "", "K6"))
        self._stops_another(stream)
        text = to_text(to_bytes(details))
        if holds("spaces in details become underscores"):
            text = text.replace(" ", "_")
        stream.send_local_response(LocalResponse(status_code, text, body, Headers(decode_pairs(headers)), grpc_status))
        return OK

    def _stops_another(self, stream: Stream) -> None:
        """What ends the selected stream stops the one whose callback is running, and its data is lost."""
        own = self._own_stream()
        if own is None or own is stream or PHASES[self.callback].direction < 0:
            return
        both = isinstance(own, HttpSide) and isinstance(stream, HttpSide)
        if not both or ("connection", "id") not in self.properties:  # a test sets it for contexts of one stream
            self.crash_on("K16")  # Envoy goes on for a while, with lost data

    # --- header maps ----------------------------------------------------------------------------------------------

    def _map(self, map_type: int, *, write: bool = False) -> tuple[int, Headers | None]:
        """A header map for reading or writing; a status and None if Envoy has none (§1.5)."""
        if not 0 <= map_type <= MapType.HTTP_CALL_RESPONSE_TRAILERS:
            return status_of("unknown map"), None
        if map_type in self.call_maps and (
            self.effective_id == self.context_id or holds("the maps of an answer are there whatever stream is selected")
        ):
            refuse = write and holds("the maps of an answer are read-only")
            return (status_of("map not there"), None) if refuse else (OK, self.call_maps[map_type])
        stream = self._seen()
        if not isinstance(stream, HttpSide):
            return status_of("map not there"), None
        if stream.ended:
            return self._logged_map(stream, map_type, write=write)
        if write and map_type == MapType.HTTP_REQUEST_HEADERS and stream.flows[0].kept_headers:
            self.crash_on("K17")  # if there is no connection to upstream yet, and the new route is none
        found = self._map_of(stream, map_type, create=write)
        return (status_of("map not there"), None) if found is None else (OK, found)

    @staticmethod
    def _map_of(stream: HttpSide, map_type: int, *, create: bool) -> Headers | None:
        if map_type > MapType.HTTP_RESPONSE_TRAILERS:
            return None
        flow = stream.flows[map_type // 2]
        return flow.trailers_for_plugin(create=create) if map_type % 2 else flow.headers_for_plugin()

    @staticmethod
    def _logged_map(stream: HttpSide, map_type: int, *, write: bool) -> tuple[int, Headers | None]:
        if stream.phase != "proxy_on_log" and holds("after on_log there are no maps"):
            return status_of("map not there"), None
        if write and holds("on_log cannot write"):
            return status_of("map not there"), None
        found = stream.logged_map(map_type)
        if found is None:
            missing = "header missing" if holds("in on_log a missing map is not found") else "map not there"
            return status_of(missing), None
        return OK, found

    def proxy_get_header_map_value(self, map_type: int, key: str | bytes, /) -> tuple[int, bytes]:
        status, headers = self._map(map_type)
        if headers is None:
            return status, b""
        value = headers.first(_key(map_type, key))
        return (status_of("header missing"), b"") if value is None else (OK, value)

    def proxy_add_header_map_value(self, map_type: int, key: str | bytes, value: str | bytes, /) -> int:
        status, headers = self._map(map_type, write=True)
        if headers is not None:
            headers.add(_key(map_type, key), to_bytes(value))
        return status

    def proxy_replace_header_map_value(self, map_type: int, key: str | bytes, value: str | bytes, /) -> int:
        status, headers = self._map(map_type, write=True)
        if headers is not None:
            headers.replace(_key(map_type, key), to_bytes(value))
        return status

    def proxy_remove_header_map_value(self, map_type: int, key: str | bytes, /) -> int:
        status, headers = self._map(map_type, write=True)
        if headers is not None:
            headers.remove(_key(map_type, key))
        return status

    def proxy_get_header_map_pairs(self, map_type: int, /) -> tuple[int, bytes]:
        status, headers = self._map(map_type)
        if headers is not None:
            return OK, encode_pairs(headers.raw) if headers.raw else b""
        empty = 0 <= map_type <= MapType.HTTP_CALL_RESPONSE_TRAILERS and holds("a map that is not there has no pairs")
        return (OK if empty else status), b""

    def proxy_set_header_map_pairs(self, map_type: int, pairs: bytes, /) -> int:
        status, headers = self._map(map_type, write=True)
        if headers is not None:
            decoded = decode_pairs(pairs) if len(pairs) <= MAX_PAIRS_SIZE else []
            if decoded or len(pairs) <= 4 or holds("malformed pairs are an empty list"):
                headers.set((_key(map_type, name), value) for name, value in decoded)
        return status

    def proxy_get_header_map_size(self, map_type: int, /) -> tuple[int, int]:
        creates = holds("asking for the size of trailers creates them")
        status, headers = self._map(map_type, write=True) if creates else self._map(map_type)
        return status, 0 if headers is None else headers.size()

    # --- buffers --------------------------------------------------------------------------------------------------

    def _buffer(self, buffer_type: int) -> tuple[int, bytes | bytearray]:
        """A buffer; it is writable only if it is a bytearray (§1.2)."""
        if not 0 <= buffer_type <= BufferType.FOREIGN_FUNCTION_ARGUMENTS:
            return status_of("unknown buffer"), b""
        if buffer_type == BufferType.VM_CONFIGURATION and holds("the VM's configuration can always be read"):
            return OK, self.vm_configuration
        if buffer_type == BufferType.PLUGIN_CONFIGURATION:
            return self._plugin_configuration()
        if buffer_type in self.call_buffers:
            answer = self.call_buffers[buffer_type]
            return OK, answer if holds("the body of an answer is read-only") else bytearray(answer)
        if buffer_type in _OF_ONE_CALLBACK:
            return status_of("buffer of another callback"), b""
        return OK, self._stream_buffer(buffer_type)

    def _plugin_configuration(self) -> tuple[int, bytes]:
        there = self.callback in _CONFIGURES
        there = there or not holds("the plugin's configuration can be read only in on_configure")
        if there and self._stream() is None:
            return OK, self.plugin_configuration
        return status_of("buffer of another callback"), b""

    def _stream_buffer(self, buffer_type: int) -> bytes | bytearray:
        stream = self._stream()
        found = None if stream is None else stream.buffer(buffer_type)
        if found is not None and not holds("the body of a callback can be written"):
            return bytes(found)
        return b"" if found is None else found

    def proxy_get_buffer_status(self, buffer_type: int, /) -> tuple[int, int, int]:
        status, data = self._buffer(buffer_type)
        return status, len(data), 0

    def proxy_get_buffer_bytes(self, buffer_type: int, start: int, max_size: int, /) -> tuple[int, bytes]:
        status, data = self._buffer(buffer_type)
        if start + max_size > len(data) and not holds("reading is cut to what there is"):
            return status_of("unknown buffer"), b""
        return status, bytes(data[start : start + max_size])

    def proxy_set_buffer_bytes(self, buffer_type: int, start: int, size: int, data: bytes, /) -> int:
        status, buffer = self._buffer(buffer_type)
        if status:
            return status
        if not isinstance(buffer, bytearray):
            return status_of("buffer read-only")
        if 0 < start < len(buffer):
            if holds("a body cannot be changed in the middle"):
                return status_of("buffer read-only")
            buffer[start : start + size] = data
        elif start == 0:
            buffer[:size] = data
        else:
            buffer += data
        return OK
