"""metrics: counts requests by the value of their header `my-custom-header`.

The name of a counter contains labels, which `stats_config` in Envoy's configuration extracts:
`custom_header_value_counts{value="foo",reporter="wasmgosdk"}` in Prometheus.
"""

import re

import pwasm
from pwasm import Action, Counter, HttpContext, PluginContext

HEADER = "my-custom-header"
LABEL = re.compile(r"[a-zA-Z0-9]{1,64}")
MOST_VALUES = 100
"""Clients choose the values, and Envoy never frees a counter: further values are counted as `other`."""


class Counters(PluginContext):
    def __init__(self) -> None:
        self.by_value: dict[str, Counter] = {}

    def counter(self, value: str) -> Counter:
        if value not in self.by_value:
            if not LABEL.fullmatch(value) or len(self.by_value) >= MOST_VALUES:
                value = "other"
            name = f"custom_header_value_counts_value={value}_reporter=wasmgosdk"
            self.by_value[value] = pwasm.define_counter_metric(name)
        return self.by_value[value]


class CountHeader(HttpContext):
    plugin: Counters

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        value = self.request.headers.get(HEADER)
        if value is not None:
            self.plugin.counter(value).increment()
        return Action.CONTINUE


pwasm.set_plugin_context(Counters)
pwasm.set_http_context(CountHeader)
