"""The functions through which a filter acts on the proxy, in the order of the Go SDK's `hostcall.go`.

Names are the Go SDK's in snake case (`AddHttpResponseHeader` → `add_http_response_header`). Getters of a single value
return None when there is none; every other failure raises a `HostcallError`. A call that would crash or hang Envoy in
the running callback raises a `PhaseError`, and a header that would corrupt the message raises a `ValueError`; in both
cases nothing has been sent.

All of them act on the stream whose callback is running, or on the one selected with `set_effective_context`.
"""

from __future__ import annotations

from collections.abc import Callable

from . import _validate
from ._abi import BufferType, LogLevel, MapType, Status, StreamType
from ._async.tasks import may_resume
from ._async.timers import Later, set_period
from ._hostcalls import bodies, foreign_results, framing, header_maps
from ._serde import encode_pairs
from ._stream import acts
from ._stream.body_options import leave_headers
from ._stream.current import current
from ._stream.guards import (
    crosses,
    failed,
    guard_close,
    guard_local_response,
    guard_resume,
    permits,
    resumed,
    running_stream,
    select_stream,
    stops_another,
)
from ._stream.holding import has_request_headers, held_of, is_over, let_go_outside
from ._stream.marks import OWN_RESPONSE
from ._stream.phases import DOWNSTREAM, REQUEST, RESPONSE, UPSTREAM
from ._stream.records import Stream
from ._validate import Headers
from .errors import BadArgument

MAX_U32 = 2**32 - 1


# --- configuration, timer, contexts -------------------------------------------------------------------------------


def get_vm_configuration() -> bytes:
    """`vm_config.configuration` of Envoy's configuration; b"" when there is none, or before `on_vm_start`.

    May be called in every callback.

    Raises:
        PhaseError: the filter is only being imported.
    """
    root = current.root_for("get_vm_configuration")
    context = root and root.context
    vm = getattr(context, "vm", None)
    return vm.configuration if vm is not None else b""


def get_plugin_configuration() -> bytes:
    """`configuration` of the plugin in Envoy's configuration; b"" when there is none, or before `on_plugin_start`.

    Envoy provides it in proxy_on_configure only; the SDK keeps a copy, so this may be called in every callback.

    Raises:
        PhaseError: the filter is only being imported.
    """
    root = current.root_for("get_plugin_configuration")
    return b"" if root is None or root.context is None else root.context.configuration


def set_tick_period_milliseconds(milliseconds: int) -> None:
    """Call `PluginContext.on_tick` every `milliseconds` milliseconds; 0 stops the timer.

    May be called in every callback.

    Each plugin has one timer; a stream callback sets the timer of the stream's plugin. Note that Envoy runs the plugin
    in every worker and in the main thread, so the timer ticks in several VMs.

    Raises:
        TypeError, ValueError: `milliseconds` is not an int from 0 to 2**32 - 1.
        HostcallError: the host refused.

    Source: proxy_set_tick_period_milliseconds.
    """
    _validate.integer("milliseconds", milliseconds, 0, MAX_U32)
    set_period(milliseconds)


set_tick_period_milli_seconds = set_tick_period_milliseconds
"""The Go SDK's `SetTickPeriodMilliSeconds`, spelled word by word."""


def plugin_done() -> None:
    """Tell Envoy that it may remove the plugin, after `PluginContext.on_plugin_done` returned False (proxy_done).

    May be called in every callback of the plugin itself (a tick, a queue, the response to a callout), not in those of
    its streams.

    Raises:
        NotFound: Envoy is not waiting for this call, or a stream is selected.
    """
    root = current.root
    if root is not None and root.unfinished is not None and current.stream is None:
        if root not in root.unfinished:
            raise failed(Status.NOT_FOUND, "proxy_done")
        root.unfinished.discard(root)
        if root.unfinished:  # other plugins with this id, see `by_rules`; the host knows one
            return
    status = current.host.proxy_done()
    if status:
        raise failed(status, "proxy_done")


