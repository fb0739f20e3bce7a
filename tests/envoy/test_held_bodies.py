"""What a filter holds is held in real Envoys, in every chain: the sample, with fixed seeds, of the soak run `held`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak import held
from tests.soak.held_script import CHAINS, KINDS, MESSAGES, body, listeners, made, simpler, turned
from tests.soak.held_wire import Received
from tests.soak.held_world import Exchange

STREAMS = 5000
FIRST = 18_000_000


@pytest.mark.envoy
@pytest.mark.wasm
@pytest.mark.parametrize("which", ["newest", "oldest"])
def test_random_streams(envoy_of: Callable[[str], Path | None], which: str) -> None:
    outcome = held.run(STREAMS, seed=FIRST, executable=envoy_of(which))
    print(outcome.text())
    assert outcome.problems == []


def test_the_sample_has_everything() -> None:
    scripts = [made(FIRST + number) for number in range(STREAMS)]
    assert {script["listener"] for script in scripts} == {name for name, *_ in listeners()}
    assert len(set(map(json.dumps, scripts))) == STREAMS
    told = [script[message] for script in scripts for message in MESSAGES]
    assert {message["framing"] for message in told} == {"length", "chunked", "trailers"}
    assert {kind for message in told for kind, _ in message["decisions"]} == set("cpabqr")
    assert len(list(listeners())) == len(CHAINS) * len(KINDS)


def exchange(seed: int = 1) -> Exchange:
    """A stream as it should be; its script has both bodies."""
    script = made(seed) | {"listener": "alone|drain|pieces"}
    for message in MESSAGES:
        script[message] = script[message] | {"sizes": [2, 3], "same": False, "framing": "chunked", "awaits": False}
    found = Exchange(script)
    for message, received in zip(MESSAGES, (found.request, found.response), strict=True):
        received.status, received.complete = 200, True
        received.body = turned(body(script, message))
        received.times = [(20, 2), (40, 5)]
        found.log += [["P", message, "2", "10"], ["P", message, "5", "30"]]
    return found


def unseen(received: Received) -> None:
    received.body = received.body[:1] + bytes([received.body[1] ^ 0x80]) + received.body[2:]


def lost(received: Received) -> None:
    received.body = received.body[:-1]


def twice(received: Received) -> None:
    received.body += received.body[-1:]


def early(received: Received) -> None:
    received.times = [(20, 2), (29, 3), (40, 5)]


def cut(received: Received) -> None:
    received.complete = False


def with_trailers(received: Received) -> None:
    received.trailers = True


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("happens", [unseen, lost, twice, early, cut, with_trailers])
def test_what_would_be_wrong(message: str, happens: Callable[[Received], None]) -> None:
    found = exchange()
    assert held.wrong(found) == []
    happens(found.request if message == "request" else found.response)
    assert held.wrong(found)[0].startswith(f"{message}: ")


def test_what_else_would_be_wrong() -> None:
    found = exchange()
    found.response.status = 500
    assert held.wrong(found)[0] == "status 500"
    found = exchange()
    found.log.append(["E", "request", "size is 1,", "and there are 2 bytes"])
    assert held.wrong(found)[0] == "request: size is 1, and there are 2 bytes"


def test_the_one_refusal() -> None:
    found = exchange()
    found.script["request"] |= {"framing": "trailers", "decisions": [["p", 1]]}
    found.request.complete, found.response.status = False, 500
    assert held.wrong(found)[0] == "status 500"
    found.response.body = b"a request with trailers cannot be held after its headers have left\n"
    assert held.wrong(found) == []
    unseen(found.request)
    assert held.wrong(found)[0].startswith("request: ")


def test_simpler_scripts_are_simpler() -> None:
    script = made(FIRST)
    assert all(len(json.dumps(one)) <= len(json.dumps(script)) + 20 for one in simpler(script))
