"""The markers by which `make test-fast` deselects tests, and the guard that keeps them correct.

A test says what it starts: `envoy`, `wasm` (a build, or a module that runs in wasmtime) or `programs` (anything else);
some fixtures say it for all tests that use them. A test that starts what it does not say fails. So what carries none of
these markers stays in its own process. Only that a test takes long nobody can check: `slow`.
"""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

OF_FIXTURES = {
    "built": "wasm",
    "certificate": "programs",
    "basic_registry": "programs",
    "registry": "programs",
    "token_registry": "programs",
    "run_pytest": "programs",
}
"""Fixture → the marker that every test has which uses it, itself or through another fixture."""
SUFFICIENT = {
    "envoy": {"envoy"},
    "wasm": {"wasm", "envoy"},
    "programs": {"programs", "wasm", "envoy", "machine"},
}
"""What is started → the markers of which a test must have one: what a module or an Envoy takes needs no second one."""


def add(items: Iterable[pytest.Item]) -> None:
    """Give tests the markers of their fixtures."""
    for item in items:
        for fixture in OF_FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(OF_FIXTURES[fixture])


class Guard:
    """Records what the running test has started, including in its fixtures and in threads."""

    def __init__(self) -> None:
        self._started: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Reset the guard."""
        self._started = {}
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that started something that its markers do not declare."""
        result = yield
        markers = {marker.name for marker in item.iter_markers()}
        for kind, what in self._started.items():
            if not SUFFICIENT[kind] & markers:
                pytest.fail(f"this test starts {what}, so it needs the marker `{kind}` (see tests/support/marks.py)")
        return result

    def watch(self) -> None:
        """From now on. These are the places that everything goes through, and they stay as they are otherwise."""
        _before(subprocess.Popen, "__init__", lambda _self, args, *_more, **options: self._program(args, options))
        for place, name in ((wasmtime.Instance, "__init__"), (wasmtime.Linker, "instantiate")):
            _before(place, name, lambda *_arguments, **_options: self._note("wasm", "a module in wasmtime"))

    def _program(self, arguments: Any, options: dict[str, Any]) -> None:
        words = [arguments] if isinstance(arguments, (str, bytes, os.PathLike)) else list(arguments)
        name = Path(os.fsdecode(options.get("executable") or words[0])).name
        if "--version" not in words:  # asked once a process, by whichever test comes first
            self._note("envoy" if name.startswith("envoy") else "programs", name)

    def _note(self, kind: str, what: str) -> None:
        self._started.setdefault(kind, what)


def _before(place: type, name: str, look: Callable[..., None]) -> None:
    """Call `look` with the arguments of the method."""
    original = getattr(place, name)

    @functools.wraps(original)
    def watched(*arguments: Any, **options: Any) -> Any:
        look(*arguments, **options)
        return original(*arguments, **options)

    setattr(place, name, watched)
