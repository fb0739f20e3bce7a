"""Headers, trailers, bodies, answers, holding and closing: a case for each thing to see on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cases import Case, report

import pwasm
from pwasm import Action, BufferType, HttpContext, MapType, _abi
from pwasm._stream.current import current

if TYPE_CHECKING:
    from pwasm._protocols import Host  # no module carries it


def host() -> Host:
    """The raw hostcalls, for operations without a function in the SDK."""
    return current.host


def refused(function: Callable[..., object], *args: object) -> str:
    """Name of the exception that a call raises."""
    try:
        function(*args)
    except Exception as error:
        return type(error).__name__
    return "nothing"


def outcome(function: Callable[..., object], *args: object) -> object:
    """What a call returns, or the name of the exception that it raises."""
    try:
        return function(*args)
    except Exception as error:
        return type(error).__name__


# --- headers and trailers -----------------------------------------------------------------------------------------


class RequestHeaders(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        get = pwasm.get_http_request_header
        report(
            self.name,
            {
                "count": (num_headers, end_of_stream),
                "all": pwasm.get_http_request_headers(),
                "bytes": pwasm.get_http_request_headers_bytes(),
                "one": [get(name) for name in ("X-Twice", "x-bytes", "x-empty", "x-missing")],
                "one bytes": pwasm.get_http_request_header_bytes("x-bytes"),
                "default": get("x-missing", "a default"),
                "size": host().proxy_get_header_map_size(MapType.HTTP_REQUEST_HEADERS),
            },
        )
        pwasm.add_http_request_header("x-added", "1")
        pwasm.add_http_request_header("X-Added", b"\xff\x80")
        pwasm.replace_http_request_header("x-twice", "once")
        pwasm.replace_http_request_header("x-again", get("x-bytes") or "")
        pwasm.remove_http_request_header("x-gone")
        pwasm.remove_http_request_header("x-was-never-here")


class ReplaceRequestHeaders(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.replace_http_request_headers([("x-only", "1"), ("x-only", "2")])


class Reroute(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_request_header("x-route", "elsewhere")


class RequestTrailers(Case):
    def on_http_request_trailers(self, num_trailers: int) -> None:
        get = pwasm.get_http_request_trailer
        one = [get("x-trailer"), get("x-missing"), pwasm.get_http_request_trailer_bytes("x-trailer")]
        every = (pwasm.get_http_request_trailers(), pwasm.get_http_request_trailers_bytes())
        report(self.name, (num_trailers, *every, one))
        pwasm.add_http_request_trailer("x-added", "1")
        pwasm.replace_http_request_trailer("x-trailer", "once")
        pwasm.remove_http_request_trailer("x-gone")


class ReplaceRequestTrailers(Case):
    def on_http_request_trailers(self, num_trailers: int) -> None:
        pwasm.replace_http_request_trailers({"x-only": "1"})


class NewRequestTrailers(Case):
    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
        if end_of_stream:
            pwasm.add_http_request_trailer("x-new", "1")


class ResponseHeaders(Case):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        get = pwasm.get_http_response_header
        report(
            self.name,
            {
                "count": (num_headers, end_of_stream),
                "all": pwasm.get_http_response_headers(),
                "bytes": pwasm.get_http_response_headers_bytes(),
                "one": [get(name) for name in ("X-Twice", "x-bytes", "x-missing")],
                "one bytes": pwasm.get_http_response_header_bytes("x-bytes"),
                "request": refused(pwasm.add_http_request_header, "x-too", "late"),
            },
        )
        pwasm.add_http_response_header("x-added", "1")
        pwasm.add_http_response_header("X-Added", b"\xff\x80")
        pwasm.replace_http_response_header("x-twice", "once")
        pwasm.replace_http_response_header(":status", "202")
        pwasm.remove_http_response_header("x-gone")


class ReplaceResponseHeaders(Case):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.replace_http_response_headers([("x-only", "1"), ("x-only", "2"), ("content-length", "14")])


class ResponseTrailers(Case):
    def on_http_response_trailers(self, num_trailers: int) -> None:
        get = pwasm.get_http_response_trailer
        one = [get("x-trailer"), get("x-missing"), pwasm.get_http_response_trailer_bytes("x-trailer")]
        every = (pwasm.get_http_response_trailers(), pwasm.get_http_response_trailers_bytes())
        report(self.name, (num_trailers, *every, one))
        pwasm.add_http_response_trailer("x-added", "1")
        pwasm.replace_http_response_trailer("x-trailer", "once")
        pwasm.remove_http_response_trailer("x-gone")


class ReplaceResponseTrailers(Case):
    def on_http_response_trailers(self, num_trailers: int) -> None:
        pwasm.replace_http_response_trailers({"x-only": "1"})


class NewResponseTrailers(Case):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.remove_http_response_header("content-length")  # a body of known length has no trailers in HTTP/1

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> None:
        if end_of_stream:
            pwasm.add_http_response_trailer("x-new", "1")


# --- bodies -------------------------------------------------------------------------------------------------------


class RequestBody(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.remove_http_request_header("content-length")

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not body_size:  # the body comes in one part, and its end in another
            return Action.CONTINUE
        status = host().proxy_get_buffer_status(BufferType.HTTP_REQUEST_BODY)
        get = pwasm.get_http_request_body
        report(self.name, (body_size, status, get(), get(2, 3), get(50), get(4)))
        change(self.word, "request", BufferType.HTTP_REQUEST_BODY)
        return Action.CONTINUE


class ResponseBody(Case):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.remove_http_response_header("content-length")

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not body_size:  # the body comes in one part, and its end in another
            return Action.CONTINUE
        status = host().proxy_get_buffer_status(BufferType.HTTP_RESPONSE_BODY)
        get = pwasm.get_http_response_body
        report(self.name, (body_size, status, get(), get(2, 3), get(50), get(4)))
        change(self.word, "response", BufferType.HTTP_RESPONSE_BODY)
        return Action.CONTINUE


def change(how: str, which: str, buffer: BufferType) -> None:
    if how == "part":
        host().proxy_set_buffer_bytes(buffer, 0, 3, b"<part>")
    elif how == "middle":
        report("middle", host().proxy_set_buffer_bytes(buffer, 2, 3, b"<middle>"))
    else:
        getattr(pwasm, f"{how}_http_{which}_body")(b"<\x00\xff>")


class Parts(Case):
    """Bodies that pass in parts, both ways."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool, bytes]] = []

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
        self.seen.append((body_size, end_of_stream, pwasm.get_http_request_body()))

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> None:
        self.seen.append((body_size, end_of_stream, pwasm.get_http_response_body()))

    def on_http_stream_done(self) -> None:
        report(self.name, self.seen)


