"""Decode a component (component-model, design/mvp/Binary.md); only what populates the core index spaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import DecodeError, UnsupportedError
from ..wasm.decode import decode_module
from ..wasm.module import MAGIC, Module, SectionSpan
from ..wasm.reader import Reader
from .definitions import Canonical, Component, CoreExport, InlineExports, Instantiate, Sort

LAYER_AND_VERSION = b"\x0d\0\x01\0"


@dataclass
class _Spaces:
    """Index spaces under construction."""

    modules: list[Module] = field(default_factory=list)
    instances: list[Instantiate | InlineExports] = field(default_factory=list)
    functions: list[CoreExport | Canonical] = field(default_factory=list)
    tables: list[CoreExport] = field(default_factory=list)
    memories: list[CoreExport] = field(default_factory=list)
    globals: list[CoreExport] = field(default_factory=list)
    exports_function: bool = False

    def of(self, sort: Sort) -> list[Any]:
        """The index space of `sort`, one of the four kinds that instances export."""
        spaces: dict[Sort, list[Any]] = {
            Sort.FUNC: self.functions,
            Sort.TABLE: self.tables,
            Sort.MEMORY: self.memories,
            Sort.GLOBAL: self.globals,
        }
        return spaces[sort]


def decode_component(data: bytes) -> Component:
    """Decode the component in `data`.

    Raises:
        DecodeError: the bytes are not a component; with the offset from the start of `data`.
        UnsupportedError: a valid definition outside the subset.
    """
    reader = Reader(memoryview(data))
    if bytes(reader.take(4)) != MAGIC:
        raise DecodeError("not a Wasm binary: the magic number is missing", offset=0)
    if bytes(reader.take(4)) != LAYER_AND_VERSION:
        raise DecodeError("not a component", offset=4)
    spaces = _Spaces()
    wiring: list[SectionSpan] = []
    while not reader.at_end():
        at = reader.position
        identifier, contents = reader.section()
        decode = _SECTIONS.get(identifier)
        if decode is None:
            raise DecodeError(f"unknown component section id {identifier}", offset=at)
        if decode not in (_skip, _module):
            wiring.append(SectionSpan(f"component {identifier}", contents.position, contents.end - contents.position))
        decode(contents, spaces)
        contents.finish(f"component section {identifier}")
    if not spaces.exports_function:  # the world's function comes last: a file truncated at a section boundary lacks it
        raise DecodeError("the component is truncated: it exports no function", offset=reader.position)
    return Component(
        tuple(spaces.modules),
        tuple(spaces.instances),
        tuple(spaces.functions),
        tuple(spaces.tables),
        tuple(spaces.memories),
        tuple(spaces.globals),
        tuple(wiring),
    )


def _skip(reader: Reader, _spaces: _Spaces) -> None:
    reader.position = reader.end


def _module(reader: Reader, spaces: _Spaces) -> None:
    spaces.modules.append(decode_module(reader.data, reader.position, reader.end))
    reader.position = reader.end


def _index(reader: Reader, space: Sequence[object], what: str) -> int:
    at, index = reader.position, reader.u32()
    if index >= len(space):
        raise DecodeError(f"{what} {index} is not defined yet", offset=at)
    return index


def _sort(reader: Reader) -> Sort:
    at, byte = reader.position, reader.byte()
    if byte not in Sort.__members__.values():
        raise DecodeError(f"unknown core sort {byte:#x}", offset=at)
    return Sort(byte)


def _core_instances(reader: Reader, spaces: _Spaces) -> None:
    """core:instance ::= 0x00 moduleidx vec(name 0x12 instanceidx) | 0x01 vec(name core:sortidx)"""
    for _ in range(reader.count()):
        at, form = reader.position, reader.byte()
        if form == 0x00:
            module = _index(reader, spaces.modules, "core module")
            arguments = dict(_argument(reader, spaces) for _ in range(reader.count()))
            spaces.instances.append(Instantiate(module, arguments, at))
        elif form == 0x01:
            exports = dict(_inline_export(reader, spaces) for _ in range(reader.count()))
            spaces.instances.append(InlineExports(exports, at))
        else:
            raise DecodeError(f"unknown core instance form {form:#x}", offset=at)


def _argument(reader: Reader, spaces: _Spaces) -> tuple[str, int]:
    name, at = reader.name(), reader.position
    if reader.byte() != Sort.INSTANCE:
        raise DecodeError("the argument must be a core instance", offset=at)
    return name, _index(reader, spaces.instances, "core instance")


def _inline_export(reader: Reader, spaces: _Spaces) -> tuple[str, tuple[Sort, int]]:
    name, at, sort = reader.name(), reader.position, _sort(reader)
    if sort not in (Sort.FUNC, Sort.TABLE, Sort.MEMORY, Sort.GLOBAL):
        raise UnsupportedError(f"inline export of sort {sort.name.lower()}", offset=at)
    return name, (sort, _index(reader, spaces.of(sort), f"core {sort.name.lower()}"))


def _aliases(reader: Reader, spaces: _Spaces) -> None:
    """alias ::= sort target;  target ::= 0x00 instance name | 0x01 core instance name | 0x02 outer"""
    for _ in range(reader.count()):
        at, sort = reader.position, reader.byte()
        core = _sort(reader) if sort == 0x00 else None
        target = reader.byte()
        if target == 0x01 and core is not None:
            instance = _index(reader, spaces.instances, "core instance")
            item = CoreExport(instance, reader.name(), at)
            if core not in (Sort.FUNC, Sort.TABLE, Sort.MEMORY, Sort.GLOBAL):
                raise UnsupportedError(f"alias of a core {core.name.lower()}", offset=at)
            spaces.of(core).append(item)
        elif core is not None:
            raise UnsupportedError("alias of a core item from outside the component", offset=at)
        elif target == 0x00:
            reader.u32()
            reader.name()
        elif target == 0x02:
            reader.u32()
            reader.u32()
        else:
            raise DecodeError(f"unknown alias target {target:#x}", offset=at)


def _canonicals(reader: Reader, spaces: _Spaces) -> None:
    """canon ::= 0x00 0x00 f opts ft (lift) | 0x01 0x00 f opts (lower) | 0x02, 0x03, 0x04 t (resource.*)"""
    for _ in range(reader.count()):
        at, form = reader.position, reader.byte()
        if form in (0x00, 0x01):
            if reader.byte() != 0x00:
                raise DecodeError("malformed canon lift or lower", offset=at)
            reader.u32()
            _canonical_options(reader)
            if form == 0x00:
                reader.u32()
            else:
                spaces.functions.append(Canonical("canon lower", at))
        elif form in _RESOURCE:
            reader.u32()
            spaces.functions.append(Canonical(_RESOURCE[form], at))
        else:
            raise UnsupportedError(f"canonical definition {form:#x}", offset=at)


_RESOURCE = {0x02: "resource.new", 0x03: "resource.drop", 0x04: "resource.rep"}


def _canonical_options(reader: Reader) -> None:
    for _ in range(reader.count()):
        at, option = reader.position, reader.byte()
        if option in (0x03, 0x04, 0x05, 0x07):  # memory, realloc, post-return, callback: each has an index
            reader.u32()
        elif option > 0x08:
            raise UnsupportedError(f"canonical option {option:#x}", offset=at)


def _name(reader: Reader) -> str:
    """importname' and exportname': 0x00 or 0x01, then the name; 0x02 adds a list of attributes."""
    at, form = reader.position, reader.byte()
    if form > 0x01:
        raise UnsupportedError("import or export name with attributes", offset=at)
    return reader.name()


def _external(reader: Reader) -> None:
    """externdesc ::= 0x00 0x11 i | 0x01 i | 0x02 bound | 0x03 typebound | 0x04 i | 0x05 i"""
    at, sort = reader.position, reader.byte()
    if sort == 0x00:
        raise UnsupportedError("import of a core module", offset=at)
    if sort in (0x01, 0x04, 0x05):
        reader.u32()
    elif sort == 0x03:
        if reader.byte() == 0x00:
            reader.u32()
    else:
        raise UnsupportedError(f"import or export of sort {sort:#x}", offset=at)


def _imports(reader: Reader, _spaces: _Spaces) -> None:
    for _ in range(reader.count()):
        _name(reader)
        _external(reader)


def _exports(reader: Reader, spaces: _Spaces) -> None:
    for _ in range(reader.count()):
        _name(reader)
        at, sort = reader.position, reader.byte()
        if sort == 0x00:
            raise UnsupportedError("export of a core item", offset=at)
        spaces.exports_function |= sort == 0x01
        reader.u32()
        if reader.byte() == 0x01:
            _external(reader)


_SECTIONS: dict[int, Callable[[Reader, _Spaces], None]] = {
    0: _skip,  # custom
    1: _module,
    2: _core_instances,
    3: _skip,  # core types
    4: _skip,  # nested components: componentize-py's only re-export what this one defines
    5: _skip,  # component instances
    6: _aliases,
    7: _skip,  # component types
    8: _canonicals,
    10: _imports,
    11: _exports,
}
