"""An Envoy's admin interface; only read-only pages are requested."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from contextlib import closing
from typing import Any

from pwasm_compiler.connections import Clock, clocked
from pwasm_compiler.errors import PwasmError, UsageError

SECONDS = 10.0
SIZE_LIMIT = 256 << 20
_STATS = "^wasm[._]|extension_config_discovery|^listener_manager.lds.update_rejected"


class AdminError(PwasmError):
    """The admin interface did not answer, or the server is not an admin interface."""


def config_dump(url: str) -> dict[str, Any]:
    """The complete configuration."""
    return _json(url, "/config_dump", "configs")


def stats(url: str) -> dict[str, Any]:
    """The statistics of Wasm and of extension discovery, by name."""
    found = _json(url, "/stats?" + urllib.parse.urlencode({"format": "json", "filter": _STATS}), "stats")
    items = [item for item in found["stats"] if isinstance(item, dict) and isinstance(item.get("name"), str)]
    return {item["name"]: item["value"] for item in items if "value" in item}


def check_url(url: str) -> tuple[str, str, int]:
    """Path, host and port of an admin interface's URL."""
    try:
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme != "http":
        raise UsageError(f"'{url}' is not the URL of an admin interface", hint="write it like http://127.0.0.1:9901")
    return parts.path.rstrip("/"), host, 80 if port is None else port


def _json(url: str, page: str, key: str) -> dict[str, Any]:
    prefix, host, port = check_url(url)
    try:
        plain = http.client.HTTPConnection(host, port, timeout=SECONDS)
        with closing(clocked(plain, Clock(SECONDS, SIZE_LIMIT))) as connection:
            connection.request("GET", prefix + page)
            with closing(connection.getresponse()) as response:
                data = response.read(SIZE_LIMIT + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:  # http.client expects no chunk of -5 bytes
        raise AdminError(
            f"no response from {url}",
            why=f"{getattr(error, 'strerror', None) or error or type(error).__name__}.",
            hint="is Envoy running? For a pod: kubectl port-forward POD 15000, and --admin http://127.0.0.1:15000",
        ) from error
    if response.status != http.client.OK:
        raise _no_admin(url, f"It responded with {response.status} to {page.partition('?')[0]}.")
    if len(data) > SIZE_LIMIT:
        raise AdminError(f"{url} responded with more than {SIZE_LIMIT >> 20} MiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _no_admin(url, f"Its response to {page.partition('?')[0]} is not JSON.") from error
    if not isinstance(document, dict) or not isinstance(document.get(key), list):
        raise _no_admin(url, f"Its response to {page.partition('?')[0]} has no {key}.")
    return document


def _no_admin(url: str, why: str) -> AdminError:
    hint = "the port is 9901 in most examples, 15000 in Istio, 19000 in Envoy Gateway"
    return AdminError(f"{url} is not an Envoy's admin interface", why=why, hint=hint)
