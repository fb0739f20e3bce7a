"""Calls to other services, HTTP and gRPC."""

from cases import Case, report
from http_cases import outcome, refused

import pwasm
from pwasm import Action

CALLS = {
    "plain": ("web", 5000),
    "404": ("web", 5000),
    "empty": ("web", 5000),
    "trailers": ("web", 5000),
    "cut": ("web", 5000),
    "silent": ("web", 100),
    "refused": ("refusing", 5000),
}


def headers(path: str, method: str = "GET") -> list[tuple[str, str]]:
    return [(":method", method), (":path", path), (":authority", "web.example"), ("x-call", "1")]


class Call(Case):
    """The answer of a call becomes that of the request."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        cluster, timeout = CALLS[self.word]
        path = f"/called?{self.word}"
        token = pwasm.dispatch_http_call(cluster, headers(path, "PUT"), b"body \x00", (), timeout, self.called)
        report(self.name, (token > 0, refused(pwasm.get_http_call_response_headers)))
        return Action.PAUSE

    def called(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        answer = {
            "sizes": (num_headers, body_size, num_trailers),
            "headers": outcome(pwasm.get_http_call_response_headers),
            "headers bytes": outcome(pwasm.get_http_call_response_headers_bytes),
            "body": outcome(pwasm.get_http_call_response_body),
            "part": outcome(pwasm.get_http_call_response_body, 2, 3),
            "trailers": outcome(pwasm.get_http_call_response_trailers),
            "trailers bytes": outcome(pwasm.get_http_call_response_trailers_bytes),
            "call status": tuple(pwasm.get_call_status()),
        }
        pwasm.send_http_response(200, body=repr(answer))


class CallWithTrailers(Case):
    """Calls another case of this filter, which reports the request it receives."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        sent = headers("/Parts?called", "POST")
        pwasm.dispatch_http_call("self", sent, b"body", [("x-trailer", "1"), ("x-gone", "2")], callback=self.called)
        return Action.PAUSE

    def called(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        pwasm.resume_http_request()


class BadCall(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        unknown = refused(pwasm.dispatch_http_call, "no-such-cluster", headers("/"))
        grpc = [
            refused(call, "no-such-cluster", "s", "m") for call in (pwasm.dispatch_grpc_call, pwasm.open_grpc_stream)
        ]
        tokens = [refused(pwasm.send_grpc_stream_message, token) for token in (102, 4)]
        ends = [
            refused(end, 102) for end in (pwasm.close_grpc_stream, pwasm.cancel_grpc_stream, pwasm.cancel_grpc_call)
        ]
        pwasm.send_http_response(200, body=repr((unknown, grpc, tokens, ends)))


class CallThenResume(Case):
    """Two concurrent calls; when both are answered, the held message is resumed with their results."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        return self.ask("request") if self.word == "request" else None

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        return self.ask("response") if self.word == "response" else None

    def ask(self, direction: str) -> Action:
        for name in ("one", "two"):
            path = f"/{name}-{direction}?plain"
            pwasm.dispatch_http_call(
                "web", headers(path), callback=lambda *_, name=name: self.answered(name, direction)
            )
        return Action.PAUSE

    def answered(self, name: str, direction: str) -> None:
        self.answers[name] = pwasm.get_http_call_response_body()
        if len(self.answers) == 2:
            add, resume = f"add_http_{direction}_header", f"resume_http_{direction}"
            for key, body in sorted(self.answers.items()):
                getattr(pwasm, add)(f"x-{key}", body)
            getattr(pwasm, resume)()


class CallAndLeave(Case):
    """The client disconnects before the answer arrives."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.dispatch_http_call("web", headers("/left?silent"), timeout_ms=60_000, callback=self.called)
        return Action.PAUSE

    def called(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        report("CallAndLeave", "the answer of a stream that is over")

    def on_http_stream_done(self) -> None:
        report("CallAndLeave", "done")


class CallWithoutCallback(Case):
    """`PluginContext.on_http_call_response` gets the answer: for the stream, or for the plugin alone."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action | None:
        if self.word == "stream":
            pwasm.dispatch_http_call("web", headers("/for-the-stream?404"))
            return Action.PAUSE
        with pwasm.effective_context(self.plugin.context_id):
            pwasm.dispatch_http_call("web", headers("/for-the-plugin?404"))
        return None


# --- gRPC ---------------------------------------------------------------------------------------------------------


class GrpcCall(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        cluster = "web" if self.word == "Http1" else "grpc"
        metadata = [("x-meta", "data"), ("x-meta", "twice")]
        callback = None if self.word == "Default" else self.answered
        method = "Echo" if self.word in ("Http1", "Default") else self.word
        timeout = 100 if "timeout" in self.name else 60_000
        token = pwasm.dispatch_grpc_call(cluster, "test.Service", method, metadata, b"ask \x00\xff", timeout, callback)
        self.plugin.grpc_call = token, self.context_id
        return Action.PAUSE

    def answered(self, status: int, message_size: int) -> None:
        message = pwasm.get_grpc_receive_buffer() if status == 0 else None
        part = pwasm.get_grpc_receive_buffer(1, 2) if status == 0 else refused(pwasm.get_grpc_receive_buffer)
        pwasm.send_http_response(200, body=repr((status, message_size, message, part, tuple(pwasm.get_call_status()))))


class CancelGrpcCall(Case):
    """Cancels the gRPC call that another request is waiting for, and answers that request too."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        token, waiting = self.plugin.grpc_call
        answer = [outcome(pwasm.cancel_grpc_call, token), outcome(pwasm.cancel_grpc_call, token)]
        with pwasm.effective_context(waiting):
            pwasm.send_http_response(200, body=repr("cancelled"))
        pwasm.send_http_response(200, body=repr(answer))
        return Action.PAUSE


class GrpcStream(Case):
    """Every event of a stream, in order; `close` and the error are the last."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.token = pwasm.open_grpc_stream(
            "grpc",
            "test.Service",
            {"error": "Refuse"}.get(self.word, "Chat"),
            {"x-meta": "cancel" if self.word == "cancel" else "data"},
            on_initial_metadata=self.initial,
            on_message=self.message,
            on_trailing_metadata=self.trailing,
            on_close=self.closed,
        )
        pwasm.send_grpc_stream_message(self.token, b"one \xff")
        if self.word != "cancel":
            pwasm.send_grpc_stream_message(self.token, b"two", self.word == "end")
        if self.word == "close":
            pwasm.close_grpc_stream(self.token)
        return Action.PAUSE

    def initial(self, num_elements: int) -> None:
        pairs = pwasm.get_grpc_receive_initial_metadata()
        own = [pair for pair in pairs if pair[0] == "x-initial"]
        as_bytes = dict(pwasm.get_grpc_receive_initial_metadata_bytes()).get(b"x-initial")
        self.events.append(("initial", num_elements == len(pairs), own, as_bytes))

    def message(self, message_size: int) -> None:
        self.events.append(("message", message_size, pwasm.get_grpc_receive_buffer()))
        if self.word == "cancel":
            pwasm.cancel_grpc_stream(self.token)
            self.events.append(refused(pwasm.send_grpc_stream_message, self.token, b"more"))
            pwasm.send_http_response(200, body=repr(self.events))

    def trailing(self, num_elements: int) -> None:
        pairs = pwasm.get_grpc_receive_trailing_metadata()
        own = [pair for pair in pairs if pair[0].startswith("x-")]
        as_bytes = dict(pwasm.get_grpc_receive_trailing_metadata_bytes()).get(b"x-trailing")
        self.events.append(("trailing", num_elements == len(pairs), own, as_bytes))

    def closed(self, status: int) -> None:
        self.events.append(("closed", status, tuple(pwasm.get_call_status())))
        pwasm.send_http_response(200, body=repr(self.events))


class GrpcStreamOfThePlugin(Case):
    """The four methods of `PluginContext` get what a stream without functions receives."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        with pwasm.effective_context(self.plugin.context_id):
            token = pwasm.open_grpc_stream("grpc", "test.Service", "Chat")
            pwasm.send_grpc_stream_message(token, b"plugin", True)


class GrpcStreamLeft(Case):
    """A gRPC stream of a request that ends is cancelled."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.open_grpc_stream(
            "grpc",
            "test.Service",
            "Chat",
            {"x-meta": "left"},
            on_initial_metadata=lambda num_elements: pwasm.resume_http_request(),  # the server has the stream
            on_close=self.closed,
        )
        return Action.PAUSE

    def closed(self, status: int) -> None:
        report("GrpcStreamLeft", "must not be called")
