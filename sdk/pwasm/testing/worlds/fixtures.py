"""The implementation of the fixtures of `pwasm.pytest_plugin`, imported once a test uses them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pwasm.errors import RegistrationError

from ..deadline import FilterHangs, limit
from ..emulator.host import HostEmulator
from ..emulator.neighbours import NeighbourFilter, SlowUpstream, WasmFilter
from ..emulator.trace import TracedHost
from .filters import SetupError, built_module, compiled_module, find_filter
from .host import HostWorld
from .messages import REFUSED
from .world import Plugin, Setup, World, payload

if TYPE_CHECKING:
    import pytest

    from .envoy import EnvoyStage, EnvoyWorld

ENVOYS_ALIVE = 2
"""Maximum number of Envoys that a test module keeps running; each may need several hundred MB."""

PLACES = ("listener", "upstream")
_FIELDS = {field.name for field in fields(Setup)}


def setup_of(item: pytest.Item, changes: Mapping[str, Any]) -> Setup:
    """The set-up given by a test's markers, of which the closest takes precedence, with these changes.

    Raises:
        SetupError: a marker has an argument that `Setup` does not have.
    """
    said: dict[str, Any] = {}
    for marker in (*reversed(list(item.iter_markers("pwasm"))),):
        if marker.args:
            raise SetupError("pytest.mark.pwasm takes keyword arguments only: " + ", ".join(sorted(_FIELDS)))
        said.update(marker.kwargs)
    said.update(changes)
    unknown = sorted(said.keys() - _FIELDS)
    if unknown:
        known = ", ".join(sorted(_FIELDS))
        raise SetupError(f"pytest.mark.pwasm: unknown argument {', '.join(unknown)}; known arguments: {known}")
    for several in ("plugins", "before", "after"):
        said[several] = tuple(said.get(several, ()))
    setup = Setup(**said)
    _check_neighbours(setup)
    return setup


def _check_neighbours(setup: Setup) -> None:
    if setup.place not in PLACES:
        raise SetupError(f"pytest.mark.pwasm: place must be one of {', '.join(PLACES)}, not {setup.place!r}")
    for neighbour in (*setup.before, *setup.after):
        if isinstance(neighbour, SlowUpstream) and setup.place != "upstream":
            raise SetupError('SlowUpstream is a part of upstream\'s cluster: pytest.mark.pwasm(place="upstream", …)')
        cluster = getattr(neighbour, "cluster", "")
        if cluster and cluster not in setup.clusters:
            raise SetupError(f"{neighbour} needs a server: pytest.mark.pwasm(clusters={{{cluster!r}: …}})")


class Stages:
    """The Envoys of a test module, by set-up; the least recently used one is stopped first."""

    def __init__(self, executable: str | None = None) -> None:
        self.executable = executable
        self._stages: dict[object, EnvoyStage] = {}

    def world(self, setup: Setup, path: Path) -> EnvoyWorld:
        """A world on an Envoy that runs with this set-up."""
        from .envoy import EnvoyStage, EnvoyWorld

        key = _key(setup, path)
        stage = self._stages.pop(key, None)
        if stage is not None and (setup.fresh or (stage.refused is None and stage.stuck)):
            stage.close()
            stage = None
        while stage is None and len(self._stages) >= ENVOYS_ALIVE:
            self._stages.pop(next(iter(self._stages))).close()
        self._stages[key] = stage = stage or EnvoyStage(setup, path, self.executable)
        return EnvoyWorld(setup, stage)

    def close(self) -> None:
        """Stop all of them."""
        for stage in self._stages.values():
            stage.close()
        self._stages.clear()


def _key(setup: Setup, path: Path) -> object:
    """A key that is equal for set-ups that the same Envoy can serve: everything except the servers' answers."""

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
        repr((setup.route_name, setup.cluster_name, setup.route_metadata, setup.cluster_metadata)),
        setup.starts,
        repr((setup.before, setup.after, setup.hold_headers, setup.place)),
    )


