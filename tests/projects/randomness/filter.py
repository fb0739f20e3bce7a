"""Answers with a thousand values each of `random`, `uuid4` and `secrets`, and when its VM was started."""

import json
import random
import secrets
import time
import uuid

import pwasm
from pwasm import Action, HttpContext, PluginContext

COUNT = 1000
RNG = random.Random()


class Plugin(PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.started = time.time_ns()
        return True


class Filter(HttpContext):
    plugin: Plugin

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if not end_of_stream:
            return Action.CONTINUE
        drawn = {
            "random": [random.random() for _ in range(COUNT)],
            "own": [RNG.random() for _ in range(COUNT)],
            "uuid4": [str(uuid.uuid4()) for _ in range(COUNT)],
            "secrets": [secrets.token_hex(16) for _ in range(COUNT)],
        }
        answer = {"started": self.plugin.started, "drawn": drawn}
        pwasm.send_http_response(200, [], json.dumps(answer).encode())
        return Action.PAUSE

    def on_http_request_trailers(self, num_trailers: int) -> Action:
        """What a test replaces by a trap."""
        return Action.CONTINUE


pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Filter)
