"""What a class of HTTP contexts declares: whole bodies, edited bodies, the snapshot of the request headers.

    buffer_request_body = True     on_http_request_body is called once, with the whole body
    edits_request_body = True      content-length is dropped, so that the body may change its size
    snapshot_request_headers       self.request.headers stays readable after the request has gone upstream

A class that declares nothing has no traits (`traits_of` gives None), and its streams pay one test for each callback.

Rules, from docs/abi.md §0.5, §1.3 and §1.5:

- The host never corrects `content-length`. It is dropped when the headers callback returns (or the filter resumes),
  the last time the headers can be changed; the message is then sent chunked.
- A body ends with `end_of_stream` or with trailers; a request with trailers never has the former.
- A request body over the limit is answered with 413, at its headers when `content-length` says so. A response over
  it is answered with 500 as long as its headers are held, and cut off afterwards. Then only the stream's last callback
  is called, as after a failure.
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


# --- while a stream runs ------------------------------------------------------------------------------------------


def call(stream: Stream, phase: Phase, *args: int) -> object:
    """Run a callback of a stream that has traits or waits; returns its action (or coroutine), not checked yet."""
    waiting = stream.waiting
    if waiting is None:
        return _call(stream, phase, args)
    direction = phase.direction
    if waiting.held & 1 << direction and not stream.local_response:
        waiting.keep(phase, args)
        return Action.PAUSE
    by_host = current.phase is phase  # and not from `tasks`, for what arrived earlier
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
    action: object = method(*args)
    if type(action) is CoroutineType:
        return action  # `tasks` leaves the headers when it is over
    if current.stream is not stream:  # the filter had selected another one
        current.host.proxy_set_effective_context(stream.id)
        select_stream(stream)
    leave_headers(stream, direction)
    return action


def leave_headers(stream: Stream, direction: int) -> None:
    """The headers of this direction are about to get out of reach: drop content-length, keep the snapshot."""
    traits = stream.traits
    if traits is None or stream.local_response or stream.closed or stream.resumed & 1 << direction:
        return
    bit = _HEADERS_LEFT << direction
    has_body = not stream.marks & _BODY_SEEN << direction
    if traits.edits[direction] and has_body and not stream.marks & bit:
        stream.marks |= bit
        current.host.proxy_remove_header_map_value(2 * direction, CONTENT_LENGTH)
    if direction == REQUEST and traits.snapshot:
        status, data = current.host.proxy_get_header_map_pairs(MapType.HTTP_REQUEST_HEADERS)
        if status == Status.OK and data:
            stream.snapshot = data


def _announced(direction: int) -> int:
    """What `content-length` says; 0 when it is not there or no number."""
    status, value = current.host.proxy_get_header_map_value(2 * direction, CONTENT_LENGTH)
    return int(value) if status == Status.OK and value.isdigit() and len(value) < 20 else 0


def _body(stream: Stream, phase: Phase, traits: Traits, size: int, end_of_stream: bool) -> object:
    direction = phase.direction
    if stream.marks & _BODY_SEEN << direction:
        # Seen, and held by the filter: what a host may still send (an empty last part) is not another body.
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
    later: object = method(*args)
    if type(later) is CoroutineType and action is not None and action is not Action.CONTINUE:
        return _body_then_trailers(stream, action, method, args, later)
    return later if action is None or action is Action.CONTINUE else action


async def _body_then_trailers(
    stream: Stream, action: Any, method: Any, args: tuple[int, ...], later: Any = None
) -> object:
    """A whole body and the trailers behind it, where one of the two callbacks is `async def`."""
    if type(action) is CoroutineType:
        action = await action
    if stream.local_response or stream.closed:
        return action
    later = method(*args) if later is None else later
    if type(later) is CoroutineType:
        later = await later
    return later if action is None or action is Action.CONTINUE else action


def _refuse(stream: Stream, direction: int, traits: Traits) -> None:
    """413 for a request; for a response 500, or the end where its headers have gone out.

    The answer is not the filter's, so none but its last callback is called any more, as after a failure.
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
