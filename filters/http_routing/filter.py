"""http_routing: sends about half of the requests to the canary, by adding "-canary" to their :authority.

Envoy's routes do the rest. For tests, the configuration `primary` or `canary` selects one for all requests.
"""

import random

import pwasm
from pwasm import Action, HttpContext

CHOICES = (b"primary", b"canary")


class Routing(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        configured = self.plugin.configuration
        choice = configured if configured in CHOICES else random.choice(CHOICES)
        if choice == b"canary":
            self.request.headers[":authority"] = f"{self.request.authority or ''}-canary"
        return Action.CONTINUE


pwasm.set_http_context(Routing)
