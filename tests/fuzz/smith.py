"""Modules of `wasm-tools smith`, linked and run against the same modules unlinked.

A case is a component of the shape that the linker reads, and nothing else is needed to replay it: "main" owns memory
and table, "lib" and "bulk" import from it and from each other, "shim" carries the ABI marker. The first three are
made up by wasm-tools from the case's number. The reference are the four modules in wasmtime, wired as the component
says; the other side is what resolve, lay_out, reachable and merge make of it, once plain and once with a frame of the
stack pass around every second function.
"""

from __future__ import annotations

import random
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import wasmtime

from pwasm_compiler.component.decode import decode_component
from pwasm_compiler.component.graph import Item, instance_graph
from pwasm_compiler.link.inlining import spend_budgets
from pwasm_compiler.link.layout import Layout, global_item, lay_out
from pwasm_compiler.link.merge import merge
from pwasm_compiler.link.passes.reachable import Reachable, reachable
from pwasm_compiler.link.passes.stack import Frame
from pwasm_compiler.link.resolve import resolve
from pwasm_compiler.wasm import encode
from pwasm_compiler.wasm.decode import decode_module
from pwasm_compiler.wasm.leb128 import encode_unsigned
from pwasm_compiler.wasm.module import F32, F64, I32, I64, MAGIC, PAGE, Export, FuncType, Kind, Module
from tests.support import wasm_tools

MARKER = "proxy_abi_version_0_2_1"
PAGES, SLOTS, FUEL = 4, 24, 300
BYTES = (500, 10_000)
"""How many random bytes a module is made of."""
TYPES = {"i32": I32, "i64": I64, "f32": F32, "f64": F64}

_OFF = [
    *("exceptions", "gc", "simd", "relaxed-simd", "tail-call", "threads", "memory64", "extended-const"),
    *("compact-imports", "custom-descriptors", "wide-arithmetic"),
]
_SMITH = [
    *("smith", "--ensure-termination", f"--fuel={FUEL}", "--canonicalize-nans=true"),
    *(f"--{feature}-enabled=false" for feature in _OFF),
    *("--max-globals=0", "--allow-start-export=false"),  # what the shape names, and what smith needs itself
    "--max-instructions=300",
]
# CPython's libraries have segments, and instructions that change a table are refused: no bulk instructions beside them.
_SEGMENTS = ["--bulk-memory-enabled=false", "--reference-types-enabled=false"]
_BULK = [
    *("--bulk-memory-enabled=true", "--max-data-segments=0", "--max-element-segments=0"),
    "--allowed-instructions=numeric,parametric,variable,memory,control",
]
_VARIED = {  # by the number of the case
    2: "--disallow-traps=true",
    3: "--min-uleb-size=5",  # as a linker writes what it may relocate
}

NAMES = ["main", "lib", "bulk", "shim"]
_ARGUMENTS_OF = [[], ["main"], ["main", "lib"], ["main", "lib"]]


def _shim(functions: list[_Exported]) -> str:
    """Puts `functions` into the table, and has one for each of their types that calls any slot, with zeros."""
    imports = "\n".join(item.imported for item in functions)
    types = dict.fromkeys(item.signature for item in functions if item.signature)
    slots = []
    for number, (params, results) in enumerate(types):
        zeros = " ".join(f"({kind}.const 0)" for kind in params.split())
        signature = f"(param {params}) (result {results})"
        slots.append(
            f'(func (export "slot{number}") (param i32) (result {results})'
            f" (call_indirect {signature} {zeros} (local.get 0)))"
        )
    return f"""(module
      (import "main" "memory" (memory 1)) (import "main" "table" (table 1 funcref))
      {imports}
      (elem (i32.const 1) func {" ".join(map(str, range(len(functions))))})
      (global $stack (mut i32) (i32.const 0x100000))
      (func (export "{MARKER}") (global.set $stack (global.get $stack)))
      (func (export "check") (param i32) (result i32) i32.const 0)
      {" ".join(slots)})"""


