import json
from typing import Any

import pytest

from pwasm.testing import RESET, Answer, Request, World

pytestmark = pytest.mark.pwasm(configuration={"headers": ["x-tenant"]})


def entries(world: World, number: int = 1) -> list[dict[str, Any]]:
    """The lines of the log, when there are so many."""
    world.eventually(lambda: len(world.logs("info")) >= number, f"{number} lines")
    return [json.loads(line) for line in world.logs("info")]


def test_a_request_is_one_line(pwasm_world: World) -> None:
    headers = {"user-agent": "test", "x-tenant": "acme", ":authority": "shop.example.com", "cookie": "secret"}
    assert pwasm_world.request("POST", "/orders?token=secret", headers, "12345").status == 200

    (entry,) = entries(pwasm_world)
    assert "secret" not in str(entry)
    expected = {
        "method": "POST",
        "host": "shop.example.com",
        "path": "/orders",
        "protocol": "HTTP/1.1",
        "status": 200,
        "flags": 0,
        "received": 5,
        "sent": len("hello from upstream"),
        "user_agent": "test",
        "x-tenant": "acme",
    }
    assert {name: entry[name] for name in expected} == expected
    assert 0 <= entry["duration_ms"] < 60_000
    assert entry["client"].startswith("127.0.0.1:")
    assert entry["upstream"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "value",
    ['"}\\u000a{"x": "', "a\tb", "\udcff\udcfe", "é😀", "%s %d", "a" * 5000],
    ids=lambda value: ascii(value)[:20],
)
def test_clients_cannot_write_lines(pwasm_world: World, value: str) -> None:
    assert pwasm_world.request("GET", "/", {"x-tenant": value, "user-agent": value}).status == 200

    (entry,) = entries(pwasm_world)
    wanted = value if len(value) < 501 else value[:500] + "…"
    assert (entry["x-tenant"], entry["user_agent"], entry["status"]) == (wanted, wanted, 200)
    assert all(line.isascii() and line.isprintable() for line in pwasm_world.logs("info"))


def test_requests_are_counted_by_class(pwasm_world: World) -> None:
    def answer(request: Request) -> Answer:
        return Answer(int(request.path[1:]))

    pwasm_world.upstream.handler = answer
    for status in (200, 201, 302, 404, 404, 500):
        assert pwasm_world.request("GET", f"/{status}").status == status

    assert [entry["status"] for entry in entries(pwasm_world, 6)] == [200, 201, 302, 404, 404, 500]
    counted = [pwasm_world.metric(f"access_log.requests_class={name}xx") for name in (1, 2, 3, 4, 5)]
    assert counted == [0, 2, 1, 2, 1]


def test_an_upstream_that_breaks(pwasm_world: World) -> None:
    pwasm_world.upstream.handler = RESET
    assert pwasm_world.request("GET", "/").status == 503

    (entry,) = entries(pwasm_world)
    assert entry["status"] == 503
    assert pwasm_world.metric("access_log.requests_class=5xx") == 1


@pytest.mark.pwasm(configuration={"headers": ["Authorization"]}, starts=False)
def test_secrets_are_not_logged(pwasm_world: World) -> None:
    reason = "$: authorization must not be logged"
    pwasm_world.eventually(lambda: any(reason in text for text in pwasm_world.logs()), "the reason")


@pytest.mark.pwasm(configuration={"query": True})
def test_the_query_when_it_is_wanted(pwasm_world: World) -> None:
    assert pwasm_world.request("GET", "/orders?page=2").status == 200
    assert entries(pwasm_world)[0]["path"] == "/orders?page=2"
