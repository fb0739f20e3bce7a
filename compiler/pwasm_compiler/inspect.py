"""The report of `pwasm inspect` on a finished module: any Proxy-Wasm module, built by pwasm or another SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .build.module_record import module_record
from .build.verify import ABI_MARKERS, WASI_MODULES, callbacks_of, hostcalls_of, oldest_envoy, problems
from .errors import BinaryError, DecodeError
from .files import printable_report, read_bytes, shown
from .held_headers import NEEDS
from .link.inlining import is_spent
from .wasm.decode import decode_module
from .wasm.module import PAGE, Kind, Module
from .wasm.reader import Reader


def report(path: Path) -> dict[str, Any]:
    """Describe the module in `path` as plain values (what `--json` prints).

    Raises:
        ProjectError: the file cannot be read, or is too large for a module.
        DecodeError: it is not a core module; with the offset.
    """
    return describe(shown(path), read_bytes(path))


def describe(where: str, data: bytes) -> dict[str, Any]:
    """Describe the module `data`, which came from `where`; `DecodeError` as for `report`."""
    module = decode_file(where, data)
    record = module_record(module)
    found = [{"message": problem.message, "offset": problem.offset} for problem in problems(module)]
    memory = module.memories[0] if module.memories else None
    functions = {item.name for item in module.exports if item.kind is Kind.FUNC}
    return {
        "path": where,
        "size": len(module.source),
        "abi": next((name.removeprefix("proxy_abi_version_") for name in ABI_MARKERS if name in functions), None),
        "accepted": not found,
        "problems": found,
        "oldest_envoy": None if found else oldest_envoy(module),
        "callbacks": list(callbacks_of(module)),
        "exports": sorted(item.name for item in module.exports),
        "hostcalls": sorted(hostcalls_of(module)),
        "wasi": sorted(item.name for item in module.imports if item.module in WASI_MODULES),
        "capabilities": _capabilities(module),
        "memory": None
        if memory is None
        else {
            "initial_bytes": memory.minimum * PAGE,
            "maximum_bytes": None if memory.maximum is None else memory.maximum * PAGE,
        },
        "functions": len(module.bodies),
        "v8_inlining": not is_spent(module),
        "sections": [{"name": span.name, "size": span.size} for span in module.sections],
        "producers": _producers(module),
        "sdk": record.sdk,
        "python": record.python,
        "hash_seed": record.hash_seed,
        "written": record.written,
        "hold_headers": record.hold_headers,
        "dependencies": list(record.dependencies),
        "dependency_hashes": dict(record.hashes),
        "modules": list(record.modules),
        "removed": list(record.removed),
    }


def _capabilities(module: Module) -> list[str]:
    """What the module needs in Envoy's `allowed_capabilities`: all of its imports and exports that can be restricted.

    Envoy does not restrict the allocator, `_initialize` and its own extensions (`envoy_…`).
    """
    hostcalls = [name for name in hostcalls_of(module) if name.startswith("proxy_")]
    return sorted({*callbacks_of(module), *hostcalls, *(i.name for i in module.imports if i.module in WASI_MODULES)})


def decode_file(where: str, data: bytes) -> Module:
    """The module in a file; errors name it."""
    if not data:
        raise DecodeError(f"{where} is empty", offset=0)
    try:
        return decode_module(memoryview(data))
    except BinaryError as error:
        error.args = (f"{where}: {error.what}",)
        error.what = f"{where}: {error.what}"
        if "component" in error.what:
            error.hint = "pwasm build turns a filter into a core module"
        raise


def _producers(module: Module) -> list[str]:
    """Languages and tools in the module's producers section (tool conventions), without duplicates."""
    found: dict[str, None] = {}
    for custom in module.customs:
        if custom.name == "producers":
            try:
                reader = Reader(custom.data)
                for _ in range(reader.count()):
                    reader.name()  # the field: "language", "processed-by" or "sdk"
                    for _ in range(reader.count()):
                        text = f"{reader.name()} {reader.name()}".strip()
                        found[text] = None
            except DecodeError:
                continue  # a malformed custom section does not make a module invalid
    return list(found)


