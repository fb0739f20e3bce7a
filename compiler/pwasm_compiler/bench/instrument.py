"""A finished module with additional imports, functions and exports. For measurements only; none of this ships.

New functions and globals get the last indices of their kind, so nothing in the module moves, unless new functions are
imported: they precede the module's own functions, and then every call is renumbered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pwasm_compiler.errors import UnsupportedError
from pwasm_compiler.wasm import encode
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.instructions import Site, Space, sites
from pwasm_compiler.wasm.leb128 import encode_unsigned
from pwasm_compiler.wasm.module import (
    Body,
    ElementSegment,
    Export,
    FuncType,
    Global,
    Import,
    Kind,
    Module,
    Section,
)

_END = b"\x0b"
_OTHER_SECTIONS = (Section.TABLE, Section.MEMORY, Section.DATA)


@dataclass(frozen=True)
class Function:
    """A new function: `code` without its final `end`; `locals` beyond the parameters, as value types."""

    type: FuncType
    code: bytes
    locals: bytes = b""

    def encoded(self) -> bytes:
        """The body as encoded in the code section."""
        declared = [b"\x01" + bytes([kind]) for kind in self.locals]
        body = encode_unsigned(len(declared)) + b"".join(declared) + self.code + _END
        return encode_unsigned(len(body)) + body


@dataclass
class Edit:
    """The module `original` and its additions. Indices refer to the module that `finish` writes."""

    original: Module
    host_functions: Sequence[tuple[str, str, FuncType]] = ()
    """Functions to be imported, each (module, name, type); `imported` holds their indices."""
    functions: list[Function] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    exports: dict[str, int] = field(default_factory=dict)
    """New functions to export, under new names or replacing existing exports."""

    def __post_init__(self) -> None:
        self.types = list(self.original.types)
        there = {(item.module, item.name): at for at, item in enumerate(self.original.imported(Kind.FUNC))}
        wanted = [(module, name) for module, name, _ in self.host_functions]
        missing = [item for item in self.host_functions if item[:2] not in there]
        self.more = [Import(module, name, Kind.FUNC, self.type_index(kind)) for module, name, kind in missing]
        self.first_new = len(self.original.imported(Kind.FUNC))  # Go imports a function more than once
        there.update({item[:2]: self.first_new + at for at, item in enumerate(missing)})
        self.imported = tuple(there[name] for name in wanted)

    def type_index(self, item: FuncType) -> int:
        """The index of this type, which is added if the module does not have it."""
        if item not in self.types:
            self.types.append(item)
        return self.types.index(item)

    def add(self, function: Function) -> int:
        """Add a function; returns its index."""
        self.functions.append(function)
        self.type_index(function.type)
        return self.first_new + len(self.more) + len(self.original.functions) + len(self.functions) - 1

    def add_global(self, item: Global) -> int:
        """Add a global; returns its index."""
        self.globals.append(item)
        return len(self.original.imported(Kind.GLOBAL)) + len(self.original.globals) + len(self.globals) - 1

    def moved(self, function: int) -> int:
        """The new index of a function of the original."""
        return function if function < self.first_new else function + len(self.more)

    def type_of(self, function: int) -> FuncType:
        """The type of a function of the original."""
        imports = self.original.imported(Kind.FUNC)
        if function >= len(imports):
            return self.original.types[self.original.functions[function - len(imports)]]
        kind = imports[function].type
        assert isinstance(kind, int)
        return self.original.types[kind]

    def finish(self) -> bytes:
        """The edited module, without its custom sections.

        Raises:
            UnsupportedError: a part of the module that must be rewritten has an unsupported form.
        """
        original = self.original
        written: dict[Section, bytes] = {
            Section.TYPE: encode.section(Section.TYPE, map(encode.func_type, self.types)),
            Section.IMPORT: self._imports(),
            Section.FUNCTION: encode.section(
                Section.FUNCTION,
                map(encode_unsigned, [*original.functions, *(self.type_index(item.type) for item in self.functions)]),
            ),
            Section.GLOBAL: encode.section(Section.GLOBAL, map(encode.global_, [*original.globals, *self.globals])),
            Section.EXPORT: encode.section(Section.EXPORT, map(encode.export, self._exports())),
            Section.START: self._start(),
            Section.ELEMENT: self._elements(),
            Section.DATA_COUNT: self._copied(Section.DATA_COUNT),
            Section.CODE: self._code(),
            **{section: self._copied(section) for section in _OTHER_SECTIONS},
        }
        order = (*_BEFORE_CODE, Section.CODE, Section.DATA)
        return encode.PREAMBLE + b"".join(written[section] for section in order)

    def _copied(self, section: Section) -> bytes:
        for span in self.original.sections:
            if span.name == section.name.lower():
                return encode.raw_section(section, bytes(self.original.source[span.start : span.start + span.size]))
        return b""

    def _imports(self) -> bytes:
        if not self.more:
            return self._copied(Section.IMPORT)
        if any(item.kind is not Kind.FUNC for item in self.original.imports):
            raise UnsupportedError("unsupported module: it imports more than functions")
        return encode.section(Section.IMPORT, map(encode.function_import, [*self.original.imports, *self.more]))

    def _exports(self) -> list[Export]:
        kept = [
            Export(item.name, item.kind, self.moved(item.index) if item.kind is Kind.FUNC else item.index)
            for item in self.original.exports
            if item.name not in self.exports
        ]
        return [*kept, *(Export(name, Kind.FUNC, index) for name, index in self.exports.items())]

    def _start(self) -> bytes:
        start = self.original.start
        return b"" if start is None else encode.raw_section(Section.START, encode_unsigned(self.moved(start)))

    def _elements(self) -> bytes:
        if not self.more:
            return self._copied(Section.ELEMENT)
        return encode.section(Section.ELEMENT, map(self._element, self.original.elements))

    def _element(self, segment: ElementSegment) -> bytes:
        usual = segment.table == 0 and segment.offset is not None and segment.offset.global_index is None
        functions = [self.moved(at) for at in segment.functions if at is not None]
        if not usual or len(functions) != len(segment.functions):
            raise UnsupportedError("unsupported element segment: not active, or not of functions")
        assert segment.offset is not None
        return encode.active_element(segment.offset.value, functions)

    def _code(self) -> bytes:
        source = bytes(self.original.source)
        old = self.original.bodies
        bodies = self._renumbered(source) if self.more else [source[item.start : item.end] for item in old]
        encoded = [encode_unsigned(len(body)) + body for body in bodies]
        return encode.section(Section.CODE, [*encoded, *(item.encoded() for item in self.functions)])

    def _renumbered(self, source: bytes) -> list[bytes]:
        indices: dict[bytes, int] = {}
        encoded: dict[int, bytes] = {}

        def number(site: Site) -> bytes:
            if site.target not in encoded:
                encoded[site.target] = encode_unsigned(self.moved(site.target))
            return encoded[site.target]

        return [_replaced(source, body, indices, number) for body in self.original.bodies]


_BEFORE_CODE = (
    Section.TYPE,
    Section.IMPORT,
    Section.FUNCTION,
    Section.TABLE,
    Section.MEMORY,
    Section.GLOBAL,
    Section.EXPORT,
    Section.START,
    Section.ELEMENT,
    Section.DATA_COUNT,
)


def _replaced(source: bytes, body: Body, indices: dict[bytes, int], number: Callable[[Site], bytes]) -> bytes:
    """The body with each function index replaced by its `number`."""
    pieces: list[bytes] = []
    position = body.start
    for site in sites(source, body, indices):
        if site.space in (Space.FUNC, Space.REF):
            pieces += (source[position : site.start], number(site))
            position = site.end
    pieces.append(source[position : body.end])
    return b"".join(pieces)


def with_trap(wasm: bytes, callback: str, kind: FuncType) -> bytes:
    """The module with a callback of this type that traps when called."""
    edit = Edit(decode_module(memoryview(wasm)))
    edit.exports[callback] = edit.add(Function(kind, b"\x00"))
    return edit.finish()
