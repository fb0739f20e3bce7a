from collections.abc import Callable

import pytest

from pwasm.testing import World

TABLE = {
    "routes": [
        {"prefix": "/api", "methods": ["POST", "PUT"], "cluster": "writers"},
        {"prefix": "/api", "cluster": "readers"},
        {"host": r".*\.example\.org", "cluster": "org"},
        {"prefix": "/never", "cluster": "nobody", "percent": 0},
    ]
}

WRONG: list[tuple[object, str]] = [
    ("", "$.routes: missing (expected array)"),
    ({"routes": []}, "$: a table needs at least one route"),
    (
        {"routes": [{"cluster": "a"}, {"cluster": "b", "percent": 101}]},
        "$.routes[1].percent: must be between 0 and 100",
    ),
    ({"routes": [{"cluster": "a", "host": "("}]}, "$.routes[0].host: not a regular expression"),
    ({"routes": [{"clustre": "a"}]}, "$.routes[0].clustre: unknown field; did you mean cluster?"),
]


@pytest.mark.pwasm(configuration=TABLE)
@pytest.mark.parametrize(
    ("method", "path", "authority", "cluster"),
    [
        ("POST", "/api/x", "example.com", "writers"),
        ("GET", "/api/x", "example.com", "readers"),
        ("GET", "/", "www.example.org", "org"),
    ],
)
def test_requests_go_where_the_table_says(
    pwasm_world: World, method: str, path: str, authority: str, cluster: str
) -> None:
    assert pwasm_world.request(method, path, {":authority": authority}).status == 200
    assert pwasm_world.upstream.requests[0].headers["x-cluster"] == cluster


@pytest.mark.pwasm(configuration=TABLE)
@pytest.mark.parametrize("path", ["/", "/never"])
def test_others_go_nowhere(pwasm_world: World, path: str) -> None:
    response = pwasm_world.request("GET", path)

    assert (response.status, response.text) == (404, "no route\n")
    assert pwasm_world.upstream.requests == []


@pytest.mark.parametrize(("configuration", "reason"), WRONG, ids=[reason for _, reason in WRONG])
def test_a_wrong_table_is_refused(pwasm_worlds: Callable[..., World], configuration: object, reason: str) -> None:
    world = pwasm_worlds(configuration=configuration, starts=False)
    world.eventually(lambda: any(reason in text for text in world.logs()), "the reason")
