"""The common base of cases: a case is an HTTP context, selected by the first part of the request's path."""

from typing import Any

import pwasm
from pwasm import HttpContext

CASES: dict[str, type["Case"]] = {}


def report(name: str, value: object) -> None:
    """Tell the test something."""
    pwasm.log_info(f"@{name}: {value!r}")


class Case(HttpContext):
    """One test's filter; `word` is what follows `?` or `&` in the path, `name` the path without its slash."""

    word = ""
    name = ""

    def __init_subclass__(cls) -> None:
        CASES[cls.__name__] = cls


class Chooser(HttpContext):
    """Every HTTP stream: passes its callbacks to the case that the path names."""

    case: HttpContext

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        path = (pwasm.get_http_request_header(":path") or "/").removeprefix("/")
        self.case = CASES.get(path.partition("?")[0], HttpContext)()
        self.case.context_id, self.case.plugin = self.context_id, self.plugin
        if isinstance(self.case, Case):
            self.case.name, self.case.word = path, path.replace("&", "?").rpartition("?")[2]
        return self.case.on_http_request_headers(num_headers, end_of_stream)

    def on_http_request_body(self, body_size: int, end_of_stream: bool) -> Any:
        return self.case.on_http_request_body(body_size, end_of_stream)

    def on_http_request_trailers(self, num_trailers: int) -> Any:
        return self.case.on_http_request_trailers(num_trailers)

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Any:
        return self.case.on_http_response_headers(num_headers, end_of_stream)

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> Any:
        return self.case.on_http_response_body(body_size, end_of_stream)

    def on_http_response_trailers(self, num_trailers: int) -> Any:
        return self.case.on_http_response_trailers(num_trailers)

    def on_http_stream_done(self) -> None:
        self.case.on_http_stream_done()
