"""How an exception raised by a filter's callback is handled.

Any `BaseException` (including SystemExit, KeyboardInterrupt, RecursionError and MemoryError) is logged as one record
(`report`), and then has the effect listed here. A result that is not an action, such as True, 2 or "PAUSE", is treated
like a TypeError raised by the callback.

    callback                          fail_closed, the default              fail_open
    ──────────────────────────────────────────────────────────────────────────────────────────
    context creation, plugin          the plugin does not start              the same
    on_vm_start, on_plugin_start      False: Envoy rejects the              the same
                                      configuration
    context creation, stream          answered at its first callback        no filter for the stream
    on_http_request_…                 500, PAUSE                            CONTINUE
    on_http_response_headers          500, PAUSE                            CONTINUE
    on_http_response_body, …trailers  stream closed, PAUSE                  CONTINUE
    on_new_connection, on_…_data      connection closed, PAUSE              CONTINUE
    on_…_close                        only logged                           only logged
    on_http_stream_done,              only logged                           only logged
    on_stream_done, on_plugin_done
    on_tick, on_queue_ready,          logged; a stream selected with        logged; such a stream
    callouts, on_foreign_function     set_effective_context is answered     is resumed
                                      with 500, or closed

The 500 is a local response with details `pwasm_filter_error`. If the response has begun, the stream is closed instead.
If the filter itself has sent a local response, that one is kept. After a failure with fail_closed, the stream's
callbacks are no longer passed on, except the last one (…stream_done).

Start-up failures are logged at level critical, the others at level error.
"""

from __future__ import annotations

from .._abi import Action
from .acts import Response, refuse, resume
from .current import current
from .guards import act_on, is_closed
from .holding import let_go
from .marks import HEADERS_PAUSED
from .phases import DOWNSTREAM, LOG, REPLY, REQUEST, RESPONSE
from .records import Phase, Root, Stream
from .registration import MESSAGES, Entry
from .report import report

CONTINUE = int(Action.CONTINUE)
PAUSE = int(Action.PAUSE)

_ERROR = 4
_GRPC_INTERNAL = 13
_FAILED = Response(500, "pwasm_filter_error", b"", _GRPC_INTERNAL)


def verdict(action: object, phase: Phase) -> int:
    """Convert the result of a stream's callback to 0 or 1.

    Envoy discards the data of a body callback that returns a value above 2, so no other value may reach it.
    """
    if action is None:
        return CONTINUE
    if not isinstance(action, int) or isinstance(action, bool) or action not in {CONTINUE, PAUSE}:
        raise TypeError(f"{phase.method} must return Action.CONTINUE, Action.PAUSE or None, not {action!r}")
    return int(action)


def accepted(result: object) -> bool:
    """Whether a callback that can refuse has accepted: with True or None.

    Raises:
        TypeError: the result is nothing of that kind.
    """
    if result is None or isinstance(result, bool):
        return result is not False
    raise TypeError(f"must return True, False or None, not {result!r}")


def fails_open(context: object) -> bool:
    """Whether a context or class has `on_error = "fail_open"`; any other value means the default."""
    return getattr(context, "on_error", None) == "fail_open"


def name_of(context: object, phase: Phase) -> str:
    """The name of a callback in log records: `AddHeader.on_http_request_headers`."""
    return f"{type(context).__qualname__}.{phase.method}"


def creation_failed(stream: Stream, error: BaseException) -> None:
    """The stream's context could not be created. The request cannot be answered before the stream's first callback."""
    entry: Entry | None = stream.root.http if stream.http else stream.root.tcp
    is_class = entry is not None and isinstance(entry.factory, type)
    open_ = fails_open(entry.factory if entry is not None and is_class else stream.root.context)
    stream.skip = True
    stream.refuse = not open_
    name = entry.name if entry is not None else "the context"
    outcome = "the stream has no filter (on_error = fail_open)" if open_ else "the stream will be refused"
    report(_ERROR, f"{name} could not be created for context {stream.id}: {outcome}", error)


def stream_failed(phase: Phase, stream: Stream, error: BaseException) -> int:
    """Log the failure of a stream's callback and apply its policy; returns the action."""
    open_ = fails_open(stream.context)
    policy = "on_error = fail_open" if open_ else "on_error = fail_closed"
    report(_ERROR, f"{name_of(stream.context, phase)} failed for context {stream.id} ({policy})", error)
    try:
        if current.stream is not stream:
            act_on(stream)
        if open_:
            return PAUSE if is_closed(stream) else CONTINUE
        stream.skip = True
        return _refuse(stream, phase)
    except BaseException as second:
        report(_ERROR, f"the failure of context {stream.id} could not be handled", second)
        return CONTINUE if open_ else PAUSE


def refuse_late(stream: Stream, phase: Phase) -> int:
    """Refuse a stream that failed before it could be answered; returns the action."""
    try:
        return _refuse(stream, phase)
    except BaseException as second:
        report(_ERROR, f"the failure of context {stream.id} could not be handled", second)
        return PAUSE


def _refuse(stream: Stream, phase: Phase) -> int:
    """Answer or close a failed stream, as far as the phase allows; returns the action."""
    if phase.remedy == LOG or stream.ended:
        return CONTINUE
    if stream.local_response:
        return CONTINUE  # the host ignores this action; later callbacks are for that response
    if not stream.closed:
        # In on_http_response_headers the 500 still replaces the response; afterwards the response has begun.
        begun = stream.response_seen and not phase.method.endswith("response_headers")
        # An HTTP filter in a TCP listener fails at its first callback; in that case the connection is closed.
        _answer(stream, reply=phase.remedy == REPLY and not begun, http=phase.direction < DOWNSTREAM)
    return PAUSE


def root_failed(phase: Phase, root: Root, error: BaseException, name: str = "") -> None:
    """Log the failure of a plugin's callback; a stream it was acting on must not stay paused forever."""
    report(phase.level, f"{name or name_of(root.context, phase)} failed for context {root.id}", error)
    stream = current.stream
    if stream is None or stream.ended or stream.local_response or stream.closed:
        return
    try:
        if not fails_open(stream.context):
            stream.skip = True
            _answer(stream, reply=not stream.response_seen, http=stream.http)
        else:
            for direction in (REQUEST, RESPONSE, DOWNSTREAM):
                if stream.paused & 1 << direction:  # continuing a direction that is not held sends its data twice
                    stream.marks &= ~(HEADERS_PAUSED << direction) if direction in MESSAGES else -1
                    let_go(stream, direction)
                    resume(stream, direction)
    except BaseException as second:
        report(phase.level, f"the failure of context {stream.id} could not be handled", second)


def _answer(stream: Stream, *, reply: bool, http: bool) -> None:
    """Send the 500, or close the stream if it cannot be sent; if neither can be done now, the next callback tries."""
    done = refuse(stream, _FAILED if http and reply else None, RESPONSE if http else DOWNSTREAM)
    stream.refuse = not done
