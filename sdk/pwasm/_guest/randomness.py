"""Reseeds, in every VM, the random generators that a filter creates without a seed while it is imported.

`rng = random.Random()` at the top level of a module would produce the same numbers in all VMs, because its state is
part of the snapshot. `random.Random(42)` keeps its seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from weakref import ref

from .._typing import Any

_unseeded: list[ref[Any]] = []
_seed: Any = None
"""The standard library's `random.Random.seed`, while ours replaces it."""


def watch() -> None:
    """Start recording generators that are created without a seed; does not import `random` unless the filter does."""
    sys.meta_path.insert(0, _Finder)


def _nothing() -> None:
    pass


seeded: Callable[[], None] = _nothing
"""Called after a generator was seeded from the host, which every VM will reseed."""


def states() -> dict[int, int]:
    """The states, by identity, of the generators that every VM reseeds."""
    random = sys.modules.get("random")
    inner = getattr(random, "_inst", None)
    living = [inner, *(reference() for reference in _unseeded)]
    return {id(generator): hash(generator.getstate()) for generator in living if generator is not None}


def stop_watching() -> None:
    """Restore `random`."""
    global seeded
    seeded = _nothing
    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)
    if _seed is not None:
        sys.modules["random"].Random.seed = _seed


def seed_all() -> None:
    """In a new VM, reseed the recorded generators and the one of the `random` module itself."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    for reference in _unseeded:
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


def _note_seeds(random: Any) -> None:
    global _seed
    original = _seed = random.Random.seed

    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        _unseeded[:] = [reference for reference in _unseeded if reference() not in (None, self)]
        if a is None:
            _unseeded.append(ref(self))
        original(self, a, version)
        if a is None:
            seeded()

    random.Random.seed = seed
