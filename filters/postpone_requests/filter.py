"""postpone_requests: holds every request until the next tick, which resumes all of them.

The configuration is the tick period in milliseconds.
"""

import pwasm
from pwasm import Action, HttpContext, PluginContext


class Postponed(PluginContext):
    def __init__(self) -> None:
        self.waiting: dict[int, None] = {}  # context ids, in the order of their arrival

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        pwasm.set_tick_period_milliseconds(int(self.configuration))

    def on_tick(self) -> None:
        for context_id in list(self.waiting):
            del self.waiting[context_id]
            pwasm.log_info("resume request with contextID=%d", context_id)
            with pwasm.effective_context(context_id):
                pwasm.resume_http_request()


class Postpone(HttpContext):
    plugin: Postponed

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        pwasm.log_info("postpone request with contextID=%d", self.context_id)
        self.plugin.waiting[self.context_id] = None
        return Action.PAUSE

    def on_http_stream_done(self) -> None:
        self.plugin.waiting.pop(self.context_id, None)  # the client may have gone before the tick


pwasm.set_plugin_context(Postponed)
pwasm.set_http_context(Postpone)
