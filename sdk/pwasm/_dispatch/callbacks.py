"""From the host's callbacks to the filter's methods.

`Dispatcher` implements `_protocols.Plugin`. It creates and deletes contexts, passes callbacks on, and lets no exception
escape: a trap would permanently end the Wasm VM, and with it every plugin of that worker.

`policy` decides what happens to an exception that a callback raises. A result that is not an action, such as True, 2 or
"PAUSE", is treated like a TypeError raised by the callback.

A callback for an unknown context is ignored, with a debug record: hosts may call proxy_on_log late, and deliver answers
for streams that no longer exist.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType

from .._abi import Action, LogLevel, PeerType
from .._async.callouts import deliver_answer
from .._async.missing_option import watch
from .._async.release import passes_later
from .._async.tasks import close_stream, start
from .._async.timers import tick
from .._config.binding import fill
from .._stream.acts import holds_no_more
from .._stream.body_options import CALLS, arrives
from .._stream.body_options import call as call_with_traits
from .._stream.current import current
from .._stream.guards import act_on, is_closed
from .._stream.holding import leave, let_headers_go, waits
from .._stream.marks import HEADERS_HELD, HEADERS_PAUSED, RESUMED_OUTSIDE
from .._stream.phases import PHASES, PLUGIN_LOG, RESPONSE, TCP_DONE
from .._stream.policy import CONTINUE, PAUSE, accepted, name_of, refuse_late, root_failed, stream_failed, verdict
from .._stream.records import Phase, Stream
from .._stream.registration import MESSAGES
from .._stream.report import report
from ..types import PluginContext, VMContext
from .by_rules import configure
from .contexts import Contexts
from .exports import callbacks_used
from .plugins import are_done, run_for_roots

TRACEBACK_STARTS_BELOW = True  # see `report`

__all__ = ["Dispatcher", "callbacks_used", "leave"]

_ACTION_CONTINUE = Action.CONTINUE
_VM_CONFIGURATION, _PLUGIN_CONFIGURATION = 6, 7


def _checked_action(returned: object, stream: Stream, phase: Phase) -> int:
    """Convert a callback's result to 0 or 1; the coroutine of an `async def` is run first.

    PAUSE after a resume in the same callback would hang: the host resumes before it pauses (see `guards`, 0.2).
    """
    awaited = type(returned) is CoroutineType
    if awaited:
        returned = start(returned, stream, phase)  # type: ignore[arg-type]
    if current.stream is not stream:
        act_on(stream)
    if stream.traits is not None and passes_later(stream, phase, returned, awaited=awaited):
        return PAUSE
    result = CONTINUE if returned is None or returned is _ACTION_CONTINUE else verdict(returned, phase)
    if result != CONTINUE and phase.direction >= 0 and stream.resumed & 1 << phase.direction:
        result = CONTINUE
    if result == CONTINUE and stream.traits is None:
        return CONTINUE
    action = leave(stream, phase, result)
    if action != result and phase.part == "headers" and stream.root.option_seen is None and not stream.skip:
        watch(stream, phase.direction)
    return action


def _failed(phase: Phase, stream: Stream, error: BaseException) -> int:
    """Handle the failure of a stream's callback; what is held goes on or is dropped, as the policy says."""
    action = stream_failed(phase, stream, error)
    if stream.traits is None:
        return action
    try:
        return leave(stream, phase, action)
    except BaseException as second:
        report(LogLevel.ERROR, f"the bytes held for context {stream.id} could not be put back", second)
        return refuse_late(stream, phase)


def answered(stream: Stream, phase: Phase, action: object) -> int:
    """Finish a stream callback that the shim delivered, and that returned something other than CONTINUE."""
    try:
        return _checked_action(action, stream, phase)
    except BaseException as error:
        return _failed(phase, stream, error)


def _request_begins(stream: Stream) -> None:
    stream.request_begun = True


def _response_begins(stream: Stream) -> None:
    stream.response_begun = True


