"""api_key: lets a request through if an HTTP service accepts its API key."""

from dataclasses import dataclass
from urllib.parse import quote

import pwasm
from pwasm import HttpContext, PluginContext, aio


@dataclass
class Config:
    """The service to ask, and what happens to requests while it does not answer."""

    cluster: str = "auth"
    timeout_ms: int = 500
    allow_on_failure: bool = False


class Plugin(PluginContext):
    config: Config


class ApiKey(HttpContext):
    plugin: Plugin

    async def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        config = self.plugin.config
        key = pwasm.get_http_request_header("x-api-key")
        if not key:
            pwasm.send_http_response(401, body="an API key is required\n")
            return
        ask = [(":method", "GET"), (":path", f"/keys/{quote(key, safe='')}"), (":authority", config.cluster)]
        try:
            answer = await aio.dispatch_http_call(config.cluster, ask, timeout_ms=config.timeout_ms)
        except aio.CalloutError as error:
            pwasm.log_warn("the key could not be checked: %s", error)
            if not config.allow_on_failure:
                pwasm.send_http_response(503, body="the key could not be checked\n")
            return
        if answer.status != 200:
            pwasm.send_http_response(403, body="invalid API key\n")
            return
        pwasm.remove_http_request_header("x-api-key")
        pwasm.add_http_request_header("x-user", answer.header("x-user") or "unknown")


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(ApiKey)
