"""The Envoys of the soak runs: the filter of tests/projects/soak, and the servers behind it."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

from pwasm_compiler.envoy.config import HttpListener, Route, Upstream, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy

PROJECT = Path(__file__).resolve().parents[1] / "projects" / "soak"
BACKOFF_SECONDS = 0.02
WORKERS = 1
READY_SECONDS = 600.0
"""A busy machine may take minutes to compile a module."""


@functools.cache
def built_module() -> Path:
    """The filter's module, built once a process."""
    from pwasm_compiler.build.backends import build
    from pwasm_compiler.project import load_project

    module = _folder() / "soak.wasm"
    build(load_project(PROJECT), module)
    return module


def envoy_for(module: Path, *, callee: int = 0, sink: int = 0) -> Envoy:
    """An Envoy, not started: bodies go to the port `sink`, callouts go to `callee`, Envoy answers the rest."""
    plugin = WasmFilter(module, name="soak", reload_backoff_seconds=BACKOFF_SECONDS)
    routes = [Route(path, upstream="sink") for path in ("/stream", "/buffer") if sink] + [Route()]
    upstreams = [Upstream("127.0.0.1", port, name) for name, port in (("callee", callee), ("sink", sink)) if port]
    config = bootstrap([HttpListener([plugin], routes=routes)], upstreams=upstreams)
    manager_of(config)["http_protocol_options"] = {"enable_trailers": True}
    if sink:  # the buffer filter of direct responses would hold the bodies
        manager_of(config)["http_filters"] = [
            item for item in manager_of(config)["http_filters"] if item["name"] != "envoy.filters.http.buffer"
        ]
    return Envoy(config, concurrency=WORKERS, wasm_log_level="warning", keep_log=1000, ready_timeout=READY_SECONDS)


def manager_of(config: dict[str, Any]) -> dict[str, Any]:
    """The HTTP connection manager of a bootstrap."""
    manager: dict[str, Any] = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0][
        "typed_config"
    ]
    return manager


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pwasm-soak-", ignore_cleanup_errors=True)


def _folder() -> Path:
    return Path(_temporary().name)
