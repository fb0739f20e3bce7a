"""Whether an Envoy has taken a filter that a control plane sent: by ECDS, as Istio does, or in a listener.

A listener is in the dump as active once it serves. Of ECDS, the dump shows the version that came last, also if Envoy
refused it (seen in Envoy 1.40): only the counters of the discovery tell, and Istio does not have its proxies keep them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pwasm_compiler.envoy.kinds import Json
from pwasm_compiler.values import get, list_of

_REFUSALS = re.compile(r"extension_config_discovery\.(?:http|network)_filter\.(.+)\.(?:update_rejected|config_fail)")


@dataclass(frozen=True)
class Delivery:
    """What a config_dump says of one filter; `version` is None if the filter is not there."""

    version: str | None
    error: str = ""
    """Why Envoy refused the last update of what carries the filter."""
    by_ecds: bool = False
    refusals: int | None = None
    """How many updates by ECDS Envoy has refused; None if it keeps no count."""

    def is_new_since(self, before: Delivery | None) -> bool:
        """Whether the filter arrived, or arrived again, since `before`."""
        return self.version is not None and (before is None or self.version != before.version)


def delivery(dump: Json, stats: Mapping[str, Any], name: str) -> Delivery:
    """The delivery of the filter whose name matches the pattern `name`."""
    pattern = re.compile(name)
    configs = list_of(dump.get("configs"))
    carriers = [item for config in configs for item in _carriers(config, pattern)]
    versions = sorted({str(version) for version, _ in carriers if version is not None})
    errors = [error for _, error in carriers if error]
    by_ecds = any(_has(get(config, "ecds_filters"), pattern) for config in configs)
    refusals = [
        value
        for key, value in stats.items()
        if (match := _REFUSALS.fullmatch(key)) and pattern.fullmatch(match[1]) and isinstance(value, int)
    ]
    return Delivery(
        ", ".join(versions) if versions else None,
        errors[0] if errors else "",
        by_ecds,
        max(refusals) if refusals and by_ecds else None,
    )


def _carriers(config: Any, name: re.Pattern[str]) -> Iterator[tuple[str | None, str]]:
    """Version and last error of everything that has, or was to have, the filter."""
    for item in list_of(get(config, "ecds_filters")):
        # Without a version nothing was taken yet, and the name is that of what was refused.
        refused = get(item, "error_state", "failed_configuration")
        if _has(get(item, "ecds_filter"), name) or _has(refused, name):
            there = get(item, "ecds_filter") is not None
            yield (str(get(item, "version_info") or "") if there else None), _error(item)
    for item in list_of(get(config, "dynamic_listeners")):
        active = get(item, "active_state")
        if _has(active, name):
            yield str(get(active, "version_info") or ""), _error(item)
        elif _has(get(item, "error_state", "failed_configuration"), name):
            yield None, _error(item)


def _has(value: Any, name: re.Pattern[str]) -> bool:
    """Whether something in `value` has this name, other than a filter that is still to come by ECDS."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            found = item.get("name")
            if isinstance(found, str) and "config_discovery" not in item and name.fullmatch(found):
                return True
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return False


def _error(item: Any) -> str:
    return str(get(item, "error_state", "details") or "")
