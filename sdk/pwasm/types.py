"""The classes a filter derives from, and the enums of the ABI.

    ┌ VMContext ────────────────────────────────────┐   one for each Wasm VM (Envoy runs workers + 2 of them)
    │  ┌ PluginContext ──────────────────────────┐  │   one for each use of the module in Envoy's configuration
    │  │  HttpContext    one for each request    │  │
    │  │  TcpContext     one for each connection │  │
    │  └─────────────────────────────────────────┘  │
    └───────────────────────────────────────────────┘

Derive from the classes you need and register them with `set_http_context` and its siblings; the default methods let
everything through. A method annotated to return `Outcome` or `Done` may be `async def`, see `pwasm.aio`. Keep state in
contexts, not in module globals: two plugins that use the same module may share a VM.

A callback returns `Action.CONTINUE`, `Action.PAUSE` or None (continue); 0 and 1 are accepted too. Anything else,
including True and False, is treated like an exception. An exception never reaches Envoy: it is logged with its
traceback, and `on_error` decides what happens to the stream.

The dispatcher sets these attributes right after construction, so they are **not available in `__init__`**:
`context_id`, `plugin` (stream contexts), `vm` (plugin contexts), `configuration` (once Envoy has passed it). Your
`__init__` need not call `super().__init__()`. An `__init__` with one required parameter receives the context id.

A name that nearly matches one of the SDK's is refused at registration and at build time, because a misspelt callback
would silently never be called. Refused are: names with a few wrong letters (`on_http_request_heders`,
`buffer_requst_body`), names spelt as in another SDK (`onHttpRequestHeaders`), names that belong to another kind of
context (`on_tick` in an HttpContext), and `on_…` methods made up only of words used in callback names
(`on_response_headers`). Helpers may have any name that other code of the filter refers to (`self.on_request()`,
`callback=self.on_request`), that starts with an underscore, or that the class lists in `own_names = ("on_request",)`.
A callback that cannot accept the parameters below is refused too.

Source: proxy-wasm/spec, abi-versions/v0.2.1, § Callbacks; names as in the Go SDK.
"""

from __future__ import annotations

from ._abi import Action, BufferType, LogLevel, MapType, MetricType, PeerType, Status, StreamType
from ._objects import OfContext, Request, Response
from ._typing import TYPE_CHECKING, cast

# A filter's class re-annotates `plugin` and `vm` with its own types: `plugin: MyPlugin`. Type checkers treat them as
# mutable variables, whose declared type a subclass must not narrow (pyright, in every mode). An inferred type may be
# narrowed, so under TYPE_CHECKING these two carry no annotation.
if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine
    from typing import Any

    from ._objects import Request, Response

    Outcome = Action | None | Coroutine[Any, Any, Action | None]
    Done = None | Coroutine[Any, Any, None]

__all__ = [
    "Action",
    "BufferType",
    "HttpContext",
    "LogLevel",
    "MapType",
    "MetricType",
    "PeerType",
    "PluginContext",
    "Status",
    "StreamType",
    "TcpContext",
    "VMContext",
]


class VMContext:
    """The Wasm VM. Most filters do not need one."""

    configuration: bytes = b""
    """`vm_config.configuration` of Envoy's configuration; available from `on_vm_start` on."""

    max_held_bytes: int = 64 * 1024 * 1024
    """Limit of the bytes of bodies that all streams of the VM hold together in its memory, in bytes.

    A message that would exceed it is refused with 503 (details `pwasm_held_bytes_limit`, counter
    `pwasm.held_bytes_refused`). Envoy's backpressure does not protect the VM, since held bytes leave its buffers.
    """

    sdk_metrics: bool = True
    """Whether the SDK keeps metrics of its own, `pwasm.errors` and others: docs/reliability.md, "Metrics"."""

    own_names: Collection[str] = ()
    """Names in this class that resemble the SDK's on purpose, see above."""

    def on_vm_start(self, vm_configuration_size: int) -> bool | None:
        """The VM has started (proxy_on_vm_start).

        Called once for each plugin of the VM, before the plugin's `on_plugin_start`.

        Args:
            vm_configuration_size: size of the VM configuration in bytes.

        Returns:
            False makes Envoy reject the configuration; True or None accepts it. An exception counts as False.
        """
        return True

    def new_plugin_context(self, context_id: int) -> PluginContext | None:
        """Create the context of a plugin (proxy_on_context_create with parent 0).

        Returns:
            The context, or None (the default) to use the class registered with `set_plugin_context`.
        """
        return None


