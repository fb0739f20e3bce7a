"""Renumber what is kept and write one core module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..component.graph import Item
from ..errors import DecodeError
from ..wasm import encode
from ..wasm.instructions import Site, Space, returns, skip_locals
from ..wasm.leb128 import encode_signed, encode_unsigned
from ..wasm.module import (
    F32,
    F64,
    FUNCREF,
    I64,
    ConstExpr,
    Export,
    FuncType,
    Global,
    GlobalType,
    Import,
    Kind,
    Limits,
    Module,
    Section,
    TableType,
    function_names,
)
from .dead_data import Range, without_dead_data
from .layout import Layout, global_item
from .passes.loops import Interruption, with_interruption
from .passes.reachable import Reachable, Stub
from .passes.stack import Frame, with_frame
from .resolve import Target
from .segments import at_most


@dataclass(frozen=True, slots=True)
class Code:
    """Everything of the merged module that does not depend on data: the same for every filter with these exports."""

    head: bytes  # type, import, function and table sections
    tail: bytes  # global, export, element and code sections
    names: tuple[str, ...]  # of every function, in the order of the index space
    values: tuple[tuple[int, int, int], ...]  # (instance, index, value) of every global whose value is part of this
    dead_data: tuple[Range, ...] = ()  # addresses of static data that this code cannot reach
    docs: tuple[Range, ...] = ()  # and of docstrings in it

    def module(self, layout: Layout, memory_maximum: int) -> bytes:
        """The whole module, with a memory of at most `memory_maximum` pages."""
        minimum = layout.memory.minimum
        memory = encode.section(Section.MEMORY, [encode.limits(Limits(minimum, max(minimum, memory_maximum)))])
        segments = without_dead_data(layout.data, self.dead_data, self.docs) if self.dead_data else layout.data
        bounded = at_most([placed for placed in segments if placed.data])
        data = encode.section(Section.DATA, [encode.active_data(placed.address, placed.data) for placed in bounded])
        return b"".join([encode.PREAMBLE, self.head, memory, self.tail, data])


def merge(
    layout: Layout,
    kept: Reachable,
    exports: Mapping[str, Target],
    frames: Mapping[Item, Frame] | None = None,
    interruptions: Mapping[Item, Interruption] | None = None,
    export_globals: bool = False,
) -> Code:
    """Merge the functions in `kept`; `exports` are the functions to export by name.

    Those in `frames` get a frame, and those in `interruptions` ask first whether they may run.
    With `export_globals`, kept globals are exported too, as "<instance>:<index>", for a run whose result is read.
    """
    merger = _Merger(layout, kept, frames or {}, interruptions or {})
    bodies = encode.section(Section.CODE, merger.bodies())
    elements = encode.section(Section.ELEMENT, merger.elements())
    export_items = [Export("memory", Kind.MEMORY, 0)]
    export_items += [Export(name, Kind.FUNC, merger.function(target)) for name, target in sorted(exports.items())]
    if export_globals:
        export_items += [
            Export(f"{item.instance}:{item.index}", Kind.GLOBAL, number) for item, number in merger.variables.items()
        ]
    functions = encode.section(Section.FUNCTION, [encode_unsigned(index) for index in merger.function_types()])
    imports = encode.section(Section.IMPORT, [encode.function_import(item) for item in merger.imports()])
    types = encode.section(Section.TYPE, [encode.func_type(item) for item in merger.types])  # last, when all are known
    size = layout.table_size
    table = encode.section(Section.TABLE, [encode.table_type(TableType(FUNCREF, Limits(size, size)))])
    globals_ = encode.section(Section.GLOBAL, [encode.global_(item) for item in merger.globals()])
    exported = encode.section(Section.EXPORT, [encode.export(item) for item in export_items])
    return Code(
        types + imports + functions + table,
        globals_ + exported + elements + bodies,
        merger.names(),
        merger.values(),
        kept.dead_data,
        kept.docs,
    )


class _Merger:
    def __init__(
        self,
        layout: Layout,
        kept: Reachable,
        frames: Mapping[Item, Frame],
        interruptions: Mapping[Item, Interruption],
    ) -> None:
        self.layout = layout
        self.kept = kept
        self.frames = frames
        self.interruptions = interruptions
        self.types: dict[FuncType, int] = {}
        order: list[Target] = [*kept.host_functions, *kept.functions]
        self.numbers: dict[Target, int] = {target: number for number, target in enumerate(order)}
        self.stubs: dict[Stub, int] = {}
        for item, stub in kept.stubs.items():
            self.numbers[item] = self.stubs.setdefault(stub, len(order) + len(self.stubs))
        self.variables = {item: number for number, item in enumerate(sorted(kept.written, key=_by_place))}
        instances = layout.plan.graph.instances
        self.calls: list[dict[int, bytes]] = [{} for _ in instances]
        self.gets: list[dict[int, bytes]] = [{} for _ in instances]
        self.constants: set[Item] = set()
        self.references: set[bytes] = set()  # functions that `ref.func` refers to, known once the bodies are

    def function(self, target: Target) -> int:
        return self.numbers[target]

    def type_index(self, item: FuncType) -> int:
        return self.types.setdefault(item, len(self.types))

    def imports(self) -> list[Import]:
        return [
            Import(host.module, host.name, Kind.FUNC, self.type_index(host.type)) for host in self.kept.host_functions
        ]

    def function_types(self) -> list[int]:
        types = [self._type(item) for item in self.kept.functions] + [stub.type for stub in self.stubs]
        return [self.type_index(item) for item in types]

    def _type(self, item: Item) -> FuncType:
        module = self._module(item.instance)
        index = module.functions[item.index]
        if index >= len(module.types):
            raise DecodeError(f"type {index} is not defined", offset=module.offset)
        return module.types[index]

    def _module(self, instance: int) -> Module:
        return self.layout.plan.graph.instances[instance].module

    def globals(self) -> list[Global]:
        """Globals that are written; the others have been replaced by constants."""
        return [
            Global(
                GlobalType(self.layout.global_types[item].value, True),
                ConstExpr(self.layout.global_types[item].value, self.layout.values[item]),
            )
            for item in self.variables
        ]

    def elements(self) -> Iterator[bytes]:
        """Active segments, one per run of consecutive slots; then the functions referenced by `ref.func`."""
        slots = sorted(self.layout.slots.items())
        start = 0
        for position in range(1, len(slots) + 1):
            if position == len(slots) or slots[position][0] != slots[position - 1][0] + 1:
                run = slots[start:position]
                yield encode.active_element(run[0][0], [self.numbers[target] for _, target in run])
                start = position
        if self.references:
            yield encode.declared_functions(sorted(self.references))

    def bodies(self) -> Iterator[bytes]:
        for item, found in self.kept.functions.items():
            yield self._body(item, found)
        for stub in self.stubs:
            body = stub_body(stub, self.numbers[stub.raiser])
            yield encode_unsigned(len(body)) + body

    def _body(self, item: Item, found: list[Site]) -> bytes:
        body = self._module(item.instance).bodies[item.index]
        frame, interruption = self.frames.get(item), self.interruptions.get(item)
        if frame is None and interruption is None:
            renumbered = self._renumber(item.instance, found, body.start, body.end)
            return encode_unsigned(len(renumbered)) + renumbered
        start = skip_locals(self.layout.code, body)
        merged = sorted([*found, *returns(self.layout.code, body)])
        renumbered, signature = self._renumber(item.instance, merged, start, body.end), self._type(item)
        if interruption is not None:
            renumbered = with_interruption(renumbered, interruption, self.numbers[interruption.check], signature)
        if frame is not None:
            pointer, check = self.variables[frame.pointer], self.numbers[frame.check]
            renumbered = with_frame(renumbered, frame, pointer, check, signature)
        renumbered = self.layout.code[body.start : start] + renumbered
        return encode_unsigned(len(renumbered)) + renumbered

    def _renumber(self, instance: int, found: list[Site], start: int, end: int) -> bytes:
        code, position = self.layout.code, start
        pieces: list[bytes] = []
        for site in found:
            pieces += (code[position : site.start], self._renumbered(instance, site))
            position = site.end
        pieces.append(code[position:end])
        return b"".join(pieces)

    def _renumbered(self, instance: int, site: Site) -> bytes:
        if site.space is Space.FUNC or site.space is Space.REF:
            calls = self.calls[instance]
            encoded = calls.get(site.target)
            if encoded is None:
                number = self.numbers[self.layout.target(instance, site.target)]
                encoded = calls[site.target] = encode_unsigned(number)
            if site.space is Space.REF:
                self.references.add(encoded)
            return encoded
        if site.space is Space.GLOBAL_GET:
            gets = self.gets[instance]
            encoded = gets.get(site.target)
            if encoded is None:
                encoded = gets[site.target] = self._get(instance, site.target)
            return encoded
        if site.space is Space.GLOBAL_SET:
            return b"\x24" + encode_unsigned(self.variables[global_item(self.layout.plan, instance, site.target)])
        if site.space is Space.TABLE:
            return b"\0"
        if site.space is Space.RETURN:
            return b"\x0c" + encode_unsigned(site.target)
        return encode_signed(self.type_index(self._module(instance).types[site.target]))

    def _get(self, instance: int, index: int) -> bytes:
        """`global.get` for a variable, else the constant: GOT entries, memory and table bases never change."""
        item = global_item(self.layout.plan, instance, index)
        if item in self.variables:
            return b"\x23" + encode_unsigned(self.variables[item])
        self.constants.add(item)
        return encode.const(self.layout.global_types[item].value, self.layout.values[item])

    def values(self) -> tuple[tuple[int, int, int], ...]:
        used = sorted({*self.constants, *self.variables}, key=_by_place)
        return tuple((item.instance, item.index, self.layout.values[item]) for item in used)

    def names(self) -> tuple[str, ...]:
        tables = [function_names(instance.module) for instance in self.layout.plan.graph.instances]
        own = [host.name for host in self.kept.host_functions]
        for item in self.kept.functions:
            imported = len(self.layout.plan.imported_functions[item.instance])
            own.append(tables[item.instance].get(imported + item.index, f"f{item.instance}.{item.index}"))
        return (*own, *["removed"] * len(self.stubs))


_ZERO = {I64: b"\x42\x00", F32: b"\x43" + bytes(4), F64: b"\x44" + bytes(8)}


def stub_body(stub: Stub, raiser: int) -> bytes:
    """No locals; call function `raiser` with the argument, then return the result, zero unless it is an i32."""
    results = b"".join(_ZERO.get(kind) or b"\x41" + encode_signed(stub.result) for kind in stub.type.results)
    return b"\0\x41" + encode_signed(stub.argument) + b"\x10" + encode_unsigned(raiser) + results + b"\x0b"


def _by_place(item: Item) -> tuple[int, int]:
    return item.instance, item.index