def get_log_level() -> int:
    """The lowest level that Envoy logs for this plugin, a `LogLevel`, or 6 if it logs nothing.

    May be called in every callback.

    Every call asks the host, since an operator can change the level at any time.

    Raises:
        HostcallError: the host refused.

    Source: proxy_get_log_level.
    """
    status, level = current.host.proxy_get_log_level()
    if status:
        raise failed(status, "proxy_get_log_level")
    return LogLevel(level) if level <= LogLevel.CRITICAL else level


def call_foreign_function(name: str, param: bytes | str = b"") -> bytes:
    """Call a function that the host provides beyond the ABI; `pwasm.foreign` wraps Envoy's functions.

    May be called in every callback.

    Args:
        name: name of the function.
        param: its argument: bytes, or a str that is encoded as UTF-8.

    Returns:
        The result, as the function encodes it. "uncompress" is executed in the module, see `foreign.uncompress`.

    Raises:
        TypeError, ValueError: an argument has the wrong type.
        MemoryError: the module has no room for the result, which Envoy would not survive (K13).
        NotFound: the host has no such function.
        HostcallError: the function failed; its subclasses, such as `BadArgument`, have the function's own meaning.

    Source: proxy_call_foreign_function.
    """
    _validate.text("name", name)
    argument = _validate.data("param", param)
    instead = foreign_results.INSTEAD.get(name)
    if instead is not None:
        return instead(argument)
    foreign_results.make_room(name, argument)
    stream = current.stream
    if name == "clear_route_cache" and stream is not None and not has_request_headers(stream):
        raise failed(Status.BAD_ARGUMENT, "proxy_call_foreign_function", name)
    status, result = current.host.proxy_call_foreign_function(name, argument)
    if status:
        raise failed(status, "proxy_call_foreign_function", name)
    return result


def get_current_time_nanoseconds() -> int:
    """Wall-clock time in nanoseconds since 1970; the same as `time.time_ns()`.

    May be called in every callback.

    Raises:
        HostcallError: the host refused.

    Source: proxy_get_current_time_nanoseconds.
    """
    status, nanoseconds = current.host.proxy_get_current_time_nanoseconds()
    if status:
        raise failed(status, "proxy_get_current_time_nanoseconds")
    return nanoseconds


def set_effective_context(context_id: int) -> None:
    """Make stream functions act on another stream of this VM, until the running callback returns.

    May be called in every callback.

    Used in `on_tick` and in callout callbacks to act on a paused stream. In a callback of a stream, an answer or a
    close for another one takes effect in the next tick: the host would stop the stream whose callback is running (K16).
    To go back, pass the id of the plugin, or of the stream whose callback is running.

    Raises:
        TypeError, ValueError: `context_id` is not an int from 0 to 2**32 - 1.
        BadArgument: there is no such stream, or it has ended. The host is not called in that case: for a moment after
            the end of a stream it would return OK, and crash (K6).

    Source: proxy_set_effective_context.
    """
    _validate.integer("context_id", context_id, 0, MAX_U32)
    root = current.active_root()
    stream = root.streams.get(context_id) if root is not None else None
    is_root = root is not None and context_id == root.id
    if (stream is None and not is_root) or (stream is not None and stream.ended and stream is not running_stream()):
        raise BadArgument("proxy_set_effective_context", 2, context_id, current.phase.method)
    status = current.host.proxy_set_effective_context(context_id)
    if status:
        raise failed(status, "proxy_set_effective_context", context_id)
    select_stream(stream)


class effective_context:  # noqa: N801, used like a function
    """`with effective_context(context_id): …` acts on another stream, and returns to the current one afterwards.

    Raises:
        The exceptions of `set_effective_context`.
    """

    def __init__(self, context_id: int) -> None:
        self._context_id = _validate.integer("context_id", context_id, 0, MAX_U32)
        self._before: int | None = None

    def __enter__(self) -> None:
        stream, root = current.stream, current.active_root()
        self._before = stream.id if stream is not None else root.id if root is not None else None
        set_effective_context(self._context_id)

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            set_effective_context(self._before)


