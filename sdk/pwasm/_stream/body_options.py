"""Options that a class of HTTP contexts declares: whole bodies, edited bodies, the snapshot of the request headers.

    buffer_request_body = True     on_http_request_body is called once, with the whole body
    edits_request_body = True      content-length is removed, so that the body may change its size
    snapshot_request_headers       self.request.headers stays readable after the request was sent upstream

A class without such declarations has no traits (`traits_of` returns None), which costs its streams one test per
callback.

Rules, from docs/abi.md §0.5, §1.3 and §1.5:

- The host never corrects `content-length`. It is removed when the headers callback returns (or the filter resumes),
  the last moment when the headers can be changed; the message is then sent chunked.
- A body ends with `end_of_stream` or with trailers; a request with trailers never has the former.
- A request body over the limit is answered with 413, already at its headers if `content-length` exceeds the limit. A
  response body over the limit is answered with 500 while its headers are held, and cut off afterwards. From then on
  only the stream's last callback is called, as after a failure.
"""

from __future__ import annotations

from types import CoroutineType

from .._abi import Action, BufferType, MapType, Status
from .._typing import Any, Final
from .current import current
from .guards import select_stream
from .phases import REQUEST, RESPONSE
from .records import Phase, Stream
from .registration import MESSAGES, Traits

TRACEBACK_STARTS_BELOW = True  # see `report`

CONTENT_LENGTH: Final = "content-length"
_PAYLOAD_TOO_LARGE, _INTERNAL_ERROR = 413, 500
_GRPC_RESOURCE_EXHAUSTED = 8

# Bits of Stream.marks, shifted by the direction.
_HEADERS_LEFT, _BODY_SEEN = 1, 4
NO_LENGTH: Final = 256
"""The message has no `content-length`: it was removed, or there never was one."""


# --- while a stream runs ------------------------------------------------------------------------------------------


def call(stream: Stream, phase: Phase, *args: int) -> object:
    """Run a callback of a stream that has traits or waits; returns its unchecked action, or its coroutine."""
    waiting = stream.waiting
    if waiting is None:
        return _call(stream, phase, args)
    direction = phase.direction
    if waiting.held & 1 << direction and not stream.local_response:
        waiting.keep(phase, args)
        return Action.PAUSE
    by_host = current.phase is phase  # rather than by `tasks`, for a part that arrived earlier
    action = _call(stream, phase, waiting.visible(phase, args))
    if by_host and (action is None or action is Action.CONTINUE):
        waiting.sent(direction)
    return action


def _call(stream: Stream, phase: Phase, args: tuple[int, ...]) -> object:
    method = getattr(stream.context, phase.method)
    traits = stream.traits
    if traits is None or phase.direction not in MESSAGES:
        return method(*args)
    export = phase.export
    if export.endswith("_headers"):
        return _headers(stream, phase.direction, traits, method, args)
    if not traits.buffers[phase.direction]:
        return method(*args)
    if export.endswith("_body"):
        return _body(stream, phase, traits, args[0], bool(args[1]))
    return _trailers(stream, phase, traits, method, args)


def _headers(stream: Stream, direction: int, traits: Traits, method: Any, args: tuple[int, ...]) -> object:
    with_body = not args[1]
    too_large = with_body and traits.buffers[direction] and _announced(direction) > traits.max_body_bytes
    if not with_body:
        stream.marks |= _BODY_SEEN << direction
    if too_large and not stream.local_response:
        _refuse(stream, direction, traits)
        return Action.PAUSE
    try:
        action: object = method(*args)
    except BaseException:  # with on_error = "fail_open" the headers leave all the same
        _leave(stream, direction)
        raise
    if type(action) is CoroutineType:
        return action  # `tasks` calls leave_headers when it ends
    _leave(stream, direction)
    return action


def _leave(stream: Stream, direction: int) -> None:
    if current.stream is not stream:  # the filter has selected another one
        current.host.proxy_set_effective_context(stream.id)
        select_stream(stream)
    leave_headers(stream, direction)


def leave_headers(stream: Stream, direction: int) -> None:
    """The last moment to access the headers of this direction: remove content-length, take the snapshot."""
    traits = stream.traits
    if traits is None or stream.closed or stream.resumed & 1 << direction:
        return
    if stream.local_response and direction == REQUEST:
        return
    _leave_length(stream, direction, traits)
    if direction == REQUEST and traits.snapshot:
        status, data = current.host.proxy_get_header_map_pairs(MapType.HTTP_REQUEST_HEADERS)
        if status == Status.OK and data:
            stream.snapshot = data


