"""On which routes an HTTP filter of a config_dump runs.

A filter that is `disabled` in the connection manager runs on the routes whose `typed_per_filter_config` has an entry
with its name, and one that is not, on those without an entry that says `disabled`. Of a route configuration, a virtual
host, a route and a weighted cluster, the most specific entry counts. Envoy Gateway enables all its Wasm filters so.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/http_filters#route-based-filter-chain
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pwasm_compiler.envoy.dump_values import type_of
from pwasm_compiler.envoy.kinds import Json
from pwasm_compiler.values import get, list_of

_OVERRIDE = "envoy.config.route.v3.FilterConfig"


@dataclass(frozen=True)
class Routes:
    """The routes of a filter's connection managers, and those on which it runs; by name."""

    every: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()

    def __or__(self, other: Routes) -> Routes:
        """The routes of both; a route configuration that both have counts once."""
        return Routes(
            tuple(dict.fromkeys(self.every + other.every)), tuple(dict.fromkeys(self.enabled + other.enabled))
        )


class RouteTables:
    """The route configurations of a dump, by name."""

    def __init__(self, configs: list[Json]) -> None:
        self._tables: dict[str, Any] = {}
        for config in configs:
            if type_of(config).endswith("RoutesConfigDump"):
                for item in list_of(get(config, "static_route_configs")) + list_of(
                    get(config, "dynamic_route_configs")
                ):
                    table = get(item, "route_config")
                    self._tables[str(get(table, "name") or "")] = table

    def of_manager(self, manager: Any) -> list[Any]:
        """The route configurations that a connection manager may use."""
        inline = get(manager, "route_config")
        if inline is not None:
            return [inline]
        name = get(manager, "rds", "route_config_name")
        if name is not None:
            return [self._tables[name]] if isinstance(name, str) and name in self._tables else []
        return list(self._tables.values()) if get(manager, "scoped_routes") is not None else []


def routes_of(entry: str, *, disabled: bool, tables: Sequence[Any]) -> Routes | None:
    """The routes on which the filter with this entry's name runs; None if the routes say nothing about it."""
    runs = {name: states for table in tables for name, states in _routes(entry, disabled, table)}
    if not disabled and all(states == {True} for states in runs.values()):
        return None
    return Routes(tuple(runs), tuple(name for name, states in runs.items() if True in states))


def _routes(entry: str, disabled: bool, table: Any) -> Iterator[tuple[str, set[bool]]]:
    """Each route's name, and whether the filter runs on it, and on each of its weighted clusters."""
    of_table = _runs(entry, table, not disabled)
    for host in list_of(get(table, "virtual_hosts")):
        of_host = _runs(entry, host, of_table)
        for index, route in enumerate(list_of(get(host, "routes"))):
            of_route = _runs(entry, route, of_host)
            clusters = list_of(get(route, "route", "weighted_clusters", "clusters"))
            name = get(route, "name") or f"{get(table, 'name') or ''}/{get(host, 'name') or ''}[{index}]"
            yield str(name), {_runs(entry, cluster, of_route) for cluster in clusters} or {of_route}


def _runs(entry: str, level: Any, otherwise: bool) -> bool:
    overrides = get(level, "typed_per_filter_config")
    override = overrides.get(entry) if isinstance(overrides, dict) else None
    if override is None:
        return otherwise
    return not (type_of(override) == _OVERRIDE and get(override, "disabled"))
