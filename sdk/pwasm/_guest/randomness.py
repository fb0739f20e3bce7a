"""Reseeds, in every VM, the random generators that a filter creates without a seed while it is imported.

`rng = random.Random()` at the top level of a module would produce the same numbers in all VMs, because its state is
part of the snapshot. `random.Random(42)` keeps its seed.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from weakref import ref

from .._typing import Any, Protocol

reseeded: dict[int, ref[Any]] = {}
"""By id, the generators that every VM reseeds: those without a seed, and the one of the `random` module itself."""
_seed: Any = None
"""The standard library's `random.Random.seed`, while ours replaces it."""


class Observer(Protocol):
    """Wants to know what happens to generators."""

    def watch_draws(self, random: Any) -> None:
        """`random` has been imported."""

    def changed(self) -> None:
        """`reseeded` has."""

    def seeding(self, begins: bool) -> None:
        """The seed of a generator that every VM reseeds begins to be drawn, or has been."""


class Nobody:
    """An observer that wants to know nothing."""

    def watch_draws(self, random: Any) -> None:
        """Ignored."""

    def changed(self) -> None:
        """Ignored."""

    def seeding(self, begins: bool) -> None:
        """Ignored."""


observer: Observer = Nobody()


def watch() -> None:
    """Start recording generators that are created without a seed; does not import `random` unless the filter does."""
    sys.meta_path.insert(0, _Finder)


def stop_watching() -> None:
    """Restore `random`."""
    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)
    if _seed is not None:
        sys.modules["random"].Random.seed = _seed


def seed_all() -> None:
    """In a new VM, reseed the recorded generators and the one of the `random` module itself."""
    for reference in list(reseeded.values()):
        generator = reference()
        if generator is not None:
            generator.seed()


class _Finder:
    """Finds `random` as the other finders would, and calls `_note_seeds` once it has been executed."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        if name != "random":
            return None
        sys.meta_path.remove(_Finder)
        spec = PathFinder.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            del loader.exec_module
            execute(module)
            _note_seeds(module)

        loader.exec_module = exec_module
        return spec


def _note(generator: Any) -> None:
    key = id(generator)
    reseeded[key] = ref(generator, lambda _gone: _forget(key))
    observer.changed()


def _forget(key: int) -> None:
    reseeded.pop(key, None)
    observer.changed()


def _note_seeds(random: Any) -> None:
    global _seed
    original = _seed = random.Random.seed
    _note(random._inst)

    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        if a is not None:
            if self is not random._inst:  # whose functions are nobody's own
                _forget(id(self))
            original(self, a, version)
            return
        _note(self)
        observer.seeding(True)
        try:
            original(self, a, version)
        finally:
            observer.seeding(False)

    random.Random.seed = seed
    observer.watch_draws(random)