# --- TCP ----------------------------------------------------------------------------------------------------------

get_downstream_data = bodies.get(BufferType.DOWNSTREAM_DATA)
append_downstream_data = bodies.append(BufferType.DOWNSTREAM_DATA)
prepend_downstream_data = bodies.prepend(BufferType.DOWNSTREAM_DATA)
replace_downstream_data = bodies.replace(BufferType.DOWNSTREAM_DATA)

get_upstream_data = bodies.get(BufferType.UPSTREAM_DATA)
append_upstream_data = bodies.append(BufferType.UPSTREAM_DATA)
prepend_upstream_data = bodies.prepend(BufferType.UPSTREAM_DATA)
replace_upstream_data = bodies.replace(BufferType.UPSTREAM_DATA)


def continue_tcp_stream() -> None:
    """Resume reading from the client after `Action.PAUSE` (proxy_continue_stream with DOWNSTREAM).

    May be called in every callback of the connection; elsewhere, after selecting the connection.

    Errors as in `resume_http_request`.
    """
    _resume("continue_tcp_stream", DOWNSTREAM)


def close_downstream() -> None:
    """Close the connection to the client (proxy_close_stream with DOWNSTREAM); errors as in `close_http_request`.

    May be called in every callback of a stream that has not ended; elsewhere, after selecting the stream.
    """
    _close("close_downstream", DOWNSTREAM)


def close_upstream() -> None:
    """Close the connection to upstream (proxy_close_stream with UPSTREAM); errors as in `close_http_request`.

    May be called in every callback of a stream that has not ended; elsewhere, after selecting the stream.
    """
    _close("close_upstream", UPSTREAM)


# --- request ------------------------------------------------------------------------------------------------------

get_http_request_headers = header_maps.get_all(MapType.HTTP_REQUEST_HEADERS)
get_http_request_headers_bytes = header_maps.get_all_bytes(MapType.HTTP_REQUEST_HEADERS)
replace_http_request_headers = header_maps.replace_all(MapType.HTTP_REQUEST_HEADERS)
get_http_request_header = header_maps.get(MapType.HTTP_REQUEST_HEADERS)
get_http_request_header_bytes = header_maps.get_bytes(MapType.HTTP_REQUEST_HEADERS)
remove_http_request_header = header_maps.remove(MapType.HTTP_REQUEST_HEADERS)
replace_http_request_header = header_maps.replace(MapType.HTTP_REQUEST_HEADERS)
add_http_request_header = header_maps.add(MapType.HTTP_REQUEST_HEADERS)

get_http_request_body = bodies.get(BufferType.HTTP_REQUEST_BODY)
append_http_request_body = bodies.append(BufferType.HTTP_REQUEST_BODY)
prepend_http_request_body = bodies.prepend(BufferType.HTTP_REQUEST_BODY)
replace_http_request_body = bodies.replace(BufferType.HTTP_REQUEST_BODY)

get_http_request_trailers = header_maps.get_all(MapType.HTTP_REQUEST_TRAILERS)
get_http_request_trailers_bytes = header_maps.get_all_bytes(MapType.HTTP_REQUEST_TRAILERS)
replace_http_request_trailers = header_maps.replace_all(MapType.HTTP_REQUEST_TRAILERS)
get_http_request_trailer = header_maps.get(MapType.HTTP_REQUEST_TRAILERS)
get_http_request_trailer_bytes = header_maps.get_bytes(MapType.HTTP_REQUEST_TRAILERS)
remove_http_request_trailer = header_maps.remove(MapType.HTTP_REQUEST_TRAILERS)
replace_http_request_trailer = header_maps.replace(MapType.HTTP_REQUEST_TRAILERS)
add_http_request_trailer = header_maps.add(MapType.HTTP_REQUEST_TRAILERS)


