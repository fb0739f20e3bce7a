"""Functions made in a loop get the name and the place under which they are public."""

from __future__ import annotations

from collections.abc import Callable

_PUBLIC_MODULE = f"{__name__.partition('.')[0]}.hostcalls"


def publish(function: Callable[..., object], name: str, doc: str) -> str:
    """Let a closure look like a function of `pwasm.hostcalls`, to `help()` and in tracebacks; returns its name."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = _PUBLIC_MODULE
    function.__doc__ = doc
    return name
