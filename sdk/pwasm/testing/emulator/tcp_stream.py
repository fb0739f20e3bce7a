"""A TCP connection of the host emulator (docs/abi.md §5, cases 114 to 117)."""

from __future__ import annotations

from pwasm._abi import PeerType, StreamType

from . import rules
from .base import Part, Stream
from .headers import Headers
from .rules import holds

DOWNSTREAM, UPSTREAM = int(StreamType.DOWNSTREAM), int(StreamType.UPSTREAM)


class TcpStream(Stream):
    """One TCP connection; `HostEmulator.connect` returns it."""

    def __init__(self, host: Part, context_id: int, root_id: int) -> None:
        super().__init__(host, context_id, root_id)
        self.to_upstream = b""
        self.to_downstream = b""
        self.closed = False
        self._unread = False
        """Whether nothing is read from the client: the plugin holds the new connection."""
        self._held = False
        """Whether the plugin holds what the client has sent."""
        self._ends: dict[int, bool] = {}
        self._buffers: dict[int, bytearray] = {}
        self._visible = -1
        self._dangling: set[int] = set()
        """The directions of which Envoy still has the address of data that is gone: their callback closed."""
        self._early = False
        self._waiting: list[tuple[bytes, bool]] = []

    @property
    def paused(self) -> str | None:
        """ "connection" while the plugin holds the client's side, else None."""
        return "connection" if (self._unread or self._held) and not self.ended else None

    # --- actions of the client and the upstream -------------------------------------------------------------------

    def open(self) -> None:
        """The client connects."""
        self._unread = self._call("proxy_on_new_connection") != rules.CONTINUE

    def downstream(self, data: bytes, *, end_of_stream: bool = False) -> int:
        """The client sends data; returns the plugin's action.

        Nothing is read while a new connection is held. Data that is held comes again, with what follows it.
        """
        if self._unread and holds("a held connection is not read"):
            self._waiting.append((data, end_of_stream))
            return rules.PAUSE
        if self._held and not holds("held data comes again with what follows"):
            self._waiting.append((data, end_of_stream))
            return rules.PAUSE
        return self._data(DOWNSTREAM, "proxy_on_downstream_data", data, end_of_stream)

    def upstream(self, data: bytes, *, end_of_stream: bool = False) -> int:
        """Upstream sends data; returns the plugin's action."""
        return self._data(UPSTREAM, "proxy_on_upstream_data", data, end_of_stream)

    def close_upstream(self) -> None:
        """The connection to upstream is closed; Envoy does not report by whom."""
        self.host.call("proxy_on_upstream_connection_close", self.context_id, int(PeerType.UNKNOWN))
        self.host.run_pending()

    def close_downstream(self, peer_type: int = PeerType.LOCAL) -> None:
        """The client's connection is closed."""
        self.host.call("proxy_on_downstream_connection_close", self.context_id, int(peer_type))
        self.closed = True
        self.host.run_pending()

    def complete(self) -> None:
        """Run the stream's final callbacks."""
        self.closed = True
        first = (
            ("proxy_on_done", "proxy_on_log")
            if holds("a TCP stream is done before it is logged")
            else ("proxy_on_log", "proxy_on_done")
        )
        self.end(*first, "proxy_on_delete")
        self.host.run_pending()

    def close(self, peer_type: int = PeerType.LOCAL) -> None:
        """Close both connections and end the stream."""
        if self.ended:
            return
        self.close_upstream()
        self.close_downstream(peer_type)
        self.complete()

    # --- for the hostcalls ----------------------------------------------------------------------------------------

    def resume(self) -> None:
        """The plugin called continue_tcp_stream."""
        self._early = self._visible == DOWNSTREAM
        if not (self._unread or self._held) or self.closed:
            return
        self._unread = self._held = False
        if self._buffers.get(DOWNSTREAM):
            self._flush(DOWNSTREAM)
        waiting, self._waiting = self._waiting, []
        if waiting:  # Envoy reads in one go what the socket has
            self.downstream(b"".join(data for data, _ in waiting), end_of_stream=waiting[-1][1])

    def closed_by_plugin(self) -> None:
        """The plugin closes the connection: data on its way is still sent."""
        if not self.closed:
            self.closed = True
            self.host.soon(self._closed)

    def _closed(self) -> None:
        """The plugin has closed the connection: it gets no callback for upstream's side (measured)."""
        if not holds("a plugin that closes hears nothing of upstream"):
            self.close_upstream()
        self.close_downstream()
        self.complete()

    def buffer(self, buffer_type: int) -> bytearray | None:
        """A buffer, if it can be read and written now."""
        if buffer_type in self._dangling:
            self.host.kill("K11")
        held = buffer_type == DOWNSTREAM and self._held and holds("data that is held can be read")
        return self._buffers.get(buffer_type) if held or buffer_type == self._visible else None

    def logged_map(self, map_type: int) -> Headers | None:
        """A TCP stream has no headers."""
        del map_type
        return None

    # --- inside ---------------------------------------------------------------------------------------------------

    def _data(self, direction: int, export: str, data: bytes, end_of_stream: bool) -> int:
        if self.closed:
            raise RuntimeError("the connection is closed")
        buffer = self._buffers.setdefault(direction, bytearray())
        buffer += data
        self._visible, self._early = direction, False
        action = self._call(export, len(buffer), end_of_stream)
        self._visible = -1
        if self.closed:
            self._dangling.add(direction)
        if self._early and holds("a TCP resume before the pause counts"):
            action = rules.CONTINUE
        if direction == DOWNSTREAM:
            self._held = action != rules.CONTINUE
        if action == rules.CONTINUE or not holds("PAUSE in data holds it"):
            self._flush(direction)
        self.host.run_pending()
        return action

    def _flush(self, direction: int) -> None:
        data = bytes(self._buffers[direction])
        self._buffers[direction].clear()
        if direction == DOWNSTREAM:
            self.to_upstream += data
        else:
            self.to_downstream += data

    def _call(self, export: str, *args: int) -> int:
        action = self.host.call(export, self.context_id, *args)
        assert isinstance(action, int)
        return action
