"""The seam: Proxy-Wasm ABI 0.2.1, written once.

`tools/abi_views.py` generates code from the two tables below: the shim's C, and the protocols in `_protocols`.
Everything else that depends on the ABI is checked against them (`tests/abi`): the dispatcher, the host emulator, the
wasmtime host, and the linker's verification of its output.

    plugin side (the SDK)   --- hostcalls --->   host side (Envoy, wasmtime, the emulator)
                            <-- callbacks ---

Values that cross the seam have one of these kinds:

    kind    core Wasm                              Python
    u32     i32                                    int, 0 … 2**32 - 1
    i32     i32                                    int, signed
    i64     i64                                    int, signed
    u64     (results only) i32 pointer             int, unsigned
    bool    i32                                    bool
    action  (callback result) i32                  int, see `Action`
    bytes   i32 pointer, i32 size                  bytes
    text    i32 pointer, i32 size                  str (UTF-8 with surrogateescape on the wire) or bytes

A *result* of kind u32 or u64 is passed as a pointer that the host writes through; one of kind bytes as two pointers
(address and size) to memory that the host allocates through the guest's `malloc` and the guest frees.

Every hostcall returns a status. In Python a hostcall without results returns it as an int; one with results
returns `(status, result, …)`, where the results are `0` or `b""` unless the status is `Status.OK`.

Source: proxy-wasm/spec, abi-versions/v0.2.1. This file imports the standard library only and is frozen into main.wasm.
"""

from __future__ import annotations

import sys
from enum import IntEnum

if sys.platform == "wasi":
    from ._typing import NamedTuple
else:  # the compiler runs this file outside of its package
    from typing import NamedTuple


ABI_VERSION_MARKER = "proxy_abi_version_0_2_1"
"""The export by which a host recognizes the ABI; it is looked up by name and never called."""


class Status(IntEnum):
    """Result of a hostcall (spec: proxy_status_t; 5, 9 and 11 have names in proxy-wasm-cpp-host only)."""

    OK = 0
    NOT_FOUND = 1
    BAD_ARGUMENT = 2
    SERIALIZATION_FAILURE = 3
    PARSE_FAILURE = 4
    BAD_EXPRESSION = 5
    INVALID_MEMORY_ACCESS = 6
    EMPTY = 7
    CAS_MISMATCH = 8
    RESULT_MISMATCH = 9
    INTERNAL_FAILURE = 10
    BROKEN_CONNECTION = 11
    UNIMPLEMENTED = 12


class Action(IntEnum):
    """What Envoy does with the stream after a callback (spec: proxy_action_t).

    `PAUSE` in a headers callback also holds the body until the stream is resumed; in a body callback the body
    is buffered and the next callback sees all of it.
    """

    CONTINUE = 0
    PAUSE = 1


