"""Write Envoy and Istio filters in Python.

    import pwasm
    from pwasm import Action, HttpContext

    class AddHeader(HttpContext):
        def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
            pwasm.log_info("adding the header")
            pwasm.add_http_response_header("x-wasm-custom", "FOO")
            return Action.CONTINUE

    pwasm.set_http_context(AddHeader)

`pwasm build` compiles the module into main.wasm, which Envoy and everything built on Envoy can load; `pwasm.testing`
runs the same class in plain CPython.

A filter consists of up to four classes (`help(pwasm.types)` shows how they relate):

    VMContext       one for each Wasm VM          set_vm_context
    PluginContext   one for each plugin           set_plugin_context
    HttpContext     one for each request          set_http_context
    TcpContext      one for each connection       set_tcp_context

Envoy calls their methods, which return an `Action`. Inside them, the functions of this package act on the stream:
headers, bodies, local responses (`send_http_response`), pausing and resuming. Names are those of the Go SDK in snake
case; `pwasm.go` has the Go spellings too. Overview:

    headers, trailers, bodies       get_http_request_header …    as objects: self.request, self.response
    responding, pausing             send_http_response, resume_http_request, close_http_request
    TCP                             get_downstream_data …, continue_tcp_stream, close_downstream
    async/await                     pwasm.aio: await aio.dispatch_http_call(…), aio.sleep, aio.gather
    calls to other services         dispatch_http_call, dispatch_grpc_call, open_grpc_stream
    sharing between workers         get_shared_data, set_shared_data, register_shared_queue …
    metrics                         define_counter_metric, define_gauge_metric, define_histogram_metric
    stream and proxy properties     pwasm.properties, get_property, set_property
    Envoy's foreign functions       pwasm.foreign: compress, CEL expressions, filter state …
    plugin                          get_plugin_configuration, set_tick_period_milliseconds, plugin_done
    other streams                   effective_context, set_effective_context
    logging                         log_info …, print, and the standard logging module
    endless loops                   set_time_budget, set_step_budget

An exception in a callback never reaches Envoy: it is logged with its traceback, and the request is answered with
500; with `on_error = "fail_open"` in the class, the request continues. A call that would crash Envoy or corrupt a
message is refused with a `PhaseError` or a `ValueError`; a hostcall that fails raises a `HostcallError`.
"""

from . import aio, foreign, properties
from ._abi import Action, BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType
from ._hostcalls.grpc import (
    cancel_grpc_call,
    cancel_grpc_stream,
    close_grpc_stream,
    dispatch_grpc_call,
    get_grpc_receive_buffer,
    get_grpc_receive_initial_metadata,
    get_grpc_receive_initial_metadata_bytes,
    get_grpc_receive_trailing_metadata,
    get_grpc_receive_trailing_metadata_bytes,
    open_grpc_stream,
    send_grpc_stream_message,
)
from ._hostcalls.http_call import (
    CallStatus,
    dispatch_http_call,
    get_call_status,
    get_http_call_response_body,
    get_http_call_response_headers,
    get_http_call_response_headers_bytes,
    get_http_call_response_trailers,
    get_http_call_response_trailers_bytes,
)
from ._hostcalls.metrics import (
    Counter,
    Gauge,
    Histogram,
    define_counter_metric,
    define_gauge_metric,
    define_histogram_metric,
)
from ._hostcalls.properties import get_property, get_property_map, set_property
from ._hostcalls.shared import (
    dequeue_shared_queue,
    drain_shared_queue,
    enqueue_shared_queue,
    get_shared_data,
    register_shared_queue,
    resolve_shared_queue,
    set_shared_data,
)
from ._objects import HeaderMap, Request, Response
from .entrypoint import (
    set_http_context,
    set_plugin_context,
    set_step_budget,
    set_tcp_context,
    set_time_budget,
    set_vm_context,
)
from .errors import (
    BadArgument,
    BadExpression,
    BrokenConnection,
    CasMismatch,
    Empty,
    HostcallError,
    InternalFailure,
    InvalidMemoryAccess,
    NotFound,
    ParseFailure,
    PhaseError,
    RegistrationError,
    ResultMismatch,
    SerializationFailure,
    StepBudgetExceeded,
    TimeBudgetExceeded,
    Unimplemented,
)
from .hostcalls import (
    add_http_request_header,
    add_http_request_trailer,
    add_http_response_header,
    add_http_response_trailer,
    append_downstream_data,
    append_http_request_body,
    append_http_response_body,
    append_upstream_data,
    call_foreign_function,
    close_downstream,
    close_http_request,
    close_http_response,
    close_upstream,
    continue_tcp_stream,
    effective_context,
    get_current_time_nanoseconds,
    get_downstream_data,
    get_http_request_body,
    get_http_request_header,
    get_http_request_header_bytes,
    get_http_request_headers,
    get_http_request_headers_bytes,
    get_http_request_trailer,
    get_http_request_trailer_bytes,
    get_http_request_trailers,
    get_http_request_trailers_bytes,
    get_http_response_body,
    get_http_response_header,
    get_http_response_header_bytes,
    get_http_response_headers,
    get_http_response_headers_bytes,
    get_http_response_trailer,
    get_http_response_trailer_bytes,
    get_http_response_trailers,
    get_http_response_trailers_bytes,
    get_log_level,
    get_plugin_configuration,
    get_upstream_data,
    get_vm_configuration,
    plugin_done,
    prepend_downstream_data,
    prepend_http_request_body,
    prepend_http_response_body,
    prepend_upstream_data,
    remove_http_request_header,
    remove_http_request_trailer,
    remove_http_response_header,
    remove_http_response_trailer,
    replace_downstream_data,
    replace_http_request_body,
    replace_http_request_header,
    replace_http_request_headers,
    replace_http_request_trailer,
    replace_http_request_trailers,
    replace_http_response_body,
    replace_http_response_header,
    replace_http_response_headers,
    replace_http_response_trailer,
    replace_http_response_trailers,
    replace_upstream_data,
    resume_http_request,
    resume_http_response,
    send_http_response,
    set_effective_context,
    set_tick_period_milli_seconds,
    set_tick_period_milliseconds,
)
from .log import (
    log_critical,
    log_criticalf,
    log_debug,
    log_debugf,
    log_error,
    log_errorf,
    log_info,
    log_infof,
    log_trace,
    log_tracef,
    log_warn,
    log_warnf,
)
from .types import HttpContext, PluginContext, TcpContext, VMContext