def case(number: int) -> tuple[bytes, list[Outcome]]:
    """The component with this number and its functions: always the same for a given version of wasm-tools."""
    for attempt in range(20):
        data = _component(number, random.Random(f"{number}.{attempt}"))
        try:
            return data, unlinked(data)
        except NotInstantiatedError:
            continue
    raise AssertionError(f"no attempt at case {number} can be instantiated")


def _component(number: int, chance: random.Random) -> bytes:
    main = _owned("main", chance) + _items("main", chance)
    lib, bulk = _items("lib", chance), _items("bulk", chance)
    varied = [option for divisor, option in _VARIED.items() if number % divisor == 0]
    functions = [item for item in [*main, *lib] if item.signature]
    chance.shuffle(functions)
    return wrapped(
        _smith(chance, _shape([], main), [*_SEGMENTS, *varied]),
        _smith(chance, _shape(main, lib), [*_SEGMENTS, *varied]),
        _smith(chance, _shape([*main, *lib], bulk), [*_BULK, *varied]),
        functions=functions,
    )


def wrapped(*modules: bytes, functions: list[_Exported] | None = None) -> bytes:
    """A component of "main", "lib" and "bulk", and a shim that calls `functions` through the table."""
    instances = [
        b"\0" + encode_unsigned(number) + _vector(encode.name(name) + b"\x12" + _index(name) for name in wanted)
        for number, wanted in enumerate(_ARGUMENTS_OF)
    ]
    sections = [(1, module) for module in (*modules, bytes(wasmtime.wat2wasm(_shim(functions or []))))]
    sections += [
        (2, _vector(instances)),
        (6, _vector([b"\0\0\1\3" + encode.name(MARKER)])),  # alias of core instance 3's export
        (7, b"\1\x40\0\1\0"),  # a function type without parameters or result
        (8, b"\1\0\0\0\0\0"),  # lifted
        (11, b"\1\0" + encode.name("nop") + b"\1\0\0"),
    ]
    return b"".join(
        [
            MAGIC + b"\x0d\0\1\0",
            *(bytes([identifier]) + encode_unsigned(len(contents)) + contents for identifier, contents in sections),
        ]
    )


def _vector(items: Iterator[bytes] | list[bytes]) -> bytes:
    encoded = list(items)
    return encode_unsigned(len(encoded)) + b"".join(encoded)


def _index(name: str) -> bytes:
    return encode_unsigned(NAMES.index(name))


@dataclass(frozen=True)
class _Exported:
    owner: str
    name: str
    type: str  # as in the text format
    body: str
    signature: tuple[str, str] | None = None  # of a function

    @property
    def exported(self) -> str:
        keyword, _, rest = self.type.partition(" ")
        return f'({keyword} (export "{self.name}") {rest} {self.body})'

    @property
    def imported(self) -> str:
        return f'(import "{self.owner}" "{self.name}" ({self.type}))'


def _owned(owner: str, chance: random.Random) -> list[_Exported]:
    memory, table = chance.randint(1, 2), chance.randint(16, SLOTS)
    return [
        _Exported(owner, "memory", f"memory {memory} {PAGES}", ""),
        _Exported(owner, "table", f"table {table} {SLOTS} funcref", ""),
    ]


def _items(owner: str, chance: random.Random) -> list[_Exported]:
    """Functions and globals that this module exports; their contents are smith's."""
    found = []
    for number in range(chance.randint(2, 5)):
        params, results = (" ".join(chance.choices([*TYPES], k=chance.randint(0, most))) for most in (4, 2))
        type_ = f"func (param {params}) (result {results})"
        found.append(_Exported(owner, f"{owner}{number}", type_, "unreachable", (params, results)))
    for number in range(chance.randint(2, 5)):
        kind = chance.choice([*TYPES])
        type_ = f"global (mut {kind})" if chance.random() < 0.6 else f"global {kind}"
        found.append(_Exported(owner, f"{owner}-g{number}", type_, f"({kind}.const 0)"))
    return found


