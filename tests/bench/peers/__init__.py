"""Who is measured: one row per way to make the same filter. TinyGo and ext_proc come later."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm.testing.envoy_config import WasmFilter

from ..builders import BuildTimes, build_go, build_pwasm, run
from ..problems import NotMeasuredError
from ..scenarios import Scenario

_SOURCES = Path(__file__).parent
_LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"


@dataclass(frozen=True)
class Prepared:
    """A peer ready for Envoy: its entry in `http_filters`, and the module if it is one."""

    http_filter: dict[str, Any] | None = None
    module: Path | None = None
    build: BuildTimes | None = None
    version: str = ""


@dataclass(frozen=True)
class Peer:
    """One way to make the filter. `prepare` builds it into a folder of its own, with so many next builds."""

    name: str
    prepare: Callable[[Scenario, Path, int], Prepared]


def _no_filter(_scenario: Scenario, _scratch: Path, _next_builds: int) -> Prepared:
    return Prepared()


def _floor(scenario: Scenario, scratch: Path, _next_builds: int) -> Prepared:
    try:
        import wasmtime
    except ImportError as error:
        raise NotMeasuredError("wasmtime is not installed") from error
    module = scratch / "floor.wasm"
    text = (_SOURCES / "floor" / f"{scenario.name}.wat").read_text(encoding="utf-8")
    module.write_bytes(wasmtime.wat2wasm(text))
    return Prepared(_wasm(module), module, version="hand-written WAT")


def _lua(scenario: Scenario, _scratch: Path, _next_builds: int) -> Prepared:
    source = (_SOURCES / "lua" / f"{scenario.name}.lua").read_text(encoding="utf-8")
    configuration = {"@type": _LUA, "default_source_code": {"inline_string": source}}
    return Prepared({"name": "envoy.filters.http.lua", "typed_config": configuration}, version="built into Envoy")


def _go(scenario: Scenario, scratch: Path, next_builds: int) -> Prepared:
    folder = _SOURCES / "go"
    module, build = build_go(folder, scenario, scratch, next_builds)
    sdk = re.search(r"proxy-wasm-go-sdk (\S+)", (folder / "go.mod").read_text(encoding="utf-8"))
    go = run([shutil.which("go") or "go", "env", "GOVERSION"], folder).strip()
    return Prepared(_wasm(module), module, build, f"{go}, proxy-wasm-go-sdk {sdk[1] if sdk else 'unknown'}")


def _pwasm(scenario: Scenario, scratch: Path, next_builds: int) -> Prepared:
    module, build = build_pwasm(_SOURCES / "python", scenario, scratch, next_builds)
    import pwasm

    tool = importlib.metadata.version("componentize-py")
    return Prepared(_wasm(module), module, build, f"pwasm {pwasm.__version__}, componentize-py {tool}")


def _wasm(module: Path) -> dict[str, Any]:
    return WasmFilter(module).to_json()


BASELINE = "no filter"
REFERENCE = "Go, official SDK"
PEERS = (
    Peer(BASELINE, _no_filter),
    Peer("floor (WAT)", _floor),
    Peer("Lua", _lua),
    Peer(REFERENCE, _go),
    Peer("pwasm", _pwasm),
)
