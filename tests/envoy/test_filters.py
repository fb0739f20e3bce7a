"""Filters in a real Envoy, the newest and the oldest that PyPI has, with one worker and with two."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy, EnvoyExitedError
from tests.support import flood
from tests.support.paths import FILTERS, ROOT

pytestmark = pytest.mark.envoy
Built = Callable[[str], Path]
EnvoyOf = Callable[[str], Path | None]

REQUESTS = 8_000
ENVOYS = ["newest", "oldest"]
WORKERS = [1, 2]
HELLO_WORLD = str(FILTERS / "hello_world")


@contextmanager
def serving(
    module: Path, *, envoy: Path | None, workers: int = 1, upstream: int | None = None, **options: Any
) -> Iterator[Envoy]:
    """An Envoy with `module` as its HTTP filter; on leaving, nothing may have trapped or been reloaded."""
    upstreams = [Upstream("127.0.0.1", upstream)] if upstream else []
    routes = (Route(upstream="upstream"),) if upstream else (Route(),)
    config = bootstrap(
        [HttpListener([WasmFilter(module, name="tested", **options)], routes=routes)], upstreams=upstreams
    )
    _enable_trailers(config)
    with Envoy(config, executable=envoy, concurrency=workers) as running:
        before = running.stats("wasm.")
        yield running
        after = running.stats("wasm.")
        running.check_alive()
    active = "wasm.envoy.wasm.runtime.v8.active"
    assert after[active] == before[active] == workers + 2
    assert {name: value for name, value in after.items() if "vm_reload" in name and value} == {}
    assert [record.message for record in running.log if "failed: Uncaught" in record.message] == []


def _enable_trailers(config: dict[str, Any]) -> None:
    """Envoy drops HTTP/1 trailers unless told otherwise, on both sides."""
    for listener in config["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_protocol_options"] = {"enable_trailers": True}
    for cluster in config["static_resources"]["clusters"]:
        cluster["http_protocol_options"] = {"enable_trailers": True}


@pytest.fixture
def upstream() -> Iterator[int]:
    with running_upstream() as port:
        yield port


@contextmanager
def running_upstream() -> Iterator[int]:
    """The server upstream.py in a separate process, so that it does not share an interpreter with the load."""
    command = [sys.executable, "-m", "tests.support.upstream"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def flooded(envoy: Envoy, **request: Any) -> Counter[int]:
    """How many of so many requests were answered with which status."""
    return Counter(flood.send(urlsplit(envoy.url).port or 0, [flood.Request(**request)], REQUESTS, connections=8))


def get(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def post_with_trailers(url: str) -> bytes:
    """A chunked request with a trailer; returns the raw answer."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(
            b"POST /post HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\nx-request-trailer: 1\r\n\r\n"
        )
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("which", ENVOYS)
def test_hello_world(built: Built, envoy_of: EnvoyOf, which: str, workers: int) -> None:
    with serving(built(HELLO_WORLD), envoy=envoy_of(which), workers=workers) as envoy:
        status, headers, _ = get(f"{envoy.url}/one")
        assert (status, headers["x-wasm-custom"]) == (200, "FOO")
        assert envoy.wait_for_log("adding the header").level == "info"
        envoy.admin("/logging?wasm=warning", "POST")
        assert flooded(envoy, path="/one") == Counter({200: REQUESTS})


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("which", ENVOYS)
def test_every_http_callback(built: Built, envoy_of: EnvoyOf, upstream: int, which: str, workers: int) -> None:
    module = built("every_callback")
    with serving(module, envoy=envoy_of(which), workers=workers, upstream=upstream, configuration="PLUG") as envoy:
        answer = post_with_trailers(envoy.url)
        assert b"x-every: callback" in answer
        assert b"x-trailer: t" in answer
        for line in (
            "on_plugin_start 4 b'PLUG'",
            "False /post",
            "on_http_request_body 3 False",
            "on_http_request_trailers 1",
            "False 200",
            "on_http_response_body 5 False",
            "on_http_response_trailers 1",
            "on_http_stream_done",
            "on_tick",
        ):
            envoy.wait_for_log(line)
        envoy.admin("/logging?wasm=warning", "POST")
        assert flooded(envoy, method="POST", path="/x", body=b"some body") == Counter({200: REQUESTS})


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("which", ENVOYS)
@pytest.mark.parametrize(("policy", "status"), [("fail_closed", 500), ("fail_open", 200)])
def test_raising_in_every_callback(
    built: Built,
    envoy_of: EnvoyOf,
    upstream: int,
    which: str,
    workers: int,
    policy: str,
    status: int,
) -> None:
    module, configuration = built("raises_everywhere"), f"all exception {policy}"
    with serving(
        module, envoy=envoy_of(which), workers=workers, upstream=upstream, configuration=configuration
    ) as envoy:
        assert get(f"{envoy.url}/one")[0] == status
        post_with_trailers(envoy.url)
        envoy.wait_for_log("on_tick failed")
        envoy.admin("/logging?wasm=off", "POST")
        assert flooded(envoy, method="POST", path="/x", body=b"some body") == Counter({status: REQUESTS})


