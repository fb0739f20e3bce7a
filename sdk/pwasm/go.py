"""The Go SDK's spelling of every name, for filters that are translated from Go line by line.

    from pwasm.go import *

    class Filter(DefaultHttpContext):
        def OnHttpResponseHeaders(self, numHeaders, endOfStream):
            AddHttpResponseHeader("x-wasm-custom", "FOO")
            return ActionContinue

    SetHttpContext(Filter)

Functions, types, methods and constants of `proxywasm` and `proxywasm/types` have their Go names; a class that derives
from one of the `Default…Context` classes may name its callbacks as in Go. Arguments are those of the Python
functions, and errors are exceptions rather than results: `ErrorStatusNotFound` is `pwasm.NotFound`.

`NAMES` is the complete table, Go → Python.
"""

from __future__ import annotations

from collections.abc import Callable

import pwasm

from ._typing import Any

_CALLBACKS: dict[str, dict[str, str]] = {
    "VMContext": {"OnVMStart": "on_vm_start", "NewPluginContext": "new_plugin_context"},
    "PluginContext": {
        "OnPluginStart": "on_plugin_start",
        "OnPluginDone": "on_plugin_done",
        "OnQueueReady": "on_queue_ready",
        "OnTick": "on_tick",
        "NewTcpContext": "new_tcp_context",
        "NewHttpContext": "new_http_context",
    },
    "TcpContext": {
        "OnNewConnection": "on_new_connection",
        "OnDownstreamData": "on_downstream_data",
        "OnDownstreamClose": "on_downstream_close",
        "OnUpstreamData": "on_upstream_data",
        "OnUpstreamClose": "on_upstream_close",
        "OnStreamDone": "on_stream_done",
    },
    "HttpContext": {
        "OnHttpRequestHeaders": "on_http_request_headers",
        "OnHttpRequestBody": "on_http_request_body",
        "OnHttpRequestTrailers": "on_http_request_trailers",
        "OnHttpResponseHeaders": "on_http_response_headers",
        "OnHttpResponseBody": "on_http_response_body",
        "OnHttpResponseTrailers": "on_http_response_trailers",
        "OnHttpStreamDone": "on_http_stream_done",
    },
}

_FUNCTIONS = """
GetVMConfiguration get_vm_configuration
GetPluginConfiguration get_plugin_configuration
SetTickPeriodMilliSeconds set_tick_period_milli_seconds
SetEffectiveContext set_effective_context
RegisterSharedQueue register_shared_queue
ResolveSharedQueue resolve_shared_queue
EnqueueSharedQueue enqueue_shared_queue
DequeueSharedQueue dequeue_shared_queue
PluginDone plugin_done
DispatchHttpCall dispatch_http_call
GetHttpCallResponseHeaders get_http_call_response_headers
GetHttpCallResponseBody get_http_call_response_body
GetHttpCallResponseTrailers get_http_call_response_trailers
GetDownstreamData get_downstream_data
AppendDownstreamData append_downstream_data
PrependDownstreamData prepend_downstream_data
ReplaceDownstreamData replace_downstream_data
GetUpstreamData get_upstream_data
AppendUpstreamData append_upstream_data
PrependUpstreamData prepend_upstream_data
ReplaceUpstreamData replace_upstream_data
ContinueTcpStream continue_tcp_stream
CloseDownstream close_downstream
CloseUpstream close_upstream
GetHttpRequestHeaders get_http_request_headers
ReplaceHttpRequestHeaders replace_http_request_headers
GetHttpRequestHeader get_http_request_header
RemoveHttpRequestHeader remove_http_request_header
ReplaceHttpRequestHeader replace_http_request_header
AddHttpRequestHeader add_http_request_header
GetHttpRequestBody get_http_request_body
AppendHttpRequestBody append_http_request_body
PrependHttpRequestBody prepend_http_request_body
ReplaceHttpRequestBody replace_http_request_body
GetHttpRequestTrailers get_http_request_trailers
ReplaceHttpRequestTrailers replace_http_request_trailers
GetHttpRequestTrailer get_http_request_trailer
RemoveHttpRequestTrailer remove_http_request_trailer
ReplaceHttpRequestTrailer replace_http_request_trailer
AddHttpRequestTrailer add_http_request_trailer
ResumeHttpRequest resume_http_request
GetHttpResponseHeaders get_http_response_headers
ReplaceHttpResponseHeaders replace_http_response_headers
GetHttpResponseHeader get_http_response_header
RemoveHttpResponseHeader remove_http_response_header
ReplaceHttpResponseHeader replace_http_response_header
AddHttpResponseHeader add_http_response_header
GetHttpResponseBody get_http_response_body
AppendHttpResponseBody append_http_response_body
PrependHttpResponseBody prepend_http_response_body
ReplaceHttpResponseBody replace_http_response_body
GetHttpResponseTrailers get_http_response_trailers
ReplaceHttpResponseTrailers replace_http_response_trailers
GetHttpResponseTrailer get_http_response_trailer
RemoveHttpResponseTrailer remove_http_response_trailer
ReplaceHttpResponseTrailer replace_http_response_trailer
AddHttpResponseTrailer add_http_response_trailer
ResumeHttpResponse resume_http_response
SendHttpResponse send_http_response
GetSharedData get_shared_data
SetSharedData set_shared_data
GetProperty get_property
GetPropertyMap get_property_map
SetProperty set_property
CallForeignFunction call_foreign_function
LogTrace log_trace
LogTracef log_tracef
LogDebug log_debug
LogDebugf log_debugf
LogInfo log_info
LogInfof log_infof
LogWarn log_warn
LogWarnf log_warnf
LogError log_error
LogErrorf log_errorf
LogCritical log_critical
LogCriticalf log_criticalf
DefineCounterMetric define_counter_metric
DefineGaugeMetric define_gauge_metric
DefineHistogramMetric define_histogram_metric
SetVMContext set_vm_context
SetPluginContext set_plugin_context
SetHttpContext set_http_context
SetTcpContext set_tcp_context
"""

