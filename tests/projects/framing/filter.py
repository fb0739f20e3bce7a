"""What would break the framing of a message. The path chooses what the filter tries; its outcome is in `x-outcome`."""

from collections.abc import Callable
from typing import Any

import pwasm
from pwasm import Action
from pwasm._stream.current import current

INJECTED = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ninjected"
SMUGGLED = b"GET /admin HTTP/1.1\r\nhost: internal\r\n\r\n"
GRPC_NAMES = [
    ("a b", "c d"),
    ("svc\r\nx-injected: 1\r\ny", "M"),
    ("svc", "M HTTP/1.1\r\nhost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nx: y"),
    ("svc\0", "M"),
    ("", "M"),
]


def outcome(call: Callable[..., object], *arguments: Any, **named: Any) -> str:
    try:
        call(*arguments, **named)
    except (ValueError, pwasm.PhaseError) as error:
        return f"{type(error).__name__}: {error}"
    return "sent"


class Framing(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.path = (pwasm.get_http_request_header(":path") or "")[1:]
        self.said = ""
        if self.path.isdigit():
            said = outcome(pwasm.send_http_response, int(self.path), body=INJECTED)
            if said != "sent":
                pwasm.send_http_response(int(self.path), {"x-outcome": said})
            return Action.PAUSE
        if self.path == "length":
            self.said = outcome(pwasm.replace_http_request_header, "content-length", "30")
        elif self.path == "coding":
            self.said = outcome(pwasm.replace_http_request_header, "transfer-encoding", "chunked")
        elif self.path == "grpc":
            outcomes = [outcome(pwasm.dispatch_grpc_call, "auth", *names) for names in GRPC_NAMES]
            self.said = " ".join(text.partition(":")[0] for text in outcomes)
        elif self.path == "method":
            self.said = outcome(pwasm.replace_http_request_header, ":method", "GET")
        elif self.path == "raw/method":
            current.host.proxy_replace_header_map_value(0, ":method", "GET")
        elif self.path == "raw/length":
            current.host.proxy_replace_header_map_value(0, "content-length", "30")
        elif self.path == "raw/204":
            current.host.proxy_send_local_response(204, "", INJECTED, b"", -1)
        return Action.CONTINUE

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if self.path == "raw/body":
            if end_of_stream:
                current.host.proxy_set_buffer_bytes(0, 2**31 - 1, 0, SMUGGLED)
            return Action.CONTINUE if end_of_stream else Action.PAUSE
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        if self.path.startswith("status/"):
            self.said = outcome(pwasm.replace_http_response_header, ":status", self.path[7:])
        if self.said:
            pwasm.replace_http_response_header("x-outcome", self.said)


class Edits(pwasm.HttpContext):
    """Neither `buffer_request_body` nor `edits_request_body`."""

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not end_of_stream:
            return Action.PAUSE
        pwasm.append_http_request_body(SMUGGLED)
        return Action.CONTINUE


class Declares(Edits):
    edits_request_body = True


class Removes(Edits):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.remove_http_request_header("content-length")


pwasm.set_http_context(Framing)
pwasm.set_http_context(Edits, root_id="edits")
pwasm.set_http_context(Declares, root_id="declares")
pwasm.set_http_context(Removes, root_id="removes")
