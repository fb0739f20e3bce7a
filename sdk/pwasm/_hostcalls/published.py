"""Gives generated functions the name and the module under which they are public."""

from __future__ import annotations

from collections.abc import Callable

_PUBLIC_MODULE = f"{__name__.partition('.')[0]}.hostcalls"


def publish(function: Callable[..., object], name: str, doc: str) -> str:
    """Make a closure look like a function of `pwasm.hostcalls` in `help()` and tracebacks; returns its name."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = _PUBLIC_MODULE
    function.__doc__ = doc
    return name
