"""What our modules record about themselves in a custom section, for `pwasm inspect`."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..held_headers import NEEDS
from ..wasm import encode
from ..wasm.module import Module

_SECTION = "pwasm"


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """How a module was built; empty where unknown."""

    sdk: str | None = None
    python: str | None = None
    callbacks: Sequence[str] = ()
    written: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    """Each registered class with the callbacks that its author defined; None for a factory."""
    modules: Sequence[str] = ()
    dependencies: Sequence[str] = ()
    hash_seed: int | None = None
    removed: Sequence[str] = ()
    """What was left out, in the names of `[tool.pwasm] keep`."""
    hold_headers: Mapping[str, str | None] = field(default_factory=dict)
    """root_id → "required", "wanted" or None (see `pwasm_compiler.held_headers`); empty if no class needs anything."""

    hashes: Mapping[str, str] = field(default_factory=dict)
    """Dependency → the SHA-256 of its archive; empty if the module was built without a lock."""

    def section(self) -> bytes:
        """The custom section."""
        return encode.custom_section(_SECTION, repr(dataclasses.asdict(self)).encode())


def module_record(module: Module) -> ModuleRecord:
    """The record in `module`. Anyone may have written the section, so anything malformed is ignored."""
    for custom in module.customs:
        if custom.name == _SECTION:
            try:
                found = ast.literal_eval(bytes(custom.data).decode())
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return ModuleRecord()
            return _record(found) if _is_record(found) else ModuleRecord()
    return ModuleRecord()


def _record(found: Mapping[str, object]) -> ModuleRecord:
    """Fields unknown to this version come from another version."""
    known = {field.name for field in dataclasses.fields(ModuleRecord)}
    return ModuleRecord(**{name: value for name, value in found.items() if name in known})  # type: ignore[arg-type]


def _is_record(found: object) -> bool:
    if not isinstance(found, dict):
        return False
    if not isinstance(found.get("hash_seed", 0), int):
        return False
    written, held, hashes = (found.get(key, {}) for key in ("written", "hold_headers", "hashes"))
    if not isinstance(written, dict) or not isinstance(held, dict) or not isinstance(hashes, dict):
        return False
    if not all(need is None or need in NEEDS for need in held.values()):
        return False
    texts = [found.get("sdk", ""), found.get("python", ""), *written, *held, *hashes, *hashes.values()]
    lists = [found.get(key, ()) for key in ("callbacks", "dependencies", "modules", "removed")]
    for names in (*lists, *(names for names in written.values() if names is not None)):
        if not isinstance(names, list | tuple):
            return False
        texts += names
    return all(isinstance(text, str) and text.isprintable() for text in texts)
