"""Handwritten Wasm modules, which Envoy loads in a tenth of a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import wasmtime

from pwasm_compiler.build.module_record import ModuleRecord

_HTTP = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-small")
  (data (i32.const 32) "VALUE")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) unreachable)
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $log (i32.const 2) (i32.const 32) (i32.const 5)))
    (drop (call $add (i32.const 2) (i32.const 16) (i32.const 7) (i32.const 32) (i32.const 5)))
    (i32.const 0)))
"""
_TCP = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "a connection")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
  (func (export "proxy_on_new_connection") (param i32) (result i32)
    (drop (call $log (i32.const 2) (i32.const 16) (i32.const 12)))
    (i32.const 0)))
"""
_LOG = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "a stream")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
  (func (export "proxy_on_log") (param i32)
    (drop (call $log (i32.const 2) (i32.const 16) (i32.const 8)))))
"""
_PLUGIN = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1)))
"""
HTTP_NEEDS = {"proxy_add_header_map_value", "proxy_log", "proxy_on_request_body", "proxy_on_response_headers"}


def http_module(file: Path, value: str = "VALUE") -> Path:
    """Adds `x-small: <value>` (five characters) to each response and logs it; traps on a request's body."""
    assert len(value) == 5
    file.write_bytes(wasmtime.wat2wasm(_HTTP.replace("VALUE", value)))
    return file


def tcp_module(file: Path) -> Path:
    """Logs `a connection` at each."""
    file.write_bytes(wasmtime.wat2wasm(_TCP))
    return file


def log_module(file: Path) -> Path:
    """Logs `a stream` at each one's end."""
    file.write_bytes(wasmtime.wat2wasm(_LOG))
    return file


def plugin_module(file: Path) -> Path:
    """Starts, and sees no traffic."""
    file.write_bytes(wasmtime.wat2wasm(_PLUGIN))
    return file


def holding_module(file: Path, held: Mapping[str, str | None]) -> Path:
    """`http_module` with a record that says what it needs about holding headers."""
    http_module(file)
    file.write_bytes(
        file.read_bytes() + ModuleRecord(sdk="1", python="3.14.0", hash_seed=1, hold_headers=held).section()
    )
    return file
