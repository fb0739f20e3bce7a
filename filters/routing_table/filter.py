"""routing_table: sends requests to the clusters that its configuration names."""

import re
from dataclasses import dataclass, field
from typing import Annotated

import pwasm
from pwasm import Action, HttpContext, PluginContext
from pwasm.config import Range


@dataclass
class Route:
    """A route: matching requests are sent to its cluster."""

    cluster: str
    prefix: str = "/"
    methods: set[str] = field(default_factory=set[str], metadata={"description": "An empty set means all methods."})
    host: re.Pattern[str] | None = None
    percent: Annotated[int, Range(0, 100)] = field(
        default=100, metadata={"description": "Percentage of the matching requests."}
    )

    def matches(self, method: str, authority: str, path: str, chance: int) -> bool:
        """Whether a request takes this route; `chance` is from 0 to 99."""
        return (
            path.startswith(self.prefix)
            and (not self.methods or method in self.methods)
            and (self.host is None or self.host.fullmatch(authority) is not None)
            and chance < self.percent
        )


@dataclass
class Config:
    """A routing table: the first route that matches is taken."""

    routes: list[Route]

    def __post_init__(self) -> None:
        if not self.routes:
            raise ValueError("a table needs at least one route")


class Plugin(PluginContext):
    config: Config


class Router(HttpContext):
    plugin: Plugin

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        method, authority, path = (pwasm.get_http_request_header(name) or "" for name in WHAT)
        chance = pwasm.get_current_time_nanoseconds() // 1000 % 100
        for route in self.plugin.config.routes:
            if route.matches(method, authority, path, chance):
                pwasm.replace_http_request_header("x-cluster", route.cluster)  # envoy.yaml: cluster_header
                return Action.CONTINUE
        pwasm.send_http_response(404, body="no route\n")
        return Action.PAUSE


WHAT = (":method", ":authority", ":path")

pwasm.set_plugin_context(Plugin)
pwasm.set_http_context(Router)
