"""Life cycle of contexts: the dispatcher's records of plugins and streams.

A stream's context is created at its first callback, not when the host announces the stream: a module exports only the
callbacks that its classes have, so many streams never need a context, and the others save a step on the hot path.
"""

from __future__ import annotations

from collections.abc import Callable

from .._async.callouts import debug, forget_calls
from .._async.tasks import close_root, close_stream
from .._stream.acts import holds_no_more
from .._stream.current import current
from .._stream.in_vm import HELD_STREAMS, OPEN_CALLOUTS, InVm
from .._stream.phases import PHASES, RESPONSE, STREAM_CREATE
from .._stream.policy import creation_failed
from .._stream.records import Phase, Root, Stream
from .._stream.registration import Entry, Registration, Traits
from .._stream.report import report
from .._typing import TYPE_CHECKING, Any
from ..errors import RegistrationError
from ..types import HttpContext, PluginContext, TcpContext, VMContext
from .by_rules import roots_of
from .declarations import traits_of

if TYPE_CHECKING:
    from .._protocols import Host


class Contexts:
    """The contexts of one Wasm VM, by their ids."""

    def __init__(self, registration: Registration, host: Host) -> None:
        if registration.empty:
            raise RegistrationError("no filter class is registered", "call pwasm.set_http_context(YourFilter)")
        self._registration = registration
        self._host = host
        self._vm: VMContext | None = None
        self._roots: dict[int, Root] = {}
        self._streams: dict[int, Stream] = {}
        self._unopened: dict[int, Root] = {}  # streams that have begun but have not had a callback yet
        self._in_vm = InVm(host)
        self.memory_size: Callable[[], int] = int  # bytes of the VM; 0 outside of Wasm
        self.hear_requests: Callable[[], object] = int  # called when request headers begin to matter, see `exports`
        self.hold_headers = False  # PWASM_HOLD_HEADERS, see `holding`

    def proxy_on_context_create(self, context_id: int, parent_id: int, /) -> None:
        """Create a plugin context (parent 0), or note that a stream has begun; ignored for an existing context."""
        if context_id in self._roots or context_id in self._unopened or self._streams.get(context_id) is not None:
            return
        root = self._roots.get(parent_id)
        if root is not None:
            self._unopened[context_id] = root
        elif parent_id == 0:
            self._create_root(context_id)
        else:
            self._unknown("proxy_on_context_create", parent_id)

    def _open(self, context_id: int) -> Stream | None:
        """Create the context of a stream that has begun; None for an unknown stream."""
        root = self._unopened.pop(context_id, None)
        return None if root is None else self._open_for(root, context_id)

    def _open_for(self, root: Root, context_id: int, stream: Stream | None = None) -> Stream:
        """Create a stream and its context; the shim does the same in the common case (runtime-shim, streams.c)."""
        if stream is None:
            stream = self._streams[context_id] = Stream(context_id, root)
        current.host = self._host
        current.root = root
        current.stream = None
        current.phase = STREAM_CREATE
        try:
            if root.make_http is not None:  # the common case, without the checks that the others need
                http = stream.context = root.make_http()
                stream.traits = root.traits
                http.context_id = context_id
                http.plugin = root.context  # a root without context has no classes
                return stream
            if root.rules is not None:
                stream.skip = True  # until its request has shown which configuration applies, see `by_rules`
                return stream
            context: HttpContext | TcpContext | None = (
                None if root.http is None else _created(root.http, context_id, HttpContext)
            )
            if context is None and root.tcp is not None:
                stream.http = False
                context = _created(root.tcp, context_id, TcpContext)
            if context is None:
                stream.skip = True
                stream.refuse = root.failed
                return stream
            context.context_id = context_id
            context.plugin = root.context  # a root without context has no factories
            stream.context = context
            stream.traits = in_mode(root, traits_of(type(context)))
        except BaseException as error:
            creation_failed(stream, error)
        return stream

    def _create_root(self, context_id: int) -> None:
        root = Root(context_id, self._streams, self._in_vm)
        root.holds_headers = self.hold_headers
        self._roots[context_id] = root
        phase = PHASES["proxy_on_context_create"]
        self._enter_root(phase, root)
        try:
            registered = self._registered_for_root()
            vm = self._vm
            if vm is None:
                vm = self._vm = VMContext() if registered.vm is None else _created(registered.vm, 0, VMContext)
                if vm is not None:
                    self._in_vm.limit = _positive(vm, "max_held_bytes")
                    self._in_vm.switched_off = not vm.sdk_metrics
            if vm is None:
                raise TypeError("the VM context's factory returned None")
            self._create_plugin(root, vm, registered)
        except BaseException as error:
            root.failed, root.context = True, None
            report(phase.level, f"the plugin could not be created for context {context_id}: start refused", error)

    def _create_plugin(self, root: Root, vm: VMContext, registered: Registration) -> None:
        plugin = vm.new_plugin_context(root.id)
        if plugin is None:
            entry = registered.plugin or Entry(PluginContext, False, "")
            plugin = _created(entry, root.id, PluginContext)
        if not isinstance(plugin, PluginContext):
            raise TypeError(f"a plugin context must be a pwasm.PluginContext, not {plugin!r}")
        plugin.context_id = root.id
        plugin.vm = vm
        root.context = plugin
        root.http, root.tcp = registered.http, registered.tcp
        if type(plugin).new_http_context is not PluginContext.new_http_context:
            root.http = Entry(plugin.new_http_context, True, "")
        if type(plugin).new_tcp_context is not PluginContext.new_tcp_context:
            root.tcp = Entry(plugin.new_tcp_context, True, "")
        if root.http is not None and isinstance(root.http.factory, type) and not root.http.takes_context_id:
            root.traits = in_mode(root, traits_of(root.http.factory))
            root.make_http = root.http.factory

    def _create_twin(self, root: Root) -> Root:
        """Another plugin with the same id, for another configuration; see `by_rules`."""
        twin = Root(root.id, self._streams, self._in_vm)
        twin.holds_headers, twin.timers = root.holds_headers, root.timers
        current.root = twin
        self._create_plugin(twin, root.context.vm, self._registered_for_root())
        return twin

    def _registered_for_root(self) -> Registration:
        """The registration for this plugin; the host is asked for the root id only if it makes a difference."""
        registered = self._registration
        if not registered.named:
            return registered
        data = self._host.proxy_get_property(b"plugin_root_id")[1]
        root_id = data.decode("utf-8", "surrogateescape")
        found = registered.for_root(root_id)
        if found is None:
            known = ", ".join(repr(name) for name, _ in registered.named)
            raise RegistrationError(
                f"no filter is registered for root_id {root_id!r}",
                f"root_id in Envoy's configuration must be one of {known}, or register a filter without root_id",
            )
        return found

    def proxy_on_delete(self, context_id: int, /) -> None:
        """Remove a context."""
        stream = self._streams.pop(context_id, None)
        if stream is not None:
            stream.ended = True
            current.host = self._host
            current.stream = stream  # a __del__ that runs now acts on a stream that has ended (K4)
            if stream.waiting is not None:
                current.phase = PHASES["proxy_on_delete"]
                close_stream(stream)
            if stream.calls:
                forget_calls(stream)
            if stream.paused:
                stream.root.vm.add(HELD_STREAMS, -1)
            stream.context = None
            self._in_vm.has_memory(self.memory_size())
            return
        if self._unopened.pop(context_id, None) is not None:
            return
        root = self._roots.pop(context_id, None)
        if root is None:
            self._unknown("proxy_on_delete", context_id)
            return
        current.host = self._host
        for plugin in dict.fromkeys((root, *roots_of(root))):
            if plugin.tasks:
                close_root(plugin)
            if plugin.calls:
                self._in_vm.add(OPEN_CALLOUTS, -len(plugin.calls))
                plugin.calls.clear()
        if not self._roots:
            self._in_vm.has_memory(0)

    def _enter_root(self, phase: Phase, root: Root) -> None:
        current.host = self._host
        current.root = root
        current.stream = None
        current.phase = phase
        current.queued = None

    def _enter_stream(self, phase: Phase, stream: Stream) -> None:
        current.host = self._host
        current.stream = stream
        current.phase = phase
        current.queued = None
        stream.resumed = 0
        if phase.direction >= 0:
            holds_no_more(stream, phase.direction)
        if phase.direction == RESPONSE:
            stream.response_seen = True

    def _unknown(self, export: str, context_id: int) -> None:
        current.host = self._host
        debug(f"{export} for unknown context {context_id} is ignored")


def in_mode(root: Root, traits: Traits | None) -> Traits | None:
    """The declarations of a class in this host; refused if they need held headers, and it cannot hold them.

    Raises:
        RegistrationError: it does.
    """
    if traits is None or root.holds_headers:
        return None if traits is None else traits.where_headers_are_held()
    if any(traits.holds):
        raise RegistrationError(
            "the class holds headers until it has seen the body, but the proxy is not configured for that",
            "Envoy 1.35 or later needs allow_on_headers_stop_iteration: true in the plugin's configuration, together"
            " with PWASM_HOLD_HEADERS=1 in vm_config.environment_variables; `pwasm config` writes both",
        )
    return traits


def _positive(vm: VMContext, name: str) -> int:
    value = getattr(vm, name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{type(vm).__qualname__}.{name} must be int, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{type(vm).__qualname__}.{name} must be positive, not {value}")
    return value


def _created(entry: Entry, context_id: int, base: type) -> Any:
    context = entry.factory(context_id) if entry.takes_context_id else entry.factory()
    if context is not None and not isinstance(context, base):
        raise TypeError(f"{entry.name} must return a pwasm.{base.__name__}, not {context!r}")
    return context
