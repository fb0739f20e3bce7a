"""Envoy's configuration for tests: listeners, routes and upstreams around Wasm filters, as a dict.

    bootstrap([HttpListener([WasmFilter("main.wasm")])])

`pwasm run` writes the same configuration, so the code is in the compiler (`pwasm_compiler.envoy.config`); this is its
public name.
"""

from __future__ import annotations

from pwasm_compiler.envoy.config import (
    DIRECT_RESPONSE_BODY,
    HttpListener,
    Route,
    TcpListener,
    Upstream,
    WasmFilter,
    bootstrap,
)

__all__ = ["DIRECT_RESPONSE_BODY", "HttpListener", "Route", "TcpListener", "Upstream", "WasmFilter", "bootstrap"]
