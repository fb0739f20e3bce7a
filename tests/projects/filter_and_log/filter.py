"""A filter, and an access logger of the same streams in the same VM, which tries to act on them (tests/envoy)."""

import pwasm
from pwasm import Action

streams: list[int] = []


class Logger(pwasm.PluginContext):
    def on_log(self) -> None:
        if self.configuration != b"log":
            pwasm.log_error("on_log of the filter's plugin")
        try:
            pwasm.set_effective_context(streams[-1])
            pwasm.send_http_response(500)
        except pwasm.BadArgument as error:
            pwasm.log_info(f"refused: {error}")


class Filter(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        streams.append(self.context_id)
        return Action.CONTINUE


pwasm.set_plugin_context(Logger)
pwasm.set_http_context(Filter)
