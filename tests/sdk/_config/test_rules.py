"""Higress's rules: which configuration a request gets, what is refused, and what the filter sees of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

import pwasm
from pwasm import Action, LogLevel
from pwasm._abi import Status
from pwasm._config.rules import CONDITIONS, Part, domain, lower, names_of, parts_of, without_port
from pwasm.config import ConfigError
from pwasm.testing import HostEmulator

PREFIX, CONSUMER = "_match_route_prefix_", "_match_consumer_"


@dataclass(frozen=True)
class Asked:
    """A request, as the matcher asks for it."""

    authority: str = "a.example.com"
    route_name: str = ""
    cluster_name: str = ""
    who: str = ""

    def host(self) -> str:
        return self.authority

    def route(self) -> str:
        return self.route_name

    def cluster(self) -> str:
        return self.cluster_name

    def consumer(self) -> str:
        return self.who


def chosen(configuration: Mapping[str, Any], request: Asked) -> str | None:
    """Where the configuration of a request is; None if it has none."""
    parts = parts_of(json.dumps(configuration))
    assert parts is not None
    default = next((part.where for part in parts if part.rule is None), None)
    return next((part.where for part in parts if part.rule is not None and part.rule.matches(request)), default)


# --- the rules of the matcher ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("www.*", "www.test.com", True),
        ("www.*", "test.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("www.example.com", "www.example.com", True),
        ("www.example.com", "example.com", False),
        ("WWW.example.com", "www.example.com", True),
        ("www.example.com", "WWW.EXAMPLE.COM", True),
        ("kern.org", "\u212aern.org", False),
        ("\u212aern.org", "\u212aERN.org", True),
        ("a\udc80.org", "A\udc80.org", True),
        ("*", "anything", True),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("*a*", "xa*", True),
        ("*a*", "xax", False),
        ("a*b", "axb", False),
        ("a*b", "a*b", True),
    ],
)
def test_a_domain(pattern: str, host: str, matches: bool) -> None:
    assert domain(pattern).matches(lower(host)) is matches


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("a.com", "a.com"),
        ("a.com:8080", "a.com"),
        ("a.com:", "a.com"),
        (":80", ""),
        ("", ""),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("::1", ":"),
    ],
)
def test_the_host_is_without_its_port(authority: str, host: str) -> None:
    assert without_port(authority) == host


@pytest.mark.parametrize(
    ("cluster", "service", "matches"),
    [
        ("outbound|443||qwen.dns", "qwen.dns", True),
        ("outbound|443||qwen.dns", "qwen.dns:443", True),
        ("outbound|443||qwen.dns", "qwen.dns:80", False),
        ("outbound|443||qwen.dns", "moonshot.dns:443", False),
        ("outbound|443||qwen.dns", "qwen.dns:", False),
        ("outbound|443|v1|qwen.dns", "qwen.dns", True),
        ("outbound|||qwen.dns", "qwen.dns:", True),
        ("qwen.dns", "qwen.dns", False),
        ("a|outbound|443||qwen.dns", "qwen.dns", False),
        ("outbound|4:3||qwen.dns", "qwen.dns:4:3", False),
    ],
)
def test_a_service(cluster: str, service: str, matches: bool) -> None:
    assert (service in names_of(cluster)) is matches


RULES: dict[str, Any] = {
    "x": 0,
    "_rules_": [
        {"_match_route_": ["default/foo", "default/bar"]},
        {"_match_domain_": ["*.example.com", "b.org"]},
        {"_match_service_": ["a.dns:80"]},
        {PREFIX: ["api-"], CONSUMER: ["anna"]},
        {PREFIX: ["api-", "web-"]},
        {"_match_route_": ["both"], "_match_service_": ["b.dns"]},
    ],
}


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        (Asked("c.org", "default/foo"), "$._rules_[0]"),
        (Asked("b.org", "default/bar"), "$._rules_[0]"),
        (Asked("b.org:8080", "other"), "$._rules_[1]"),
        (Asked("c.org", "other", "outbound|80||a.dns"), "$._rules_[2]"),
        (Asked("c.org", "other", "outbound|81||a.dns"), "$"),
        (Asked("c.org", "api-1", who="anna"), "$._rules_[3]"),
        (Asked("c.org", "api-1", who="bert"), "$._rules_[4]"),
        (Asked("c.org", "both", "outbound|80||b.dns"), "$._rules_[5]"),
        (Asked("c.org", "both", "outbound|80||c.dns"), "$"),
        (Asked("c.org"), "$"),
    ],
)
def test_the_first_rule_that_matches_counts(request_: Asked, where: str) -> None:
    assert chosen(RULES, request_) == where
    without_default = {"_rules_": RULES["_rules_"]}
    assert chosen(without_default, request_) == (None if where == "$" else where)


def test_the_order_of_the_list_decides_and_not_what_is_more_specific() -> None:
    every, one = {"_match_domain_": ["*"], "n": 1}, {"_match_domain_": ["a.example.com"], "n": 2}
    assert chosen({"_rules_": [every, one]}, Asked()) == "$._rules_[0]"
    assert chosen({"_rules_": [one, every]}, Asked()) == "$._rules_[0]"


@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        (("_match_route_", "_match_domain_"), ("_match_route_",)),
        (("_match_route_", PREFIX), ("_match_route_",)),
        (("_match_domain_", "_match_service_"), ("_match_domain_",)),
        (("_match_service_", PREFIX, CONSUMER), ("_match_service_",)),
        (("_match_route_", "_match_service_", "_match_domain_"), ("_match_route_", "_match_service_")),
        (("_match_route_", CONSUMER), ("_match_route_",)),
        ((PREFIX, CONSUMER), (PREFIX, CONSUMER)),
    ],
)
def test_which_of_several_conditions_count(conditions: tuple[str, ...], counts: tuple[str, ...]) -> None:
    parts = parts_of(json.dumps({"_rules_": [{name: ["x"] for name in conditions}]})) or []
    assert [set(part.rule.ignored) for part in parts if part.rule] == [set(conditions) - set(counts)]


# --- against a model ------------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "*", "a", "b", "*a", "a*", "a.b", "*.B", "A", "a:1", "b:1"])
AUTHORITIES = st.sampled_from(["", "a", "B", "A.b", "x.b", "a:1", "ab:1", "[a]:1", "[a:1]"])
CLUSTERS = st.sampled_from(["", "a", "o|1||a", "o|1|s|b", "o|2||a", "o|||a", "x|o|1||a"])
NAMES = st.sampled_from(["", "a", "b", "ab", "a.b"])
REQUESTS = st.builds(Asked, AUTHORITIES, NAMES, CLUSTERS, NAMES)
CONDITION = st.dictionaries(st.sampled_from(CONDITIONS), st.lists(TEXTS, max_size=3) | TEXTS)


def model(rules: list[dict[str, Any]], request: Asked) -> int | None:
    """The number of the rule that applies, told in other words than in the SDK: from the request's side."""
    host, _, port = request.authority.rpartition(":")
    if (not host and ":" not in request.authority) or "]" in port:
        host = request.authority
    host = host.lower()
    parts = request.cluster_name.split("|")
    for number, rule in enumerate(rules):
        texts = {name: [rule[name]] if isinstance(rule[name], str) else rule[name] for name in rule}
        route = set(texts.get("_match_route_", ())) - {""}
        service = set(texts.get("_match_service_", ())) - {""}
        prefixes = [text for text in texts.get(PREFIX, ()) if text]
        consumers = set(texts.get(CONSUMER, ())) - {""}
        of_service = len(parts) == 4 and any(
            text == parts[3] or text.rsplit(":", 1) == [parts[3], parts[1]] for text in service
        )
        of_prefix = any(request.route_name[: len(text)] == text for text in prefixes)
        if route:
            applies = request.route_name in route and (not service or of_service)
        elif texts.get("_match_domain_"):
            applies = any(
                host[max(0, len(host) - len(text) + 1) :] == text[1:] and len(text) - 1 <= len(host)
                if text[:1] == "*"
                else host[: len(text) - 1] == text[:-1]
                if text[-1:] == "*"
                else host == text
                for text in map(str.lower, texts["_match_domain_"])
            )
        elif service:
            applies = of_service
        else:
            applies = of_prefix and (not consumers or request.who in consumers)
        if applies:
            return number
    return None