def _ignore(_stream: Stream) -> None:
    """Nothing of a body has gone on."""


_BEGINS = {"proxy_on_request_body": _request_begins, "proxy_on_response_body": _response_begins}


def _plain(_stream: Stream, _phase: Phase, method: Callable[..., object], *args: int) -> object:
    """Call the method of a TCP stream, which has no traits."""
    return method(*args)


def _data_callback(export: str) -> Callable[[Dispatcher, int, int, bool], int]:
    """A stream callback with size and end_of_stream: the hot path of streams that the shim leaves to Python.

    Its steps are inlined rather than put into helpers: each call would cost as much as the call of the filter's method.
    """
    phase = PHASES[export]
    method, direction, response = phase.method, phase.direction, phase.direction == RESPONSE
    opens = MESSAGES.get(phase.direction) if export.endswith("_headers") else None
    action_continue = Action.CONTINUE
    headers, message = phase.part == "headers", phase.direction in MESSAGES
    paused, held = (HEADERS_PAUSED << phase.direction, HEADERS_HELD << phase.direction) if message else (0, 0)
    outside = RESUMED_OUTSIDE << phase.direction if message else 0
    call = CALLS[phase.part] if message else _plain
    note_begun = _BEGINS.get(export, _ignore)

    def callback(  # noqa: PLR0912, see above
        self: Dispatcher, context_id: int, size: int, end_of_stream: bool, /
    ) -> int:
        stream = self._streams.get(context_id) or self._open(context_id)
        if stream is None or stream.skip:
            return self._not_delivered(phase, context_id, stream, size, end_of_stream)
        current.host = self._host
        current.stream = stream
        current.phase = phase
        current.queued = None
        stream.resumed = 0
        if stream.paused:
            holds_no_more(stream, direction)
        if response:
            stream.response_seen = True
        if opens == "response":
            stream.bare_response = end_of_stream
        elif opens is not None:
            stream.bare_request = end_of_stream
        elif message:
            stream.last = end_of_stream
        try:
            if stream.traits is None:
                action = getattr(stream.context, method)(size, end_of_stream)
                if action is None or action is action_continue:
                    if size:
                        note_begun(stream)
                    return CONTINUE
            else:
                if stream.waiting is not None or stream.marks & paused:
                    given = arrives(stream, phase, (size, end_of_stream))
                    if given is None:
                        return waits(stream, phase)
                    size = given[0]
                action = call(stream, phase, getattr(stream.context, method), size, end_of_stream)
                if current.stream is not stream:
                    act_on(stream)
                goes_on = (action is None or action is action_continue) and not stream.marks & outside
                if goes_on and not headers and stream.waiting is None:
                    if size:
                        note_begun(stream)
                    if stream.marks & held:
                        stream.root.option_seen = True
                        let_headers_go(stream, phase.direction)
                    return CONTINUE
            return _checked_action(action, stream, phase)
        except BaseException as error:
            return _failed(phase, stream, error)

    return callback


def _stream_callback(export: str) -> Callable[..., int]:
    """Any other stream callback that returns an action."""
    phase = PHASES[export]

    def callback(self: Dispatcher, context_id: int, /, *args: int) -> int:
        stream = self._streams.get(context_id) or self._open(context_id)
        if stream is None or stream.skip:
            return self._not_delivered(phase, context_id, stream)
        self._enter_stream(phase, stream)
        try:
            given = arrives(stream, phase, args)
            if given is None:
                return waits(stream, phase)
            action = _checked_action(call_with_traits(stream, phase, *given), stream, phase)
            # After a reset Envoy must not continue with the trailers: it would write to a closed connection (K7).
            return PAUSE if is_closed(stream) else action
        except BaseException as error:
            return _failed(phase, stream, error)

    return callback


