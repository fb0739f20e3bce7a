"""Typed configuration: valid values, refusals and their messages, and that no exception but ConfigError is raised."""

from __future__ import annotations

import contextlib
import enum
import json
import re
import struct
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, Literal, NewType

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pwasm
from pwasm import LogLevel, config
from pwasm.config import ConfigError, Range, UnsupportedType
from pwasm.testing import HostEmulator

Cluster = NewType("Cluster", str)


class Mode(enum.Enum):
    OFF = "off"
    ON = "on"
    LEVEL = 3


@dataclass
class Match:
    """What a request must look like."""

    prefix: str
    methods: set[str] = field(default_factory=set)


@dataclass
class Route:
    match: Match
    cluster: Cluster = Cluster("main")
    weight: Annotated[int, Range(0, 100)] = 1
    header: str | None = None
    pattern: re.Pattern[str] | None = None
    timeout: timedelta = timedelta(seconds=1)


@dataclass
class Config:
    routes: list[Route]
    mode: Mode = Mode.ON
    kind: Literal["a", "b", 1] = "a"
    ratio: float = 0.5
    names: dict[str, int] = field(default_factory=dict)
    pair: tuple[int, str] = (1, "x")
    many: tuple[int, ...] = ()
    value: int | str | Match | None = None
    extra: Any = None
    log_level: str = field(default="info", metadata={"key": "log-level", "description": "How much to log."})
    short: Annotated[str, Range(high=3)] = ""


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)


@dataclass
class Defaults:
    debug: bool = False


@dataclass
class Checked:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


def test_everything_is_filled() -> None:
    text = """{
        "routes": [{"match": {"prefix": "/a", "methods": ["GET"]}, "weight": 3.0, "header": null,
                    "pattern": "^a+$", "timeout": "250ms"}],
        "mode": 3, "kind": 1, "ratio": 1, "names": {"a": 1}, "pair": [2, "y"], "many": [1, 2, 3],
        "value": {"prefix": "/v"}, "extra": {"any": [1, {"thing": null}]}, "log-level": "debug"
    }"""
    made = config.load(Config, text)
    assert made == Config(
        routes=[Route(Match("/a", {"GET"}), weight=3, pattern=re.compile("^a+$"), timeout=timedelta(milliseconds=250))],
        mode=Mode.LEVEL,
        kind=1,
        ratio=1.0,
        names={"a": 1},
        pair=(2, "y"),
        many=(1, 2, 3),
        value=Match("/v"),
        extra={"any": [1, {"thing": None}]},
        log_level="debug",
    )
    assert type(made.extra) is dict
    assert config.load(Config, config.dump(made)) == made


def route(field: str) -> str:
    """A configuration with one route that has this field too."""
    return f'{{"routes": [{{"match": {{"prefix": "/"}}, {field}}}]}}'


REFUSED: list[tuple[type, str | bytes, list[str]]] = [
    (Config, "", ["$: the configuration is empty", "$.routes: missing (expected array)"]),
    (Config, "{}", ["$.routes: missing (expected array)"]),
    (Config, "[]", ["$: expected object, got array"]),
    (Config, "routes: []", ["$: not JSON: Expecting value: line 1 column 1 (char 0)"]),
    (Config, b"\xff\xfe", ["$: byte 0 is not UTF-8"]),
    (Config, '{"routes": [], "ratio": NaN}', ["$: NaN is not JSON"]),
    (Config, '{"routes": {}}', ["$.routes: expected array, got object"]),
    (
        Config,
        '{"routes": [{"match": {"prefix": 1}, "weight": "3"}, {"match": 5}], "names": {"a": true}, "pair": [1]}',
        [
            "$.routes[0].match.prefix: expected str, got int",
            "$.routes[0].weight: expected int, got str",
            "$.routes[1].match: expected object, got int",
            "$.names.a: expected int, got bool",
            "$.pair: expected array of 2, got array of 1",
        ],
    ),
    (
        Config,
        route('"weight": 101'),
        ["$.routes[0].weight: must be between 0 and 100, got 101"],
    ),
    (Config, '{"routes": [], "short": "long"}', ["$.short: its length must be at most 3, got 4"]),
    (Config, '{"routes": [], "mode": "up"}', ["$.mode: expected one of 'off', 'on', 3, got 'up'"]),
    (Config, '{"routes": [], "kind": true}', ["$.kind: expected one of 'a', 'b', 1, got True"]),
    (Config, '{"routes": [], "value": []}', ["$.value: expected int or str or object or null, got array"]),
    (Config, '{"routes": [], "value": {"prefix": 1}}', ["$.value.prefix: expected str, got int"]),
    (Config, '{"routes": [], "rotues": 1}', ["$.rotues: unknown field; did you mean routes?"]),
    (Defaults, '{"x": 1}', ["$.x: unknown field; known fields: debug"]),
    (Defaults, '{"debug": true, "debug": false}', ["$.debug: duplicate key"]),
    (Config, '{"routes": [], "extra": {"a": [{"b": 1, "b": 2}]}}', ["$.extra.a[0].b: duplicate key"]),
    (Config, '{"routes": [], "names": {"b": 1, "b": 2}}', ["$.names.b: duplicate key"]),
    (
        Config,
        '{"routes": [{"match": {"prefix": "/", "methods": ["GET", "GET"]}}]}',
        ["$.routes[0].match.methods: duplicate item"],
    ),
    (
        Config,
        route('"timeout": "1 s"'),
        ["$.routes[0].timeout: expected a duration such as \"1.5s\", got '1 s'"],
    ),
    (
        Config,
        route('"pattern": "("'),
        ["$.routes[0].pattern: not a regular expression: missing )"],
    ),
    (Checked, '{"low": 2, "high": 1}', ["$: low is above high"]),
    (
        Tree,
        '{"name": "a", "children": [{"name": "b", "children": [{}]}]}',
        ["$.children[0].children[0].name: missing (expected str)"],
    ),
    (Defaults, "[" * 101 + "]" * 101, ["$: nested deeper than 100 levels, at character 100"]),
    (Defaults, "[" * 100_000, ["$: nested deeper than 100 levels, at character 100"]),
    (Defaults, '{"debug": 1' + "0" * 5000 + "}", ["$: not JSON: Exceeds the limit"]),
    (
        Defaults,
        " " * (config.MAX_BYTES + 1),
        ["$: the configuration has 4194305 bytes"],
    ),
]


