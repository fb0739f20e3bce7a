"""Compare what pwasm knows about CPython and componentize-py with the actual ones.

    python tools/check_cpython.py            check the build-time Python created when pwasm was installed
    python tools/check_cpython.py --make     check one made anew by the installed componentize-py; see docs/upgrade.md

Compared are compiler/pwasm_compiler/cpython314.py and cpython314_calls.py, runtime-shim/pwasm_shim/src/cpython314.h,
and the few numbers in code that runs inside the guest. Reports failed checks with the reason; exit 1 if there are any.
tests/compiler/test_cpython.py runs the same checks.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import hashlib
import importlib.metadata
import io
import re
import struct
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pwasm_compiler import cpython314 as known
from pwasm_compiler import cpython314_calls as calls
from pwasm_compiler.cache import Cache
from pwasm_compiler.component.decode import decode_component
from pwasm_compiler.component.graph import Item, instance_graph
from pwasm_compiler.guest.base import Base, load_base
from pwasm_compiler.guest.files import FileTree
from pwasm_compiler.guest.interpreter import interpreter_of, start
from pwasm_compiler.guest.machine import Machine
from pwasm_compiler.guest.wasi import Wasi
from pwasm_compiler.link.heap import free_ranges
from pwasm_compiler.link.layout import Layout, lay_out
from pwasm_compiler.link.memory import global_address, read_memory, symbol_value
from pwasm_compiler.link.passes import cuts
from pwasm_compiler.link.passes.docs import find_docs
from pwasm_compiler.link.passes.guards import is_bounded
from pwasm_compiler.link.passes.reachable import Reachable
from pwasm_compiler.link.passes.references import find_references, libraries
from pwasm_compiler.link.passes.stack import find_frames
from pwasm_compiler.link.resolve import ABI_MARKER, resolve
from pwasm_compiler.wasm.module import Kind

ROOT = Path(__file__).parents[1]
HEADER = ROOT / "runtime-shim" / "pwasm_shim" / "src" / "cpython314.h"
_TIMEOUT_SECONDS = 60
_ROOM = "/0"
_MARSHALLED_CODE = (b"c", b"\xe3")
"""How a marshalled code object begins, without and with a reference to it."""


@dataclass(frozen=True)
class Python:
    """The Python under examination."""

    base: Base
    cache: Cache

    @functools.cached_property
    def layout(self) -> Layout:
        """The layout before anything ran."""
        graph = instance_graph(decode_component(self.base.component))
        return lay_out(resolve(graph, ABI_MARKER), self.base.component)

    @functools.cached_property
    def everything(self) -> Reachable:
        """All functions of the libraries: a filter may keep any."""
        functions = {
            Item(library.instance.number, Kind.FUNC, index): self.layout.walks.sites(body)
            for library in libraries(self.layout)
            for index, body in enumerate(library.instance.module.bodies)
        }
        return Reachable(functions, (), frozenset())

    @functools.cached_property
    def cpython(self) -> cuts.CPython:
        return cuts.find_cpython(self.layout)

    @functools.cached_property
    def library(self) -> dict[str, str]:
        """Module → source."""
        found = {}
        with zipfile.ZipFile(io.BytesIO(self.base.library)) as archive:
            for path in archive.namelist():
                if path.endswith(".py"):
                    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                    found[name] = archive.read(path).decode("utf-8", "replace")
        return found

    @functools.cached_property
    def guest(self) -> Machine:
        """The guest, started, with `cpython_facts` imported."""
        interpreter = interpreter_of(self.base, self.cache, lambda _message: None)
        files = FileTree()
        files.add_archive(known.LIBRARY, self.base.library)
        files.add(f"{_ROOM}/cpython_facts.py", Path(__file__).with_name("cpython_facts.py").read_bytes)
        environment = {"PYTHONHOME": known.LIBRARY, "PYTHONPATH": f"{known.LIBRARY}:{_ROOM}", "PYTHONHASHSEED": "1"}
        guest = start(interpreter, Wasi(files, (known.LIBRARY, _ROOM), environment, b""), _TIMEOUT_SECONDS)
        (imported,) = guest.run([("pwasm_import", b"cpython_facts")], _TIMEOUT_SECONDS)
        if imported != 0:
            raise RuntimeError("".join(guest.wasi.prints))
        return guest

    @functools.cached_property
    def facts(self) -> dict[str, Any]:
        address, size = struct.unpack("<II", self.guest.memory.read(self._record, 8))
        found: dict[str, Any] = ast.literal_eval(self.guest.memory.read(address, size).decode())
        return found

    @property
    def _record(self) -> int:
        return global_address(self.layout, "pwasm_build_record")

    def word(self, address: int, place: int) -> int:
        """A word of an object in the guest, by its index."""
        return int.from_bytes(self.guest.memory.read(address + 4 * place, 4), "little")


Check = Callable[[Python], Iterator[str]]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """One of `CHECKS`: yields problems; an exception is a problem, too. Its docstring names its subject."""
    CHECKS.append(function)
    return function


def unless(right: bool, problem: str) -> Iterator[str]:
    """The problem, if there is one."""
    if not right:
        yield problem


# --- names in the component -------------------------------------------------------------------------------------------


@check
def symbols(python: Python) -> Iterator[str]:
    """names of exports and symbols"""
    exported = {name for instance in python.layout.plan.graph.instances for name in instance.exports}
    tables = [f"{known.LIBPYTHON}:{table}" for table in known.FROZEN_TABLES]
    for name in {known.CONSTRUCT, *known.STARTS, *known.RELOCATORS} - exported:
        yield f"no library exports {name}"
    for name in (known.HEAP_BASE, known.STACK_LOW, known.STACK_POINTER, *tables):
        symbol_value(python.layout, name)


@check
def built_in_modules(python: Python) -> Iterator[str]:
    """built-in modules and PyModuleDef (BUILT_IN, MODULE_DEFINITION)"""
    found = {name: definition for name, _, definition in cuts.built_in_modules(python.layout, python.cpython)}
    yield from unless(
        set(found) == set(known.BUILT_IN), f"BUILT_IN differs by {sorted(set(found) ^ set(known.BUILT_IN))}"
    )
    used, memory = set(), python.guest.memory
    for name, definition in found.items():
        index, text = known.MODULE_DEFINITION.unpack(memory.read(definition, known.MODULE_DEFINITION.size))
        used |= {name} if index else set()
        said = text_at(python.layout, text)
        yield from unless(said in (name, name.removeprefix("_")), f"the definition of {name} is named {said!r}")
    imported_now = set(found) & set(python.facts["imported"])
    yield from unless(used == imported_now, f"indices disagree about the use of {sorted(used ^ imported_now)}")


def text_at(layout: Layout, address: int) -> str:
    """A C string; no name here is longer than this reads."""
    return read_memory(layout, address, 64).partition(b"\0")[0].decode("utf-8", "replace")


@check
def frozen_modules(python: Python) -> Iterator[str]:
    """modules that are frozen into CPython (FROZEN, FROZEN_TABLES)"""
    seen = set()
    for table in known.FROZEN_TABLES:
        pointer = symbol_value(python.layout, f"{known.LIBPYTHON}:{table}")
        entry = int.from_bytes(read_memory(python.layout, pointer, 4), "little")
        while True:
            raw = read_memory(python.layout, entry, known.FROZEN.size)
            name, code, size, package = known.FROZEN.unpack(raw)
            if name == 0:
                yield from unless(raw == bytes(len(raw)), f"{table} does not end with zeros")
                break
            text = text_at(python.layout, name)
            seen.add(text)
            begins = read_memory(python.layout, code, 1)
            if begins not in _MARSHALLED_CODE or size <= 0 or package not in (-1, 0, 1):
                yield f"{table} has an entry {text!r} of {size} bytes that start with {begins!r}, package {package}"
                break
            entry += known.FROZEN.size
    missing = {"_frozen_importlib", "os", "__hello__"} - seen
    yield from unless(not missing, f"not in the tables: {sorted(missing)}")


@check
def compiler(python: Python) -> Iterator[str]:
    """the compiler's functions (COMPILER, COMPILER_CALLBACKS)"""
    cut = cuts.compiler(python.layout, python.cpython)
    names = [python.cpython.names[item.index] for item in cut]
    for pattern in known.COMPILER_CALLBACKS:
        yield from unless(any(re.fullmatch(pattern, name) for name in names), f"{pattern} matches nothing in the table")


