"""What the fixtures of `pwasm.pytest_plugin` do once a test uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .emulator import HostEmulator
from .filters import built_module, find_filter
from .world import Plugin, Setup, World, payload
from .world_host import HostWorld

if TYPE_CHECKING:
    import pytest

    from .world_envoy import EnvoyStage, EnvoyWorld

ENVOYS_ALIVE = 2
"""How many Envoys a test module keeps running at most; each may need some hundred MB."""

_FIELDS = {field.name for field in fields(Setup)}


def setup_of(item: pytest.Item, changes: Mapping[str, Any]) -> Setup:
    """The set-up that the markers of a test say, the nearest last, with these changes.

    Raises:
        TypeError: a marker says something that `Setup` does not know.
    """
    said: dict[str, Any] = {}
    for marker in (*reversed(list(item.iter_markers("pwasm"))),):
        if marker.args:
            raise TypeError("pytest.mark.pwasm takes keyword arguments only: " + ", ".join(sorted(_FIELDS)))
        said.update(marker.kwargs)
    said.update(changes)
    unknown = sorted(said.keys() - _FIELDS)
    if unknown:
        known = ", ".join(sorted(_FIELDS))
        raise TypeError(f"pytest.mark.pwasm does not know {', '.join(unknown)}; it knows {known}")
    said["plugins"] = tuple(said.get("plugins", ()))
    return Setup(**said)


class Stages:
    """The Envoys of a test module, by set-up; the one that was used longest ago goes first."""

    def __init__(self) -> None:
        self._stages: dict[object, EnvoyStage] = {}

    def get(self, setup: Setup, path: Path) -> EnvoyStage:
        """A running Envoy for this set-up."""
        from .world_envoy import EnvoyStage

        key = _key(setup, path)
        stage = self._stages.pop(key, None)
        if stage is not None and (setup.fresh or (stage.refused is None and stage.envoy.wait(0) is not None)):
            stage.close()
            stage = None
        while stage is None and len(self._stages) >= ENVOYS_ALIVE:
            self._stages.pop(next(iter(self._stages))).close()
        self._stages[key] = stage = stage or EnvoyStage(setup, path)
        return stage

    def world(self, setup: Setup, path: Path) -> EnvoyWorld:
        """A world on such an Envoy."""
        from .world_envoy import EnvoyWorld

        return EnvoyWorld(setup, self.get(setup, path))

    def close(self) -> None:
        """End them all."""
        for stage in self._stages.values():
            stage.close()
        self._stages.clear()


def _key(setup: Setup, path: Path) -> object:
    """Equal for set-ups that one Envoy can serve: all but what the servers answer."""
    from .messages import REFUSED

    def of(plugin: Plugin) -> object:
        return (plugin.name, plugin.root_id, plugin.kind, payload(plugin.configuration))

    return (
        path,
        tuple(map(of, setup.all_plugins(""))),
        payload(setup.vm_configuration),
        setup.vm_id,
        setup.workers,
        setup.upstream is REFUSED,
        tuple(sorted((name, handler is REFUSED) for name, handler in setup.clusters.items())),
        tuple(sorted(setup.environment.items())),
        setup.starts,
    )


@contextmanager
def maker(item: pytest.Item, tier: str, stages: Stages) -> Iterator[Callable[..., World]]:
    """A function that makes worlds for a test; they are closed at its end."""
    made: list[World] = []

    def make(**changes: Any) -> World:
        setup = setup_of(item, changes)
        path = find_filter(setup.filter, item.path, item.config.rootpath)
        world: World = stages.world(setup, path) if tier == "envoy" else HostWorld(setup, path, tier)
        made.append(world)
        if world.started != setup.starts:
            logged = "\n".join(world.logs())
            raise AssertionError(f"the plugin {'started' if world.started else 'refused to start'}:\n{logged}")
        return world

    yield make
    for world in made:
        world.close()


def module_host(item: pytest.Item, named: str | Path, **options: Any) -> HostEmulator:
    """An emulator around a built module."""
    from .wasm import WasmPlugin

    environment = options.pop("environment", None)
    module = built_module(find_filter(named, item.path, item.config.rootpath))
    return HostEmulator(plugin=lambda host: WasmPlugin(module, host, environment=environment), **options)