class LogLevel(IntEnum):
    """Level of a log record (spec: proxy_log_level_t)."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    CRITICAL = 5


class MapType(IntEnum):
    """Header maps (spec: proxy_map_type_t)."""

    HTTP_REQUEST_HEADERS = 0
    HTTP_REQUEST_TRAILERS = 1
    HTTP_RESPONSE_HEADERS = 2
    HTTP_RESPONSE_TRAILERS = 3
    GRPC_CALL_INITIAL_METADATA = 4
    GRPC_CALL_TRAILING_METADATA = 5
    HTTP_CALL_RESPONSE_HEADERS = 6
    HTTP_CALL_RESPONSE_TRAILERS = 7


class BufferType(IntEnum):
    """Buffers (spec: proxy_buffer_type_t)."""

    HTTP_REQUEST_BODY = 0
    HTTP_RESPONSE_BODY = 1
    DOWNSTREAM_DATA = 2
    UPSTREAM_DATA = 3
    HTTP_CALL_RESPONSE_BODY = 4
    GRPC_CALL_MESSAGE = 5
    VM_CONFIGURATION = 6
    PLUGIN_CONFIGURATION = 7
    FOREIGN_FUNCTION_ARGUMENTS = 8


class StreamType(IntEnum):
    """Streams that can be continued or closed (spec: proxy_stream_type_t)."""

    HTTP_REQUEST = 0
    HTTP_RESPONSE = 1
    DOWNSTREAM = 2
    UPSTREAM = 3


class PeerType(IntEnum):
    """Which peer closed a TCP connection, according to Envoy (spec: proxy_peer_type_t)."""

    UNKNOWN = 0
    LOCAL = 1
    REMOTE = 2


class MetricType(IntEnum):
    """Metrics (spec: proxy_metric_type_t)."""

    COUNTER = 0
    GAUGE = 1
    HISTOGRAM = 2


class Hostcall(NamedTuple):
    """A function that the host provides in module `env`: "name:kind …" of its parameters and its results."""

    name: str
    params: str
    results: str = ""

    def core_type(self) -> tuple[str, str]:
        """Core Wasm type as (parameters, results), e.g. `("i32 i32 i32", "i32")`."""
        words = [_CORE_OF_PARAM[kind] for kind in kinds(self.params)]
        words += [_CORE_OF_RESULT[kind] for kind in kinds(self.results)]
        return " ".join(words), "i32"


class Callback(NamedTuple):
    """A function that the plugin exports: "name:kind …" of its parameters, and the kind it returns ("" for none)."""

    name: str
    params: str
    result: str = ""

    def core_type(self) -> tuple[str, str]:
        """Core Wasm type as (parameters, results), e.g. `("i32 i32 i32", "i32")`."""
        words = [_CORE_OF_PARAM[kind] for kind in kinds(self.params)]
        return " ".join(words), "i32" if self.result else ""


def names(fields: str) -> list[str]:
    """`"level:u32 message:text"` → `["level", "message"]`."""
    return [field.partition(":")[0] for field in fields.split()]


def kinds(fields: str) -> list[str]:
    """`"level:u32 message:text"` → `["u32", "text"]`."""
    return [field.partition(":")[2] for field in fields.split()]


_CORE_OF_PARAM = {"u32": "i32", "i32": "i32", "bool": "i32", "i64": "i64", "bytes": "i32 i32", "text": "i32 i32"}
_CORE_OF_RESULT = {"u32": "i32", "u64": "i32", "bytes": "i32 i32"}

HOSTCALLS: tuple[Hostcall, ...] = (
    Hostcall("proxy_log", "level:u32 message:text"),
    Hostcall("proxy_get_log_level", "", "level:u32"),
    Hostcall("proxy_get_status", "", "code:u32 message:bytes"),
    Hostcall("proxy_set_property", "path:bytes value:bytes"),
    Hostcall("proxy_get_property", "path:bytes", "value:bytes"),
    Hostcall("proxy_continue_stream", "stream_type:u32"),
    Hostcall("proxy_close_stream", "stream_type:u32"),
    Hostcall(
        "proxy_send_local_response",
        "status_code:u32 details:text body:bytes headers:bytes grpc_status:i32",
    ),
    Hostcall("proxy_get_shared_data", "key:text", "value:bytes cas:u32"),
    Hostcall("proxy_set_shared_data", "key:text value:bytes cas:u32"),
    Hostcall("proxy_register_shared_queue", "name:text", "token:u32"),
    Hostcall("proxy_resolve_shared_queue", "vm_id:text name:text", "token:u32"),
    Hostcall("proxy_enqueue_shared_queue", "token:u32 data:bytes"),
    Hostcall("proxy_dequeue_shared_queue", "token:u32", "data:bytes"),
    Hostcall("proxy_get_header_map_value", "map_type:u32 key:text", "value:bytes"),
    Hostcall("proxy_add_header_map_value", "map_type:u32 key:text value:text"),
    Hostcall("proxy_replace_header_map_value", "map_type:u32 key:text value:text"),
    Hostcall("proxy_remove_header_map_value", "map_type:u32 key:text"),
    Hostcall("proxy_get_header_map_pairs", "map_type:u32", "pairs:bytes"),
    Hostcall("proxy_set_header_map_pairs", "map_type:u32 pairs:bytes"),
    Hostcall("proxy_get_header_map_size", "map_type:u32", "size:u32"),
    Hostcall("proxy_get_buffer_status", "buffer_type:u32", "size:u32 flags:u32"),
    Hostcall("proxy_get_buffer_bytes", "buffer_type:u32 start:u32 max_size:u32", "data:bytes"),
    Hostcall("proxy_set_buffer_bytes", "buffer_type:u32 start:u32 size:u32 data:bytes"),
    Hostcall(
        "proxy_http_call",
        "cluster:text headers:bytes body:bytes trailers:bytes timeout_milliseconds:u32",
        "token:u32",
    ),
    Hostcall(
        "proxy_grpc_call",
        "cluster:bytes service:text method:text initial_metadata:bytes message:bytes timeout_milliseconds:u32",
        "token:u32",
    ),
    Hostcall(
        "proxy_grpc_stream",
        "cluster:bytes service:text method:text initial_metadata:bytes",
        "token:u32",
    ),
    Hostcall("proxy_grpc_send", "token:u32 message:bytes end_of_stream:bool"),
    Hostcall("proxy_grpc_close", "token:u32"),
    Hostcall("proxy_grpc_cancel", "token:u32"),
    Hostcall("proxy_set_tick_period_milliseconds", "milliseconds:u32"),
    Hostcall("proxy_get_current_time_nanoseconds", "", "nanoseconds:u64"),
    Hostcall("proxy_define_metric", "metric_type:u32 name:text", "metric_id:u32"),
    Hostcall("proxy_increment_metric", "metric_id:u32 offset:i64"),
    Hostcall("proxy_record_metric", "metric_id:u32 value:i64"),
    Hostcall("proxy_get_metric", "metric_id:u32", "value:u64"),
    Hostcall("proxy_set_effective_context", "context_id:u32"),
    Hostcall("proxy_done", ""),
    Hostcall("proxy_call_foreign_function", "name:text arguments:bytes", "result:bytes"),
)
"""Every hostcall of ABI 0.2.1, in the order of docs/abi.md §1.2 and of the host's own list."""