class Whole(HttpContext):
    """Registered for a root_id of its own, since what a class declares is read when it is registered."""

    buffer_request_body = True
    buffer_response_body = True
    max_body_bytes = 100

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
        body = self.request.body
        self.request.body = body.upper() * 3
        report("Whole request", (body_size, end_of_stream, body))

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> None:
        write = refused(self.request.headers.__setitem__, "x-user", "b")
        read = (self.request.path, self.request.headers["x-user"], self.request.headers.get_all("x-user"))
        report("Whole response", (body_size, end_of_stream, self.response.body, read, write))
        self.response.body = self.response.body.upper() * 3


# --- answers ------------------------------------------------------------------------------------------------------


class Answer(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        if self.word != "later":
            headers = [("x-own", "1"), ("x-own", "2")]
            pwasm.send_http_response(403, headers, b"no \x00entry", details="on request")
            report(self.name, refused(pwasm.send_http_response, 404))

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> None:
        pwasm.send_http_response(409, body="in the body")

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_response_header("x-seen", str(pwasm.get_http_response_header(":status")))

    def on_http_stream_done(self) -> None:
        report(f"{self.name} done", refused(pwasm.send_http_response, 404))


class AnswerGrpc(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.send_http_response(403, body="not you", grpc_status=7)


class AnswerInResponse(Case):
    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.send_http_response(502, [("x-own", "1")], b"instead")


# --- holding and closing ------------------------------------------------------------------------------------------


class Hold(Case):
    """Pauses in the callback named by the word; the plugin's timer resumes it."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        pwasm.remove_http_request_header("content-length")  # the SDK cannot see in `Chooser` that a body may grow
        return self.hold() if self.word == "request" else None

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action | None:
        return (self.hold() if end_of_stream else Action.PAUSE) if self.word == "body" else None

    def on_http_request_trailers(self, num_trailers: int) -> Action | None:
        return Action.PAUSE if self.word == "request_trailers" else None

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        return self.hold() if self.word == "response" else None

    def on_http_response_trailers(self, num_trailers: int) -> Action | None:
        return self.hold() if self.word == "response_trailers" else None

    def hold(self) -> Action:
        self.plugin.hold(self)
        return Action.PAUSE

    def let_go(self) -> None:
        """Called in on_tick, with this stream selected."""
        if self.word == "request":
            pwasm.add_http_request_header("x-held", "yes")
        elif self.word == "body":
            pwasm.prepend_http_request_body("held ")
        elif self.word == "response":
            pwasm.add_http_response_header("x-held", "yes")
        else:
            pwasm.add_http_response_trailer("x-held", "yes")
        (pwasm.resume_http_response if "response" in self.word else pwasm.resume_http_request)()


class ResumeAndPause(Case):
    """Resumes in the same callback that then pauses, named by the word."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        return self.resume("request_headers")

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action | None:
        return self.resume("request_body")

    def on_http_request_trailers(self, num_trailers: int) -> Action | None:
        return self.resume("request_trailers")

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        return self.resume("response_headers")

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Action | None:
        return self.resume("response_body")

    def on_http_response_trailers(self, num_trailers: int) -> Action | None:
        return self.resume("response_trailers")

    def resume(self, where: str) -> Action | None:
        if self.word != where:
            return None
        if where.startswith("request"):
            pwasm.resume_http_request()
            report(self.name, refused(pwasm.add_http_request_header, "x-too", "late"))
        else:
            pwasm.resume_http_response()
            report(self.name, refused(pwasm.add_http_response_header, "x-too", "late"))
        return Action.PAUSE


class ResumeNothing(Case):
    """Resumes directions that are not paused: from the other direction's callback, and twice from a tick."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        if self.word == "tick":
            self.plugin.hold(self)

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        if self.word == "tick":
            return Action.PAUSE
        pwasm.resume_http_request()
        return None

    def on_http_response_trailers(self, num_trailers: int) -> None:
        if self.word != "tick":
            pwasm.resume_http_request()

    def let_go(self) -> None:
        if pwasm.get_property("response.code") is None:  # not there yet: at the next tick
            self.plugin.hold(self)
            return
        pwasm.resume_http_request()
        pwasm.resume_http_response()
        pwasm.resume_http_request()
        pwasm.resume_http_response()


class Close(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        if self.word != "request":
            return None
        pwasm.close_http_request()
        report(self.name, refused(pwasm.send_http_response, 404))
        return Action.PAUSE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.close_http_response()
        return Action.PAUSE


class Life(Case):
    """One stream from its beginning to its end."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        report("Life", ("begins", self.context_id))
        report("Early", refused(pwasm.resume_http_response))

    def on_http_stream_done(self) -> None:
        status = pwasm.get_http_response_header(":status")
        write = refused(pwasm.add_http_response_header, "x-too", "late")
        report("Life", ("is over", self.context_id, pwasm.get_http_request_header(":path"), status, write))

    def __del__(self) -> None:
        report("Life", ("is deleted", self.context_id))
