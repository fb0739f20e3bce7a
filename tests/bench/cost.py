"""What a request costs in modules that are compared: Wasm instructions, and processor time of one Envoy.

    python -m tests.bench.cost BEFORE.wasm NOW.wasm [--json]

Instructions are wasmtime's fuel, the same each time. For the time each module has a listener of the same Envoy; rounds
of requests alternate, and the median of a round is printed. With --json the requests have a small JSON body.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import wasmtime

from pwasm.testing import HostEmulator
from pwasm.testing import wasm as tier
from pwasm_compiler.envoy.config import DIRECT_RESPONSE_BODY, HttpListener, WasmFilter, bootstrap
from pwasm_compiler.envoy.process import Envoy

_BODY = b'{"id": "x1", "items": [1, 2, 3]}'
_HEADERS = [
    *(("content-type", "application/json"), ("x-tenant", "a"), ("x-trace", "b")),
    ("content-length", str(len(_BODY))),
]
_WARM, _COUNTED, _ROUNDS, _REQUESTS = 20, 30, 12, 3000


def instructions(module: Path, body: bytes) -> int:
    """Of a request, once the module is warm."""
    config = wasmtime.Config()
    config.consume_fuel = config.epoch_interruption = config.wasm_exceptions = True
    engine = wasmtime.Engine(config)
    plugins: list[Any] = []

    class Store(wasmtime.Store):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.set_fuel(1 << 60)

    def plugin(host: Any) -> Any:
        plugins.append(tier.WasmPlugin(module, host))
        return plugins[0]

    compiled = wasmtime.Module.from_file(engine, str(module))
    with (
        mock.patch.object(tier, "_engine", return_value=engine),
        mock.patch.object(tier, "_compiled", return_value=compiled),
        mock.patch.object(wasmtime, "Store", Store),
    ):
        host = HostEmulator(plugin=plugin)
        spent = []
        for _ in range(_WARM + _COUNTED):
            before = plugins[0]._store.get_fuel()
            host.request("POST" if body else "GET", "/", _HEADERS if body else (), body)
            spent.append(before - plugins[0]._store.get_fuel())
    return int(statistics.median(spent[_WARM:]))


def microseconds(modules: Sequence[Path], body: bytes) -> list[float]:
    """Of processor time for a request, by module."""
    listeners = [HttpListener([WasmFilter(module, name=str(at))], name=str(at)) for at, module in enumerate(modules)]
    head = f"{'POST' if body else 'GET'} / HTTP/1.1\r\nhost: a\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in _HEADERS if body)
    request = f"{head}{lines}\r\n".encode() + body
    rounds: list[list[float]] = [[] for _ in modules]
    with Envoy(bootstrap(listeners)) as envoy:
        for number in range(_ROUNDS):
            order = range(len(modules))
            for at in order if number % 2 else reversed(order):
                with socket.create_connection(envoy.listeners()[str(at)]) as client:
                    before = _seconds(envoy.pid)
                    for _ in range(_REQUESTS):
                        client.sendall(request)
                        answer = b""
                        while not answer.endswith(DIRECT_RESPONSE_BODY.encode()):
                            answer += client.recv(65536)
                    rounds[at].append((_seconds(envoy.pid) - before) / _REQUESTS * 1e6)
    return [statistics.median(found[2:]) for found in rounds]


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print a line for each module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    body = _BODY if options.json else b""
    for module, time in zip(options.modules, microseconds(options.modules, body), strict=True):
        print(f"{module}: {instructions(module, body):,} instructions, {time:.1f} µs")


if __name__ == "__main__":
    main()