class PluginContext:
    """One use of the module in Envoy's configuration: its configuration, timer, queues and callouts."""

    context_id: int = 0
    """Envoy's id of this context, also called its "root id"."""

    if TYPE_CHECKING:
        vm = cast("VMContext", None)  # not annotated, see above
        """The VM this plugin runs in."""
    else:
        vm: VMContext

    configuration: bytes = b""
    """`configuration` of the plugin in Envoy's configuration; available from `on_plugin_start` on."""

    config: Any
    """The configuration as a dataclass, if the class annotates it: `config: MyConfig`, see `pwasm.config`."""

    on_error: str = "fail_closed"
    """What happens to a stream when `new_http_context` or `new_tcp_context` of this class raises; see `HttpContext`."""

    own_names: Collection[str] = ()
    """Names in this class that resemble the SDK's on purpose, see above."""

    def on_plugin_start(self, plugin_configuration_size: int) -> bool | None:
        """The plugin is configured (proxy_on_configure).

        Args:
            plugin_configuration_size: size of the plugin configuration in bytes.

        Returns:
            False makes Envoy reject the configuration, regardless of its failure policy; True or None accepts it. An
            exception counts as False and is logged at level critical.
        """
        return True

    def on_plugin_done(self) -> bool | None:
        """The plugin is about to be removed: its configuration was replaced, or Envoy is shutting down (proxy_on_done).

        Returns:
            False keeps the plugin alive until it calls `plugin_done()`; True or None lets it go.
        """
        return True

    def on_queue_ready(self, queue_id: int) -> Done:
        """An item was added to a shared queue that this plugin registered (proxy_on_queue_ready).

        Called once for each item; another VM may already have taken it, so expect `Empty`.
        """

    def on_tick(self) -> Done:
        """The timer of `set_tick_period_milliseconds` fired (proxy_on_tick).

        No stream is selected: to act on one, `set_effective_context` first.
        """

    def on_log(self) -> Done:
        """A stream has ended that this plugin logs, as an entry of `access_log` in Envoy (proxy_on_log).

        Properties can be read, and an HTTP stream's request headers, response headers and response trailers, but not
        after an `await`. Nothing can be written, sent or resumed. The streams of a filter end in `on_http_stream_done`.
        """

    def on_http_call_response(self, token: int, num_headers: int, body_size: int, num_trailers: int) -> Done:
        """The response to an HTTP callout that was dispatched without a callback (proxy_on_http_call_response).

        The stream that made the call is selected; a response for a stream that has ended is dropped.

        Args:
            token: the token that the dispatching call returned.
            num_headers: number of response headers; 0 when the call failed.
            body_size: size of the body in bytes.
            num_trailers: number of trailers.
        """

    def on_grpc_receive_initial_metadata(self, token: int, num_elements: int) -> Done:
        """Initial metadata of a gRPC stream arrived (proxy_on_grpc_receive_initial_metadata)."""

    def on_grpc_receive(self, token: int, message_size: int) -> Done:
        """A gRPC message of `message_size` bytes arrived (proxy_on_grpc_receive); for a unary call this means success.

        The four gRPC methods are called for calls and streams that were opened without callbacks.
        """

    def on_grpc_receive_trailing_metadata(self, token: int, num_elements: int) -> Done:
        """Trailing metadata of a gRPC stream arrived (proxy_on_grpc_receive_trailing_metadata)."""

    def on_grpc_close(self, token: int, status_code: int) -> Done:
        """A gRPC call failed or a gRPC stream ended, with this gRPC status (proxy_on_grpc_close)."""

    def on_foreign_function(self, function_id: int, arguments_size: int) -> Done:
        """The host calls a function of the plugin (proxy_on_foreign_function); stock Envoy never does."""

    def new_http_context(self, context_id: int) -> HttpContext | None:
        """Create the context of an HTTP stream (proxy_on_context_create).

        An override has the final say: None means "not an HTTP stream", and `new_tcp_context` is called next. The
        default uses the class registered with `set_http_context`.
        """
        return None

    def new_tcp_context(self, context_id: int) -> TcpContext | None:
        """Create the context of a TCP connection; called when there is no HTTP context for the stream."""
        return None