@pytest.mark.parametrize(("cls", "text", "problems"), REFUSED, ids=[str(text)[:40] for _, text, _ in REFUSED])
def test_refused_with_path_and_reason(cls: type, text: str | bytes, problems: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        config.load(cls, text)
    found = raised.value.problems
    assert len(found) == len(problems)
    for got, wanted in zip(found, problems, strict=True):
        assert got.startswith(wanted), (got, wanted)


def test_only_the_first_problems_are_shown() -> None:
    with pytest.raises(ConfigError) as raised:
        config.load(Config, json.dumps({"routes": [0] * 50}))
    assert len(str(raised.value).splitlines()) == 21
    assert str(raised.value).endswith("and 30 more")


class NotJson: ...


UNSUPPORTED: list[tuple[Any, str]] = [
    (NotJson, "NotJson"),
    (dict[int, str], "the names in a JSON object are str"),
    (complex, "complex"),
    (list[bytes], "bytes"),
]


@pytest.mark.parametrize(("annotation", "text"), UNSUPPORTED)
def test_types_that_no_json_can_be(annotation: Any, text: str) -> None:
    made: Any = dataclass(type("Bad", (), {"__annotations__": {"x": annotation}}))
    with pytest.raises(UnsupportedType, match=re.escape(text)):
        config.load(made, "{}")


# --- schema -------------------------------------------------------------------------------------------------------


def test_the_schema_is_one_and_says_the_same() -> None:
    schema = config.schema(Config)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["routes"]
    assert schema["properties"]["log-level"] == {
        "type": "string",
        "description": "How much to log.",
        "default": "info",
    }
    assert schema["$defs"]["Match"]["description"] == "What a request must look like."
    jsonschema.Draft202012Validator.check_schema(config.schema(Tree))
    assert config.schema(Tree)["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "routes": st.lists(
            st.fixed_dictionaries({}, optional={"match": st.just({"prefix": "/"}) | JSON, "weight": JSON})
        ),
        **dict.fromkeys(("mode", "kind", "ratio", "names", "pair", "many", "value", "extra", "short"), JSON),
    },
)


@given(NEARLY | JSON)
def test_the_schema_agrees_with_the_decoder(value: Any) -> None:
    validator = jsonschema.Draft202012Validator(config.schema(Config))
    try:
        config.load(Config, json.dumps(value))
    except ConfigError:
        return  # a set's and a pattern's rules are not all in a schema
    assert validator.is_valid(value)


# --- generated ----------------------------------------------------------------------------------------------------

