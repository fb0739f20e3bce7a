"""Metadata of every type of JSON, as a real Envoy encodes it."""

from __future__ import annotations

import ast
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pwasm_compiler.envoy.config import HttpListener, Route, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy

pytestmark = [pytest.mark.envoy, pytest.mark.wasm]

METADATA = {
    "text": "größe",
    "number": 1.5,
    "yes": True,
    "no": False,
    "map": {"one": 1, "more": {"deep": "text"}},
    "list": [1, 2.5],
    "lists": [["a"], []],
}


@pytest.mark.parametrize("which", ["newest", "oldest"])
def test_metadata(built: Callable[[str], Path], envoy_of: Callable[[str], Path | None], which: str) -> None:
    route = Route(metadata={"my.filter": METADATA})
    config = bootstrap([HttpListener([WasmFilter(built("metadata"), name="metadata")], routes=[route])])
    with (
        Envoy(config, executable=envoy_of(which)) as envoy,
        urllib.request.urlopen(envoy.url, timeout=20) as response,
    ):
        shown = ast.literal_eval(response.read().decode())
    assert shown == [
        *("größe", 1.5, True, False, None),
        sorted(METADATA),
        {"one": 1.0},
        [1.0, 2.5],
        2.5,
        "text",
        {"deep": b"text"},
        [[b"a"], []],
    ]
