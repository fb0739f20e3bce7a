"""Calls of a plugin's own methods; if Higress passes several configurations, each has a plugin (`by_rules`)."""

from __future__ import annotations

from .._async.tasks import start_for_root
from .._stream.current import current
from .._stream.policy import accepted, root_failed
from .._stream.records import Phase, Root
from .by_rules import roots_of

TRACEBACK_STARTS_BELOW = True  # see `report`


def run_for_roots(phase: Phase, root: Root, args: tuple[int, ...]) -> None:
    """Run the method of each plugin, in the callback that has been entered for `root`."""
    for number, plugin in enumerate(roots_of(root)):
        current.root = plugin
        if number:  # the one before may have selected a stream
            current.host.proxy_set_effective_context(root.id)
            current.stream, current.phase = None, phase
        try:
            result = getattr(plugin.context, phase.method)(*args)
            if result is not None:
                start_for_root(result, phase)
        except BaseException as error:
            root_failed(phase, plugin, error)


def are_done(phase: Phase, root: Root) -> bool:
    """Whether every plugin lets itself be removed; one that fails does."""
    waits = set()
    for plugin in roots_of(root):
        current.root = plugin
        try:
            if not accepted(plugin.context.on_plugin_done()):
                waits.add(plugin)
        except BaseException as error:
            root_failed(phase, plugin, error)
    if root.rules is not None:
        for plugin in root.rules.roots:
            plugin.unfinished = waits
    return not waits