class HttpContext:
    """One HTTP request and its response."""

    context_id: int  # without a default, see `records.Stream`
    """Envoy's id of this stream; not reused while the stream is alive."""

    if TYPE_CHECKING:
        plugin = cast("PluginContext", None)  # not annotated, see above
        """The plugin this stream belongs to."""
    else:
        plugin: PluginContext

    if TYPE_CHECKING:
        config: Any
    else:

        @property
        def config(self) -> Any:
            """`plugin.config`; a filter without a plugin class annotates it here, see `pwasm.config`."""
            return self.plugin.config

    on_error: str = "fail_closed"
    """What an exception in a callback does to this stream.

    "fail_closed": the request is answered with 500 (details `pwasm_filter_error`), or the stream is closed if the
    response has already begun; later callbacks other than `on_http_stream_done` are not called. "fail_open": the
    stream continues as if the callback had returned `Action.CONTINUE`, and later callbacks are called.
    """

    buffer_request_body: bool = False
    """True: `on_http_request_body` is called once, with the whole body, and `end_of_stream` is True.

    Nothing of the body passes before the callback has let it go. For a request without a body it is not called. The
    headers wait, too, if Envoy is configured for that (see `holds_request_headers`); otherwise they have been sent by
    then. A body larger than `max_body_bytes` is answered with 413 (details `pwasm_request_body_too_large`).
    """

    buffer_response_body: bool = False
    """The same for `on_http_response_body`. If the body is too large, the client gets a 500 while the headers wait, or
    when `content-length` announces the size; otherwise the response is cut off, since its headers have been sent."""

    edits_request_body: bool | None = None
    """True: the filter changes the size of the request body, so `content-length` is removed from the headers.

    The host never corrects `content-length`, and a wrong one enables request smuggling. Without this declaration an
    edit that changes the size is refused (`PhaseError`), unless the headers are still held, or the message is known to
    have no `content-length`: it came without one, or the filter removed it in `on_http_request_headers`. None (the
    default) means: the value of `buffer_request_body`.
    """

    edits_response_body: bool | None = None
    """The same for the response body. Responses to HEAD, and 304, lose their `content-length` too."""

    holds_request_headers: bool = False
    """True: the request's headers wait for its body, so that `on_http_request_body` can still change them.

    They leave with the first piece that the callback lets pass; with `buffer_request_body`, after the whole body. This
    needs `allow_on_headers_stop_iteration: true` in Envoy's configuration of the plugin (Envoy 1.35 or later), with
    `PWASM_HOLD_HEADERS=1` in `environment_variables`: `pwasm config`, `run`, `test` and `manifest` write both. Without
    the variable the plugin refuses to start.
    """

    holds_response_headers: bool = False
    """The same for the headers of the response and `on_http_response_body`."""

    upgrades: str | None = None
    """What happens to a request that asks for another protocol (a WebSocket, CONNECT).

    "refuse": it is answered with 403 (details `pwasm_upgrade_refused`). "pass": once upstream has agreed, bytes pass in
    both directions without any body callback. "stream": the body callbacks are called for each piece, even if the class
    buffers bodies; there is no last one. None (the default) means "refuse" if the class buffers bodies, else "stream".
    """

    max_body_bytes: int = 1024 * 1024
    """Size limit of what is held of a body, in bytes. Envoy's `per_connection_buffer_limit_bytes` is 1 MiB, too."""

    snapshot_request_headers: bool | None = None
    """Whether `self.request.headers` stays readable after the request was sent upstream.

    This costs one hostcall per request. None (the default) means: if a method of the class that runs later uses
    `request`.
    """

    passes_trace_context: bool = False
    """True: calls that are made for this stream carry the trace context of its request, so that both are in one trace.

    These headers of the request are added, in `aio`, `dispatch_…` and `open_grpc_stream`, unless the call has one of
    that name itself: `traceparent` and `tracestate` (W3C Trace Context), `b3` and `x-b3-…` (B3 Propagation). For calls
    after the request was sent upstream, a copy of its headers is kept (`snapshot_request_headers`).
    """

    own_names: Collection[str] = ()
    """Names in this class that resemble the SDK's on purpose, see above."""

    request: Request = cast("Request", OfContext("request", Request))
    """The request as an object: `self.request.headers["x"]`, `.trailers`, `.body`; see `pwasm.Request`."""

    response: Response = cast("Response", OfContext("response", Response))
    """The response as an object; see `pwasm.Response`."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Outcome:
        """The request headers arrived (proxy_on_request_headers).

        Args:
            num_headers: number of headers, pseudo headers included.
            end_of_stream: True when there is neither a body nor trailers.

        Returns:
            `Action.PAUSE` holds the request until `resume_http_request`: no callback is called for its body before. To
            let the body decide the headers, set `holds_request_headers` and return `Action.CONTINUE`.
        """
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Outcome:
        """A part of the request body arrived (proxy_on_request_body).

        Args:
            body_size: bytes readable now: this part, after what earlier calls have held with `Action.PAUSE`.
            end_of_stream: True for the last part, but not when trailers follow; always True for a whole body.

        Returns:
            `Action.PAUSE` holds the data: the next call sees it again, with what has arrived in the meantime. At the
            end of the body, it holds until `resume_http_request`, but not beside every other filter: docs/bodies.md.
        """
        return Action.CONTINUE

    def on_http_request_trailers(self, num_trailers: int) -> Outcome:
        """The request trailers arrived (proxy_on_request_trailers); what is held of the body is readable.

        Only a request that is held by its headers can be paused here; any other is answered with 500, since Envoy might
        send the trailers twice.
        """
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Outcome:
        """The response headers arrived (proxy_on_response_headers).

        Also called for local responses sent by this filter. The request headers are no longer readable.

        Args:
            num_headers: number of headers, `:status` included.
            end_of_stream: True when there is neither a body nor trailers.

        Returns:
            `Action.PAUSE` holds the response until `resume_http_response`.
        """
        return Action.CONTINUE

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Outcome:
        """A part of the response body arrived (proxy_on_response_body); see `on_http_request_body`."""
        return Action.CONTINUE

    def on_http_response_trailers(self, num_trailers: int) -> Outcome:
        """The response trailers arrived (proxy_on_response_trailers)."""
        return Action.CONTINUE

    def on_http_stream_done(self) -> None:
        """The stream is over and about to be logged (proxy_on_log).

        Header maps are read-only; nothing can be sent, closed or resumed any more. This may be the only callback of a
        stream, if an earlier filter answered the request. Envoy never calls it for a filter in a cluster's
        `http_filters`: keep what must go with such a stream in its context (docs/abi.md §6).
        """


class TcpContext:
    """One TCP connection from downstream, and the one to upstream."""

    context_id: int  # without a default, see `records.Stream`
    """Envoy's id of this connection; not reused while the connection is alive."""

    if TYPE_CHECKING:
        plugin = cast("PluginContext", None)  # not annotated, see above
        """The plugin this connection belongs to."""
    else:
        plugin: PluginContext

    if TYPE_CHECKING:
        config: Any
    else:

        @property
        def config(self) -> Any:
            """`plugin.config`; a filter without a plugin class annotates it here, see `pwasm.config`."""
            return self.plugin.config

    on_error: str = "fail_closed"
    """What an exception in a callback does: "fail_closed" closes the connection, "fail_open" lets the data through."""

    own_names: Collection[str] = ()
    """Names in this class that resemble the SDK's on purpose, see above."""

    def on_new_connection(self) -> Outcome:
        """A client connected (proxy_on_new_connection).

        Returns:
            `Action.PAUSE` reads nothing from the client until `continue_tcp_stream`.
        """
        return Action.CONTINUE

    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Outcome:
        """Data arrived from the client (proxy_on_downstream_data).

        Args:
            data_size: bytes readable now: what has arrived since the last call, or all that is held; can be 0 when
                `end_of_stream` is True.
            end_of_stream: True when the client will send no more.

        Returns:
            `Action.PAUSE` holds the data: the next call sees it again, with what has arrived in the meantime. A filter
            behind this one that holds what was passed on makes it come again, too, and releases everything at once.
        """
        return Action.CONTINUE

    def on_downstream_close(self, peer_type: PeerType) -> Done:
        """The connection to the client is closed (proxy_on_downstream_connection_close).

        `peer_type` does not reliably tell who closed first: with tcp_proxy, Envoy reports LOCAL for a client that did.
        """

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action | None:
        """Data arrived from upstream (proxy_on_upstream_data); see `on_downstream_data`."""
        return Action.CONTINUE

    def on_upstream_close(self, peer_type: PeerType) -> Done:
        """The connection to upstream is closed (proxy_on_upstream_connection_close); Envoy passes UNKNOWN."""

    def on_stream_done(self) -> None:
        """The connection is over and about to be logged (proxy_on_log)."""
