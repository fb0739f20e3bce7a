"""An access logger: a line for each stream, and what its configuration says (`tests/sdk/testing/worlds`)."""

from collections.abc import Callable

import pwasm


def header_maps() -> str:
    return (
        f"{pwasm.get_http_request_header('x-tenant')} {dict(pwasm.get_http_request_headers())[':path']}"
        f" {pwasm.get_http_response_header(':status')} {pwasm.get_http_response_header('x-up')}"
        f" {pwasm.get_http_response_trailer('x-sum')}"
    )


def properties() -> str:
    response = pwasm.properties.response
    return f"{pwasm.properties.request.method} {response.code} {response.code_details}"


REFUSED: dict[str, Callable[[], object]] = {
    "local response": lambda: pwasm.send_http_response(500),
    "resume": pwasm.resume_http_request,
    "close": pwasm.close_http_request,
    "body": pwasm.get_http_request_body,
    "request header": lambda: pwasm.add_http_request_header("x-a", "1"),
    "response header": lambda: pwasm.remove_http_response_header("x-up"),
}


class Logger(pwasm.PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.logged = pwasm.define_counter_metric("logged")
        return True

    def on_log(self) -> None:
        self.logged.increment(1)
        mode = self.configuration.decode()
        if mode == "raise":
            raise RuntimeError("the logger fails")
        if mode == "refused":
            for what, call in REFUSED.items():
                try:
                    call()
                except pwasm.PhaseError as error:
                    pwasm.log_info(f"{what}: {error}")
        if mode == "call":
            headers = [(":method", "POST"), (":path", "/log"), (":authority", "collector")]
            pwasm.dispatch_http_call("collector", headers, header_maps(), callback=self.stored)
        pwasm.log_info(f"{header_maps()}; {properties()}")

    def stored(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        pwasm.log_info(f"stored: {dict(pwasm.get_http_call_response_headers())[':status']}")


pwasm.set_plugin_context(Logger)