@check
def docstrings(python: Python) -> Iterator[str]:
    """docstrings in C (DOCSTRING), and how libraries fill in their pointers (RELOCATORS)"""
    found = list(find_docs(python.layout, find_references(python.layout)))
    yield from unless(len(found) > 1000, f"only {len(found)} found")


@check
def recursion(python: Python) -> Iterator[str]:
    """every recursion passes a check, or is bounded (RECURSION_CHECKS, LARGE_FRAMES, and all of cpython314_calls)"""
    frames = find_frames(python.layout, python.everything)
    yield from unless(bool(frames), "no function gets a frame")
    names = Counter(python.cpython.names.values())
    for name in known.RECURSION_CHECKS:
        yield from unless(name in names, f"CPython has no function {name}")
    for name in calls.FAILS:
        yield from unless(names[name] == 1, f"CPython has {names[name]} functions {name}, not one")
    for name in calls.ALWAYS_GUARDED:
        yield from unless(name in calls.FAILS, f"nothing says what {name} returns when it fails")
    for family in calls.BOUNDED:
        for pattern in family.patterns:
            yield from unless(any(pattern.fullmatch(name) for name in names), f"no function is {pattern.pattern}")
    cycle = _direct_cycle(python, frames)
    yield from unless(not cycle, f"without a check: {' calls '.join(cycle)}")


