"""A routing table from typed configuration, for `root_id` "configured"."""

from __future__ import annotations

from dataclasses import dataclass, field

import pwasm


@dataclass
class Route:
    prefix: str
    answer: str
    status: int = 200


@dataclass
class Config:
    routes: list[Route]
    names: dict[str, int] = field(default_factory=dict)


class Configured(pwasm.HttpContext):
    config: Config

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        path = pwasm.get_http_request_header(":path") or ""
        for route in self.config.routes:
            if path.startswith(route.prefix):
                pwasm.send_http_response(route.status, body=route.answer)
                return


pwasm.set_http_context(Configured, root_id="configured")
