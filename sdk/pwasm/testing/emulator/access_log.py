"""A stream that no filter of the plugin sees: the plugin is an access logger, and is told of its end (on_log)."""

from __future__ import annotations

from .http_stream import HttpStream
from .rules import CONTINUE


class LoggedStream(HttpStream):
    """An HTTP stream between the client and upstream; its end goes to the plugin's root context (docs/abi.md §6)."""

    def create(self) -> None:
        """There is no context."""
        self.created = True

    def call(self, export: str, *args: int) -> int:
        """There is no filter."""
        del export, args
        return CONTINUE

    def end(self, *exports: str) -> None:
        """The stream is logged."""
        if self.ended:
            return
        self.phase = exports[0]
        self.host.logged_stream = self
        try:
            self.host.call(self.phase, self.root_id)
        finally:
            self.host.logged_stream = None
        self.host.forget(self.context_id)
