"""The peers that are measured: one row per way to implement the same filter."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm_compiler.build.backends.go import GO
from pwasm_compiler.build.backends.tinygo import TINYGO
from pwasm_compiler.build.backends.toolchain import Compiler
from pwasm_compiler.envoy.config import LOOPBACK, Upstream, WasmFilter

from ..builders import BuildTimes, build_at, build_go, build_pwasm
from ..problems import BenchError, NotMeasuredError
from ..scenarios import Scenario

_SOURCES = Path(__file__).parent
_TYPES = "type.googleapis.com/envoy.extensions.filters.http"
_CALL_TIMEOUT = "10s"
_STOP_SECONDS = 10


@dataclass(frozen=True)
class Workplace:
    """Where a peer is built and how often, and the clean-up of processes that it starts."""

    scratch: Path
    next_builds: int
    running: contextlib.ExitStack


@dataclass(frozen=True)
class Prepared:
    """A peer ready for Envoy: its entry in `http_filters`, the module if it is one, and what else must run."""

    http_filter: dict[str, Any] | None = None
    module: Path | None = None
    build: BuildTimes | None = None
    version: str = ""
    upstreams: tuple[Upstream, ...] = ()
    helper: int | None = None
    """A process that does the work in the place of Envoy: its memory and processor time are counted as well."""


@dataclass(frozen=True)
class Peer:
    """One way to implement the filter."""

    name: str
    prepare: Callable[[Scenario, Workplace], Prepared]


def _no_filter(_scenario: Scenario, _place: Workplace) -> Prepared:
    return Prepared()


def _floor(scenario: Scenario, place: Workplace) -> Prepared:
    try:
        import wasmtime
    except ImportError as error:
        raise NotMeasuredError("wasmtime is not installed") from error
    module = place.scratch / "floor.wasm"
    text = (_SOURCES / "floor" / f"{scenario.name}.wat").read_text(encoding="utf-8")
    module.write_bytes(wasmtime.wat2wasm(text))
    return Prepared(_wasm(module), module, version="hand-written WAT")


def _lua(scenario: Scenario, _place: Workplace) -> Prepared:
    source = (_SOURCES / "lua" / f"{scenario.name}.lua").read_text(encoding="utf-8")
    configuration = {"@type": f"{_TYPES}.lua.v3.Lua", "default_source_code": {"inline_string": source}}
    return Prepared({"name": "envoy.filters.http.lua", "typed_config": configuration}, version="built into Envoy")


def _go(compiler: Compiler) -> Callable[[Scenario, Workplace], Prepared]:
    def prepare(scenario: Scenario, place: Workplace) -> Prepared:
        folder = _SOURCES / "go"
        module, build, version = build_go(compiler, folder, scenario, place.scratch, place.next_builds)
        sdk = re.search(r"proxy-wasm-go-sdk (\S+)", (folder / "go.mod").read_text(encoding="utf-8"))
        return Prepared(_wasm(module), module, build, f"{version}, proxy-wasm-go-sdk {sdk[1] if sdk else 'unknown'}")

    return prepare


def _pwasm(scenario: Scenario, place: Workplace) -> Prepared:
    module, build = build_pwasm(_SOURCES / "python", scenario, place.scratch, place.next_builds)
    import pwasm

    tool = importlib.metadata.version("componentize-py")
    return Prepared(_wasm(module), module, build, f"pwasm {pwasm.__version__}, componentize-py {tool}")


def _before(scenario: Scenario, place: Workplace) -> Prepared:
    module = build_at(BEFORE, _SOURCES / "python", scenario, place.scratch)
    return Prepared(_wasm(module), module, version=f"pwasm at {BEFORE}")


def _ext_proc(scenario: Scenario, place: Workplace) -> Prepared:
    """An external processor: Envoy asks a gRPC server, here one in Python, about each request."""
    for package in ("grpcio", "xds-protos"):
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError as error:
            raise NotMeasuredError(f"{package} is not installed") from error
    folder = _SOURCES / "ext_proc"
    command = [sys.executable, str(folder / "server.py"), str(folder / scenario.name / "processor.py")]
    server = place.running.enter_context(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    place.running.callback(_end, server)
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    if not port.isdecimal():
        raise BenchError("the ext_proc server did not start")
    upstream = Upstream(LOOPBACK, int(port), name="ext_proc", http2=True)
    configuration = {
        "@type": f"{_TYPES}.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": upstream.name}, "timeout": _CALL_TIMEOUT},
        "message_timeout": _CALL_TIMEOUT,
        "processing_mode": {
            "request_header_mode": "SEND",
            "request_body_mode": "BUFFERED" if scenario.request.body is not None else "NONE",
            "response_header_mode": "SEND",
            "response_body_mode": "NONE",
        },
    }
    version = f"grpcio {importlib.metadata.version('grpcio')}, grpc.aio"
    http_filter = {"name": "envoy.filters.http.ext_proc", "typed_config": configuration}
    return Prepared(http_filter, version=version, upstreams=(upstream,), helper=server.pid)


def _end(server: subprocess.Popen[str]) -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


def _wasm(module: Path) -> dict[str, Any]:
    return WasmFilter(module).to_json()


BASELINE = "no filter"
FLOOR = "floor (WAT)"
REFERENCE = "Go, official SDK"
PRODUCT = "pwasm"
BEFORE = "19d02f1"
"""The commit with which this round of work began: all of it together may cost a request 5 %."""
PEERS = (
    Peer(BASELINE, _no_filter),
    Peer(FLOOR, _floor),
    Peer("Lua", _lua),
    Peer(REFERENCE, _go(GO)),
    Peer("TinyGo", _go(TINYGO)),
    Peer("ext_proc in Python", _ext_proc),
    Peer("pwasm before", _before),
    Peer(PRODUCT, _pwasm),
)
