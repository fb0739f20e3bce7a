import json
from collections.abc import Callable
from typing import Any

import pytest
from schema import compiled

from pwasm.testing import World

ORDER = {
    "type": "object",
    "title": "an order",
    "required": ["item", "count"],
    "properties": {
        "item": {"type": "string", "minLength": 1, "maxLength": 8},
        "count": {"type": "integer", "minimum": 1, "maximum": 100},
        "tags": {"type": "array", "maxItems": 2, "items": {"enum": ["gift", "express"]}},
        "address": {"type": "object", "properties": {"zip": {"type": "string", "pattern": "^[0-9]{5}$"}}},
        "any": True,
    },
    "additionalProperties": False,
}
JSON = {"content-type": "application/json"}
GOOD = {"item": "tea", "count": 2, "tags": ["gift"], "address": {"zip": "12345"}}

pytestmark = pytest.mark.pwasm(configuration={"schema": ORDER})

# Schema, what it accepts, what it refuses.
KEYWORDS: list[tuple[Any, list[Any], list[Any]]] = [
    (True, [1, None, {}], []),
    (False, [], [1, None, {}]),
    ({}, [1, None], []),
    ({"type": "integer"}, [1, 1.0, -(10**30)], [1.5, True, "1", float("inf")]),
    ({"type": "number"}, [1, 1.5], [True, "1", None]),
    ({"type": ["null", "boolean"]}, [None, False], [0, ""]),
    ({"enum": [1, "a", None, [1]]}, [1, 1.0, "a", None, [1]], [True, "1", "A", [1, 1], {}]),
    ({"const": {"a": 1, "b": 2}}, [{"b": 2, "a": 1}], [{"a": 1}, 0]),
    ({"minimum": 1, "exclusiveMaximum": 2.5}, [1, 2.4, "0"], [0, 2.5]),
    ({"exclusiveMinimum": 0, "maximum": 3}, [0.1, 3], [0, 4]),
    ({"minLength": 2, "maxLength": 3}, ["éé", "abc", 5], ["a", "abcd"]),
    ({"pattern": "b+"}, ["abc", 1], ["ac"]),
    ({"minItems": 1, "maxItems": 2, "items": {"type": "string"}}, [["a"], "x"], [[], ["a", 1], ["a", "b", "c"]]),
    ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
    ({"required": ["a"], "properties": {"a": {"const": 1}}}, [{"a": 1, "b": 2}, []], [{}, {"a": 2}]),
    ({"properties": {"a": {}}, "additionalProperties": {"type": "null"}}, [{"a": 1, "b": None}], [{"b": 1}]),
]


@pytest.mark.parametrize(("schema", "good", "bad"), KEYWORDS, ids=[json.dumps(row[0])[:40] for row in KEYWORDS])
def test_the_keywords(schema: Any, good: list[Any], bad: list[Any]) -> None:
    check = compiled(schema)
    assert [value for value in good if list(check(value, "$"))] == []
    assert [value for value in bad if not list(check(value, "$"))] == []


def post(world: World, body: Any, **headers: str) -> tuple[int | None, list[tuple[str, str]]]:
    """The status, and path and reason of each problem."""
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    response = world.request("POST", "/orders", JSON | headers, text)
    errors: list[dict[str, str]] = response.json()["errors"] if response.status in {400, 415} else []
    return response.status, [(error["path"], error["reason"]) for error in errors]


def test_a_good_body_passes_as_it_is(pwasm_world: World) -> None:
    assert post(pwasm_world, GOOD) == (200, [])
    assert [request.json() for request in pwasm_world.upstream.requests] == [GOOD]


WRONG: list[tuple[Any, list[tuple[str, str]]]] = [
    ({}, [("$.item", "is missing"), ("$.count", "is missing")]),
    ([], [("$", "must be object")]),
    ({**GOOD, "count": "2"}, [("$.count", "must be integer")]),
    ({**GOOD, "count": 101}, [("$.count", "must be at most 100")]),
    ({**GOOD, "tags": ["gift", "fast"]}, [("$.tags[1]", 'must be "gift" or "express"')]),
    ({**GOOD, "address": {"zip": "12345\n6"}}, [("$.address.zip", "must match ^[0-9]{5}$")]),
    ({**GOOD, 'x"\r\n': 1}, [('$["x\\"\\r\\n"]', "is not allowed")]),
    ({**GOOD, "y" * 5000: 1}, [(f'$["{"y" * 64}"]', "is not allowed")]),
]


