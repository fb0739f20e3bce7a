"""`pwasm run` serves each filter with its own envoy.yaml: its README is right, and 8,000 requests change nothing.

One Envoy for each filter; the module comes from the cache that the filters' own tests fill.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pwasm.testing.worlds.filters import built_module
from tests.support import flood, readme, serve
from tests.support.paths import FILTERS

pytestmark = [pytest.mark.wasm, pytest.mark.envoy]

NAMES = sorted(file.parent.name for file in FILTERS.glob("*/filter.py"))
SECONDS = 30.0

REQUESTS = 8_000
# A part of them first: buffers and caches that are filled once are no leak.
WARM_UP = 2_000
MOST_GROWTH = 8 * 1024 * 1024
"""Bytes in 6,000 requests: a leak of 1.4 kilobytes in each would show."""


@pytest.fixture(scope="module", params=NAMES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A filter that `pwasm run` serves, from a copy of its folder; at the end nothing may have trapped."""
    name = request.param
    folder = tmp_path_factory.mktemp("served") / name
    shutil.copytree(FILTERS / name, folder, ignore=shutil.ignore_patterns("main.wasm*", "__pycache__"))
    shutil.copyfile(built_module(FILTERS / name), folder / "main.wasm")
    if name in FASTER:
        text = (folder / "envoy.yaml").read_text(encoding="utf-8")
        assert FASTER[name][0] in text
        (folder / "envoy.yaml").write_text(text.replace(*FASTER[name]), encoding="utf-8")
    running = serve.Served(folder, name)
    try:
        yield running
        assert running.process.poll() is None, running.errors
        assert {stat: value for stat, value in running.stats("wasm.").items() if "vm_reload" in stat and value} == {}
    finally:
        running.stop()
    assert running.process.returncode == 0, running.errors
    assert [line for line in running.printed if "failed: Uncaught" in line or "Traceback" in line] == []


def test_what_the_readme_says(served: Any) -> None:
    said = readme.read(FILTERS / served.name / "README.md")
    assert said.run.words == ["pwasm", "run", f"filters/{served.name}"]
    ports = served.ports(said.run.output)
    for command in said.commands:
        deadline = time.monotonic() + SECONDS
        while not _as_said(command.output, printed := readme.curl(command.words, ports)):
            # Envoy counts in its own time, so statistics may be asked for again; a filter must be right at once.
            again = any(":9901/" in word for word in command.words) and time.monotonic() < deadline
            assert again, f"{' '.join(command.words)}\n" + "\n".join(printed)
            time.sleep(0.05)
    for line in said.log:
        served.wait_for(lambda line=line: any(readme.matches(line, printed) for printed in served.printed), line)


def _as_said(said: list[str], printed: list[str]) -> bool:
    return len(said) == len(printed) and all(map(readme.matches, said, printed))


# --- load -------------------------------------------------------------------------------------------------------------

