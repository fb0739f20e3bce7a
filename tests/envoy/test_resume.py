"""Pausing and resuming an HTTP stream in a real Envoy: it does continue, and every byte is sent exactly once.

Envoy has no guard here: a resume of what is not paused sends trailers, or a whole head, a second time (to upstream
another request, to the client another response), and can end in a SIGSEGV. The filters are
tests/projects/whole_api/http_cases.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from tests.support import wire

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

TRAILERS = [("x-trailer", "1"), ("x-trailer", "2"), ("x-gone", "soon")]
SHAPES = {"head": (b"", ()), "body": (b"a body", ()), "trailers": (b"", TRAILERS), "both": (b"a body", TRAILERS)}


@pytest.fixture(scope="module")
def world(built: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    upstream = wire.HttpUpstream()
    plugin = WasmFilter(built("whole_api"), name="cases")
    config = bootstrap(
        [HttpListener([plugin], name="cases", routes=(Route(upstream="upstream"),))],
        upstreams=[Upstream("127.0.0.1", upstream.port)],
    )
    access_log = wire.prepare(config, tmp_path_factory.mktemp("resume"))
    with wire.running(config) as envoy:
        yield wire.World(envoy, upstream, access_log)
    upstream.close()


def passes_once(world: Any, path: str, shape: str) -> None:
    """A request and its response, of the same shape, go through as if there were no filter."""
    body, trailers = SHAPES[shape]
    path = f"/{path.replace('?', '?trailers&' if trailers else '?plain&')}"
    options: dict[str, Any] = {"chunks": [body], "trailers": trailers} if trailers else {"body": body or None}
    before = world.envoy.stats("cluster.upstream.upstream_rq_total")
    answer = world.request(path, **options)
    after = world.envoy.stats("cluster.upstream.upstream_rq_total")
    assert (answer.status, answer.body, answer.complete) == (200, b"hello upstream", True)
    assert len(answer.trailers) == len(trailers)
    sent = world.upstream.received[path]
    assert [(message.body, len(message.trailers)) for message in sent] == [(body, len(trailers))]
    assert [after[name] - before[name] for name in before] == [1]
    assert "no request" not in world.upstream.received


@pytest.mark.parametrize("where", ["request", "body", "response", "response_trailers"])
def test_hold_and_resume_from_a_tick(world: Any, where: str) -> None:
    """The tick selects the stream with `effective_context`, changes it, and resumes it."""
    path = f"/Hold?trailers&{where}"
    answer = world.request(path, chunks=[b"abc"])
    sent = world.upstream.one(path)
    marked = {
        "request": sent.all("x-held"),
        "body": [sent.body.removesuffix(b" abc").replace(b"held", b"yes")],
        "response": answer.all("x-held"),
        "response_trailers": [value for name, value in answer.trailers if name == "x-held"],
    }
    assert answer.body == b"hello upstream"
    assert sent.body.endswith(b"abc")
    assert marked[where] == [b"yes"]


def test_a_request_is_not_held_by_its_trailers(world: Any) -> None:
    answer = world.request("/Hold?trailers&request_trailers", chunks=[b"abc"], trailers=TRAILERS)
    assert (answer.status, answer.body) == (
        500,
        b"a request with trailers cannot be held after its headers have left\n",
    )


WHERE = [f"{which}_{part}" for which in ("request", "response") for part in ("headers", "body", "trailers")]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("where", WHERE)
def test_a_resume_before_the_pause_is_not_lost(world: Any, where: str, shape: str) -> None:
    """A callback that resumes and then returns PAUSE continues."""
    passes_once(world, f"ResumeAndPause?{shape}&{where}", shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("where", ["response", "tick"])
def test_a_resume_without_a_pause_does_nothing(world: Any, where: str, shape: str) -> None:
    """`resume_http_request` when the request has passed; from a tick also twice, of both directions."""
    passes_once(world, f"ResumeNothing?{shape}&{where}", shape)
    # What Envoy writes too much comes before the next request on the same connection to upstream.
    passes_once(world, f"NoCase?{where}&{shape}", shape)