def _direct_cycle(python: Python, checked: Collection[Item]) -> list[str]:
    """Functions of CPython that call each other, and of which none checks; empty if there are none."""
    names, number = python.cpython.names, python.cpython.library.instance.number
    end = next(index for index, name in names.items() if name == calls.LIBRARIES_BEGIN)
    places = {Item(number, Kind.FUNC, index): name for index, name in names.items() if index < end}
    left = {item for item, name in places.items() if item not in checked and not is_bounded(name)}
    references = find_references(python.layout).functions
    try:
        graphlib.TopologicalSorter({item: references[item].calls & left for item in left}).prepare()
    except graphlib.CycleError as error:
        return [places[item] for item in error.args[1]]
    return []


# --- memory of a started interpreter ----------------------------------------------------------------------------------


@check
def versions(python: Python) -> Iterator[str]:
    """versions and suffixes (RELEASE, CACHE_TAG, EXTENSION_SUFFIX)"""
    facts = python.facts
    yield from unless(facts["release"] == known.RELEASE, f"this is CPython {facts['release']}")
    yield from unless(facts["cache_tag"] == known.CACHE_TAG, f"the cache tag is {facts['cache_tag']}")
    suffixes = facts["extension_suffixes"]
    yield from unless(known.EXTENSION_SUFFIX in suffixes, f"suffixes of extension modules are {suffixes}")


@check
def stack_limits(python: Python) -> Iterator[str]:
    """the stack's limits in the thread state (STACK_LIMITS, STACK_TOP, STACK_SOFT, STACK_HARD)"""
    python.guest  # noqa: B018  `start` looks for them
    return iter(())


@check
def heap(python: Python) -> Iterator[str]:
    """chunks of the heap (CHUNK_…, TREE_CHUNK)"""
    memory = python.guest.image().memory
    begin = symbol_value(python.layout, known.HEAP_BASE)
    ranges = list(free_ranges(memoryview(memory).cast("I"), begin))
    yield from unless(len(ranges) > 10, f"walking the heap found {len(ranges)} free chunks")
    last = ranges[-1][1] if ranges else begin
    yield from unless(len(memory) - last < 1 << 16, f"it ended at {last:#x}, the memory at {len(memory):#x}")