GET: dict[str, Any] = {}
FORM = ("content-type: application/x-www-form-urlencoded",)
JSON = ("content-type: application/json",)
# Tokens for filters/jwt_auth, good until 2100, signed with the keys that its envoy.yaml publishes; and three others.
CLAIMS = "eyJpc3MiOiAiaHR0cHM6Ly9pZC5leGFtcGxlLmNvbSIsICJhdWQiOiAiYXBpIiwgImV4cCI6IDQxMDI0NDQ4MDAsICJzdWIiOiAiYW5uIn0"
HS256 = f"eyJhbGciOiAiSFMyNTYiLCAia2lkIjogInNoYXJlZCJ9.{CLAIMS}.NRAEK2Nygiy0AGuGUfygYWmgsskxbsDZhzKuAj1JNus"
RS256 = (
    f"eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInB1YmxpYyJ9.{CLAIMS}."
    "ZMRuYJNPJUj7X6MQN2ZLqxfM0-cZwitj53Hhkh8yeUyO_aLew6tNIrUrCeF4Nv_lpTM3fZNFZ3cWZctCn854rEG5Oa9gRFzLGe-iok2GMEkyKA2E"
    "XoOaQyUNalf0ZDiblOyydGBHTj1slFYXFuO2_teujDuo7nIdYDutXdV6sqQw_sAKsLbP9SopNkNne-N8MBj8qVTzr-DrGEurAX4SSnLnLEKcTMRy"
    "x6kuuaxRX4aOL4hanDig0FkFYXwzOKvfiCMS1mZIfV-vc--vPNMzRyr6L-7nmBxwvFiuSkkKmitljZCF3FFsPZVSeL-jvUrRghowUvK8hYLE48VS"
    "aiiMyw"
)
NONE = f"eyJhbGciOiAibm9uZSIsICJraWQiOiAic2hhcmVkIn0.{CLAIMS}."
TOKENS = {HS256: 200, RS256: 200, RS256.replace(".ZMRu", ".ZMRv"): 401, NONE: 401, "e30.e30.": 401}
# Filter → requests, each in its turn, with the status of their answers; None for both that chance may choose.
LOADS: dict[str, list[tuple[dict[str, Any], int | None]]] = {
    "api_key": [
        ({"headers": ("x-api-key: good",)}, 200),
        ({"headers": ("x-api-key: bad",)}, 403),
        (GET, 401),
    ],
    "http_auth_random": [({"path": "/even"}, 200), ({"path": "/odd"}, 403)],
    "http_body": [
        (
            {
                "method": "PUT",
                "body": b"[original body]",
                "headers": (f"buffer-replace-at: {at}", f"buffer-operation: {op}"),
            },
            200,
        )
        for at in ("request", "response")
        for op in ("append", "prepend", "replace")
    ],
    "http_body_chunk": [({"method": "POST", "body": b"nothing"}, 200), ({"method": "POST", "body": b"a pattern"}, 403)],
    "body_schema": [
        ({"method": "POST", "body": b'{"item": "tea", "count": 2}', "headers": JSON}, 200),
        ({"method": "POST", "body": b'{"item": "tea", "count": 0, "x": 1}', "headers": JSON}, 400),
        ({"method": "POST", "body": b"[" * 500, "headers": JSON}, 400),
        ({"method": "POST", "body": b"{}"}, 415),
    ],
    "canary": [
        *(({"headers": (f"x-user: user{number}",)}, 200) for number in range(300)),
        (GET, 200),
        ({"headers": ("cookie: variant_id=" + "0" * 32,)}, 200),
    ],
    "json_validation": [
        ({"method": "POST", "body": b'{"id": "abc123", "token": "xyz456"}', "headers": JSON}, 200),
        ({"method": "POST", "body": b'{"id": "abc123"}', "headers": JSON}, 403),
        (GET, 403),
    ],
    "jwt_auth": [({"headers": (f"authorization: Bearer {token}",)}, status) for token, status in TOKENS.items()],
    "metrics": [({"headers": (f"my-custom-header: value{number}",)}, 200) for number in range(300)],
    "properties": [({"path": "/one"}, 401), ({"path": "/two", "headers": ("authorization: a",)}, 200), (GET, 200)],
    "rate_limit": [({"headers": (f"x-user: user{n}",)}, status) for status in (200, 429) for n in range(300)],
    "routing_table": [({"path": "/api"}, 200), ({"path": "/api", "method": "POST"}, 200), (GET, 404)],
}
# What one worker cannot do 8,000 times in a moment: ten calls for each request.
FEWER = {"multiple_dispatches": 2_000}
CONNECTIONS = {"postpone_requests": 200}
# Eight thousand requests that wait for a tick want more ticks.
FASTER = {"postpone_requests": ('value: "1000"', 'value: "10"')}


def test_under_load(served: Any) -> None:
    port = next((int(match[1]) for url in served.urls if (match := re.search(r":(\d+)", url))), 0)
    if not port:
        assert "no listener" in served.urls[0]
        return
    served.ask_admin("/logging?wasm=warning", "POST")
    before = served.stats("wasm.")["wasm.envoy.wasm.runtime.v8.active"]
    kinds = LOADS.get(served.name, [(GET, 200)])
    requests = [flood.Request(**request) for request, _ in kinds]
    count = FEWER.get(served.name, REQUESTS)
    connections = CONNECTIONS.get(served.name, 4)
    statuses = flood.send(port, requests, count * WARM_UP // REQUESTS, connections=connections)
    memory = served.resident_bytes()
    statuses += flood.send(port, requests, count - count * WARM_UP // REQUESTS, connections=connections)
    assert sum(statuses.values()) == count
    assert set(statuses) == {status for _, status in kinds}, statuses
    assert served.resident_bytes() - memory < MOST_GROWTH
    assert served.stats("wasm.")["wasm.envoy.wasm.runtime.v8.active"] == before
