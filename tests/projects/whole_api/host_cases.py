"""The host's services beyond the stream: properties, foreign functions, log, time, metrics."""

import logging
import time

from cases import Case, report
from http_cases import refused

import pwasm
from pwasm import foreign, properties


class Properties(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        report("Properties request", self.typed())
        pwasm.set_property("state", "first")
        pwasm.set_property("state", b"second \xff")
        pwasm.set_property("empty", b"")
        raw: dict[str, object] = {
            path: pwasm.get_property(path) for path in ("state", "empty", "absent", "request.size", "route_name")
        }
        raw["headers"] = pwasm.get_property_map("request.headers")
        raw["dots"] = pwasm.get_property(("request", "headers", "x.dotted"))
        raw["reserved"] = refused(pwasm.set_property, "request", "other")
        report("Properties raw", raw)
        pwasm.set_property("state", "second")

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        report("Properties response", (properties.response.code, properties.upstream.port, pwasm.get_property("state")))

    def on_http_stream_done(self) -> None:
        report("Properties done", self.typed())

    def typed(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for attribute in properties.TABLE:
            data = pwasm.get_property(attribute.path)
            found[".".join(attribute.path)] = None if data is None else attribute._decode(data)
        groups = properties.request, properties.response, properties.xds
        found["groups"] = [groups[0].path, groups[1].flags, groups[2].node.id]
        found["node metadata"] = properties.xds.node.metadata("region")
        found["legacy"] = [pwasm.get_property("node.id"), pwasm.get_property("cluster_name")]
        found["dynamic"] = properties.metadata("filter_metadata", "pwasm.test", "color")
        found["route"] = properties.xds.route_metadata("filter_metadata", "pwasm.test", "on")
        found["cluster"] = properties.xds.cluster_metadata("filter_metadata", "pwasm.test", "in")
        return found


class Foreign(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        packed = foreign.compress(b"hello " * 100)
        report("Foreign zlib", (packed, foreign.uncompress(packed), refused(foreign.uncompress, b"no zlib")))
        report("Foreign unknown", refused(pwasm.call_foreign_function, "no_such_function"))
        found = [
            evaluate("request.path.startsWith('/Foreign')", bool),
            evaluate("request.headers['x-user'] == 'somebody else'", bool),
            evaluate("request.headers['x-user']", str),
            evaluate("1 + 2 - 5", int),
            evaluate("0.5", float),
            evaluate("request.headers['x-missing']", str),
        ]
        report("Foreign CEL", (found, refused(foreign.Expression, "1 +")))
        deleted = foreign.Expression("true")
        token = deleted._token or b""
        deleted.delete()
        report("Foreign deleted", refused(pwasm.call_foreign_function, "expr_evaluate", token))
        report("Foreign sign", (refused(foreign.sign, "sha256", "no key", "text"),))


def evaluate(text: str, kind: type) -> object:
    with foreign.Expression(text) as expression:
        return expression.evaluate(kind)


class Declared(Case):
    """Expressions see a property as the type it was declared with, if the plugin declared it."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        in_stream = refused(foreign.declare_property, "of_stream", foreign.PropertyType.STRING)
        values = {}
        for name in ("of_plugin", "of_stream", "of_nobody"):
            pwasm.set_property(name, "text")
            values[name] = [evaluate(f"{name} == {text}", bool) for text in ("'text'", "b'text'")]
        report("Declared", (in_stream, values, refused(foreign.set_envoy_filter_state, "no.such.factory", "x")))


class RouteCache(Case):
    """A property that affects the route takes effect only when the route is selected again."""

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.set_property("route", "yes")
        if self.word == "cleared":
            foreign.clear_route_cache()


class Log(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        level = pwasm.get_log_level()
        for name in ("trace", "debug", "info", "warn", "error", "critical"):
            getattr(pwasm, f"log_{name}")("%s record at level %d, on purpose", name, level)
        print("printed, on purpose")
        logging.getLogger("some.module").warning("logged, on purpose")
        pwasm.log_info("one\nrecord")


class Clock(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        report("Clock", (pwasm.get_current_time_nanoseconds(), time.time_ns()))


class Metrics(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        counter = pwasm.define_counter_metric("whole.counter")
        gauge = pwasm.define_gauge_metric("whole.gauge")
        histogram = pwasm.define_histogram_metric("whole.histogram")
        counter.increment()
        counter.increment(0)
        counter.increment(41)
        gauge.set(10)
        gauge.add(-3)
        for value in (5, 50, 500):
            histogram.record(value)
        negative = pwasm.define_gauge_metric("whole.negative")
        negative.set(-1)
        again = pwasm.define_counter_metric("whole.counter").value()
        report("Metrics", (counter.value(), again, gauge.value(), negative.value(), refused(histogram.value)))


class Configuration(Case):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        own = (self.plugin.configuration, self.plugin.vm.configuration)
        report("Configuration", (pwasm.get_plugin_configuration(), pwasm.get_vm_configuration(), *own))
