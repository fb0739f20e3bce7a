"""Values in a config_dump: with fields in either spelling, of any type, or missing."""

from __future__ import annotations

from typing import Any

from pwasm_compiler.values import get

_STRUCTS = {"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"}


def unwrapped(config: Any) -> tuple[str, Any]:
    """Type and fields of a typed_config; a TypedStruct is unwrapped."""
    message = type_of(config)
    if message in _STRUCTS:
        return str(get(config, "type_url") or "").rpartition("/")[2], get(config, "value")
    return message, config


def address_of(value: Any) -> str | None:
    socket = get(value, "socket_address")
    if isinstance(socket, dict):
        host, port = get(socket, "address"), get(socket, "port_value")
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    pipe = get(value, "pipe", "path")
    return str(pipe) if pipe is not None else None


def type_of(value: Any) -> str:
    return str(value.get("@type", "")).rpartition("/")[2] if isinstance(value, dict) else ""
