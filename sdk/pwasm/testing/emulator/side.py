"""A plugin's side of an HTTP exchange: the context on which its hostcalls act, with its link in either direction."""

from __future__ import annotations

from .base import Part, Stream
from .chain import REQUEST, Chain
from .exchange import Exchange
from .flow import Flow
from .headers import Headers
from .local import LocalResponse
from .rules import holds


class HttpSide(Stream):
    """One plugin of an exchange; `HttpStream`, which is the exchange, is the side of the plugin under test."""

    http = True
    flows: tuple[Flow, ...]
    exchange: Exchange

    def __init__(self, host: Part, context_id: int, root_id: int) -> None:
        super().__init__(host, context_id, root_id)
        self.actions: list[tuple[str, int]] = []
        """The actions that the plugin returned, as pairs of callback and action."""
        self.running = ""
        self.wants_local: LocalResponse | None = None
        self.created = False
        """Whether the plugin has a context for the stream."""
        self.final: tuple[str, ...] = ("proxy_on_log", "proxy_on_done", "proxy_on_delete")
        """The callbacks at the stream's end."""

    @property
    def request(self) -> Flow:
        """The request."""
        return self.flows[0]

    @property
    def response(self) -> Flow:
        """The response."""
        return self.flows[1]

    def flow_in(self, chain: Chain) -> Flow:
        """This side's new link in a chain."""
        flow = Flow(self, chain)
        self.flows = (flow, *self.flows[1:]) if chain.direction == REQUEST else (*self.flows[:1], flow)
        return flow

    def create(self) -> None:
        """Create the plugin's context, unless it has one."""
        if not self.created:
            self.created = True
            self.host.streams[self.context_id] = self
            self.host.call("proxy_on_context_create", self.context_id, self.root_id)

    def begin(self, direction: int) -> bool:
        """Whether the plugin has a context for this message; a request creates it."""
        if direction == REQUEST:
            self.create()
        return self.created

    # --- callbacks ------------------------------------------------------------------------------------------------

    def call(self, export: str, *args: int) -> int:
        """Run a callback that returns an action, and then do what the plugin has requested in it."""
        outer, self.running = self.running, export
        action = self.host.call(export, self.context_id, *args)
        self.running = outer
        assert type(action) is int
        self.actions.append((export, action))
        if self.wants_local is not None:
            self._reply()
        return action

    def send_local_response(self, local: LocalResponse) -> None:
        """The plugin requested a local response."""
        if self.wants_local is not None and self.running and holds("the first local response wins"):
            if not self._in_the_request:
                self.host.kill("K9")
            return
        if self.running:
            self.wants_local = local
        else:
            self.host.after(lambda: self._reply_late(local))

    @property
    def _in_the_request(self) -> bool:
        return self.running.startswith("proxy_on_request")

    def _reply_late(self, local: LocalResponse) -> None:
        """The plugin's local response from outside of the stream's callbacks."""
        if self.ended:
            self.host.kill("K9")
        self.exchange.reply_locally(local)

    def _reply(self) -> None:
        local, self.wants_local = self.wants_local, None
        if local is not None:
            if self.ended:
                self.host.kill("K9")
            self.exchange.reply_locally(local)

    @property
    def reset_by_plugin(self) -> bool:
        """Whether the stream was closed without a response of the plugin."""
        return self.exchange.closed and self.exchange.local_response is None

    @property
    def is_closed(self) -> bool:
        """Whether the stream was reset."""
        return self.exchange.closed

    def closed_by_plugin(self) -> None:
        """The plugin closes the stream, which may have ended since it called."""
        if not self.ended:
            self.exchange.reset()
        elif not (self._in_the_request and self.reset_by_plugin):
            self.host.kill("K9")

    def logged_map(self, map_type: int) -> Headers | None:
        """A map as on_log sees it."""
        return self.exchange.logged_map(map_type)

    def finish(self) -> None:
        """The stream's end."""
        self.create()
        self.end(*self.final)
