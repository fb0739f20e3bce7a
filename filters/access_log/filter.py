"""access_log: writes a line of JSON at the end of each request, and counts requests.

All values come from outside, and JSON escapes them: a client can neither end a line nor begin one.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import pwasm
from pwasm import Counter, Histogram, HttpContext, PluginContext, properties

MOST_CHARACTERS = 500
"""Maximum length of a value; Envoy lets clients send much more."""
SECRETS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""By the first digit; "none" is a request without a response, because its client disconnected, say."""


@dataclass
class Config:
    """What is logged in addition to the default fields."""

    headers: list[str] = field(default_factory=list[str], metadata={"description": "Names of request headers."})
    query: bool = field(default=False, metadata={"description": "Include the query, which may contain secrets."})

    def __post_init__(self) -> None:
        if wrong := SECRETS & {name.lower() for name in self.headers}:
            raise ValueError(f"{', '.join(sorted(wrong))} must not be logged")


class Metrics(PluginContext):
    """A counter and a histogram for each status class: a fixed number, since Envoy never frees them."""

    config: Config

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        self.by_class: dict[str, tuple[Counter, Histogram]] = {
            name: (
                pwasm.define_counter_metric(f"access_log.requests_class={name}"),
                pwasm.define_histogram_metric(f"access_log.duration_ms_class={name}"),
            )
            for name in CLASSES
        }


class AccessLog(HttpContext):
    plugin: Metrics
    snapshot_request_headers = False  # Envoy still has them at the end

    def __init__(self) -> None:
        self.began = pwasm.get_current_time_nanoseconds()

    def on_http_stream_done(self) -> None:
        milliseconds = max(pwasm.get_current_time_nanoseconds() - self.began, 0) // 1_000_000
        status = properties.response.code or 0
        counter, histogram = self.plugin.by_class[class_of(status)]
        counter.increment()
        histogram.record(milliseconds)
        pwasm.log_info("%s", json.dumps(self.entry(status, milliseconds)))

    def entry(self, status: int, milliseconds: int) -> dict[str, Any]:
        """The fields that are known at the end; others are omitted."""
        config, request = self.plugin.config, properties.request
        fields = {
            "method": request.method,
            "host": request.host,
            "path": request.path if config.query else request.url_path,
            "protocol": request.protocol,
            "status": status,
            "details": properties.response.code_details,
            "flags": properties.response.flags,
            "duration_ms": milliseconds,
            "received": request.size,
            "sent": properties.response.size,
            "client": properties.source.address,
            "upstream": properties.upstream.address,
            "user_agent": request.useragent,
            **{name: pwasm.get_http_request_header(name) for name in config.headers},
        }
        return {name: shortened(value) for name, value in fields.items() if value is not None}


def class_of(status: int) -> str:
    """The class of a status."""
    return CLASSES[status // 100] if 100 <= status <= 599 else CLASSES[0]


def shortened(value: str | int) -> str | int:
    """A value of limited length."""
    return value if isinstance(value, int) or len(value) <= MOST_CHARACTERS else f"{value[:MOST_CHARACTERS]}…"


pwasm.set_plugin_context(Metrics)
pwasm.set_http_context(AccessLog)