__version__ = "0.1.0"

__all__ = [
    "Action",
    "BadArgument",
    "BadExpression",
    "BrokenConnection",
    "BufferType",
    "CallStatus",
    "CasMismatch",
    "Counter",
    "Empty",
    "Gauge",
    "HeaderMap",
    "Histogram",
    "HostcallError",
    "HttpContext",
    "InternalFailure",
    "InvalidMemoryAccess",
    "LogLevel",
    "MapType",
    "MetricType",
    "NotFound",
    "ParseFailure",
    "PeerType",
    "PhaseError",
    "PluginContext",
    "RegistrationError",
    "Request",
    "Response",
    "ResultMismatch",
    "SerializationFailure",
    "Status",
    "StepBudgetExceeded",
    "StreamType",
    "TcpContext",
    "TimeBudgetExceeded",
    "Unimplemented",
    "VMContext",
    "add_http_request_header",
    "add_http_request_trailer",
    "add_http_response_header",
    "add_http_response_trailer",
    "aio",
    "append_downstream_data",
    "append_http_request_body",
    "append_http_response_body",
    "append_upstream_data",
    "call_foreign_function",
    "cancel_grpc_call",
    "cancel_grpc_stream",
    "close_downstream",
    "close_grpc_stream",
    "close_http_request",
    "close_http_response",
    "close_upstream",
    "continue_tcp_stream",
    "define_counter_metric",
    "define_gauge_metric",
    "define_histogram_metric",
    "dequeue_shared_queue",
    "dispatch_grpc_call",
    "dispatch_http_call",
    "drain_shared_queue",
    "effective_context",
    "enqueue_shared_queue",
    "foreign",
    "get_call_status",
    "get_current_time_nanoseconds",
    "get_downstream_data",
    "get_grpc_receive_buffer",
    "get_grpc_receive_initial_metadata",
    "get_grpc_receive_initial_metadata_bytes",
    "get_grpc_receive_trailing_metadata",
    "get_grpc_receive_trailing_metadata_bytes",
    "get_http_call_response_body",
    "get_http_call_response_headers",
    "get_http_call_response_headers_bytes",
    "get_http_call_response_trailers",
    "get_http_call_response_trailers_bytes",
    "get_http_request_body",
    "get_http_request_header",
    "get_http_request_header_bytes",
    "get_http_request_headers",
    "get_http_request_headers_bytes",
    "get_http_request_trailer",
    "get_http_request_trailer_bytes",
    "get_http_request_trailers",
    "get_http_request_trailers_bytes",
    "get_http_response_body",
    "get_http_response_header",
    "get_http_response_header_bytes",
    "get_http_response_headers",
    "get_http_response_headers_bytes",
    "get_http_response_trailer",
    "get_http_response_trailer_bytes",
    "get_http_response_trailers",
    "get_http_response_trailers_bytes",
    "get_log_level",
    "get_plugin_configuration",
    "get_property",
    "get_property_map",
    "get_shared_data",
    "get_upstream_data",
    "get_vm_configuration",
    "log_critical",
    "log_criticalf",
    "log_debug",
    "log_debugf",
    "log_error",
    "log_errorf",
    "log_info",
    "log_infof",
    "log_trace",
    "log_tracef",
    "log_warn",
    "log_warnf",
    "open_grpc_stream",
    "plugin_done",
    "prepend_downstream_data",
    "prepend_http_request_body",
    "prepend_http_response_body",
    "prepend_upstream_data",
    "properties",
    "register_shared_queue",
    "remove_http_request_header",
    "remove_http_request_trailer",
    "remove_http_response_header",
    "remove_http_response_trailer",
    "replace_downstream_data",
    "replace_http_request_body",
    "replace_http_request_header",
    "replace_http_request_headers",
    "replace_http_request_trailer",
    "replace_http_request_trailers",
    "replace_http_response_body",
    "replace_http_response_header",
    "replace_http_response_headers",
    "replace_http_response_trailer",
    "replace_http_response_trailers",
    "replace_upstream_data",
    "resolve_shared_queue",
    "resume_http_request",
    "resume_http_response",
    "send_grpc_stream_message",
    "send_http_response",
    "set_effective_context",
    "set_http_context",
    "set_plugin_context",
    "set_property",
    "set_shared_data",
    "set_step_budget",
    "set_tcp_context",
    "set_tick_period_milli_seconds",
    "set_tick_period_milliseconds",
    "set_time_budget",
    "set_vm_context",
]
