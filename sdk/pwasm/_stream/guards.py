"""Guards that refuse calls in Python that the host would accept but not survive.

For some calls Envoy returns OK, and crashes, hangs or loses data afterwards. The host's status is therefore not
trusted: whether a call is permitted follows from what has become of the stream (`state_of`), which the SDK records
itself (`records.Stream`); `acts` has the calls that change it. Measured with Envoy 1.40; numbers as in docs/abi.md §0:

    K1   resume_http_response before response headers have arrived    SIGSEGV      PhaseError
    K2   send_http_response in on_log                                  SIGSEGV      PhaseError
    K3   send_http_response in on_done                                 SIGSEGV      PhaseError
    K4   send_http_response in on_delete                               SIGSEGV      PhaseError
    K5   close_http_request in on_log, on_delete                       SIGSEGV      PhaseError
    K6   send_http_response for a deleted stream, for which            SIGSEGV      set_effective_context raises
         set_effective_context still returns OK                                     BadArgument
    K7   close_http_… in on_http_response_trailers, then CONTINUE      SIGSEGV      PAUSE is returned
    K8   a gRPC call or stream with an empty upstream                  SIGABRT      ValueError
    K9   two of local response, close and resume in one callback:      SIGSEGV      PhaseError, or the
         all are queued, and the first may end the stream                           second is ignored
    K10  a request's body after its callback has answered              SIGSEGV      b"", BadArgument
    K11  the data of a connection after its callback has closed it     SIGSEGV      b"", BadArgument
    K12  a gRPC call to a cluster whose name is a GrpcService          SIGABRT      is encoded, see `grpc_target`
    K13  a foreign function with a result that has no room             SIGSEGV      see `foreign_results`
    K14  resume of one direction in a callback of the other one        SIGSEGV      waits for the next tick
    K15  a body's buffer with another stream selected                  SIGSEGV      `act_on` returns to its own
    K16  answer or close for another stream in a callback whose        data lost,   waits for the next tick
         action counts                                                 SIGSEGV
    K17  request headers written, or the route cleared, when the       SIGSEGV      BadArgument
         request has gone upstream and the connection is not there yet
    0.2  resume in the callback that then returns PAUSE                hangs        CONTINUE is returned
    0.3  an action other than 0 and 1                                  loses data   TypeError, see `callbacks`
         a second local response, close after a local response         is lost      PhaseError
         resume after a local response, a close, the end                            ignored

`resume_http_response` in `on_log` is harmless, so it is ignored rather than refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._abi import MapType, Status
from .._typing import Final
from ..errors import HostcallError, PhaseError, from_status
from .current import current
from .marks import OWN_RESPONSE
from .phases import NO_HTTP, NO_STREAM, REQUEST, RESPONSE, UPSTREAM
from .records import Queued, Stream

_SELECT = "pwasm.set_effective_context(context_id) selects a stream for the rest of this callback"


def failed(status: int, hostcall: str, key: object = None) -> HostcallError:
    """The exception for `status`; its message contains the running callback."""
    return from_status(status, hostcall, key, current.phase.method)


def map_refused(what: str, reasons: Mapping[int, str], map_type: int) -> PhaseError:
    """The error for a header map that is not available in the running callback."""
    why = reasons[map_type]
    return PhaseError(what, current.phase.method, why, _SELECT if why == NO_STREAM[0] else "")


def pairs_unavailable(what: str, map_type: int) -> PhaseError | None:
    """The error for an empty map of headers, or None if the map may really be empty.

    For a map that it does not have, the host returns OK and an empty list, but every request or response has headers.
    """
    phase = current.phase
    headers = map_type in {MapType.HTTP_REQUEST_HEADERS, MapType.HTTP_RESPONSE_HEADERS}
    own = phase.export == ("proxy_on_response_headers" if map_type else "proxy_on_request_headers")
    if not headers or own or phase.export == "proxy_on_log":
        return None
    return PhaseError(
        what,
        phase.method,
        "the host has no such headers in this callback",
        "read them in their own callback and keep them",
    )


def stream_for(what: str) -> Stream:
    """The stream that `what` acts on; the call is refused if there is none."""
    stream = current.stream
    if stream is None:
        raise PhaseError(what, current.phase.method, "no stream is selected", _SELECT)
    return stream


def _http_stream_for(what: str) -> Stream:
    stream = stream_for(what)
    if not stream.http:
        raise PhaseError(what, current.phase.method, "this is a TCP stream", "pwasm.close_downstream() closes it")
    return stream


# --- what becomes of a stream ---------------------------------------------------------------------------------------

OPEN, RESUMED, ANSWERED, CLOSED, ENDED = range(5)
"""What has become of a stream. RESUMED: in the running callback. The host queues what a callback asks for, and executes
it when the callback has returned: each act may end the stream, and what is queued behind it would act on what is gone
(K9)."""

_IGNORED: Final = None
_CRASHES = "the stream has ended, and Envoy would crash"
_RESUMED = "the stream was resumed in this callback, which may end it, and Envoy would crash"

_PERMISSIONS: Final[dict[str, tuple[str | None, ...]]] = {
    # OPEN, RESUMED, ANSWERED, CLOSED, ENDED: "" if the call is permitted, else the reason why it is not
    "answer": (
        "",
        _RESUMED,
        "a local response has already been sent; Envoy drops a second one",
        "the stream was closed, or another filter's context has just answered it; the response would be lost",
        _CRASHES,
    ),
    "close": (
        "",
        _RESUMED,
        "a local response has been sent, and closing the stream would lose it",
        _IGNORED,
        _CRASHES,
    ),
    "resume request": ("", "", _IGNORED, _IGNORED, _IGNORED),
    "resume response": ("", "", "", _IGNORED, _IGNORED),
    "resume connection": ("", "", "", _IGNORED, _IGNORED),
}


def state_of(stream: Stream) -> int:
    """What has become of a stream."""
    if stream.ended or _ends_with(stream):
        return ENDED
    if stream.closed:
        return CLOSED
    queued = current.queued
    if queued is None:
        return ANSWERED if stream.local_response else OPEN
    twin = _twin(stream, queued)
    if twin is not None:
        return CLOSED if twin.closed or twin.local_response else RESUMED
    if stream.local_response:
        return ANSWERED
    return RESUMED if stream in queued.streams else OPEN


def is_closed(stream: Stream) -> bool:
    """Whether the running callback has closed the stream, or another context of it."""
    return stream.closed or (current.queued is not None and state_of(stream) == CLOSED)


def running_stream() -> Stream | None:
    """The stream whose callback is running, whatever stream is selected."""
    origin = current.phase.origin
    return current.stream if origin is None else origin[1]


def _ends_with(stream: Stream) -> bool:
    """Whether the stream is another context of the one whose last callback is running, so that it is over, too."""
    running = running_stream()
    return running is not None and running is not stream and running.ended and _same_stream(running, stream)


def _twin(stream: Stream, queued: Queued) -> Stream | None:
    """Another context of the same HTTP stream on which the host will act when the running callback has returned.

    A filter that is configured twice, or two filters with the same vm_id, have two contexts of it in one VM.
    """
    if not stream.http or (len(queued.streams) == 1 and stream in queued.streams):
        return None
    for other in queued.unkeyed:
        queued.by_key.setdefault(_key_of(other), other)
    queued.unkeyed.clear()
    twin = queued.by_key.get(_key_of(stream))
    return None if twin is stream else twin


def _key_of(stream: Stream) -> bytes:
    """What tells HTTP streams apart: connection and time of the request; the context if the host has neither."""
    host = current.host
    host.proxy_set_effective_context(stream.id)
    keys = [host.proxy_get_property(path) for path in (b"connection\0id", b"request\0time")]
    if current.stream is not None and current.stream is not stream:
        host.proxy_set_effective_context(current.stream.id)
    return b"".join(value for status, value in keys if status == Status.OK) or b"%d" % stream.id


def _same_stream(one: Stream, other: Stream) -> bool:
    """Whether two contexts are of the same HTTP stream."""
    return one is other or (one.http and other.http and _key_of(one) == _key_of(other))


def permits(stream: Stream, act: str) -> bool:
    """Whether the host survives `act` now, and it has an effect."""
    return _PERMISSIONS[act][state_of(stream)] == ""


def _permitted(stream: Stream, act: str, what: str) -> Stream | None:
    """The stream, if `act` is permitted; None if it would have no effect."""
    why = _PERMISSIONS[act][state_of(stream)]
    if why:
        raise PhaseError(what, current.phase.method, why)
    return None if why is _IGNORED else stream


def _tcp_stream_for(what: str) -> Stream:
    stream = stream_for(what)
    if stream.http:
        raise PhaseError(what, current.phase.method, "this is an HTTP stream", "pwasm.close_http_request() closes it")
    return stream


def guard_local_response(what: str) -> Stream:
    """Guard against K2, K3, K4, K9, and a second local response."""
    stream = _permitted(_http_stream_for(what), "answer", what)
    assert stream is not None  # it is never ignored
    return stream


def guard_close(what: str, *, http: bool) -> Stream | None:
    """Guard against K5, K9, and closing after a local response; None if the stream is already closed."""
    return _permitted(_http_stream_for(what) if http else _tcp_stream_for(what), "close", what)


_RESUMES = {REQUEST: "resume request", RESPONSE: "resume response"}


def guard_resume(what: str, direction: int) -> Stream | None:
    """Guard against K1; None if there is nothing to resume."""
    stream = _http_stream_for(what) if direction in _RESUMES else stream_for(what)
    found = _permitted(stream, _RESUMES.get(direction, "resume connection"), what)
    if found is not None and direction == RESPONSE and not stream.response_seen:
        raise PhaseError(
            what,
            current.phase.method,
            "no response has arrived yet, and Envoy would crash",
            "resume_http_request resumes the request; only a filter with an on_http_response_… callback can resume"
            " responses",
        )
    return found


def crosses(stream: Stream, direction: int) -> bool:
    """Whether a callback of the stream's other direction is running: the host must not continue this one in it (K14).

    It would do so before it goes on with the other one, inside of the codec of upstream or of the client.
    """
    running, origin = running_stream(), current.phase.origin
    phase = current.phase if origin is None else origin[0]
    other = RESPONSE if direction == REQUEST else REQUEST
    return running is not None and phase.direction == other and _same_stream(running, stream)


def stops_another(stream: Stream) -> bool:
    """Whether to answer or close `stream` now would stop the stream whose callback is running (K16).

    The host takes either for the end of the running callback's own stream, whatever is selected: it ignores the
    callback's action, holds what it has, and drops the data.
    """
    running, origin = running_stream(), current.phase.origin
    return origin is not None and running is not None and origin[0].direction >= 0 and not _same_stream(running, stream)


def has_buffer(stream: Stream, direction: int) -> bool:
    """Whether the host's buffer of a direction may be touched: it keeps the address of one that is gone (K10, K11).

    There is a buffer in its own callback, until that has returned, and while a PAUSE in that callback holds it.
    """
    phase = current.phase
    if phase.direction == direction and phase.origin is None and phase.part != "headers":
        return not stream.ended
    if direction == UPSTREAM or not stream.paused & 1 << direction or stream.closed or stream.ended:
        return False
    return not stream.local_response or (direction == RESPONSE and bool(stream.marks & OWN_RESPONSE))


def resumed(stream: Stream, direction: int) -> None:
    """Note a resume: the maps of that direction become unavailable immediately, and PAUSE would last forever (0.2)."""
    stream.resumed |= 1 << direction
    if direction in {REQUEST, RESPONSE}:
        first = MapType.HTTP_REQUEST_HEADERS if direction == REQUEST else MapType.HTTP_RESPONSE_HEADERS
        phase = current.phase
        gone = dict.fromkeys((int(first), int(first) + 1), "the stream was resumed in this callback")
        no_read = {**phase.no_read, **gone} if direction == REQUEST else phase.no_read
        current.phase = phase.but(no_read, {**phase.no_write, **gone})


def act_on(stream: Stream) -> None:
    """Select `stream` for what the SDK does on its own account: the filter may have selected another one.

    Without it a body would be put into another stream's buffer, and the host has no check for that (K6, K10).
    """
    current.host.proxy_set_effective_context(stream.id)
    select_stream(stream)


def select_stream(stream: Stream | None) -> None:
    """Make stream functions act on `stream`, or on none, for the rest of the callback."""
    origin = current.phase.origin or (current.phase, current.stream)
    if stream is origin[1]:
        current.phase, current.stream = origin
        return
    missing: dict[int, str] = {}
    if stream is None:
        missing = NO_STREAM
    elif not stream.http:
        missing = NO_HTTP
    if stream is None and origin[1] is not None:
        current.root = origin[1].root  # the last one that was entered may be another plugin
    current.stream = stream
    current.phase = origin[0].but(missing, missing, origin)
