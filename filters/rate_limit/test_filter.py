import itertools
from collections import Counter

import pytest

from pwasm.testing import World
from pwasm.testing.worlds.envoy import EnvoyWorld

# Shared data lives as long as Envoy, which tests share, so each test uses different clients.
CLIENTS = (f"client{number}" for number in itertools.count())
SLOW = {"requests": 5, "seconds": 36_000, "header": "x-user"}

pytestmark = pytest.mark.pwasm(workers=2, configuration=SLOW)


def statuses(world: World, client: str, requests: int) -> Counter[int | None]:
    """The statuses of concurrent requests."""
    pending = [world.send("GET", "/", {"x-user": client}) for _ in range(requests)]
    return Counter(request.response().status for request in pending)


def test_all_workers_count_together(pwasm_world: World) -> None:
    assert statuses(pwasm_world, next(CLIENTS), 40) == {200: 5, 429: 35}
    assert len(pwasm_world.upstream.requests) == 5
    if isinstance(pwasm_world, EnvoyWorld):
        stats = pwasm_world.envoy.stats()
        served = {name: value for name, value in stats.items() if name.endswith("downstream_cx_total")}
        workers = [value for name, value in served.items() if ".worker_" in name and name.startswith("listener.127")]
        assert len(workers) == 2
        assert all(workers), served


def test_each_client_has_a_budget_of_its_own(pwasm_world: World) -> None:
    first, second = next(CLIENTS), next(CLIENTS)
    assert statuses(pwasm_world, first, 6) == {200: 5, 429: 1}
    assert statuses(pwasm_world, second, 2) == {200: 2}


def test_what_clients_are_told(pwasm_world: World) -> None:
    client = {"x-user": next(CLIENTS)}
    responses = [pwasm_world.request("GET", "/", client) for _ in range(6)]

    assert [response.headers["x-ratelimit-remaining"] for response in responses] == ["4", "3", "2", "1", "0", "0"]
    assert {response.headers["x-ratelimit-limit"] for response in responses} == {"5"}
    assert responses[0].headers["x-ratelimit-reset"] == "7200"
    assert [response.headers.get("retry-after") for response in responses[:5]] == [None] * 5
    last = responses[5]
    assert (last.status, last.text) == (429, "too many requests\n")
    assert 7100 < int(last.headers["retry-after"]) <= 7200
    assert 35_900 < int(last.headers["x-ratelimit-reset"]) <= 36_000


@pytest.mark.parametrize("client", ["", "é\udcff", "x" * 5000])
def test_strange_clients(pwasm_world: World, client: str) -> None:
    """Without a header the address counts, and all requests of this test run come from one."""
    total = statuses(pwasm_world, client, 8)
    assert total[200] <= 5
    assert set(total) <= {200, 429}


@pytest.mark.pwasm(configuration={**SLOW, "slots": 1, "name": "one"})
def test_the_number_of_keys_is_limited(pwasm_world: World) -> None:
    """Envoy never frees a key, so clients may have to share a slot."""
    assert statuses(pwasm_world, next(CLIENTS), 3) == {200: 3}
    assert statuses(pwasm_world, next(CLIENTS), 3) == {200: 2, 429: 1}


@pytest.mark.pwasm(configuration={"requests": 1, "seconds": 0.2, "burst": 2, "header": "x-user", "name": "quick"})
def test_tokens_come_back(pwasm_world: World) -> None:
    client = next(CLIENTS)
    pwasm_world.eventually(lambda: statuses(pwasm_world, client, 40)[429], "a refusal")
    pwasm_world.advance(0.25)
    assert statuses(pwasm_world, client, 1) == {200: 1}


@pytest.mark.pwasm(configuration={"requests": 0, "second": 1}, starts=False)
def test_a_wrong_limit_is_refused(pwasm_world: World) -> None:
    said = "\n".join(pwasm_world.logs())
    assert "$.requests: must be" in said
    assert "$.second: unknown field; did you mean seconds?" in said
