"""Values in a config_dump: with fields in either spelling, of any type, or missing."""

from __future__ import annotations

import re
from typing import Any

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


def list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def get(value: Any, *keys: str) -> Any:
    """The value at a path of snake_case names, which a dump may have in camelCase."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        camel = re.sub(r"_(\w)", lambda match: match[1].upper(), key)
        value = value.get(key, value.get(camel))
    return value