def resume_http_request() -> None:
    """Resume a paused request (proxy_continue_stream with HTTP_REQUEST).

    May be called in every callback of the stream; elsewhere, such as in ticks, after selecting the stream.

    The request headers cannot be changed afterwards. Does nothing if the request is not paused, or was answered or
    closed. Called in a callback of the request itself, it turns the callback's `Action.PAUSE` into CONTINUE, because
    Envoy would wait forever.
    In a callback of the response, it takes effect in the next tick: Envoy may crash if it goes on there (K14).

    Raises:
        PhaseError: no HTTP stream is selected.
        HostcallError: the host refused.
    """
    _resume("resume_http_request", REQUEST)


def close_http_request() -> None:
    """Reset the stream; the client gets no response (proxy_close_stream with HTTP_REQUEST).

    May be called in every callback of the stream except `on_http_stream_done`; elsewhere, after selecting the stream.

    Raises:
        PhaseError: no HTTP stream is selected, it has ended (Envoy crashes), or a local response was sent (which would
            be lost).
        HostcallError: the host refused.
    """
    _close("close_http_request", REQUEST)


# --- response -----------------------------------------------------------------------------------------------------

get_http_response_headers = header_maps.get_all(MapType.HTTP_RESPONSE_HEADERS)
get_http_response_headers_bytes = header_maps.get_all_bytes(MapType.HTTP_RESPONSE_HEADERS)
replace_http_response_headers = header_maps.replace_all(MapType.HTTP_RESPONSE_HEADERS)
get_http_response_header = header_maps.get(MapType.HTTP_RESPONSE_HEADERS)
get_http_response_header_bytes = header_maps.get_bytes(MapType.HTTP_RESPONSE_HEADERS)
remove_http_response_header = header_maps.remove(MapType.HTTP_RESPONSE_HEADERS)
replace_http_response_header = header_maps.replace(MapType.HTTP_RESPONSE_HEADERS)
add_http_response_header = header_maps.add(MapType.HTTP_RESPONSE_HEADERS)

get_http_response_body = bodies.get(BufferType.HTTP_RESPONSE_BODY)
append_http_response_body = bodies.append(BufferType.HTTP_RESPONSE_BODY)
prepend_http_response_body = bodies.prepend(BufferType.HTTP_RESPONSE_BODY)
replace_http_response_body = bodies.replace(BufferType.HTTP_RESPONSE_BODY)

get_http_response_trailers = header_maps.get_all(MapType.HTTP_RESPONSE_TRAILERS)
get_http_response_trailers_bytes = header_maps.get_all_bytes(MapType.HTTP_RESPONSE_TRAILERS)
replace_http_response_trailers = header_maps.replace_all(MapType.HTTP_RESPONSE_TRAILERS)
get_http_response_trailer = header_maps.get(MapType.HTTP_RESPONSE_TRAILERS)
get_http_response_trailer_bytes = header_maps.get_bytes(MapType.HTTP_RESPONSE_TRAILERS)
remove_http_response_trailer = header_maps.remove(MapType.HTTP_RESPONSE_TRAILERS)
replace_http_response_trailer = header_maps.replace(MapType.HTTP_RESPONSE_TRAILERS)
add_http_response_trailer = header_maps.add(MapType.HTTP_RESPONSE_TRAILERS)


def resume_http_response() -> None:
    """Resume a paused response (proxy_continue_stream with HTTP_RESPONSE); see `resume_http_request`.

    May be called in the callbacks of the response and later ones; elsewhere, such as in ticks, after selecting the
    stream. In a callback of the request, it takes effect in the next tick (K14).

    Raises:
        PhaseError: no HTTP stream is selected, or no callback of its response has run yet (Envoy crashes).
        HostcallError: the host refused.
    """
    _resume("resume_http_response", RESPONSE)


def close_http_response() -> None:
    """Reset the stream during the response (proxy_close_stream with HTTP_RESPONSE); errors as in `close_http_request`.

    May be called in every callback of the stream except `on_http_stream_done`; elsewhere, after selecting the stream.
    """
    _close("close_http_response", RESPONSE)