@check
def layouts_of_objects(python: Python) -> Iterator[str]:
    """numbers of the shim (cpython314.h)"""
    number, facts = numbers(HEADER), python.facts
    at, addresses = facts["objects"], facts["addresses"]

    def word(name: str, place: int) -> int:
        return python.word(at[name], place)

    plain, room = word("plain", number["HEAD"]), word("plain", number["HEAD"]) & number["ROOM"]
    values = [word("plain", number["HEAD"] + 1 + place) for place in range(room)]
    grown, another = word("grown", number["HEAD"]), word("another", number["HEAD"])
    yield from unless(word("plain", 1) == addresses["Plain"], "the second word of an object is not its type")
    yield from unless(0 < word("plain", 0) < number["IMMORTAL"], "a reference count is not in an object's first word")
    yield from unless(python.word(addresses["None"], 0) >= number["IMMORTAL"], "None is not immortal (IMMORTAL)")
    yield from unless(word("plain", number["DICT"]) == 0, "DICT is not empty in an object without a dict")
    yield from unless(word("with_dict", number["DICT"]) == addresses["dictionary"], "DICT is not where the dict is")
    yield from unless(word("plain", number["WEAK_REFERENCES"]) == 0, "WEAK_REFERENCES is not empty")
    referring = word("referred_to", number["WEAK_REFERENCES"])
    yield from unless(referring == addresses["reference"], "WEAK_REFERENCES is not where a weak reference is")
    held = {addresses["first"], addresses["second"]} <= set(values)
    yield from unless(held, f"the attributes are not among the {room} words behind HEAD")
    yield from unless((plain ^ another) & ~number["ROOM"] == 0, "HEAD differs in objects that are alike")
    yield from unless((plain ^ grown) & ~number["ROOM"] != 0, "HEAD does not show another attribute")
    breaker = python.word(addresses["thread_state"], number["EVAL_BREAKER"])
    yield from unless(breaker >> 8 > 0, f"the version of the events is not in EVAL_BREAKER: {breaker:#x}")
    events = breaker & 0xFF
    yield from unless(events == number["EVAL_UNUSED_EVENT"], f"events {events:#x} are pending, not EVAL_UNUSED_EVENT")
    definition = python.word(facts["method"], number["METHOD_DEFINITION"])
    name = python.guest.memory.read(python.word(definition, 0), 12)
    yield from unless(name == b"getrandbits\0", f"METHOD_DEFINITION of getrandbits begins with {name!r}")
    for name, (address, flags) in facts["types"].items():
        found = python.word(address, number["FLAGS_WORD"])
        yield from unless(found == flags, f"the flags of {name} are {flags:#x}, and {found:#x} in FLAGS_WORD")
    for flag, wanted in (("INLINE_VALUES", ["Plain"]), ("IMMUTABLE_TYPE", ["int"])):
        having = [name for name, (_, flags) in facts["types"].items() if flags & number[flag]]
        yield from unless(having == wanted, f"{flag} is a flag of {having}, not of {wanted}")


def numbers(path: Path) -> dict[str, int]:
    """The constants in a file of C or Python that are written `NAME = number`, or with a shift."""
    found = re.findall(r"\b([A-Z_]+) = (-?(?:0x[0-9a-f]+|\d+))(?: << (\d+))?", path.read_text(encoding="utf-8"))
    return {name: int(value, 0) << int(shift or 0) for name, value, shift in found}


IN_GUEST = (
    ROOT / "compiler" / "pwasm_compiler" / "guest" / "inside" / "pwasm_compile.py",
    ROOT / "sdk" / "pwasm" / "_guest" / "freeze.py",
    ROOT / "sdk" / "pwasm" / "_guest" / "import_effects.py",
)
"""Code that contains such numbers and cannot read either of the two files."""


@check
def numbers_in_the_guest(python: Python) -> Iterator[str]:
    """numbers of code that runs in the guest"""
    number = {name: value for path in IN_GUEST for name, value in numbers(path).items()}
    facts = python.facts
    flags = {name: flags for name, (_, flags) in facts["types"].items()}
    module, function = facts["code_flags"]
    yield from unless(number["_ONLY_AST"] == facts["only_ast"], f"PyCF_ONLY_AST is {facts['only_ast']:#x} (_ONLY_AST)")
    yield from unless(bool(flags["Plain"] & number["_HEAP_TYPE"]), "a class is not a heap type (_HEAP_TYPE)")
    yield from unless(not flags["int"] & number["_HEAP_TYPE"], "int is a heap type (_HEAP_TYPE)")
    yield from unless(bool(flags["int"] & number["_IMMUTABLE"]), "int is not immutable (_IMMUTABLE)")
    yield from unless(not flags["Plain"] & number["_IMMUTABLE"], "a class is immutable (_IMMUTABLE)")
    told_apart = function & number["_OPTIMIZED"] and not module & number["_OPTIMIZED"]
    yield from unless(bool(told_apart), "_OPTIMIZED does not tell functions from modules")


# --- the standard library ---------------------------------------------------------------------------------------------


@check
def module_names(python: Python) -> Iterator[str]:
    """names of modules (IMPORTED_AT_START, LAZY, ALWAYS_WANTED, WANTED_BY_TEXT, …)"""
    there = {*python.library, *python.facts["built_in"], "tzdata"}
    at_start = {name.removesuffix("/__init__").replace("/", ".") for name in known.IMPORTED_AT_START}
    lazy = {name for key, names in known.LAZY.items() for name in (key, *names)}
    by_text = {name for _, names in known.WANTED_BY_TEXT for name in names}
    wanted = {
        "IMPORTED_AT_START": at_start & set(python.library) ^ at_start,
        "LAZY": lazy - there,
        "ALWAYS_WANTED": set(known.ALWAYS_WANTED) - there,
        "WANTED_BY_TEXT": by_text - there,
        "MODULES_THAT_COMPILE": known.MODULES_THAT_COMPILE - there,
        "NEW_IN_STANDARD_LIBRARY": known.NEW_IN_STANDARD_LIBRARY - there,
    }
    for table, missing in wanted.items():
        yield from unless(not missing, f"{table} has unknown names: {', '.join(sorted(missing))}")
    top = {name for name in python.library if "." not in name and not name.startswith("_")}
    there_again = known.REMOVED_FROM_STANDARD_LIBRARY.keys() & top
    yield from unless(not there_again, f"not removed from the library: {', '.join(sorted(there_again))}")
    new = top - sys.stdlib_module_names - known.NEW_IN_STANDARD_LIBRARY
    yield from unless(not new, f"missing in NEW_IN_STANDARD_LIBRARY: {', '.join(sorted(new))}")