class Bench:
    """Creates the worlds of one test, keeps them for its report, and closes them."""

    def __init__(
        self,
        item: pytest.Item,
        tier: str,
        stages: Stages | None,
        *,
        require: bool,
        seconds: float,
        progress: Callable[[str], None],
        module: str = "",
    ) -> None:
        """`module` replaces the filter next to the test, unless the test names one.

        `progress` is called with descriptions of long steps; see `built_module`.
        """
        self._item = item
        self._module = module
        self._tier = tier
        self._stages = stages
        self._require = require
        self._seconds = seconds
        self._progress = progress
        self._worlds: list[World] = []
        self._hosts: list[TracedHost] = []

    def world(self, **changes: Any) -> World:
        """The filter under test with the marker's set-up and these changes."""
        with _readable_errors():
            setup = setup_of(self._item, changes)
            path = find_filter(setup.filter or self._module, self._item.path, self._item.config.rootpath)
            setup = replace(setup, before=self._found(setup.before), after=self._found(setup.after))
            self.need(self._tier)
            world = self._make(setup, path)
        self._worlds.append(world)
        if world.started != setup.starts:
            import pytest

            logged = "\n".join(world.logs())
            pytest.fail(f"the plugin {'started' if world.started else 'refused to start'}:\n{logged}", pytrace=False)
        return world

    def _found(self, neighbours: tuple[NeighbourFilter, ...]) -> tuple[NeighbourFilter, ...]:
        """The neighbours with the paths of Wasm filters."""
        return tuple(
            replace(item, path=find_filter(item.path, self._item.path, self._item.config.rootpath))
            if isinstance(item, WasmFilter)
            else item
            for item in neighbours
        )

    def _make(self, setup: Setup, path: Path) -> World:
        if self._tier != "python":
            module = built_module(path, self._progress)
            for item in (*setup.before, *setup.after):
                if isinstance(item, WasmFilter):
                    built_module(Path(item.path), self._progress)
        if self._tier == "envoy":
            assert self._stages is not None
            return self._stages.world(setup, path)
        if self._tier == "wasm":
            compiled_module(module)  # takes time that must not count for the filter
        with limit(self._seconds) if self._seconds else nullcontext():
            return HostWorld(setup, path, self._tier)

    def classes(self, *filters: type, **options: Any) -> HostEmulator:
        """An emulator around classes."""
        return self._keep(TracedHost(*filters, **options))

    def module(self, named: str | Path = "", **options: Any) -> HostEmulator:
        """An emulator around a built module."""
        with _readable_errors():
            self.need("wasm")
            from ..wasm import WasmPlugin

            environment = options.pop("environment", None)
            path = find_filter(named or self._module, self._item.path, self._item.config.rootpath)
            module = built_module(path, self._progress)
            return self._keep(
                TracedHost(plugin=lambda host: WasmPlugin(module, host, environment=environment), **options)
            )

    def _keep(self, host: TracedHost) -> TracedHost:
        self._hosts.append(host)
        return host

    def need(self, tier: str) -> None:
        """Skip the test if something that its tier needs is not installed; fail with --pwasm-require."""
        import pytest

        missing = _missing(tier, self._stages)
        if missing and self._require:
            pytest.fail(f"{missing} (--pwasm-require)", pytrace=False)
        if missing:
            pytest.skip(missing)

    def account(self) -> list[tuple[str, str]]:
        """What happened in every world, for the report of a failure."""
        sections = [(f"{world.tier}: {title}", text) for world in self._worlds for title, text in world.account()]
        return sections + [(f"{self._tier}: what the host saw", host.trace.text()) for host in self._hosts]

    def imports_that_differ(self) -> list[str]:
        """The modules that CPython would have imported here, and the built module could not."""
        hosts = [
            *self._hosts,
            *(host for world in self._worlds if isinstance(world, HostWorld) for host in world.hosts),
        ]
        missing = {name for host in hosts for name in host.unresolved}
        if not missing:
            return []
        from .imports import is_missed

        return sorted(filter(is_missed, missing))

    def close(self) -> None:
        """Close the worlds at the end of the test; errors as in `World.close`."""
        for world in self._worlds:
            world.close()


def _missing(tier: str, stages: Stages | None) -> str:
    """What is missing for a tier, and how to install it; "" if nothing is."""
    if tier == "wasm" and importlib.util.find_spec("wasmtime") is None:
        return "the wasm tier needs wasmtime: pip install wasmtime"
    if tier == "envoy":
        from pwasm_compiler.envoy.process import EnvoyNotFoundError, find_envoy

        try:
            find_envoy(None if stages is None else stages.executable)
        except EnvoyNotFoundError as error:
            return f"the envoy tier needs an Envoy: {error}"
    return ""


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Show errors of the filter or its set-up, rather than of this code, without a traceback."""
    import pytest

    from pwasm_compiler.envoy.errors import EnvoyError
    from pwasm_compiler.errors import PwasmError

    from ..wasm import WasmLoadError

    try:
        yield
    except (PwasmError, RegistrationError, WasmLoadError, EnvoyError, SetupError, FilterHangs) as error:
        # `from None`, or the error would be shown a second time, since its block is in our caller.
        raise pytest.fail.Exception(str(error), pytrace=False) from None