def send_http_response(
    status_code: int,
    headers: Headers = (),
    body: bytes | str = b"",
    grpc_status: int = -1,
    details: str = "",
) -> None:
    """Send a local response: upstream is not called, or its response is replaced.

    May be called in every callback of the stream except `on_http_stream_done`; elsewhere, after selecting the stream.

    The return value of the callback is then ignored. This filter's own response callbacks run for the local response.
    Once the response headers have been sent, Envoy can only reset the stream.

    Args:
        status_code: 200 to 599.
        headers: pairs of name and value, or a mapping. Envoy sets `content-length`, and `content-type: text/plain` if
            there is a body and no other type. What is for one connection only (`transfer-encoding`, `connection` …) is
            dropped, so the headers of a callout's answer can be passed on as they are.
        body: bytes, or a str that is encoded as UTF-8; empty for 204, 205 and 304, which have none.
        grpc_status: the status for gRPC clients, 0 to 16, with the body as its message; -1 derives it from
            `status_code`.
        details: `response_code_details` of the access log; blanks become underscores.

    Raises:
        TypeError, ValueError: an argument cannot be sent.
        PhaseError: no HTTP stream is selected, it has ended (Envoy crashes), it was closed, or it has already been
            answered.
        HostcallError: the host refused.

    Source: proxy_send_local_response.
    """
    _validate.integer("status_code", status_code, 200, 599)
    _validate.integer("grpc_status", grpc_status, -1, 16)
    if not _validate.text("details", details).isprintable():
        raise ValueError(f"details must be printable, not {details!r}")
    content = _validate.data("body", body)
    pairs = framing.of_local_response(status_code, headers, content)
    stream = guard_local_response("send_http_response")
    response, encoded = acts.Response(status_code, details, content, grpc_status), encode_pairs(pairs)
    _in_its_turn(stream, "answer", lambda: _answer(stream, response, encoded))


def _in_its_turn(stream: Stream, act: str, do: Callable[[], None]) -> None:
    """Do `act` now, or, if that would stop another stream, in the next tick, if it is still permitted then (K16)."""
    if stops_another(stream):
        Later(stream, lambda: do() if permits(stream, act) else None)
    else:
        do()


def _answer(stream: Stream, response: acts.Response, headers: bytes) -> None:
    status = acts.answer(stream, response, headers)
    if status:
        raise failed(status, "proxy_send_local_response", response.status)
    if not stream.response_seen:  # otherwise it replaces the response without a callback
        stream.marks |= OWN_RESPONSE


# --- shared -------------------------------------------------------------------------------------------------------


def _resume(what: str, direction: int) -> None:
    stream = guard_resume(what, direction)
    if stream is None:
        return
    # Measured with Envoy 1.40: it continues the stream when the callback returns *and* once more because of this call,
    # so a stream that is continued without being held is sent twice: the request to upstream, the response headers to
    # the client, trailers (which crashed Envoy). In a callback of the same direction the returned Action suffices.
    own = current.phase.direction == direction and current.phase.origin is None
    if not own and not stream.paused & 1 << direction:
        held = held_of(stream, direction)
        if held is not None:  # the host has seen CONTINUE, with nothing: the bytes go on with the next part
            held.pass_on()
        return
    if direction in {REQUEST, RESPONSE} and not own and crosses(stream, direction):
        Later(stream, lambda: _resume(what, direction))
        return
    if stream.traits is not None:
        if direction in {REQUEST, RESPONSE}:
            leave_headers(stream, direction)
        if not own:
            going_on = may_resume(stream, direction)
            if not going_on or not stream.paused & 1 << direction or is_over(stream, direction):
                return
            let_go_outside(stream, direction)
    if not own:
        acts.resume(stream, direction)
    resumed(stream, direction)


def _close(what: str, direction: int) -> None:
    stream = guard_close(what, http=direction in {REQUEST, RESPONSE})
    if stream is None:
        return
    _in_its_turn(stream, "close", lambda: _close_now(stream, direction))


def _close_now(stream: Stream, direction: int) -> None:
    status = acts.close(stream, direction)
    if status:
        raise failed(status, "proxy_close_stream", StreamType(direction).name)
