"""What each import resolves to once the component is gone: an item, a host function, or nothing.

Rules, in this order:
1. An import of WASI resolves to the shim's export `<interface>#<function>`. Without one it resolves to nothing, and
   the build fails if it is reachable: an unanswered WASI call would kill the VM.
2. A weak undefined function of the *shim* is a host function. wit-component has satisfied it with a trapping stub,
   which is dropped here. `proxy_…` comes from `env`, `wasi_p1_…` from `wasi_snapshot_preview1`.
3. Anything else resolves to what the instance graph says.
4. A function that only forwards to a fixed slot of the table (wit-component's trampolines) resolves to what is in that
   slot. Tables cannot change at run time: `instructions` rejects the instructions that could change them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..component.definitions import Canonical
from ..component.graph import InstanceGraph, Item, ModuleInstance
from ..errors import DecodeError, LinkError, UnsupportedError
from ..wasm.leb128 import decode_unsigned
from ..wasm.module import FuncType, Kind, Module
from ..wasm.reader import Reader

ABI_MARKER = "proxy_abi_version_0_2_1"
"""Exported only by the shim, and by every finished module: tells the host the ABI version."""
WASI_PREVIEW1 = "wasi_snapshot_preview1"
_WEAK_UNDEFINED = 0x11  # WASM_SYM_BINDING_WEAK | WASM_SYM_UNDEFINED of the dylink.0 import-info subsection
_IMPORT_INFO = 4
_HOST_MODULES = {"proxy_": ("env", ""), "wasi_p1_": (WASI_PREVIEW1, "wasi_p1_")}


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A function that Envoy provides."""

    module: str
    name: str
    type: FuncType


@dataclass(frozen=True, slots=True)
class Unbound:
    """An unresolved import; an error if it is reachable."""

    name: str
    offset: int


Target = Item | HostFunction | Unbound


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """The instance graph with the rules applied."""

    graph: InstanceGraph
    shim: ModuleInstance
    imported_functions: tuple[tuple[Target, ...], ...]  # by instance, by position among its function imports
    imported_globals: tuple[tuple[Item, ...], ...]
    memory: Item
    table: Item


def resolve(graph: InstanceGraph, marker: str, from_host: frozenset[str] = frozenset()) -> LinkPlan:
    """Apply the rules of this file; the shim is the instance that exports `marker`, the ABI version.

    WASI imports listed in `from_host` (`<interface>#<function>`) become imports of the linked module instead.

    Raises:
        LinkError: there is no shim, or it has no memory or table.
        UnsupportedError: a module has a start function.
    """
    shim = graph.exporter_of(marker)
    if shim is None:
        raise LinkError(f"no module of the component exports {marker}: the runtime shim is missing")
    for instance in graph.instances:
        if instance.module.start is not None:
            raise UnsupportedError("start function", offset=instance.module.offset)
    weak = weak_undefined(shim.module)
    functions = tuple(_functions(graph, instance, shim, weak, from_host) for instance in graph.instances)
    globals_ = tuple(_items(instance, Kind.GLOBAL) for instance in graph.instances)
    return LinkPlan(graph, shim, functions, globals_, _only(shim, Kind.MEMORY), _only(shim, Kind.TABLE))


def _functions(
    graph: InstanceGraph,
    instance: ModuleInstance,
    shim: ModuleInstance,
    weak: frozenset[str],
    from_host: frozenset[str],
) -> tuple[Target, ...]:
    targets: list[Target] = []
    for item, provider in zip(instance.module.imports, instance.providers, strict=True):
        if item.kind is not Kind.FUNC:
            continue
        target: Target
        if item.module.startswith("wasi:") or item.module == WASI_PREVIEW1:
            ours = f"{item.module}#{item.name}"
            if ours in from_host and isinstance(item.type, int):
                own = func_type(instance.module, item.type, item.offset)
                targets.append(HostFunction(item.module, item.name, own))
                continue
            target = _exported(graph, shim, ours) if ours in shim.exports else Unbound(ours, item.offset)
        elif instance is shim and item.name in weak:
            target = _host_function(instance.module, item.name, item.type, item.offset)
        elif isinstance(provider, Canonical):
            target = Unbound(f"{item.module}.{item.name} ({provider.what})", item.offset)
        else:
            target = provider
        targets.append(target)
    return tuple(targets)


