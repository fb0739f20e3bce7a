"""The callbacks that main.wasm exports for a filter.

The host calls every exported callback for every request, and each call has a cost. So a callback that no class
overrides is not exported, and the host behaves as the default method would.

Always exported are: proxy_on_context_create (the only callback that tells which plugin a stream belongs to),
proxy_on_vm_start and proxy_on_configure (the only time when configurations can be read), proxy_on_delete (frees the
context), proxy_on_tick, and the five that deliver the answers of callouts. Whether a filter sleeps or makes callouts
does not show in its classes (a helper module or a library may do so), and these six cost nothing if there is nothing to
wake or answer. So is proxy_on_request_headers, for HTTP filters: a configuration with rules is chosen in it
(`by_rules`), and whether there are rules shows only when the plugin starts. Until then the shim ignores it if no class
has a use for it.

proxy_on_done is not exported for the sake of streams: the host ignores its result for a stream, whose last callback is
proxy_on_log. Nor is proxy_on_response_headers: `resume_http_response` before the response crashes Envoy, but a filter
without a callback for the response never has one to resume, so the call is refused.
"""

from __future__ import annotations

from .._abi import CALLBACKS
from .._stream.phases import PHASES
from .._stream.registration import MESSAGES, Entry, Registration
from ..types import HttpContext, PluginContext, TcpContext, VMContext
from .declarations import may_pause, traits_of, undeclared_edits

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
"""Both kinds of streams have this callback. Alone it would not tell which kind a module is for: another is added.
Without one, it is a plugin's `on_log`: the module is an access logger."""


def callbacks_used(registration: Registration) -> tuple[str, ...]:
    """Names of the callbacks to export, in the order of the ABI.

    The class that a factory returns is not known in advance, so all callbacks of its kind are exported; likewise for a
    class that overrides `new_http_context` or its siblings.
    """
    used = _ALWAYS | _needed(registration)
    if any(_http_of(registered, registration.vm) for registered in _registered(registration)):
        used |= {_FIRST[HttpContext]}
    return tuple(callback.name for callback in CALLBACKS if callback.name in used)


def ignores_request_headers(registration: Registration) -> bool:
    """Whether no class has a use for request headers; they are needed to choose by rules, which it may be given."""
    return _FIRST[HttpContext] not in _needed(registration)


def callbacks_written(registration: Registration) -> dict[str, list[str] | None]:
    """For display: each registered class with the callbacks that its author wrote; None for a factory, whose class
    is not known.
    """
    written = {}
    for root_id, registered in (("", registration), *registration.named):
        entries = (registered.vm, registered.plugin, registered.http, registered.tcp)
        for entry, base in zip(entries, (VMContext, PluginContext, HttpContext, TcpContext), strict=True):
            if entry is not None:
                name = f"{entry.factory_name} (root_id {root_id!r})" if root_id else entry.factory_name
                written[name] = _written(entry.factory, base) if isinstance(entry.factory, type) else None
    return written


def edits_undeclared(registration: Registration) -> list[str]:
    """Warnings: the methods of registered classes that change a body although the class does not declare it."""
    entries = [registered.http for registered in (registration, *(named for _, named in registration.named))]
    classes = dict.fromkeys(entry.factory for entry in entries if entry is not None and isinstance(entry.factory, type))
    return [str(edit) for cls in classes for edit in undeclared_edits(cls)]


def headers_held(registration: Registration) -> dict[str, str | None]:
    """What the HTTP class of each `root_id` needs of the host's configuration (`PWASM_HOLD_HEADERS`); empty if nothing.

    "required": it holds headers. "wanted": it buffers bodies, which is better done by holding headers. None: neither,
    or a factory, whose class is not known.
    """
    held = {root_id: _held(registration.for_root(root_id)) for root_id in ("", *dict(registration.named))}
    return held if any(held.values()) else {}


def _held(registration: Registration | None) -> str | None:
    cls = registration.http.factory if registration is not None and registration.http is not None else None
    traits = traits_of(cls) if isinstance(cls, type) else None
    if traits is None or not traits.wants_held_headers:
        return None
    return "required" if any(traits.holds) else "wanted"


def _written(cls: type, base: type) -> list[str]:
    methods = [name for name, method in vars(base).items() if name[:3] in {"on_", "new"} and callable(method)]
    return [name for name in methods if getattr(cls, name) is not getattr(base, name)]


def _registered(registration: Registration) -> list[Registration]:
    return [registration, *(named for _, named in registration.named)]


def _needed(registration: Registration) -> set[str]:
    """The callbacks that registered classes override, or need for what they declare."""
    return {name for registered in _registered(registration) for name in _used(registered, registration.vm)}


def _plugin_of(registration: Registration, vm: Entry | None) -> Entry | None:
    return _ANY if vm is not None and _overrides(vm, "new_plugin_context") else registration.plugin


def _http_of(registration: Registration, vm: Entry | None) -> Entry | None:
    plugin = _plugin_of(registration, vm)
    return _ANY if plugin is not None and _overrides(plugin, "new_http_context") else registration.http


def _used(registration: Registration, vm: Entry | None) -> set[str]:
    plugin, http, tcp = _plugin_of(registration, vm), _http_of(registration, vm), registration.tcp
    if plugin is not None and _overrides(plugin, "new_tcp_context"):
        tcp = _ANY
    used: set[str] = set()
    for entry, base in ((plugin, PluginContext), (http, HttpContext), (tcp, TcpContext)):
        if entry is not None:
            methods = {name for name in vars(base) if name.startswith("on_") and _overrides(entry, name)}
            exports = {export for export, phase in PHASES.items() if phase.method in methods}
            if methods & {"on_stream_done", "on_log"}:
                exports.add(_LAST)
            used |= exports | ({_FIRST[base]} if exports == {_LAST} and base in _FIRST else set())
    if http is not None and isinstance(http.factory, type):
        traits = traits_of(http.factory)
        used |= traits.callbacks() if traits is not None else set()
        used |= _to_hold(http.factory, used)
    return used


def _to_hold(cls: type, used: set[str]) -> set[str]:
    """The callbacks without which a part of a message would pass what is held of it.

    After a body callback that holds bytes, trailers are the last moment to put them back. And if the host lets body
    callbacks come while headers are paused (`allow_on_headers_stop_iteration`), only they can keep the body waiting.
    """
    needed = set()
    for name in MESSAGES.values():
        if f"proxy_on_{name}_body" in used:
            needed.add(f"proxy_on_{name}_trailers")
        if f"proxy_on_{name}_headers" in used and may_pause(cls, f"on_http_{name}_headers"):
            needed |= {f"proxy_on_{name}_body", f"proxy_on_{name}_trailers"}
    return needed


_ANY = Entry(lambda: None, False, "")


def _overrides(entry: Entry, method: str) -> bool:
    """Whether contexts of `entry` may override `method`."""
    if not isinstance(entry.factory, type):
        return True
    for base in (PluginContext, HttpContext, TcpContext):
        if issubclass(entry.factory, base):
            return getattr(entry.factory, method) is not getattr(base, method)
    return method == "new_plugin_context" and "new_plugin_context" in _attributes_before_base(entry.factory)


def _attributes_before_base(cls: type) -> set[str]:
    return {name for klass in cls.__mro__[:-2] for name in vars(klass)}
