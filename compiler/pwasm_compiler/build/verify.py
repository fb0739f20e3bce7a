"""The output gate: would Envoy load this module, and since which version? Used by builds and `pwasm inspect`."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import VerifyError, report_a_bug
from ..wasm.limits import V8, WASMPARSER, exceeded
from ..wasm.module import I32, I64, FuncType, Kind, Module
from .abi_table import abi_table

ABI_MARKERS = ("proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1")

MAXIMUM_PAGES = 16384
"""Envoy's V8 gives a VM at most 1 GiB (--wasm_max_mem_pages)."""

TRAP = b"\x00\x00\x0b"
"""A function's body: no locals, `unreachable`, `end`."""

WASI_MODULES = ("wasi_snapshot_preview1", "wasi_unstable")
WASI_TYPES = {
    # Provided by proxy-wasm-cpp-host since before Envoy 1.25 (later hosts provide more).
    "fd_write": "i32 i32 i32 i32",
    "fd_read": "i32 i32 i32 i32",
    "fd_seek": "i32 i64 i32 i32",
    "fd_close": "i32",
    "fd_fdstat_get": "i32 i32",
    "environ_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "args_get": "i32 i32",
    "args_sizes_get": "i32 i32",
    "clock_time_get": "i32 i64 i32",
    "random_get": "i32 i32",
    "proc_exit": "i32",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
    "fd_prestat_get": "i32 i32",
    "fd_prestat_dir_name": "i32 i32 i32",
}
WASI_TYPES_SINCE_1_33 = {
    # Added in Envoy 1.33: what Go's own compiler needs in addition.
    "fd_fdstat_set_flags": "i32 i32",
    "sched_yield": "",
    "poll_oneoff": "i32 i32 i32 i32",
}
EXTRA_CALLBACKS = {
    # Exports that Envoy knows in addition to the ABI table.
    "malloc": ("i32", "i32"),
    "proxy_on_memory_allocate": ("i32", "i32"),
    "_initialize": ("", ""),
    "_start": ("", ""),
    "main": ("i32 i32", "i32"),
    "__main_void": ("", "i32"),
    "proxy_validate_configuration": ("i32 i32", "i32"),
    "proxy_on_request_metadata": ("i32 i32", "i32"),
    "proxy_on_response_metadata": ("i32 i32", "i32"),
    "envoy_on_resolve_dns": ("i32 i32 i32", ""),
    "envoy_on_stats_update": ("i32 i32", ""),
}
EXTRA_HOSTCALLS = {
    "pthread_equal": ("i32 i32", "i32"),
    "emscripten_notify_memory_growth": ("i32", ""),
    "envoy_resolve_dns": ("i32 i32 i32", "i32"),
}
_CORE = {"i32": I32, "i64": I64}


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why Envoy would reject the module, and its offset in the file."""

    message: str
    offset: int | None = None


def _func_type(params: str, results: str) -> FuncType:
    return FuncType(*(bytes(_CORE[word] for word in side.split()) for side in (params, results)))


@functools.cache
def host_functions() -> dict[tuple[str, str], FuncType]:
    """(module, name) → type of everything that Envoy ≥ 1.33 provides; hostcalls come from the SDK's ABI table."""
    known = {("env", call.name): _func_type(*call.core_type()) for call in abi_table().hostcalls}
    known |= {("env", name): _func_type(*types) for name, types in EXTRA_HOSTCALLS.items()}
    for module in WASI_MODULES:
        for name, params in (WASI_TYPES | WASI_TYPES_SINCE_1_33).items():
            known[module, name] = _func_type(params, "" if name == "proc_exit" else "i32")
    return known


@functools.cache
def callback_types() -> dict[str, FuncType]:
    """Name → type of every export that Envoy calls."""
    known = {callback.name: _func_type(*callback.core_type()) for callback in abi_table().callbacks}
    return known | {name: _func_type(*types) for name, types in EXTRA_CALLBACKS.items()}


def oldest_envoy(module: Module) -> str:
    """The first version of Envoy that provides what `module` imports; 1.25 is the oldest one considered."""
    wasi = {item.name for item in module.imports if item.module in WASI_MODULES}
    return "1.33" if wasi & set(WASI_TYPES_SINCE_1_33) else "1.25"


def callbacks_of(module: Module) -> tuple[str, ...]:
    """Names of the callbacks that `module` exports, sorted; the allocator only looks like one."""
    exported = {item.name for item in module.exports if item.kind is Kind.FUNC} - {"proxy_on_memory_allocate"}
    return tuple(sorted(name for name in exported & set(callback_types()) if name.startswith("proxy_on_")))


def problems(module: Module) -> Iterator[Problem]:
    """Every reason why Envoy ≥ 1.33 would reject `module`, or worse, crash on it."""
    yield from _marker_problems(module)
    yield from _import_problems(module)
    yield from _export_problems(module)
    if module.start is not None:
        yield Problem("start section: a hostcall in it crashes Envoy", module.offset)
    if len(module.memories) > 1 or module.imported(Kind.MEMORY):
        yield Problem("the module must define exactly one memory", module.offset)
    for memory in module.memories:
        if memory.minimum > MAXIMUM_PAGES:
            yield Problem(f"a memory of {memory.minimum} pages; Envoy allows {MAXIMUM_PAGES}", module.offset)
    yield from (Problem(excess.message, excess.offset) for excess in exceeded(module, V8))


