"""http_headers: logs the headers of requests and responses, and adds a configured header to the response.

The configuration is a JSON object: {"header": "x-wasm-header", "value": "demo-wasm"}. Without it Envoy does not start.
"""

import json

import pwasm
from pwasm import Action, HttpContext, PluginContext


class Settings(PluginContext):
    header: str
    value: str

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        try:
            settings = json.loads(self.configuration)
            self.header, self.value = settings["header"].lower(), settings["value"]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            pwasm.log_critical('the configuration is not {"header": …, "value": …}: %r', error)
            return False
        pwasm.log_info("header from config: %s = %s", self.header, self.value)
        return True


class Headers(HttpContext):
    plugin: Settings

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.request.headers["test"] = "best"
        for name, value in self.request.headers.items():
            pwasm.log_info("request header --> %s: %s", name, value)
        return Action.CONTINUE

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.response.headers
        headers.add("x-proxy-wasm-go-sdk-example", "http_headers")
        headers.add(self.plugin.header, self.plugin.value)
        for name, value in headers.items():
            pwasm.log_info("response header <-- %s: %s", name, value)
        return Action.CONTINUE

    def on_http_stream_done(self) -> None:
        pwasm.log_info("%d finished", self.context_id)


pwasm.set_plugin_context(Settings)
pwasm.set_http_context(Headers)