@check
def lazy_imports(python: Python) -> Iterator[str]:
    """imports inside functions of the standard library (LAZY)"""
    static = b"".join(read_memory(python.layout, at.memory.start, len(at.memory)) for at in libraries(python.layout))
    for module, names in known.LAZY.items():
        package = module.partition(".")[0]
        own = [name for name in python.library if name == package or name.startswith(f"{package}.")]
        near = {word for name in own for word in imported(python.library[name], inside=False)}
        family = [text for name, text in python.library.items() if name in own or last(name) in near]
        lazily = {word for text in family for word in imported(text, inside=True)}
        for name in names:
            by_name = any(re.search(rf"[\"']{re.escape(name)}\b", text) for text in family)
            in_c = b"\0%s\0" % name.encode() in static
            yield from unless(last(name) in lazily or by_name or in_c, f"nothing in {module} imports {name} lazily")
            at_once = module in python.library and last(name) in imported(python.library[module], inside=False)
            yield from unless(not at_once, f"{module} imports {name} eagerly")


def imported(text: str, *, inside: bool) -> set[str]:
    """Last parts of the names in imports that are indented, or not. `text` may be for a newer Python than this."""
    lines = re.findall(rf"(?m)^[ \t]{'+' if inside else '{0}'}(?:from +(\S+) +)?import +([^#\n]+)", text)
    return {last(word) for source, names in lines for word in re.findall(r"[\w.]+", f"{source} {names}")}


def last(name: str) -> str:
    """`urllib.parse` → `parse`."""
    return name.rpartition(".")[2]


@check
def functions_that_compile(python: Python) -> Iterator[str]:
    """functions of the standard library that compile text (COMPILES_TEXT)"""
    modules = ("annotationlib", "ast", "collections", "dataclasses", "typing")
    text = "\n".join(python.library[name] for name in modules)
    for name in known.COMPILES_TEXT:
        yield from unless(bool(re.search(rf"(?m)^(def|class) {name}\b", text)), f"{name} not found")


@check
def colours(python: Python) -> Iterator[str]:
    """what the standard library uses of `_colorize`, which has a replacement (guest/inside/colorize.py)"""
    ours = (ROOT / "compiler/pwasm_compiler/guest/inside/colorize.py").read_text(encoding="utf-8")
    for name, text in python.library.items():
        if name != "_colorize" and not name.startswith(("_pyrepl", "idlelib", "test")):
            used = set(re.findall(r"\b_colorize\.(\w+)", text))
            for line in re.findall(r"from _colorize import \(?([^)\n]*)", text):
                used |= {word.split()[0] for word in line.split(",") if word.strip()}
            missing = {word for word in used if not re.search(rf"\b{word}\b", ours)}
            yield from unless(not missing, f"{name} uses {', '.join(sorted(missing))}")


# --- the command ------------------------------------------------------------------------------------------------------


def problems(function: Check, python: Python) -> list[str]:
    """The problems found by a check; that it fails to run is a problem, too."""
    try:
        return list(function(python))
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def make_base() -> Base:
    """The base that the installed componentize-py builds from the compiled shim."""
    sys.path.insert(0, str(ROOT / "runtime-shim"))
    import build_base

    component, library = build_base.make()
    key = hashlib.sha256(component + library).hexdigest()
    return Base(key, importlib.metadata.version("componentize-py"), component, library)


def main(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    if arguments not in ([], ["--make"]):
        print(__doc__)
        return 2
    python = Python(make_base() if arguments else load_base(), Cache())
    print(f"componentize-py {python.base.maker}")
    said: set[str] = set()
    for function in CHECKS:
        found = problems(function, python)
        print(f"{'FAILED' if found else 'ok':<7} {function.__doc__}")
        for problem in found:
            print(f"        {'as above' if problem in said else problem}")
        said.update(found)
    return int(bool(said))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
