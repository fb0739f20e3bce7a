"""What the emulator's streams have in common: an identity, what the hostcalls ask of it, and an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .headers import Headers
from .rules import HOLD_ALL, holds

if TYPE_CHECKING:
    from .flow import Flow
    from .host import HostEmulator


class Stream:
    """A stream context; the hostcalls work on this."""

    http: ClassVar[bool] = False

    def __init__(self, host: HostEmulator, context_id: int, root_id: int) -> None:
        self.host = host
        self.context_id = context_id
        self.root_id = root_id
        self.flows: tuple[Flow, ...] = ()
        self.properties: dict[bytes, bytes] = {}
        self.phase = ""
        """The last callbacks: the export that runs."""

    @property
    def ended(self) -> bool:
        """Whether the last callbacks have begun."""
        return bool(self.phase)

    def buffer(self, buffer_type: int) -> bytearray | None:
        """A buffer of the stream that can be read and written now."""
        flow = self.flows[buffer_type] if buffer_type < len(self.flows) else None
        if flow is None or flow.over:
            return None
        if flow.state == HOLD_ALL and not holds("the body is empty while the headers are held"):
            return flow.held
        return flow.visible

    def logged_map(self, map_type: int) -> Headers | None:
        """A map as on_log sees it."""
        raise NotImplementedError

    def reset(self) -> None:
        """The plugin closes the stream."""
        raise NotImplementedError

    def end(self, *exports: str) -> None:
        """The last callbacks, in the order of the stream's kind."""
        if self.ended:
            return
        for export in exports:
            self.phase = export
            self.host.call(export, self.context_id)
        self.host.forget(self.context_id)
