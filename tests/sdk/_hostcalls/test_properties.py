"""Properties, typed and raw, and Envoy's foreign functions."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, cast

import pytest

import pwasm
from pwasm import foreign, properties
from pwasm._protobuf import decode_fields
from pwasm.testing import HostEmulator
from tests.support.in_callback import in_plugin, in_request


def test_properties_of_the_request() -> None:
    def call() -> None:
        request = properties.request
        assert (request.path, request.url_path, request.query) == ("/a?b=c", "/a", "b=c")
        assert (request.method, request.host, request.scheme) == ("PUT", "example.com", "http")
        assert (request.size, request.time) == (3, pwasm.get_current_time_nanoseconds())
        assert request.headers is not None
        assert request.headers["x-d"] == "1,2"
        assert request.duration is None
        assert properties.response.code is None
        assert (properties.plugin.name, properties.plugin.root_id, properties.plugin.vm_id) == ("n", "r", "v")
        assert properties.upstream.address is None
        assert pwasm.get_property("request.path") == b"/a?b=c"
        assert pwasm.get_property(("request", "headers", "x-d")) == b"1,2"
        assert ("x-d", "1,2") in pwasm.get_property_map("request.headers")
        assert pwasm.get_property_map("request.nope") == []
        assert pwasm.get_property("filter_state") is None  # status 3
        assert (properties.request.path, type(properties.Request.path)) == ("/a?b=c", properties.Attribute)

    in_request(call, method="PUT", path="/a?b=c", headers=[("x-d", "1"), ("x-d", "2")], body=b"abc")


def test_properties_of_the_response() -> None:
    assert in_request(lambda: properties.response.code, "on_http_stream_done") == 200


ENCODED: dict[str, tuple[bytes, object]] = {
    "to_text": (b"caf\xc3\xa9 \xff", "café \udcff"),
    "_unsigned": (struct.pack("<Q", 2**63), 2**63),
    "_signed": (struct.pack("<q", -5), -5),
    "any": (b"\1", True),
    "_map": (pwasm._serde.encode_pairs([("a", "1")]), {"a": "1"}),
    "bytes": (b"\0\xff", b"\0\xff"),
}


@pytest.mark.parametrize("attribute", properties.TABLE, ids=lambda attribute: ".".join(attribute.path))
def test_each_typed_property(attribute: Any) -> None:
    assert attribute.__doc__ == f"Property {'.'.join(attribute.path)}."
    data, value = ENCODED[attribute._decode.__name__]

    def set_up(host: HostEmulator) -> None:
        host.properties[attribute.path] = data

    assert in_request(lambda: attribute.__get__(properties.request, None), set_up=set_up) == value


def test_every_group_is_reachable() -> None:
    reachable = set()
    for name, value in vars(properties).items():
        if isinstance(value, properties.Group):
            reachable |= {(name, attribute) for attribute in dir(value)}
    assert {("xds", "node"), ("node", "id"), ("connection", "mtls"), ("source", "address")} <= reachable


def test_lookups() -> None:
    def set_up(host: HostEmulator) -> None:
        host.properties[("metadata", "filter_metadata", "envoy.lb", "canary")] = b"\1"

    assert in_request(lambda: properties.metadata("filter_metadata", "envoy.lb", "canary"), set_up=set_up) == b"\1"
    assert in_request(lambda: properties.filter_state("x")) is None


def test_old_names_are_looked_up_below_xds() -> None:
    def set_up(host: HostEmulator) -> None:
        host.properties[("xds", "node", "id")] = b"me"
        host.properties[("xds", "route_name")] = b"route"

    assert in_request(lambda: pwasm.get_property("node.id"), set_up=set_up) == b"me"
    assert in_request(lambda: pwasm.get_property(["route_name"]), set_up=set_up) == b"route"
    assert in_request(lambda: pwasm.get_property("upstream_host_metadata"), set_up=set_up) is None


def test_plugins_see_no_stream() -> None:
    def call() -> None:
        assert properties.request.path is None
        assert properties.plugin.root_id == ""
        with pytest.raises(pwasm.PhaseError, match="no stream is selected"):
            pwasm.set_property("mine", b"1")

    in_plugin(call)


def test_set_property() -> None:
    def call() -> None:
        pwasm.set_property("mine", b"")
        assert pwasm.get_property("mine") == b""
        pwasm.set_property(["with.dot"], "text")
        assert pwasm.get_property(["with.dot"]) == b"text"

    in_request(call)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: pwasm.set_property("a.b", b""), ValueError, "must be one segment"),
        (lambda: pwasm.set_property("request", b""), ValueError, "Envoy has a property 'request' itself"),
        (lambda: pwasm.set_property("", b""), ValueError, "path must not be empty"),
        (lambda: pwasm.set_property("a", cast("Any", 1)), TypeError, "data must be bytes or str"),
        (lambda: pwasm.get_property([]), ValueError, "path must not be empty"),
        (lambda: pwasm.get_property("a\0b"), ValueError, "must not contain NUL"),
        (lambda: pwasm.get_property(cast("Any", b"a")), TypeError, "path must be str or several str"),
        (lambda: pwasm.get_property(cast("Any", ["a", 1])), TypeError, "path must be str or several str"),
        (lambda: pwasm.get_property(cast("Any", None)), TypeError, "path must be str or several str"),
    ],
)
def test_wrong_paths(call: Callable[[], Any], error: type[BaseException], text: str) -> None:
    with pytest.raises(error, match=text):
        in_request(call)


# --- foreign functions --------------------------------------------------------------------------------------------


def test_compress() -> None:
    def call() -> None:
        assert foreign.uncompress(foreign.compress("hello " * 100)) == b"hello " * 100
        assert foreign.uncompress(foreign.compress(b"")) == b""
        with pytest.raises(pwasm.SerializationFailure):
            foreign.uncompress(b"nonsense")
        foreign.clear_route_cache()
        with pytest.raises(pwasm.NotFound, match="for 'nope'"):
            pwasm.call_foreign_function("nope")

    in_request(call)


def test_own_foreign_functions() -> None:
    def set_up(host: HostEmulator) -> None:
        host.register_foreign_function("reverse", lambda data: data[::-1])
        host.register_foreign_function("broken", lambda _: pwasm.Status.BROKEN_CONNECTION)

    assert in_request(lambda: pwasm.call_foreign_function("reverse", b"abc"), set_up=set_up) == b"cba"
    with pytest.raises(pwasm.BrokenConnection):
        in_request(lambda: pwasm.call_foreign_function("broken"), set_up=set_up)


def test_expressions() -> None:
    hosts: list[HostEmulator] = []

    def set_up(host: HostEmulator) -> None:
        hosts.append(host)
        host.expressions = {"a": b"\1", "b": struct.pack("<q", -7), "c": b"text", "d": None, "e": struct.pack("<d", 2)}

    def call() -> None:
        with foreign.Expression("a") as expression:
            assert expression.evaluate(bool) is True
            with pytest.raises(ValueError, match="has 1 bytes"):
                expression.evaluate(int)
            with pytest.raises(TypeError, match="kind must be"):
                expression.evaluate(list)  # type: ignore[type-var]
        with pytest.raises(ValueError, match="was deleted"):
            expression.evaluate(bool)
        kinds: tuple[tuple[str, Any, object], ...] = (
            ("b", int, -7),
            ("c", str, "text"),
            ("c", bytes, b"text"),
            ("e", float, 2.0),
        )
        for text, kind, value in kinds:
            with foreign.Expression(text) as expression:
                assert expression.evaluate(kind) == value
        with foreign.Expression("d") as expression:
            assert expression.evaluate(bool) is None
        with pytest.raises(pwasm.BadArgument):
            foreign.Expression("((")

    in_request(call, set_up=set_up)
    assert hosts[0].expression_tokens == {}


def test_filter_state() -> None:
    def call() -> None:
        foreign.declare_property("mine", foreign.PropertyType.STRING, span=foreign.LifeSpan.DOWNSTREAM_REQUEST)
        with pytest.raises(pwasm.BadArgument):
            foreign.declare_property("mine")
        foreign.set_envoy_filter_state("envoy.tcp_proxy.cluster", "c", foreign.LifeSpan.DOWNSTREAM_CONNECTION)
        with pytest.raises(pwasm.NotFound):
            foreign.set_envoy_filter_state("nope", b"1")

    in_request(call)


def test_signatures() -> None:
    """Field numbers as in Envoy's verify_signature.proto and sign.proto."""
    asked: list[dict[int, Any]] = []

    def verify(data: bytes) -> bytes:
        asked.append(decode_fields(data))
        return b"\x08\x01" if b"good" in data else b"\x12\x03why"

    def sign(data: bytes) -> bytes:
        asked.append(decode_fields(data))
        return b"\x08\x01\x12\x03sig" if b"key" in data else b"\x1a\x03why"

    def set_up(host: HostEmulator) -> None:
        host.register_foreign_function("verify_signature", verify)
        host.register_foreign_function("sign", sign)

    def call() -> None:
        assert foreign.verify_signature("sha256", b"der", b"good", "text")
        assert not foreign.verify_signature("sha256", "pem", b"bad", "text")
        assert foreign.sign("sha256", b"key", "text") == b"sig"
        with pytest.raises(ValueError, match="could not sign: b'why'"):
            foreign.sign("sha256", "pem", "text")

    in_request(call, set_up=set_up)
    assert asked == [
        {1: b"sha256", 2: b"der", 3: b"good", 4: b"text"},
        {1: b"sha256", 5: b"pem", 3: b"bad", 4: b"text"},
        {1: b"sha256", 2: b"key", 3: b"text"},
        {1: b"sha256", 4: b"pem", 3: b"text"},
    ]