CALLBACKS: tuple[Callback, ...] = (
    Callback("proxy_on_context_create", "context_id:u32 parent_id:u32"),
    Callback("proxy_on_vm_start", "root_id:u32 configuration_size:u32", "bool"),
    Callback("proxy_on_configure", "root_id:u32 configuration_size:u32", "bool"),
    Callback("proxy_on_tick", "root_id:u32"),
    Callback("proxy_on_queue_ready", "root_id:u32 token:u32"),
    Callback("proxy_on_new_connection", "context_id:u32", "action"),
    Callback("proxy_on_downstream_data", "context_id:u32 size:u32 end_of_stream:bool", "action"),
    Callback("proxy_on_downstream_connection_close", "context_id:u32 peer_type:u32"),
    Callback("proxy_on_upstream_data", "context_id:u32 size:u32 end_of_stream:bool", "action"),
    Callback("proxy_on_upstream_connection_close", "context_id:u32 peer_type:u32"),
    Callback("proxy_on_request_headers", "context_id:u32 num_headers:u32 end_of_stream:bool", "action"),
    Callback("proxy_on_request_body", "context_id:u32 body_size:u32 end_of_stream:bool", "action"),
    Callback("proxy_on_request_trailers", "context_id:u32 num_trailers:u32", "action"),
    Callback("proxy_on_response_headers", "context_id:u32 num_headers:u32 end_of_stream:bool", "action"),
    Callback("proxy_on_response_body", "context_id:u32 body_size:u32 end_of_stream:bool", "action"),
    Callback("proxy_on_response_trailers", "context_id:u32 num_trailers:u32", "action"),
    Callback("proxy_on_http_call_response", "root_id:u32 token:u32 num_headers:u32 body_size:u32 num_trailers:u32"),
    Callback("proxy_on_grpc_receive_initial_metadata", "root_id:u32 token:u32 num_elements:u32"),
    Callback("proxy_on_grpc_receive", "root_id:u32 token:u32 message_size:u32"),
    Callback("proxy_on_grpc_receive_trailing_metadata", "root_id:u32 token:u32 num_elements:u32"),
    Callback("proxy_on_grpc_close", "root_id:u32 token:u32 status_code:i32"),
    Callback("proxy_on_foreign_function", "context_id:u32 function_id:u32 arguments_size:u32"),
    Callback("proxy_on_done", "context_id:u32", "bool"),
    Callback("proxy_on_log", "context_id:u32"),
    Callback("proxy_on_delete", "context_id:u32"),
)
"""Every callback of ABI 0.2.1, in the order of docs/abi.md §1.3."""
