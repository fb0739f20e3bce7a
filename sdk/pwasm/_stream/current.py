"""`current`: the host, plugin and stream that the running callback acts on.

The reason for module state: the public functions mirror the Go SDK's (`pwasm.log_info(…)`), so they take neither a host
nor a context, and what they act on has to be stored somewhere. Rules that keep it harmless:

- Only the dispatcher writes `host`, `phase`, `queued`, `root` and `stream`, at the start of *every* callback, so a
  value never outlives the callback it belongs to, and two dispatchers in one process (two emulators in one test) do not
  see each other.
- `set_effective_context` and the resume functions replace `phase` (and `stream`, and `root` by that of the stream) for
  the rest of that callback.
- There are no threads in a Wasm VM, and the host does not re-enter a plugin before it has returned.
"""

from __future__ import annotations

from .._typing import TYPE_CHECKING, Any, cast
from ..errors import PhaseError
from .records import Phase, Queued, Root, Stream
from .registration import Registration

if TYPE_CHECKING:
    from .._protocols import Host


class NoHost:
    """Placeholder for the host: a hostcall before the first callback raises an error that explains it."""

    def __getattr__(self, name: str) -> Any:
        raise PhaseError(
            name,
            "",
            "there is no proxy yet: this code runs when the filter is imported, that is, during `pwasm build`",
            "call it from a callback, for example PluginContext.on_plugin_start",
        )

    def refuse(self, name: str) -> None:
        """Raise the same for a function that needs no hostcall."""
        self.__getattr__(name)


class Current:
    """The host, plugin and stream that the running callback acts on."""

    __slots__ = ("host", "phase", "queued", "registration", "root", "stream")

    def __init__(self) -> None:
        self.host: Host = cast("Host", NoHost())
        self.registration = Registration()
        self.phase = Phase("", "", "log")
        self.root: Root | None = None
        self.stream: Stream | None = None
        self.queued: Queued | None = None  # what the host acts on when the callback has returned

    def active_root(self) -> Root | None:
        """The plugin context to which the running callback belongs; in a stream callback, that of the stream."""
        return self.root if self.stream is None else self.stream.root

    def root_for(self, function: str) -> Root | None:
        """The same; raises `PhaseError` while the filter is imported."""
        if isinstance(self.host, NoHost):
            self.host.refuse(function)
        return self.active_root()


current = Current()
