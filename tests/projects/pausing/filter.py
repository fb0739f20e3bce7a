"""A neighbour: holds every message by its headers, and lets it pass in a tick, while a request has opened the gate."""

import pwasm
from pwasm import Action

held: dict[int, int] = {}
"""Stream → which of its messages is held."""
RESUME = (pwasm.resume_http_request, pwasm.resume_http_response)
gate = {"open": True}


class Plugin(pwasm.PluginContext):
    """Ticks."""

    def on_plugin_start(self, configuration_size: int) -> None:
        self.held = pwasm.define_gauge_metric("pausing_held")
        pwasm.set_tick_period_milliseconds(5)

    def on_tick(self) -> None:
        while gate["open"] and held:
            stream, direction = held.popitem()
            with pwasm.effective_context(stream):
                RESUME[direction]()
        self.held.set(len(held))


class Pausing(pwasm.HttpContext):
    """Pauses at the headers, in both directions."""

    plugin: Plugin
    direction = -1

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        asked = pwasm.get_http_request_header("x-gate")
        if asked is not None:
            gate["open"] = asked == "open"
            return Action.CONTINUE
        return self.pause(0)

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return self.pause(1) if self.direction == 0 else Action.CONTINUE

    def pause(self, direction: int) -> Action:
        self.direction = direction
        held[self.context_id] = direction
        self.plugin.held.set(len(held))
        return Action.PAUSE

    def on_http_stream_done(self) -> None:
        held.pop(self.context_id, None)


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Pausing)
