"""A host double that is itself Wasm, made from the ABI table: hostcalls cost nanoseconds, so 100,000 of each are cheap.

    bridge  exports every `env.proxy_*` as a jump through its table, for the plugin to import
    host    imports the plugin's memory and malloc, and fills that table with the answers

Every hostcall returns the status in global `status`; when it is 0, results are 0xFFFFFFFF, 1 << 63 and 300 bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wasmtime

from pwasm import _abi

RESULT = b"result" * 50


def _signature(call: _abi.Hostcall) -> str:
    return f"(func (param {call.core_type()[0]}) (result i32))"


def _bridge() -> str:
    lines = [f'(module (table (export "table") {len(_abi.HOSTCALLS)} funcref)']
    for slot, call in enumerate(_abi.HOSTCALLS):
        words = call.core_type()[0].split()
        arguments = " ".join(f"local.get {number}" for number in range(len(words)))
        lines.append(f"(type $t{slot} {_signature(call)})")
        lines.append(
            f'(func (export "{call.name}") (type $t{slot}) {arguments} i32.const {slot} call_indirect (type $t{slot}))'
        )
    return "\n".join([*lines, ")"])


def _answer(call: _abi.Hostcall) -> str:
    """The function for `call`: writes sample results where its last parameters point to, and returns the status."""
    params = call.core_type()[0]
    results = _abi.kinds(call.results)
    out = len(params.split()) - sum(2 if kind == "bytes" else 1 for kind in results)
    lines = []
    for kind in results:
        if kind == "bytes":
            lines += [_store("i32", out, "call $fresh"), _store("i32", out + 1, f"i32.const {len(RESULT)}")]
            out += 2
        else:
            lines.append(
                _store("i64", out, f"i64.const {1 << 63}") if kind == "u64" else _store("i32", out, "i32.const -1")
            )
            out += 1
    write = f"(if (i32.eqz (global.get $status)) (then {' '.join(lines)}))"
    return f"(func ${call.name} (param {params}) (result i32) {write} global.get $status)"


def _store(value_type: str, pointer: int, value: str) -> str:
    return f"({value_type}.store (local.get {pointer}) ({value}))"


def _host() -> str:
    fill = " ".join(f"(i32.store8 offset={at} (local.get $at) (i32.const {byte}))" for at, byte in enumerate(RESULT))
    allocate = f"(local.set $at (call $malloc (i32.const {len(RESULT)})))"
    names = " ".join(f"${call.name}" for call in _abi.HOSTCALLS)
    return "\n".join(
        [
            '(module (import "plugin" "memory" (memory 1))',
            '(import "plugin" "malloc" (func $malloc (param i32) (result i32)))',
            f'(import "bridge" "table" (table {len(_abi.HOSTCALLS)} funcref))',
            '(global $status (export "status") (mut i32) (i32.const 0))',
            f"(func $fresh (result i32) (local $at i32) {allocate} {fill} local.get $at)",
            *map(_answer, _abi.HOSTCALLS),
            f"(elem (i32.const 0) {names}))",
        ]
    )


class NativeHost:
    """`main.wasm` with the double around it; `call` calls a callback."""

    def __init__(self, module: Path) -> None:
        engine = wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        bridge = wasmtime.Instance(self.store, wasmtime.Module(engine, _bridge()), [])
        linker = wasmtime.Linker(engine)
        linker.define_instance(self.store, "env", bridge)
        wasi = wasmtime.WasiConfig()
        self.store.set_wasi(wasi)
        linker.define_wasi()
        self.plugin: Any = linker.instantiate(self.store, wasmtime.Module(engine, module.read_bytes())).exports(
            self.store
        )
        table = bridge.exports(self.store)["table"]
        imports = [self.plugin["memory"], self.plugin["malloc"], table]
        self.host: Any = wasmtime.Instance(self.store, wasmtime.Module(engine, _host()), imports).exports(self.store)

    def call(self, name: str, *arguments: int) -> Any:
        return self.plugin[name](self.store, *arguments)

    def set_status(self, status: int) -> None:
        self.host["status"].set_value(self.store, status)

    @property
    def pages(self) -> int:
        return int(self.plugin["memory"].size(self.store))
