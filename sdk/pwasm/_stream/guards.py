"""What may be called when: the table of callbacks, and the guards that refuse a call in Python.

Envoy says OK to some calls and crashes, hangs or loses data afterwards. The host's status is therefore never
trusted; each of these is refused (or made harmless) here, from the SDK's own record of the stream
(`records.Stream`). Measured on Envoy 1.40; numbers as in docs/abi.md §0:

    K1   resume_http_response before response headers were seen       SIGSEGV      PhaseError
    K2   send_http_response in on_log                                  SIGSEGV      PhaseError
    K3   send_http_response in on_done                                 SIGSEGV      PhaseError
    K4   send_http_response in on_delete                               SIGSEGV      PhaseError
    K5   close_http_request in on_log, on_delete                       SIGSEGV      PhaseError
    K6   send_http_response for a stream that is gone, of which        SIGSEGV      set_effective_context raises
         set_effective_context still says OK                                        BadArgument
    K7   close_http_… in on_http_response_trailers, then CONTINUE      SIGSEGV      PAUSE is returned
    K8   a gRPC call or stream with an empty upstream                  SIGABRT      ValueError
    0.2  resume in the callback that then returns PAUSE                hangs        CONTINUE is returned
    0.3  an action other than 0 and 1                                  loses data   TypeError, see `callbacks`
         a second local response, close after a local response         is lost      PhaseError
         resume after a local response, a close, the end                           nothing is called

`resume_http_response` in `on_log` was harmless, so it is not refused there, it does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._abi import MapType
from ..errors import HostcallError, PhaseError, from_status
from .current import current
from .phases import NO_HTTP, NO_STREAM, REQUEST, RESPONSE
from .records import Stream

_SELECT = "pwasm.set_effective_context(context_id) selects a stream for the rest of this callback"


def failed(status: int, hostcall: str, key: object = None) -> HostcallError:
    """The exception for `status`, with the running callback in its text."""
    return from_status(status, hostcall, key, current.phase.method)


def map_refused(what: str, reasons: Mapping[int, str], map_type: int) -> PhaseError:
    """The error for a header map that is out of reach in the running callback."""
    why = reasons[map_type]
    return PhaseError(what, current.phase.method, why, _SELECT if why == NO_STREAM[0] else "")


def pairs_unavailable(what: str, map_type: int) -> PhaseError | None:
    """The error for an empty map of headers, or None where empty can be true.

    The host answers OK and an empty list for a map it does not have, and a request or response always has a header.
    """
    phase = current.phase
    headers = map_type in {MapType.HTTP_REQUEST_HEADERS, MapType.HTTP_RESPONSE_HEADERS}
    own = phase.export == ("proxy_on_response_headers" if map_type else "proxy_on_request_headers")
    if not headers or own or phase.export == "proxy_on_log":
        return None
    return PhaseError(
        what, phase.method, "the host has no such headers now", "read them in their own callback and keep them"
    )


def stream_for(what: str) -> Stream:
    """The stream that `what` acts on; refused when there is none."""
    stream = current.stream
    if stream is None:
        raise PhaseError(what, current.phase.method, "no stream is selected", _SELECT)
    return stream


def _http_stream_for(what: str) -> Stream:
    stream = stream_for(what)
    if not stream.http:
        raise PhaseError(what, current.phase.method, "this is a TCP stream", "pwasm.close_downstream() closes it")
    return stream


def guard_local_response(what: str) -> Stream:
    """K2, K3, K4, and the second local response."""
    stream = _http_stream_for(what)
    if stream.ended:
        raise PhaseError(what, current.phase.method, "the stream is over, and Envoy crashes")
    if stream.local_response:
        raise PhaseError(what, current.phase.method, "a local response was sent already; Envoy drops the second")
    if stream.closed:
        raise PhaseError(what, current.phase.method, "the stream was closed; the response would be lost")
    return stream


def guard_close(what: str, *, http: bool) -> Stream | None:
    """K5, and close after a local response; None when the stream is closed already and nothing is to be done."""
    stream = _http_stream_for(what) if http else stream_for(what)
    if stream.ended:
        raise PhaseError(what, current.phase.method, "the stream is over, and Envoy crashes")
    if stream.local_response:
        raise PhaseError(what, current.phase.method, "a local response was sent, and closing would lose it")
    return None if stream.closed else stream


def guard_resume(what: str, direction: int) -> Stream | None:
    """K1; None when there is nothing to resume."""
    stream = _http_stream_for(what) if direction in {REQUEST, RESPONSE} else stream_for(what)
    if stream.ended or stream.closed or (stream.local_response and direction == REQUEST):
        return None
    if direction == RESPONSE and not stream.response_seen:
        raise PhaseError(
            what,
            current.phase.method,
            "no response has been seen yet, and Envoy crashes",
            "resume_http_request resumes the request; only a filter with an on_http_response_… callback sees responses",
        )
    return stream


def resumed(stream: Stream, direction: int) -> None:
    """Note a resume: the host takes the maps of that direction away at once, and PAUSE would be for ever (0.2)."""
    stream.resumed |= 1 << direction
    if direction in {REQUEST, RESPONSE}:
        first = MapType.HTTP_REQUEST_HEADERS if direction == REQUEST else MapType.HTTP_RESPONSE_HEADERS
        phase = current.phase
        gone = dict.fromkeys((int(first), int(first) + 1), "the stream was resumed in this callback")
        no_read = {**phase.no_read, **gone} if direction == REQUEST else phase.no_read
        current.phase = phase.but(no_read, {**phase.no_write, **gone})


def select_stream(stream: Stream | None) -> None:
    """Make `stream` the one that stream functions act on for the rest of the callback; None for no stream."""
    origin = current.phase.origin or (current.phase, current.stream)
    if stream is origin[1]:
        current.phase, current.stream = origin
        return
    missing: dict[int, str] = {}
    if stream is None:
        missing = NO_STREAM
    elif not stream.http:
        missing = NO_HTTP
    current.stream = stream
    current.phase = origin[0].but(missing, missing, origin)