def filter_words(written: Mapping[str, Sequence[str] | None]) -> list[str]:
    """A filter as its author knows it: `AddHeader: on_http_response_headers`."""
    return [
        f"{name}: {'decided at run time' if methods is None else ', '.join(methods) or 'no callbacks of its own'}"
        for name, methods in written.items()
    ]


def _held_words(held: Mapping[str, str | None], written: Mapping[str, Sequence[str] | None]) -> list[str]:
    """Which plugins of the module want their headers held, and what that means."""
    of_root = {root_id: f" (root_id {root_id!r})" if root_id else "" for root_id in held}
    lines = [f"to be held, {need}{of_root[root_id]}: {NEEDS[need]}" for root_id, need in held.items() if need]
    if None in written.values():
        lines.append("not known for what is decided at run time; see --hold-headers of pwasm config")
    return lines


def render(found: dict[str, Any]) -> str:
    """`report` as text."""
    found = printable_report(found)
    memory = found["memory"] or {"initial_bytes": 0, "maximum_bytes": None}
    maximum = memory["maximum_bytes"]
    lines = [
        f"{found['path']}: {_mib(found['size'])}",
        f"  ABI          {found['abi'] or 'not a Proxy-Wasm module'}",
        f"  Envoy        {_verdict(found)}",
        *(f"               - {problem['message']}{_at(problem['offset'])}" for problem in found["problems"]),
        f"  memory       {_mib(memory['initial_bytes'])} at start, "
        + (f"at most {_mib(maximum)}" if maximum else "no maximum"),
        f"  functions    {found['functions']}; "
        + ("V8 inlines calls (see: pwasm optimize)" if found["v8_inlining"] else "V8 inlines no calls"),
        *(f"  {'' if n else 'filter':<13}{line}" for n, line in enumerate(filter_words(found["written"]))),
        *(
            f"  {'' if n else 'headers':<13}{line}"
            for n, line in enumerate(_held_words(found["hold_headers"], found["written"]))
        ),
        *_wrapped("callbacks", [name.removeprefix("proxy_on_") for name in found["callbacks"]]),
        *_wrapped("hostcalls", [name.removeprefix("proxy_") for name in found["hostcalls"]]),
        *_wrapped("WASI", found["wasi"]),
        f"  to allow     all {len(found['capabilities'])} of these, see capability_restriction_config in: pwasm config",
        *(
            f"  {'sections' if not n else '':<13}{s['name']:<22}{s['size']:>12,}"
            for n, s in enumerate(found["sections"])
        ),
    ]
    if found["sdk"]:
        lines.append(f"  built by     pwasm-sdk {found['sdk']}, CPython {found['python']}")
        if found["hash_seed"] is not None:
            lines.append(f"  hash seed    {found['hash_seed']}")
        lines += _dependencies(found["dependencies"], found["dependency_hashes"])
        lines += _wrapped("modules", _top_level(found["modules"]))
        lines += _wrapped("left out", found["removed"])
    elif found["producers"]:
        lines.append(f"  built by     {', '.join(found['producers'])}")
    return "\n".join(lines)


def _dependencies(names: list[str], hashes: Mapping[str, str]) -> list[str]:
    """One on each line, with the archive's hash, if the module was built with a lock."""
    if not hashes:
        return _wrapped("dependencies", names)
    words = [f"{name} sha256:{hashes[name]}" if name in hashes else name for name in names]
    return [f"  {'' if number else 'dependencies':<13}{word}" for number, word in enumerate(words)]


def _verdict(found: dict[str, Any]) -> str:
    return f"would load it, since version {found['oldest_envoy']}" if found["accepted"] else "would reject it"


def _top_level(modules: list[str]) -> list[str]:
    return sorted({name.partition(".")[0] for name in modules})


def _wrapped(title: str, words: list[str], width: int = 96) -> list[str]:
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) + 1 > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
    lines.append(line or "none")
    return [f"  {title if not number else '':<13}{text}" for number, text in enumerate(lines)]


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB" if size >= 1 << 20 else f"{size:,} bytes"


def _at(offset: int | None) -> str:
    return "" if offset is None else f" (at offset {offset:#x})"
