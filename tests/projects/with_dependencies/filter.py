"""Uses a dependency with data files, and one that a function imports."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pwasm
from pwasm import Action, HttpContext


class Clock(HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        import tomli_w

        when = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
        pwasm.send_http_response(200, body=tomli_w.dumps({"when": when.isoformat()}).encode())
        return Action.PAUSE


pwasm.set_http_context(Clock)
