"""Which callbacks main.wasm must export for a filter.

Every exported callback is called for every request, and each call costs, so a callback that no class overrides is
left out: the host then does what the default would.

Always there: proxy_on_context_create (the only one that tells a stream's plugin), proxy_on_vm_start and
proxy_on_configure (the only time configurations can be read), proxy_on_delete (frees the context), proxy_on_tick and
the five that bring the answers of callouts: whether a filter sleeps or calls cannot be seen from its classes (a helper
module may, or a library), and they cost nothing where there is nothing to wake or answer. proxy_on_done is not there:
for a stream its result is ignored, and the stream's last callback is proxy_on_log. proxy_on_response_headers is not
either: `resume_http_response` before a response was seen crashes Envoy, and a filter that has no callback for the
response never has one to resume, so the call is refused.
"""

from __future__ import annotations

from .._abi import CALLBACKS
from .._stream.phases import PHASES
from .._stream.registration import Entry, Registration
from ..types import HttpContext, PluginContext, TcpContext, VMContext
from .declarations import traits_of

_ALWAYS = frozenset(
    {
        "proxy_on_context_create",
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_tick",
        "proxy_on_http_call_response",
        "proxy_on_grpc_receive_initial_metadata",
        "proxy_on_grpc_receive",
        "proxy_on_grpc_receive_trailing_metadata",
        "proxy_on_grpc_close",
        "proxy_on_delete",
    }
)

_FIRST: dict[type, str] = {HttpContext: "proxy_on_request_headers", TcpContext: "proxy_on_new_connection"}
_LAST = "proxy_on_log"
"""Streams of both kinds have it: with it alone nobody could tell what the module is for, so it does not stand alone."""


def callbacks_used(registration: Registration) -> tuple[str, ...]:
    """Names of the callbacks to export, in the order of the ABI.

    Of a factory nobody knows which class it will return, so all callbacks of its kind are used; the same holds for a
    class that overrides `new_http_context` or its siblings.
    """
    used = set(_ALWAYS)
    for registered in (registration, *(named for _, named in registration.named)):
        used |= _used(registered, registration.vm)
    return tuple(callback.name for callback in CALLBACKS if callback.name in used)


def callbacks_written(registration: Registration) -> dict[str, list[str] | None]:
    """For people: each registered class with the callbacks that its author wrote; None for a factory, whose class
    nobody knows.
    """
    written = {}
    for root_id, registered in (("", registration), *registration.named):
        entries = (registered.vm, registered.plugin, registered.http, registered.tcp)
        for entry, base in zip(entries, (VMContext, PluginContext, HttpContext, TcpContext), strict=True):
            if entry is not None:
                name = f"{entry.factory_name} (root_id {root_id!r})" if root_id else entry.factory_name
                written[name] = _written(entry.factory, base) if isinstance(entry.factory, type) else None
    return written


def _written(cls: type, base: type) -> list[str]:
    methods = [name for name, method in vars(base).items() if name[:3] in {"on_", "new"} and callable(method)]
    return [name for name in methods if getattr(cls, name) is not getattr(base, name)]


def _used(registration: Registration, vm: Entry | None) -> set[str]:
    decides_plugin = vm is not None and _overrides(vm, "new_plugin_context")
    plugin = _ANY if decides_plugin else registration.plugin
    http, tcp = registration.http, registration.tcp
    if plugin is not None:
        http = _ANY if _overrides(plugin, "new_http_context") else http
        tcp = _ANY if _overrides(plugin, "new_tcp_context") else tcp
    used: set[str] = set()
    for entry, base in ((plugin, PluginContext), (http, HttpContext), (tcp, TcpContext)):
        if entry is not None:
            methods = {name for name in vars(base) if name.startswith("on_") and _overrides(entry, name)}
            exports = {export for export, phase in PHASES.items() if phase.method in methods}
            if "on_stream_done" in methods:
                exports.add(_LAST)
            used |= exports | ({_FIRST[base]} if exports == {_LAST} else set())
    if http is not None and isinstance(http.factory, type):
        traits = traits_of(http.factory)
        used |= traits.callbacks() if traits is not None else set()
    return used


_ANY = Entry(lambda: None, False, "")


def _overrides(entry: Entry, method: str) -> bool:
    """Whether contexts of `entry` may have a method of their own."""
    if not isinstance(entry.factory, type):
        return True
    for base in (PluginContext, HttpContext, TcpContext):
        if issubclass(entry.factory, base):
            return getattr(entry.factory, method) is not getattr(base, method)
    return method == "new_plugin_context" and "new_plugin_context" in _attributes_before_base(entry.factory)


def _attributes_before_base(cls: type) -> set[str]:
    return {name for klass in cls.__mro__[:-2] for name in vars(klass)}