def _close_callback(export: str) -> Callable[[Dispatcher, int, int], None]:
    """A TCP stream's "connection closed"."""
    phase = PHASES[export]

    def callback(self: Dispatcher, context_id: int, peer_type: int, /) -> None:
        stream = self._streams.get(context_id) or self._open(context_id)
        if stream is None or stream.skip:
            self._not_delivered(phase, context_id, stream)
            return
        self._enter_stream(phase, stream)
        try:
            result = getattr(stream.context, phase.method)(PeerType(peer_type if peer_type in {0, 1, 2} else 0))
            if type(result) is CoroutineType:
                start(result, stream, phase)
        except BaseException as error:
            stream_failed(phase, stream, error)

    return callback


def _root_callback(export: str, phase: Phase | None = None) -> Callable[..., None]:
    """A callback of a plugin context."""
    phase = phase or PHASES[export]

    def callback(self: Dispatcher, root_id: int, /, *args: int) -> None:
        root = self._roots.get(root_id)
        if root is None or root.context is None:
            self._unknown(export, root_id)
            return
        self._enter_root(phase, root)
        run_for_roots(phase, root, args)

    return callback


def _answer_callback(export: str) -> Callable[..., None]:
    """The answer to a callout, for the stream that made it."""
    phase = PHASES[export]

    def callback(self: Dispatcher, root_id: int, token: int, /, *args: int) -> None:
        root = self._roots.get(root_id)
        if root is None or root.context is None:
            self._unknown(export, root_id)
            return
        if root.rules is not None:
            root = root.rules.with_call(token) or root
        self._enter_root(phase, root)
        try:
            deliver_answer(phase, root, token, args)
        except BaseException as error:
            root_failed(phase, root, error)

    return callback


