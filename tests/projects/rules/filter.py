"""For tests/envoy/test_rules.py: filters that answer with their configuration; the root id chooses one."""

import json
from dataclasses import dataclass

import pwasm
from pwasm import HttpContext, PluginContext


@dataclass
class Config:
    header: str = "x-a"
    value: str = "1"


class Typed(HttpContext):
    """Has no callback for the request: the shim has to listen for it only if there are rules."""

    config: Config

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_response_header(self.config.header, self.config.value)


class Plugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.header = json.loads(self.configuration)["header"]
        self.seen = 0
        return True


class Untyped(HttpContext):
    plugin: Plugin
    buffer_response_body = True

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        self.plugin.seen += 1
        pwasm.log_info("request for %s", self.plugin.header)

    def on_http_response_body(self, body_size: int, end_of_stream: bool) -> None:
        body = pwasm.get_http_response_body(0, body_size) + f", {self.plugin.header} {self.plugin.seen}".encode()
        pwasm.replace_http_response_body(body)

    def on_http_stream_done(self) -> None:
        pwasm.log_info("done with %s", self.plugin.header)


pwasm.set_http_context(Typed)
pwasm.set_plugin_context(Plugin, root_id="untyped")
pwasm.set_http_context(Untyped, root_id="untyped")