def _exported(graph: InstanceGraph, shim: ModuleInstance, name: str) -> Item:
    item = graph.export(shim, name)
    if not isinstance(item, Item) or item.kind is not Kind.FUNC:
        raise LinkError(f"the shim's {name} is not a function", offset=shim.module.offset)
    return item


def _host_function(module: Module, name: str, type_index: object, offset: int) -> Target:
    for prefix, (host_module, strip) in _HOST_MODULES.items():
        if name.startswith(prefix) and isinstance(type_index, int):
            return HostFunction(host_module, name.removeprefix(strip), func_type(module, type_index, offset))
    return Unbound(name, offset)


def func_type(module: Module, index: int, offset: int) -> FuncType:
    """Type `index` of `module`; `offset` is for the error."""
    if index >= len(module.types):
        raise DecodeError(f"type {index} is not defined", offset=offset)
    return module.types[index]


def _items(instance: ModuleInstance, kind: Kind) -> tuple[Item, ...]:
    found = []
    for item, provider in zip(instance.module.imports, instance.providers, strict=True):
        if item.kind is kind:
            if not isinstance(provider, Item):
                raise LinkError(f"undefined symbol {item.module}.{item.name}", offset=item.offset)
            found.append(provider)
    return tuple(found)


def _only(shim: ModuleInstance, kind: Kind) -> Item:
    items = _items(shim, kind)
    if len(items) != 1:
        raise LinkError(
            f"the shim has {len(items)} imports of kind {kind.name.lower()}, not 1", offset=shim.module.offset
        )
    return items[0]


def weak_undefined(module: Module) -> frozenset[str]:
    """Names that `module` declares as weak and undefined (tool-conventions, DynamicLinking.md, import-info)."""
    for custom in module.customs:
        if custom.name == "dylink.0":
            return frozenset(_weak_names(Reader(custom.data)))
    return frozenset()


def _weak_names(reader: Reader) -> list[str]:
    found = []
    while not reader.at_end():
        identifier, contents = reader.section()
        if identifier != _IMPORT_INFO:
            continue
        for _ in range(contents.count()):
            contents.name()
            name, flags = contents.name(), contents.u32()
            if flags & _WEAK_UNDEFINED == _WEAK_UNDEFINED:
                found.append(name)
    return found


# local.get 0 … n-1; i32.const slot; call_indirect type table; end  (no locals)
_TRAMPOLINE = re.compile(
    rb"(?s)\x00((?:\x20[\x00-\x7f])*)\x41([\x80-\xff]{0,4}[\x00-\x7f])\x11([\x80-\xff]{0,4}[\x00-\x7f])([\x00-\x7f])\x0b"
)


@dataclass(frozen=True, slots=True)
class Trampoline:
    """A body that forwards its parameters to `slot` of table `table` (an index of its module)."""

    slot: int
    table: int


def trampoline(code: bytes, module: Module, index: int) -> Trampoline | None:
    """The trampoline that defined function `index` of `module` is, or None."""
    body = module.bodies[index]
    if body.end - body.start > 64:
        return None
    found = _TRAMPOLINE.fullmatch(code, body.start, body.end)
    if found is None:
        return None
    own = module.functions[index]
    params = len(module.types[own].params) if own < len(module.types) else -1
    if found[1] != b"".join(b"\x20" + bytes([n]) for n in range(params)):
        return None
    called = decode_unsigned(found[3])
    if called >= len(module.types) or module.types[called] != module.types[own]:
        return None
    slot = Reader(memoryview(found[2])).signed(32)
    return Trampoline(slot & 0xFFFFFFFF, found[4][0])