def _marker_problems(module: Module) -> Iterator[Problem]:
    found = [item.name for item in module.exports if item.name.startswith("proxy_abi_version_")]
    if not found:
        yield Problem("no export proxy_abi_version_…: this is not a Proxy-Wasm module", module.offset)
    for name in found:
        if name not in ABI_MARKERS:
            yield Problem(f"{name} is not an ABI version that Envoy supports", module.offset)


def _import_problems(module: Module) -> Iterator[Problem]:
    known = host_functions()
    for item in module.imports:
        name = f"{item.module}.{item.name}"
        if item.kind is not Kind.FUNC:
            yield Problem(f"import {name} of kind {item.kind.name.lower()}; Envoy provides only functions", item.offset)
        elif (item.module, item.name) not in known:
            yield Problem(f"import {name}, which Envoy does not provide (or only since 1.40)", item.offset)
        elif isinstance(item.type, int) and item.type < len(module.types):
            wanted, found = known[item.module, item.name], module.types[item.type]
            if wanted != found:
                yield Problem(f"import {name} has type {found}, Envoy provides {wanted}", item.offset)


def _export_problems(module: Module) -> Iterator[Problem]:
    names = {item.name for item in module.exports if item.kind is Kind.FUNC}
    if not names & {"malloc", "proxy_on_memory_allocate"}:
        yield Problem("no export malloc or proxy_on_memory_allocate", module.offset)
    if not any(item.kind is Kind.MEMORY for item in module.exports):
        yield Problem("the memory is not exported", module.offset)
    known = callback_types()
    for item in module.exports:
        if item.kind is Kind.TAG:
            yield Problem(f"export {item.name} is a tag, which crashes Envoy on load", module.offset)
        elif item.kind is Kind.FUNC and item.name in known:
            if _only_traps(module, item.index):
                yield Problem(f"export {item.name} does nothing but trap", module.offset)
            found = exported_type(module, item.index)
            if found != known[item.name]:
                yield Problem(f"export {item.name} has type {found}, Envoy expects {known[item.name]}", module.offset)


def hostcalls_of(module: Module) -> tuple[str, ...]:
    """Names of the hostcalls that `module` imports, in order."""
    return tuple(item.name for item in module.imports if item.module == "env")


def exported_type(module: Module, index: int) -> FuncType | None:
    """Type of function `index` of the function index space, or None when there is no such function."""
    imported = module.imported(Kind.FUNC)
    if index < len(imported):
        type_index = imported[index].type
    elif index - len(imported) < len(module.functions):
        type_index = module.functions[index - len(imported)]
    else:
        return None
    return module.types[type_index] if isinstance(type_index, int) and type_index < len(module.types) else None


def _only_traps(module: Module, index: int) -> bool:
    """Whether function `index` is just `unreachable`: a single call would kill the worker's VM."""
    number = index - len(module.imported(Kind.FUNC))
    if not 0 <= number < len(module.bodies):
        return False
    body = module.bodies[number]
    return bytes(module.source[body.start : body.end]) == TRAP


def verify_build(module: Module) -> None:
    """Raise `VerifyError` unless `module`, which we linked, is what we promise; stricter than Envoy.

    Envoy 1.25 would load it, exports are only what Envoy calls, the memory has a maximum, tables are not exported.
    No engine finds it too large: whatever is too much came from the filter, unlike the rest.
    """
    for excess in exceeded(module, V8, WASMPARSER):
        raise VerifyError(
            f"the module is too large for its engines: {excess.message}",
            offset=excess.offset,
            hint="load less when the filter is imported, and keep fewer objects",
        )
    found = list(problems(module))
    if oldest_envoy(module) != "1.25":
        found.append(Problem(f"it requires Envoy {oldest_envoy(module)}"))
    allowed = {*callback_types(), "memory", ABI_MARKERS[-1]} - {"_start", "main", "__main_void", "_initialize"}
    found += [
        Problem(f"export {item.name} is not part of the ABI") for item in module.exports if item.name not in allowed
    ]
    if len(module.memories) != 1 or module.memories[0].maximum is None:
        found.append(Problem("the memory has no maximum"))
    if found:
        raise VerifyError(
            f"the linked module is not loadable: {found[0].message}",
            offset=found[0].offset,
            why=report_a_bug(),
        )


def verify_foreign(module: Module, compiler: str) -> None:
    """Raise `VerifyError` unless Envoy would load `module`, which another `compiler` built from the user's source."""
    found = list(problems(module))
    if not found:
        return
    markers = [item for item in module.exports if item.name.startswith("proxy_abi_version_")]
    raise VerifyError(
        f"{compiler} built a module that Envoy would not load: {found[0].message}",
        offset=found[0].offset,
        why="\n".join(f"also: {problem.message}" for problem in found[1:]),
        hint="" if markers else "the filter must import a Proxy-Wasm SDK and register its contexts",
    )