CALLBACKS = [
    "on_tick",
    "on_http_request_headers",
    "on_http_request_body",
    "on_http_request_trailers",
    "on_http_response_headers",
    "on_http_response_body",
    "on_http_response_trailers",
    "on_http_stream_done",
]
KINDS = ["exception", "key", "exit", "interrupt", "generator", "memory", "surrogate", "recursion"]


CASES = [f"{callback} exception" for callback in CALLBACKS] + [f"on_http_request_headers {kind}" for kind in KINDS]


@pytest.fixture(scope="module")
def raising(built: Built) -> Iterator[Envoy]:
    """One Envoy with a listener for each case; the plugins share one VM, as plugins of one image do in a mesh."""
    with running_upstream() as port:
        module = built("raises_everywhere")
        listeners = [
            HttpListener(
                [WasmFilter(module, name=case, configuration=f"{case} fail_closed")],
                name=case,
                routes=(Route(upstream="upstream"),),
            )
            for case in CASES
        ]
        config = bootstrap(listeners, upstreams=[Upstream("127.0.0.1", port)])
        _enable_trailers(config)
        for listener in config["static_resources"]["listeners"]:
            # Envoy waits so long for the client to close after an answer to an unfinished request.
            listener["filter_chains"][0]["filters"][0]["typed_config"]["delayed_close_timeout"] = "0.1s"
        with Envoy(config) as envoy:
            yield envoy
            envoy.check_alive()
            assert [record.message for record in envoy.log if "failed: Uncaught" in record.message] == []


def url_of(envoy: Envoy, case: str) -> str:
    host, port = envoy.listeners()[case]
    return f"http://{host}:{port}"


@pytest.mark.parametrize("callback", CALLBACKS)
def test_raising_in_one_callback_costs_one_request(raising: Envoy, callback: str) -> None:
    """Each callback by itself, with a record that names filter and callback, and the next request is served."""
    for _ in range(3):
        post_with_trailers(url_of(raising, f"{callback} exception"))
    record = raising.wait_for_log(f"{callback} failed")
    assert record.level == "error"
    assert "boom" in record.message


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_raised_the_vm_lives(raising: Envoy, kind: str) -> None:
    url = url_of(raising, f"on_http_request_headers {kind}")
    assert [get(f"{url}/one")[0] for _ in range(3)] == [500, 500, 500]
    record = raising.wait_for_log("Stream.on_http_request_headers failed", count=3)
    assert record.level == "error"
    assert not any(other.message.startswith("[critical] forged") for other in raising.log)


@pytest.mark.parametrize(("where", "export"), [("vm", "on_vm_start"), ("plugin", "on_plugin_start")])
def test_raising_at_start_is_rejected_with_a_readable_log(built: Built, where: str, export: str) -> None:
    module = built("raises_at_start")
    listener = HttpListener([WasmFilter(module, name="tested", vm_configuration=where)])
    envoy = Envoy(bootstrap([listener]))
    with pytest.raises(EnvoyExitedError), envoy:
        pass
    text = "\n".join(record.message for record in envoy.log)
    assert f"{export} failed" in text
    assert "RuntimeError: refused at start" in text
    assert 'File "filter.py"' in text
