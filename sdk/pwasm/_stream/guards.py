"""Guards that refuse calls in Python that the host would accept but not survive.

For some calls Envoy returns OK, and crashes, hangs or loses data afterwards. The host's status is therefore not
trusted: each of these calls is refused (or made harmless) here, based on the SDK's own record of the stream
(`records.Stream`). Measured with Envoy 1.40; numbers as in docs/abi.md §0:

    K1   resume_http_response before response headers have arrived    SIGSEGV      PhaseError
    K2   send_http_response in on_log                                  SIGSEGV      PhaseError
    K3   send_http_response in on_done                                 SIGSEGV      PhaseError
    K4   send_http_response in on_delete                               SIGSEGV      PhaseError
    K5   close_http_request in on_log, on_delete                       SIGSEGV      PhaseError
    K6   send_http_response for a deleted stream, for which            SIGSEGV      set_effective_context raises
         set_effective_context still returns OK                                     BadArgument
    K7   close_http_… in on_http_response_trailers, then CONTINUE      SIGSEGV      PAUSE is returned
    K8   a gRPC call or stream with an empty upstream                  SIGABRT      ValueError
    0.2  resume in the callback that then returns PAUSE                hangs        CONTINUE is returned
    0.3  an action other than 0 and 1                                  loses data   TypeError, see `callbacks`
         a second local response, close after a local response         is lost      PhaseError
         resume after a local response, a close, the end                            ignored

`resume_http_response` in `on_log` is harmless, so it is ignored rather than refused.
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


def guard_local_response(what: str) -> Stream:
    """Guard against K2, K3, K4, and a second local response."""
    stream = _http_stream_for(what)
    if stream.ended:
        raise PhaseError(what, current.phase.method, "the stream has ended, and Envoy would crash")
    if stream.local_response:
        raise PhaseError(what, current.phase.method, "a local response has already been sent; Envoy drops a second one")
    if stream.closed:
        raise PhaseError(what, current.phase.method, "the stream was closed; the response would be lost")
    return stream


def guard_close(what: str, *, http: bool) -> Stream | None:
    """Guard against K5, and closing after a local response; None if the stream is already closed."""
    stream = _http_stream_for(what) if http else stream_for(what)
    if stream.ended:
        raise PhaseError(what, current.phase.method, "the stream has ended, and Envoy would crash")
    if stream.local_response:
        raise PhaseError(
            what, current.phase.method, "a local response has been sent, and closing the stream would lose it"
        )
    return None if stream.closed else stream


def guard_resume(what: str, direction: int) -> Stream | None:
    """Guard against K1; None if there is nothing to resume."""
    stream = _http_stream_for(what) if direction in {REQUEST, RESPONSE} else stream_for(what)
    if stream.ended or stream.closed or (stream.local_response and direction == REQUEST):
        return None
    if direction == RESPONSE and not stream.response_seen:
        raise PhaseError(
            what,
            current.phase.method,
            "no response has arrived yet, and Envoy would crash",
            "resume_http_request resumes the request; only a filter with an on_http_response_… callback can resume"
            " responses",
        )
    return stream


def resumed(stream: Stream, direction: int) -> None:
    """Note a resume: the maps of that direction become unavailable immediately, and PAUSE would last forever (0.2)."""
    stream.resumed |= 1 << direction
    if direction in {REQUEST, RESPONSE}:
        first = MapType.HTTP_REQUEST_HEADERS if direction == REQUEST else MapType.HTTP_RESPONSE_HEADERS
        phase = current.phase
        gone = dict.fromkeys((int(first), int(first) + 1), "the stream was resumed in this callback")
        no_read = {**phase.no_read, **gone} if direction == REQUEST else phase.no_read
        current.phase = phase.but(no_read, {**phase.no_write, **gone})


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
    current.stream = stream
    current.phase = origin[0].but(missing, missing, origin)