MATCHES = st.builds(Match, prefix=st.text(), methods=st.sets(st.text(), max_size=3))
ROUTES = st.builds(
    Route,
    match=MATCHES,
    cluster=st.text().map(Cluster),
    weight=st.integers(0, 100),
    header=st.none() | st.text(),
    pattern=st.none() | st.sampled_from([re.compile("a+"), re.compile("^/x")]),
    timeout=st.integers(0, 10**9).map(lambda milliseconds: timedelta(milliseconds=milliseconds)),
)
CONFIGS = st.builds(
    Config,
    routes=st.lists(ROUTES, max_size=3),
    mode=st.sampled_from(Mode),
    kind=st.sampled_from(["a", "b", 1]),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    names=st.dictionaries(st.text(), st.integers(), max_size=3),
    pair=st.tuples(st.integers(), st.text()),
    many=st.lists(st.integers()).map(tuple),
    value=st.none() | st.integers() | st.text() | MATCHES,
    extra=JSON.filter(lambda value: not isinstance(value, float)),
    log_level=st.text(),
    short=st.text(max_size=3),
)


@given(CONFIGS)
def test_round_trip(made: Config) -> None:
    assert config.load(Config, config.dump(made)) == made


@given(st.binary() | st.text() | JSON.map(json.dumps) | NEARLY.map(json.dumps))
def test_nothing_else_is_raised(text: bytes | str) -> None:
    for cls in (Config, Tree, Checked, Defaults):
        with contextlib.suppress(ConfigError):
            assert isinstance(config.load(cls, text), cls)


# --- Struct -------------------------------------------------------------------------------------------------------

# What Envoy 1.40 passed for the Struct {"a": 1, "b": [true, null, "x"], "c": 2.5}.
FROM_ENVOY = (
    b"\n\x0e\n\x01a\x12\t\x11\x00\x00\x00\x00\x00\x00\xf0?"
    b"\n\x14\n\x01b\x12\x0f2\r\n\x02 \x01\n\x02\x08\x00\n\x03\x1a\x01x"
    b"\n\x0e\n\x01c\x12\t\x11\x00\x00\x00\x00\x00\x00\x04@"
)


@dataclass
class AnyFields:
    a: int
    b: Any
    c: float
    d: dict[str, Any] = field(default_factory=dict)


def encoded(value: Any) -> bytes:
    """google.protobuf.Value; lengths under 128 only."""
    if isinstance(value, dict):
        return sized(42, fields(value))
    if isinstance(value, list):
        return sized(50, b"".join(sized(10, encoded(item)) for item in value))
    if value is None or isinstance(value, bool):
        return b"\x08\0" if value is None else b"\x20" + bytes([value])
    return sized(26, value.encode()) if isinstance(value, str) else b"\x11" + struct.pack("<d", value)


def fields(value: dict[str, Any]) -> bytes:
    """google.protobuf.Struct."""
    return b"".join(sized(10, sized(10, key.encode()) + sized(18, encoded(item))) for key, item in value.items())


def sized(tag: int, content: bytes) -> bytes:
    size, more = len(content) & 127, len(content) >> 7
    assert more < 128
    return bytes([tag, size | 128, more] if more else [tag, size]) + content


def test_a_struct_as_envoy_passes_it() -> None:
    assert config.load(AnyFields, FROM_ENVOY) == AnyFields(1, [True, None, "x"], 2.5)
    assert config.load(AnyFields, fields({"a": 1, "b": {}, "c": -0.5, "d": {"e": {"f": [1.5]}}})).d == {
        "e": {"f": [1.5]}
    }
    with pytest.raises(ConfigError, match=r"\$\.a: expected int, got float"):
        config.load(AnyFields, fields({"a": 1.5, "b": 0, "c": 0}))


TYPED_STRUCT = sized(10, b"type.googleapis.com/my.Config") + sized(18, FROM_ENVOY)
VALUE = sized(42, FROM_ENVOY)


@pytest.mark.parametrize("message", [TYPED_STRUCT, VALUE], ids=["TypedStruct", "Value"])
def test_what_contains_a_struct(message: bytes) -> None:
    assert config.load(AnyFields, message) == config.load(AnyFields, FROM_ENVOY)


@pytest.mark.parametrize(
    "message",
    [sized(10, b"no url") + sized(18, FROM_ENVOY), b"*", b"*\x02\x0a", sized(26, b"text") + b"\0", b"\x08\x01\x12\0"],
    ids=repr,
)
def test_another_message_is_named(message: bytes) -> None:
    with pytest.raises(ConfigError, match=r"not JSON|not UTF-8"):
        config.load(AnyFields, message)


def test_only_what_may_be_a_message_is_called_one() -> None:
    for text, named in ((b"\x10\x01", True), (b'{\r\n\t"a": 1,\n', False), (b"", False)):
        with pytest.raises(ConfigError) as raised:
            config.load(AnyFields, text)
        assert ("protobuf message" in str(raised.value)) == named