_METHODS = {
    "MetricCounter.Value": "Counter.value",
    "MetricCounter.Increment": "Counter.increment",
    "MetricGauge.Value": "Gauge.value",
    "MetricGauge.Add": "Gauge.add",
    "MetricHistogram.Value": "Histogram.value",
    "MetricHistogram.Record": "Histogram.record",
}

_TYPES_AND_CONSTANTS = {
    "MetricCounter": "Counter",
    "MetricGauge": "Gauge",
    "MetricHistogram": "Histogram",
    "Action": "Action",
    "ActionContinue": "Action.CONTINUE",
    "ActionPause": "Action.PAUSE",
    "PeerType": "PeerType",
    "PeerTypeUnknown": "PeerType.UNKNOWN",
    "PeerTypeLocal": "PeerType.LOCAL",
    "PeerTypeRemote": "PeerType.REMOTE",
    "ErrorStatusNotFound": "NotFound",
    "ErrorStatusBadArgument": "BadArgument",
    "ErrorStatusEmpty": "Empty",
    "ErrorStatusCasMismatch": "CasMismatch",
    "ErrorInternalFailure": "InternalFailure",
    "ErrorUnimplemented": "Unimplemented",
    **{context: context for context in _CALLBACKS},
    **{f"Default{context}": context for context in _CALLBACKS},
}

NAMES: dict[str, str] = {
    **dict(line.split() for line in _FUNCTIONS.split("\n") if line),
    **_TYPES_AND_CONSTANTS,
    **_METHODS,
    **{
        f"{prefix}{context}.{go}": f"{context}.{python}"
        for prefix in ("", "Default")
        for context, methods in _CALLBACKS.items()
        for go, python in methods.items()
    },
}
"""Go name → its place in `pwasm`; methods as `Type.Method`. The names in `OTHERS` have no counterpart there."""

OnVMStartStatus = OnPluginStartStatus = bool
PluginContextFactory = HttpContextFactory = TcpContextFactory = Callable[[int], Any]

OTHERS: dict[str, Any] = {
    "OnVMStartStatus": bool,
    "OnVMStartStatusOK": True,
    "OnVMStartStatusFailed": False,
    "OnPluginStartStatus": bool,
    "OnPluginStartStatusOK": True,
    "OnPluginStartStatusFailed": False,
    "PluginContextFactory": PluginContextFactory,
    "HttpContextFactory": HttpContextFactory,
    "TcpContextFactory": TcpContextFactory,
}
"""Go name → value, for names that are a plain bool or a callable in Python."""


def _default(context: str) -> type:
    """The base class whose subclasses may spell their callbacks as in Go."""
    base: type = getattr(pwasm, context)

    class Default(base):  # type: ignore[misc]
        def __init_subclass__(cls, **kwargs: object) -> None:
            super().__init_subclass__(**kwargs)
            for go, python in _CALLBACKS[context].items():
                if go in vars(cls):
                    setattr(cls, python, vars(cls)[go])

    for go, python in _CALLBACKS[context].items():
        setattr(Default, go, getattr(base, python))
    Default.__name__ = Default.__qualname__ = f"Default{context}"
    Default.__doc__ = base.__doc__
    return Default


def _value(path: str) -> Any:
    value: Any = pwasm
    for name in path.split("."):
        value = getattr(value, name)
    return value


def __getattr__(name: str) -> Any:
    """Tells type checkers that names exist beyond those they see: they are created from the table."""
    raise AttributeError(f"the Go SDK has no {name!r}")


globals().update({go: _value(python) for go, python in NAMES.items() if "." not in go})
globals().update(OTHERS)
globals().update({f"Default{context}": _default(context) for context in _CALLBACKS})

__all__ = sorted([*(go for go in NAMES if "." not in go), *OTHERS])  # noqa: PLE0605