def has_a_condition(rule: dict[str, Any]) -> bool:
    """Whether Higress's own SDK would take it."""
    return any(
        value if name == "_match_domain_" and isinstance(value, list) else name == "_match_domain_" or any(value)
        for name, value in rule.items()
        if name != CONSUMER
    )


@given(rules=st.lists(CONDITION.filter(has_a_condition), min_size=1, max_size=4), request_=REQUESTS)
def test_as_the_model_says(rules: list[dict[str, Any]], request_: Asked) -> None:
    number = model(rules, request_)
    assert chosen({"_rules_": rules, "x": 1}, request_) == ("$" if number is None else f"$._rules_[{number}]")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CONDITIONS, "_rules_", "x"]), inner),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_anything_is_taken_or_refused_with_a_reason(value: Any) -> None:
    text = json.dumps({"_rules_": value})
    try:
        parts = parts_of(text)
    except ConfigError as error:
        assert not [problem for problem in error.problems if not problem.startswith("$._rules_")]  # noqa: PT017
        return
    assert parts
    for part in parts:
        assert part.rule is None or not set(CONDITIONS).intersection(part.value)


# --- what is refused ------------------------------------------------------------------------------------------------

WRONG: list[tuple[str, str]] = [
    ('{"_rules_": 1}', "$._rules_: expected array, got int"),
    ('{"_rules_": []}', "$._rules_: it is empty, and there is no default: no request would be filtered"),
    ('{"_rules_": ["x"]}', "$._rules_[0]: expected object, got str"),
    ('{"_rules_": [{"x": 1}]}', "$._rules_[0]: it has no condition, that is, none of _match_route_,"),
    ('{"_rules_": [{"_match_route_": [""]}]}', "$._rules_[0]: it has no condition"),
    ('{"_rules_": [{"_match_consumer_": ["x"]}]}', "$._rules_[0]: it has no condition"),
    ('{"_rules_": [{"_match_route_": ["a", 1]}]}', "$._rules_[0]._match_route_[1]: expected str, got int"),
    ('{"_rules_": [{"_match_rout_": ["a"]}]}', "$._rules_[0]._match_rout_: unknown condition; those of Higress are"),
    ('{"_rules_": [], "_rules_": []}', "$._rules_: duplicate key"),
    ('{"_rules_": [{"_match_route_": ["a"], "_match_route_": ["b"]}]}', "$._rules_[0]._match_route_: duplicate key"),
    ('{"_rules_": [', "$: not JSON"),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_what_is_wrong_with_rules(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parts_of(text)
    assert str(raised.value).startswith(problem)


@pytest.mark.parametrize("text", ["", "x", "[]", '{"a": "_rules_"}', '["_rules_x"]', '{"a": {"_rules_": 1}}', "\\u"])
def test_what_is_no_rules(text: str) -> None:
    assert parts_of(text) is None


def test_keys_of_higress_in_any_spelling_of_json() -> None:
    escaped = '{"x": 1, "\\u005frules_": [{"_match_domain_": ["*"]}]}'
    assert [part.where for part in parts_of(escaped) or ()] == ["$", "$._rules_[0]"]
    assert parts_of('{"_plugin_id_": "p"}') == [Part("$", {}, None)]  # type: ignore[arg-type]


def test_in_a_struct() -> None:
    value = {"x": 1, "_rules_": [{"_match_domain_": ["*"], "y": 2}]}
    data = json_format.ParseDict(value, Struct()).SerializeToString(deterministic=True)
    assert [(part.where, json.loads(part.text)) for part in parts_of(data) or ()] == [
        ("$", {"x": 1}),
        ("$._rules_[0]", {"y": 2}),
    ]


# --- in a plugin ----------------------------------------------------------------------------------------------------


@dataclass
class Config:
    header: str
    value: str = "1"

    def __post_init__(self) -> None:
        if self.value == "odd":
            raise ValueError("odd")


class Typed(pwasm.HttpContext):
    config: Config

    def on_http_response_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_response_header(self.config.header, self.config.value)


class Untyped(pwasm.PluginContext):
    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        assert plugin_configuration_size == len(self.configuration)
        assert pwasm.get_plugin_configuration() == self.configuration
        self.options = json.loads(self.configuration)
        self.seen = 0
        if "period" in self.options:
            pwasm.set_tick_period_milliseconds(self.options["period"])
        return "refuse" not in self.options

    def on_tick(self) -> None:
        pwasm.log_info("tick of %s", self.options)
        pwasm.dispatch_http_call("web", [(":method", "GET"), (":path", "/"), (":authority", "a")])

    def on_http_call_response(self, token: int, num_headers: int, body_size: int, num_trailers: int) -> None:
        pwasm.log_info("answer for %s", self.options)

    def on_plugin_done(self) -> bool:
        pwasm.log_info("end of %s", self.options)
        return True


class UntypedHttp(pwasm.HttpContext):
    plugin: Untyped

    def __init__(self) -> None:
        pwasm.log_info("a context")

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.plugin.seen += 1
        assert json.loads(pwasm.get_plugin_configuration()) == self.plugin.options
        pwasm.add_http_request_header("x-seen", f"{self.plugin.options.get('n')}:{self.plugin.seen}")
        return Action.CONTINUE

    def on_http_stream_done(self) -> None:
        pwasm.log_info("done")


TYPED = {
    "header": "x-a",
    "_rules_": [
        {"_match_domain_": ["b.org"], "header": "x-b"},
        {"_match_route_": ["default/foo"], "header": "x-c", "value": "2"},
    ],
}


def texts(host: HostEmulator) -> list[str]:
    return [text for _, text in host.logs]


def answered_with(host: HostEmulator, authority: str) -> list[str]:
    stream = host.request("GET", "/", [(":authority", authority)])
    assert stream.status == 200
    return [f"{name}: {value}" for name, value in stream.headers if name.startswith("x-")]


def test_a_typed_filter() -> None:
    host = HostEmulator(Typed, plugin_configuration=json.dumps(TYPED).encode())
    assert answered_with(host, "a.org") == ["x-a: 1"]
    assert answered_with(host, "b.org:80") == ["x-b: 1"]
    host.properties["xds", "route_name"] = b"default/foo"
    assert answered_with(host, "a.org") == ["x-c: 2"]
    assert answered_with(host, "b.org") == ["x-b: 1"]
    host.properties["xds", "route_name"] = b"default/fo"
    assert answered_with(host, "a.org") == ["x-a: 1"]
    assert host.logs == []


def test_without_a_default_nothing_runs_for_other_requests() -> None:
    rules = {"_rules_": [{"_match_domain_": ["b.org"], "n": 1}]}
    host = HostEmulator(Untyped, UntypedHttp, plugin_configuration=json.dumps(rules).encode())
    stream = host.request("POST", "/", [(":authority", "a.org")], body=b"body")
    assert (stream.status, stream.request_headers.get("x-seen"), host.logs) == (200, None, [])
    assert host.request("GET", "/", [(":authority", "b.org")]).request_headers.get("x-seen") == "1:1"
    assert texts(host) == ["a context", "done"]


def test_each_configuration_has_a_plugin_of_its_own() -> None:
    rules = {"n": 0, "_rules_": [{"_match_domain_": ["*"], "n": 1}, {"_match_domain_": ["b.org"], "n": 2}]}
    rules["_rules_"].reverse()  # type: ignore[attr-defined]
    host = HostEmulator(Untyped, UntypedHttp, plugin_configuration=json.dumps(rules).encode())
    seen = [
        host.request("GET", "/", [(":authority", name)]).request_headers["x-seen"]
        for name in ("a.org", "b.org", "b.org", "a.org")
    ]
    assert seen == ["1:1", "2:1", "2:2", "1:2"]


def test_ticks_answers_and_the_end_are_for_every_plugin() -> None:
    rules = {"n": 0, "period": 10, "_rules_": [{"_match_domain_": ["b.org"], "n": 1}]}
    host = HostEmulator(Untyped, UntypedHttp, plugin_configuration=json.dumps(rules).encode())
    host.tick()
    default, ruled = "{'n': 0, 'period': 10}", "{'n': 1}"
    assert texts(host) == [f"tick of {default}", f"tick of {ruled}"]
    host.logs.clear()
    for call in reversed(list(host.http_calls)):
        host.answer(call)
    assert texts(host) == [f"answer for {ruled}", f"answer for {default}"]
    host.logs.clear()
    host.plugin.proxy_on_done(host.roots[0])
    assert texts(host) == [f"end of {default}", f"end of {ruled}"]
    host.plugin.proxy_on_delete(host.roots[0])


class Slow(pwasm.PluginContext):
    """Wants to see one more tick for each of `n`."""

    def on_plugin_start(self, plugin_configuration_size: int) -> None:
        self.left = int(json.loads(self.configuration)["n"])
        pwasm.set_tick_period_milliseconds(10)

    def on_plugin_done(self) -> bool:
        return self.left == 0

    def on_tick(self) -> None:
        self.left -= 1
        try:
            if self.left <= 0:
                pwasm.plugin_done()
        except pwasm.NotFound:
            pwasm.log_info("nobody waits")


def test_a_plugin_of_several_configurations_ends_with_the_last_of_them() -> None:
    rules = {"n": 0, "_rules_": [{"_match_domain_": ["b"], "n": 2}, {"_match_domain_": ["c"], "n": 1}]}
    host = HostEmulator(Slow, UntypedHttp, plugin_configuration=json.dumps(rules).encode())
    (root,) = host.roots
    assert not host.plugin.proxy_on_done(root)
    host.roots_waiting.add(root)
    for waits, said in ((True, 1), (False, 2), (False, 3)):
        host.logs.clear()
        host.tick()
        assert (root in host.roots_waiting) == waits
        assert texts(host) == ["nobody waits"] * said


def test_a_request_without_a_host_gets_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    host = HostEmulator(Typed, plugin_configuration=json.dumps(TYPED).encode())
    assert answered_with(host, "") == answered_with(host, "of nobody") != answered_with(host, "b.org")
    monkeypatch.setattr(HostEmulator, "proxy_get_header_map_value", lambda *_: (Status.NOT_FOUND, b""))
    assert answered_with(host, "b.org") == answered_with(host, "of nobody")
    assert texts(host) == []


@pytest.mark.parametrize("refused", ["proxy_get_header_map_value", "proxy_get_property"])
def test_a_request_that_the_host_tells_nothing_about_is_answered_with_500(
    refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"_match_route_": ["a"], "header": "x-a"}, {"_match_domain_": ["a.org"], "header": "x-a"}]
    host = HostEmulator(Typed, plugin_configuration=json.dumps({**TYPED, "_rules_": rules}).encode())
    monkeypatch.setattr(HostEmulator, refused, lambda *_: (Status.INTERNAL_FAILURE, b""))
    stream = host.request("GET", "/", [(":authority", "b.org")])
    assert stream.local_response is not None
    assert (stream.local_response.status, stream.local_response.details) == (500, "pwasm_filter_error")
    assert "no configuration can be chosen for context" in texts(host)[0]


@pytest.mark.parametrize(
    ("classes", "rules", "said"),
    [
        ((Typed,), [{"_match_domain_": ["a"], "header": 1}], "$._rules_[0].header: expected str, got int"),
        ((Typed,), [{"_match_domain_": ["a"]}], "$._rules_[0].header: missing (expected str)"),
        ((Typed,), [{"_match_domain_": ["a"], "header": "x", "value": "odd"}], "$._rules_[0]: odd"),
        ((Typed,), [{"header": "x"}], "$._rules_[0]: it has no condition"),
        (
            (UntypedHttp, pwasm.TcpContext),
            [{"_match_domain_": ["a"]}],
            "$._rules_: rules choose by the request, and this plugin has",
        ),
        ((Untyped, UntypedHttp), [{"_match_domain_": ["a"], "refuse": 1}], "on_plugin_start has refused $._rules_[0]"),
        ((Untyped, UntypedHttp), [{"_match_domain_": ["a"], "period": -1}], "failed for $._rules_[0]: start refused"),
    ],
)
def test_a_wrong_rule_refuses_the_start_and_is_named(classes: Any, rules: list[Any], said: str) -> None:
    host = HostEmulator(*classes, plugin_configuration=json.dumps({"header": "x-a", "_rules_": rules}).encode())
    assert not host.started
    assert any(level == LogLevel.CRITICAL and said in text for level, text in host.logs)


def test_one_plugin_object_for_several_configurations_refuses_the_start() -> None:
    """The last configuration would be that of all requests."""
    plugin = pwasm.PluginContext()

    class Vm(pwasm.VMContext):
        def new_plugin_context(self, context_id: int) -> pwasm.PluginContext:
            return plugin

    rules = {"allow": False, "_rules_": [{"_match_domain_": ["open.org"], "allow": True}]}
    host = HostEmulator(Vm, UntypedHttp, plugin_configuration=json.dumps(rules).encode())
    assert not host.started
    assert "new_plugin_context returns one object for several configurations" in texts(host)[0]


def test_a_wrong_default_refuses_the_start_too() -> None:
    """Higress's own SDK would go on without a default, and so let everything through that has no rule."""
    wrong = {"hedder": "x", "_rules_": [{"_match_domain_": ["a"], "header": "x"}]}
    host = HostEmulator(Typed, plugin_configuration=json.dumps(wrong).encode())
    assert not host.started
    assert "$.hedder: unknown field; did you mean header?" in texts(host)[0]


@pytest.mark.parametrize("wrong", [{"_rules_": 1}, {"header": "x-a", "_rules_": [{"header": "x"}]}])
def test_a_configuration_that_is_refused_later_leaves_the_rules_in_force(wrong: dict[str, Any]) -> None:
    host = HostEmulator(Typed, plugin_configuration=json.dumps(TYPED).encode())
    before = [answered_with(host, name) for name in ("a.org", "b.org")]
    host.plugin_configuration = json.dumps(wrong).encode()
    assert not host.call("proxy_on_configure", host.roots[0], len(host.plugin_configuration))
    assert [answered_with(host, name) for name in ("a.org", "b.org")] == before


class Asking(pwasm.PluginContext):
    def on_http_call_response(self, token: int, num_headers: int, body_size: int, num_trailers: int) -> None:
        pwasm.log_info("answer for %s", self.configuration)


class AsksForItsPlugin(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return Action.CONTINUE

    def on_http_request_body(self, size: int, end_of_stream: bool) -> Action:
        with pwasm.effective_context(self.plugin.context_id):
            pwasm.log_info("%s", pwasm.get_plugin_configuration())
            pwasm.dispatch_http_call("web", [(":method", "GET"), (":path", "/"), (":authority", "a")])
        return Action.CONTINUE


def test_the_plugin_that_a_stream_selects_is_its_own() -> None:
    """The host was last in a stream of another configuration."""
    rules = {"_rules_": [{"_match_domain_": ["a.org"], "n": "a"}, {"_match_domain_": ["b.org"], "n": "b"}]}
    host = HostEmulator(Asking, AsksForItsPlugin, plugin_configuration=json.dumps(rules).encode())
    first = host.begin("POST", "/", {":authority": "a.org"})
    host.begin("POST", "/", {":authority": "b.org"})
    first.send_request_body(b"x", end_of_stream=True)
    host.answer(host.http_calls[-1])
    assert texts(host) == ['b\'{"n": "a"}\'', 'answer for b\'{"n": "a"}\'']


def test_conditions_that_do_not_count_are_logged() -> None:
    rules = {"_rules_": [{"_match_route_": ["a"], "_match_domain_": ["b.org"], "header": "x-b"}]}
    host = HostEmulator(Typed, plugin_configuration=json.dumps(rules).encode())
    assert host.logs == [
        (LogLevel.WARN, "$._rules_[0]: _match_domain_ does not count beside the others, as everywhere in Higress")
    ]


class Raising(pwasm.HttpContext):
    def __init__(self) -> None:
        raise ValueError("no")


class Failing(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        raise ValueError("no")


@pytest.mark.parametrize("cls", [Raising, Failing])
def test_a_filter_that_fails_refuses_the_requests_of_its_rule_only(cls: type) -> None:
    rules = {"_rules_": [{"_match_domain_": ["b.org"]}]}
    host = HostEmulator(cls, plugin_configuration=json.dumps(rules).encode())
    status = [host.request("GET", "/", [(":authority", name)]).status for name in ("a.org", "b.org", "a.org")]
    assert status == [200, 500, 200]


class Chooses(pwasm.PluginContext):
    def new_http_context(self, context_id: int) -> pwasm.HttpContext | None:
        return UntypedHttp() if b"yes" in self.configuration else None

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        self.options = json.loads(self.configuration)
        self.seen = 0
        return True


def test_a_plugin_that_chooses_the_class_knows_the_configuration() -> None:
    rules = {"n": "yes", "_rules_": [{"_match_domain_": ["b.org"], "n": "no"}]}
    host = HostEmulator(Chooses, plugin_configuration=json.dumps(rules).encode())
    seen = [
        host.request("GET", "/", [(":authority", name)]).request_headers.get("x-seen") for name in ("a.org", "b.org")
    ]
    assert seen == ["yes:1", None]