def _shape(imported: list[_Exported], exported: list[_Exported]) -> str:
    return "\n".join([*(item.imported for item in imported), *(item.exported for item in exported)])


def _smith(chance: random.Random, shape: str, options: list[str]) -> bytes:
    data = chance.randbytes(chance.randint(*BYTES))
    with tempfile.NamedTemporaryFile(suffix=".wasm") as file:
        file.write(wasmtime.wat2wasm(f"(module {shape})"))
        file.flush()
        command = [wasm_tools.PROGRAM, *_SMITH, *options, f"--module-shape={file.name}"]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout


# Running. Both sides give the same lines, in which every difference shows.


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = True
    return wasmtime.Engine(config)


ENGINE = _engine()
ENOUGH = 50_000_000
"""Fuel of wasmtime's: smith's own ends what is right, this one what the linker made endless."""


def _store() -> wasmtime.Store:
    store = wasmtime.Store(ENGINE)
    store.set_fuel(ENOUGH)
    return store


@dataclass(frozen=True)
class Outcome:
    """The outcome of an exported function: its results or trap, then globals and memory."""

    function: str
    calls: tuple[str, ...]
    globals: tuple[str, ...]
    memory: int


class NotInstantiatedError(Exception):
    """A segment is out of bounds of memory or table, so there is nothing to compare."""


def unlinked(data: bytes) -> list[Outcome]:
    """Run the modules as they are.

    Raises:
        NotInstantiatedError: they cannot be.
    """
    decoded = decode_component(data).modules
    sources = [_source(data, module) for module in decoded]
    compiled = [wasmtime.Module(ENGINE, source) for source in sources]
    outcomes = []
    before = ""
    for owner, name, type_ in exported_functions(decoded):
        if before != "shim" or owner != "shim":  # whose many functions share their instances, on both sides
            store = _store()
            instances: dict[str, wasmtime.Instance] = {}
            for title, module in zip(NAMES, compiled, strict=True):
                imports = [instances[item.module].exports(store)[item.name or ""] for item in module.imports]
                try:
                    instances[title] = wasmtime.Instance(store, module, imports)
                except wasmtime.Trap as error:
                    raise NotInstantiatedError from error
        before = owner
        function = instances[owner].exports(store)[name]
        calls = _calls(store, name, function, type_)
        values = tuple(
            f"{title}.{item.name}={_bits(instances[title].exports(store)[item.name].value(store), kind)}"  # type: ignore[union-attr]
            for title, item, kind in exported_globals(decoded)
        )
        memory = instances["main"].exports(store)["memory"]
        outcomes.append(Outcome(name, calls, values, _digest(store, memory)))
    return outcomes


def linked(data: bytes, framed: bool = False) -> tuple[bytes, Layout, Reachable]:
    """Link as a build does, with every function of the three modules exported, and every global that is written."""
    layout = lay_out(resolve(instance_graph(decode_component(data)), MARKER), data)
    instances = layout.plan.graph.instances
    modules = [instance.module for instance in instances]
    exports = {
        name: layout.target(NAMES.index(owner), instances[NAMES.index(owner)].exports[name].index)
        for owner, name, _ in exported_functions(modules)
    }
    marker, check = (layout.target(3, instances[3].exports[name].index) for name in (MARKER, "check"))
    kept = reachable(layout, [*exports.values(), marker, check])
    frames = {}
    if framed:
        assert isinstance(check, Item)
        for item in [*kept.functions][::2]:
            module = modules[item.instance]
            if len(module.types[module.functions[item.index]].results) < 2 and item.instance != 3:
                frames[item] = Frame(16, Item(3, Kind.GLOBAL, 0), check, None)
    return merge(layout, kept, exports, frames, export_globals=True).module(layout, PAGES), layout, kept