@pytest.mark.parametrize(("body", "errors"), WRONG, ids=[str(errors[0])[:40] for _, errors in WRONG])
def test_a_wrong_body_is_refused_with_the_place(pwasm_world: World, body: Any, errors: list[tuple[str, str]]) -> None:
    assert post(pwasm_world, body) == (400, errors)
    assert pwasm_world.upstream.requests == []


@pytest.mark.parametrize(
    "body",
    [
        *("{", "nul", "NaN", '{"any": Infinity}', '{"any": ' + "9" * 5000 + "}", "[" * 100_000, '{"any": "\x00"}'),
        *(
            '{"any":' * 20_000,
            '{"item": "a", "item": "b", "count": 1}',
            b'{"any": "\xff"}',
            '{"any": 1}'.encode("utf-16"),
        ),
    ],
    ids=range(11),
)
def test_what_not_everybody_reads_alike_is_refused(pwasm_world: World, body: str | bytes) -> None:
    assert post(pwasm_world, body) == (400, [("$", "is not JSON, or is nested too deeply")])


def test_a_deep_body_that_is_complete(pwasm_world: World) -> None:
    """Nested too deeply, or just not valid according to the schema."""
    status, errors = post(pwasm_world, '{"item": "a", "count": ' + "[" * 50_000 + "]" * 50_000 + "}")
    assert (status, errors[0][0] in {"$", "$.count"}) == (400, True)


def test_not_all_problems_are_told(pwasm_world: World) -> None:
    assert len(post(pwasm_world, {f"x{number}": 1 for number in range(50)})[1]) == 10


def test_a_body_that_is_too_large(pwasm_world: World) -> None:
    assert post(pwasm_world, {**GOOD, "any": "x" * 300_000})[0] == 413
    chunked = pwasm_world.request("POST", "/", JSON, [b'{"any": "', *[b"x" * 10_000] * 30, b'"}'])
    assert chunked.status == 413
    assert pwasm_world.upstream.requests == []


@pytest.mark.parametrize(
    ("headers", "errors"),
    [
        ({"content-type": "text/plain"}, [("", "content-type must be application/json")]),
        ({"content-encoding": "gzip"}, [("", "the body must not be compressed")]),
    ],
)
def test_other_media_are_refused(pwasm_world: World, headers: dict[str, str], errors: list[tuple[str, str]]) -> None:
    assert post(pwasm_world, GOOD, **headers) == (415, errors)


def test_a_body_must_be_there(pwasm_world: World) -> None:
    assert post(pwasm_world, "") == (400, [("$", "is missing")])


@pytest.mark.pwasm(configuration={"schema": ORDER, "methods": ["PUT"], "prefix": "/orders"})
@pytest.mark.parametrize(("method", "path"), [("GET", "/orders"), ("POST", "/orders"), ("PUT", "/else")])
def test_other_requests_pass(pwasm_world: World, method: str, path: str) -> None:
    assert pwasm_world.request(method, path, JSON, "" if method == "GET" else "{").status == 200


BAD_SCHEMAS = [
    ({"type": "int"}, "schema.type: must name object, array"),
    ({"properties": {"a": {"format": "email"}}}, "schema.properties.a.format: is not supported"),
    ({"minimum": "1"}, "schema.minimum: is not supported, or not with this value"),
    ({"items": {"$ref": "#"}}, "schema.items.$ref: is not supported"),
    ({"required": [1]}, "schema.required: must be names"),
]


@pytest.mark.parametrize(("schema", "reason"), BAD_SCHEMAS, ids=[reason for _, reason in BAD_SCHEMAS])
def test_a_schema_that_would_not_be_checked(schema: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("$", r"\$")):
        compiled(schema)


@pytest.mark.pwasm(configuration={"schema": {"typ": "object"}}, starts=False)
def test_envoy_does_not_start_with_it(pwasm_worlds: Callable[..., World]) -> None:
    world = pwasm_worlds()
    world.eventually(lambda: any("schema.typ: is not supported" in text for text in world.logs()), "the reason")