class Dispatcher(Contexts):
    """The plugin side of the seam: the callbacks of one Wasm VM."""

    _on_log_of_plugin = _root_callback("proxy_on_log", PLUGIN_LOG)

    # --- the callbacks that are only passed on, in the order of the ABI -------------------------------------------

    _on_tick = _root_callback("proxy_on_tick")
    proxy_on_queue_ready = _root_callback("proxy_on_queue_ready")
    proxy_on_new_connection = _stream_callback("proxy_on_new_connection")
    proxy_on_downstream_data = _data_callback("proxy_on_downstream_data")
    proxy_on_downstream_connection_close = _close_callback("proxy_on_downstream_connection_close")
    proxy_on_upstream_data = _data_callback("proxy_on_upstream_data")
    proxy_on_upstream_connection_close = _close_callback("proxy_on_upstream_connection_close")
    proxy_on_request_headers = _data_callback("proxy_on_request_headers")
    proxy_on_request_body = _data_callback("proxy_on_request_body")
    proxy_on_request_trailers = _stream_callback("proxy_on_request_trailers")
    proxy_on_response_headers = _data_callback("proxy_on_response_headers")
    proxy_on_response_body = _data_callback("proxy_on_response_body")
    proxy_on_response_trailers = _stream_callback("proxy_on_response_trailers")
    proxy_on_http_call_response = _answer_callback("proxy_on_http_call_response")
    proxy_on_grpc_receive_initial_metadata = _answer_callback("proxy_on_grpc_receive_initial_metadata")
    proxy_on_grpc_receive = _answer_callback("proxy_on_grpc_receive")
    proxy_on_grpc_receive_trailing_metadata = _answer_callback("proxy_on_grpc_receive_trailing_metadata")
    proxy_on_grpc_close = _answer_callback("proxy_on_grpc_close")
    proxy_on_foreign_function = _root_callback("proxy_on_foreign_function")

    def proxy_on_tick(self, root_id: int, /) -> None:
        """The timer of a plugin, which sleeping coroutines use too."""
        root = self._roots.get(root_id)
        if root is not None and root.timers is not None:
            phase = PHASES["proxy_on_tick"]
            self._enter_root(phase, root)
            try:
                due = tick(root, root.timers)
            except BaseException as error:  # the host's clock or timer failed; a later tick wakes the sleepers
                root_failed(phase, root, error)
                return
            if due and root.context is not None:
                # In the same callback of the host: what the sleepers have let it queue stays queued (K9).
                run_for_roots(phase, root, ())
            return
        self._on_tick(root_id)

    def proxy_on_vm_start(self, root_id: int, configuration_size: int, /) -> bool:
        """Start the VM; Envoy calls this once per plugin context, not once per VM."""
        return self._start("proxy_on_vm_start", root_id, configuration_size)

    def proxy_on_configure(self, root_id: int, configuration_size: int, /) -> bool:
        """Configure a plugin; its configuration can be read only now, so the SDK keeps a copy."""
        return self._start("proxy_on_configure", root_id, configuration_size)

    def _start(self, export: str, root_id: int, size: int) -> bool:
        root = self._roots.get(root_id)
        if root is None:
            self._unknown(export, root_id)
            return True
        if root.context is None:
            return False
        phase = PHASES[export]
        self._enter_root(phase, root)
        of_vm = export == "proxy_on_vm_start"
        context: VMContext | PluginContext = root.context.vm if of_vm else root.context
        try:
            buffer = _VM_CONFIGURATION if of_vm else _PLUGIN_CONFIGURATION
            context.configuration = self._host.proxy_get_buffer_bytes(buffer, 0, size)[1] if size else b""
            started = None if of_vm or root.http is None else configure(root, self._create_twin)
            if started is not None:
                self.hear_requests()
                return started
            if not of_vm and not fill(root):
                return False
            return accepted(getattr(context, phase.method)(size))
        except BaseException as error:
            report(phase.level, f"{name_of(context, phase)} failed for context {root_id}: start refused", error)
            return False

    def proxy_on_done(self, context_id: int, /) -> bool:
        """Shut down a plugin, or note the end of a stream (for which the host ignores the result)."""
        stream = self._streams.get(context_id)
        if stream is not None:
            stream.ended = True
            return True
        root = self._roots.get(context_id)
        if root is None or root.context is None:
            if context_id not in self._unopened:
                self._unknown("proxy_on_done", context_id)
            return True
        phase = PHASES["proxy_on_done"]
        self._enter_root(phase, root)
        return are_done(phase, root)

    def proxy_on_log(self, context_id: int, /) -> None:
        """Tell the filter that its stream has ended."""
        stream = self._streams.get(context_id) or self._open(context_id)
        if stream is None:
            self._on_log_of_plugin(context_id)  # the plugin is an access logger
            return
        stream.ended = True
        context = stream.context
        if context is None:
            return
        phase = PHASES["proxy_on_log"] if stream.http else TCP_DONE
        self._enter_stream(phase, stream)
        if stream.waiting is not None:
            close_stream(stream)
        try:
            getattr(context, phase.method)()
        except BaseException as error:
            stream_failed(phase, stream, error)

    def _not_delivered(
        self, phase: Phase, context_id: int, stream: Stream | None, size: int = 0, end_of_stream: bool = False
    ) -> int:
        """Handle a callback that is not passed to the filter: the stream is unknown, has no context, or has failed.

        That is also the state of a stream whose configuration is chosen now.
        """
        if stream is None:
            self._unknown(phase.export, context_id)
            return CONTINUE
        self._enter_stream(phase, stream)
        if stream.root.rules is not None and phase.export == "proxy_on_request_headers":
            try:
                chosen = stream.root.rules.chosen()
            except BaseException as error:
                report(LogLevel.ERROR, f"no configuration can be chosen for context {context_id}", error)
                return refuse_late(stream, phase)
            if chosen is not None:
                stream.root, stream.skip = chosen, False
                self._open_for(chosen, context_id, stream)
                return self.proxy_on_request_headers(context_id, size, end_of_stream)
        if stream.refuse:
            return refuse_late(stream, phase)
        # A 500 that was sent earlier passes through here as a response.
        return PAUSE if stream.closed else CONTINUE