def run(data: bytes, framed: bool = False) -> list[Outcome]:
    """Link, and run the result; with frames, also with V8's inlining budgets spent."""
    code, layout, _ = linked(data, framed)
    if framed:
        code = spend_budgets(decode_module(memoryview(code))).wasm
    module = wasmtime.Module(ENGINE, code)
    modules = [instance.module for instance in layout.plan.graph.instances]
    outcomes = []
    before = ""
    for owner, name, type_ in exported_functions(modules):
        if before != "shim" or owner != "shim":
            store = _store()
            exports = wasmtime.Instance(store, module, []).exports(store)
        before = owner
        calls = _calls(store, name, exports[name], type_)
        values = []
        for title, item, kind in exported_globals(modules):
            place = global_item(layout.plan, NAMES.index(title), item.index)
            variable = f"{place.instance}:{place.index}"
            if variable in exports:
                bits = _bits(exports[variable].value(store), kind)  # type: ignore[union-attr]
            else:
                bits = _quiet(layout.values[place] % (1 << _WIDTH[kind]), kind)
            values.append(f"{title}.{item.name}={bits}")
        outcomes.append(Outcome(name, calls, tuple(values), _digest(store, exports["memory"])))
    return outcomes


def _source(data: bytes, module: Module) -> bytes:
    end = max((span.start + span.size for span in module.sections), default=module.offset + 8)
    return data[module.offset : end]


def exported_functions(modules: list[Module] | tuple[Module, ...]) -> Iterator[tuple[str, str, FuncType]]:
    for title, module in zip(NAMES, modules, strict=True):
        imported = len(module.imported(Kind.FUNC))
        for item in module.exports:
            if item.kind is Kind.FUNC:
                yield title, item.name, module.types[module.functions[item.index - imported]]


def exported_globals(modules: list[Module] | tuple[Module, ...]) -> Iterator[tuple[str, Export, int]]:
    for title, module in zip(NAMES[:3], modules, strict=False):
        imported = len(module.imported(Kind.GLOBAL))
        for item in module.exports:
            if item.kind is Kind.GLOBAL:
                yield title, item, module.globals[item.index - imported].type.value


_WIDTH = {I32: 32, I64: 64, F32: 32, F64: 64}
_ARGUMENTS = {
    I32: (0, 7, -1, 65_532),
    I64: (0, 5, -(1 << 63), 1 << 40),
    F32: (0.0, 1.5, -1e30, float("inf")),
    F64: (0.0, -2.5, 1e300, float("nan")),
}


def _calls(store: wasmtime.Store, name: str, function: object, type_: FuncType) -> tuple[str, ...]:
    if name.startswith("slot"):
        return tuple(_call(store, function, type_, [slot]) for slot in range(12))
    vectors = ([_ARGUMENTS[kind][(turn + place) % 4] for place, kind in enumerate(type_.params)] for turn in range(3))
    return tuple(_call(store, function, type_, arguments) for arguments in vectors)


def _call(store: wasmtime.Store, function: object, type_: FuncType, arguments: list[int | float]) -> str:
    try:
        got = function(store, *arguments)  # type: ignore[operator]
    except wasmtime.Trap as trap:
        return f"trap: {trap.trap_code}"
    results = got if isinstance(got, list) else [got]
    return " ".join(str(_bits(value, kind)) for value, kind in zip(results, type_.results, strict=False))


def _bits(value: object, kind: int) -> int:
    if kind in (F32, F64):
        return _quiet(int.from_bytes(struct.pack("<f" if kind == F32 else "<d", value), "little"), kind)
    assert isinstance(value, int)
    return value % (1 << _WIDTH[kind])


def _quiet(bits: int, kind: int) -> int:
    """A signalling NaN that has been a float of Python's is a quiet one."""
    exponent, quiet = {F32: (0xFF << 23, 1 << 22), F64: (0x7FF << 52, 1 << 51)}.get(kind, (0, 0))
    is_nan = bool(quiet) and bits & exponent == exponent and bits & (quiet * 2 - 1)
    return bits | quiet if is_nan else bits


def _digest(store: wasmtime.Store, memory: object) -> int:
    assert isinstance(memory, wasmtime.Memory)
    return hash((memory.size(store), bytes(memory.read(store, 0, memory.size(store) * PAGE))))