def _leave_length(stream: Stream, direction: int, traits: Traits) -> None:
    """Remove `content-length` if the body may change, or note whether there is one."""
    bit = _HEADERS_LEFT << direction
    edits, has_body = traits.edits[direction], not stream.marks & _BODY_SEEN << direction
    if not edits and not (traits.watches[direction] and has_body):
        return
    if stream.marks & (bit | NO_LENGTH << direction):
        return
    stream.marks |= bit
    host = current.host
    if not (edits and has_body):
        status, value = host.proxy_get_header_map_value(2 * direction, CONTENT_LENGTH)
        if status == Status.NOT_FOUND:
            stream.marks |= NO_LENGTH << direction
        # In a response to HEAD, or a 304, it would announce the body that this filter changes (RFC 9110 § 8.6).
        if status or not edits or direction == REQUEST or value == b"0":
            return
    host.proxy_remove_header_map_value(2 * direction, CONTENT_LENGTH)
    stream.marks |= NO_LENGTH << direction


def headers_in_hand(stream: Stream, direction: int) -> bool:
    """Whether the headers of a message have not left this filter, so that they can still be changed."""
    phase = current.phase
    own = phase.export.endswith("_headers") and phase.direction == direction and phase.origin is None
    return own and not stream.resumed & 1 << direction


def _announced(direction: int) -> int:
    """The value of `content-length`; 0 if it is missing or not a number."""
    status, value = current.host.proxy_get_header_map_value(2 * direction, CONTENT_LENGTH)
    return int(value) if status == Status.OK and value.isdigit() and len(value) < 20 else 0


def _body(stream: Stream, phase: Phase, traits: Traits, size: int, end_of_stream: bool) -> object:
    direction = phase.direction
    if stream.marks & _BODY_SEEN << direction:
        # The filter has seen the body and holds it: what the host may still pass (an empty last part) is no new body.
        return Action.CONTINUE
    if size > traits.max_body_bytes:
        if not stream.local_response:
            _refuse(stream, direction, traits)
        return Action.PAUSE
    if not end_of_stream:
        return Action.PAUSE
    return _deliver(stream, phase.method, direction, size)


def _deliver(stream: Stream, method: str, direction: int, size: int) -> object:
    stream.marks |= _BODY_SEEN << direction
    return getattr(stream.context, method)(size, True)


def _trailers(stream: Stream, phase: Phase, traits: Traits, method: Any, args: tuple[int, ...]) -> object:
    direction = phase.direction
    if stream.marks & _BODY_SEEN << direction:
        return method(*args)
    _, size, _ = current.host.proxy_get_buffer_status(BufferType(direction))
    if size > traits.max_body_bytes:
        _refuse(stream, direction, traits)
        return Action.PAUSE
    action = _deliver(stream, f"on_http_{MESSAGES[direction]}_body", direction, size)
    if type(action) is CoroutineType:
        return _body_then_trailers(stream, action, method, args)
    if stream.local_response or stream.closed:
        return action
    of_trailers: object = method(*args)
    if type(of_trailers) is CoroutineType and action is not None and action is not Action.CONTINUE:
        return _body_then_trailers(stream, action, method, args, of_trailers)
    return of_trailers if action is None or action is Action.CONTINUE else action


async def _body_then_trailers(
    stream: Stream, action: Any, method: Any, args: tuple[int, ...], of_trailers: Any = None
) -> object:
    """Run the callbacks of a whole body and of the trailers after it, if one of the two is `async def`."""
    if type(action) is CoroutineType:
        action = await action
    if stream.local_response or stream.closed:
        return action
    of_trailers = method(*args) if of_trailers is None else of_trailers
    if type(of_trailers) is CoroutineType:
        of_trailers = await of_trailers
    return of_trailers if action is None or action is Action.CONTINUE else action


def _refuse(stream: Stream, direction: int, traits: Traits) -> None:
    """Refuse a body over the limit: 413 for a request; for a response 500, or a reset once its headers have been sent.

    The response is not the filter's own, so only its last callback is still called, as after a failure.
    """
    stream.marks |= _BODY_SEEN << direction
    stream.skip = True
    name = MESSAGES[direction]
    if direction == RESPONSE and not current.phase.export.endswith("_headers"):
        status = current.host.proxy_close_stream(RESPONSE)
        stream.closed = status == Status.OK
        return
    status = current.host.proxy_send_local_response(
        _PAYLOAD_TOO_LARGE if direction == REQUEST else _INTERNAL_ERROR,
        f"pwasm_{name}_body_too_large",
        f"the {name} body is larger than {traits.max_body_bytes} bytes\n".encode(),
        b"",
        _GRPC_RESOURCE_EXHAUSTED,
    )
    stream.local_response = status == Status.OK