def test_json_after_an_empty_line() -> None:
    assert config.load(Defaults, b'\n{"debug": true}') == Defaults(True)


def test_a_struct_that_is_too_deep() -> None:
    deep: Any = {}
    for _ in range(101):
        deep = {"": deep}
    with pytest.raises(ConfigError, match="nested deeper than 100 levels"):
        config.load(Defaults, fields(deep))


@given(st.data())
def test_a_broken_struct_is_refused(data: st.DataObject) -> None:
    whole = bytearray(FROM_ENVOY)
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[at:]
    else:
        whole[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ConfigError):
        config.load(AnyFields, bytes(whole))


# --- in a plugin --------------------------------------------------------------------------------------------------


class Plugin(pwasm.PluginContext):
    config: Config

    def on_plugin_start(self, plugin_configuration_size: int) -> bool:
        pwasm.log_info(f"{len(self.config.routes)} routes")
        return True


class Stream(pwasm.HttpContext):
    plugin: Plugin

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_request_header("x-cluster", self.plugin.config.routes[0].cluster)
        assert self.config is self.plugin.config


GOOD = '{"routes": [{"match": {"prefix": "/"}, "cluster": "blue"}]}'


def test_a_plugin_is_configured_before_it_starts() -> None:
    host = HostEmulator(Plugin, Stream, plugin_configuration=GOOD)
    assert host.logs == [(LogLevel.INFO, "1 routes")]
    assert host.request().request_headers["x-cluster"] == "blue"


@pytest.mark.parametrize("text", ["", "{", '{"routes": 5}'])
def test_a_wrong_configuration_refuses_the_start(text: str) -> None:
    host = HostEmulator(Plugin, Stream, plugin_configuration=text)
    assert not host.started
    ((level, record),) = host.logs
    assert level == LogLevel.CRITICAL
    assert record.startswith("the plugin's configuration is refused\n  | $")


class Alone(pwasm.HttpContext):
    config: Defaults

    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> None:
        pwasm.add_http_request_header("x-debug", str(self.config.debug))


class AloneTcp(pwasm.TcpContext):
    config: Defaults

    def on_new_connection(self) -> None:
        pwasm.log_info(f"debug {self.config.debug}")


class Text(pwasm.PluginContext):
    config: str


class Bytes(pwasm.PluginContext):
    config: bytes


def test_a_stream_class_may_declare_it() -> None:
    assert HostEmulator(Alone).request().request_headers["x-debug"] == "False"
    assert HostEmulator(Alone, plugin_configuration='{"debug": true}').request().request_headers["x-debug"] == "True"
    assert not HostEmulator(Alone, plugin_configuration='{"debug": 1}').started
    host = HostEmulator(AloneTcp)
    host.connect()
    assert host.logs == [(LogLevel.INFO, "debug False")]


def test_plain_text() -> None:
    for cls, wanted in ((Text, "not { JSON"), (Bytes, b"not { JSON")):
        host = HostEmulator(cls, Alone, plugin_configuration="not { JSON")
        assert host.started
        assert host.plugin._roots[1].context.config == wanted  # type: ignore[attr-defined]
    assert not HostEmulator(Text, Alone, plugin_configuration=b"\xff").started


def test_a_factory_may_choose_the_class() -> None:
    def make() -> Plugin:
        return Plugin()

    pwasm.set_plugin_context(make)
    pwasm.set_http_context(Stream)
    assert HostEmulator(plugin_configuration=GOOD).request().request_headers["x-cluster"] == "blue"
    assert not HostEmulator(plugin_configuration="{}").started


class Unknown(pwasm.PluginContext):
    config: Nowhere  # type: ignore[name-defined]  # noqa: F821


class Impossible(pwasm.PluginContext):
    config: complex


@pytest.mark.parametrize(("cls", "text"), [(Unknown, "cannot resolve 'Nowhere'"), (Impossible, "complex")])
def test_declarations_that_cannot_be_are_refused_at_registration(cls: type, text: str) -> None:
    with pytest.raises(UnsupportedType, match=text):
        pwasm.set_plugin_context(cls)


@pytest.mark.programs
def test_filters_without_configuration_do_not_pay() -> None:
    """`json` is in every module with an HTTP filter, which may be given rules; `dataclasses` only where it is used."""
    import subprocess
    import sys

    code = (
        "import pwasm, sys; pwasm.set_{0}_context(type('A', (pwasm.{1}Context,), {{}}));"
        " print([name in sys.modules for name in ('json', 'dataclasses')])"
    )
    for words, found in ((("http", "Http"), "[True, False]\n"), (("tcp", "Tcp"), "[False, False]\n")):
        command = [sys.executable, "-c", code.format(*words)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == found
