"""dispatch_call_on_tick: on every tick the plugin calls a service, which sometimes fails, and logs the response."""

import random

import pwasm
from pwasm import PluginContext

CLUSTER = "web_service"
TICK_MILLISECONDS = 100


class CallOnTick(PluginContext):
    calls = 0

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        pwasm.set_tick_period_milliseconds(TICK_MILLISECONDS)
        pwasm.log_info("set tick period milliseconds: %d", TICK_MILLISECONDS)

    def on_tick(self) -> None:
        path = random.choice(("/ok", "/fail"))
        headers = {":method": "GET", ":path": path, ":authority": "some_authority", "accept": "*/*"}
        pwasm.dispatch_http_call(CLUSTER, headers, timeout_ms=5000, callback=self.on_answer)

    def on_answer(self, num_headers: int, body_size: int, num_trailers: int) -> None:
        self.calls += 1
        pwasm.log_info("called %d for contextID=%d", self.calls, self.context_id)
        for name, value in pwasm.get_http_call_response_headers():
            pwasm.log_info("response header for the dispatched call: %s: %s", name, value)


pwasm.set_plugin_context(CallOnTick)
