"""Floors: which room may import which, and that no files import each other in a circle.

A room stands on a floor and imports from the floors below it and from itself, never from another room on its floor.
Imports under TYPE_CHECKING and inside functions count: they tie two files together as much as any other. A new room or
a new arrow is a decision: write it down here.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

import pytest

from tests.support.sources import PACKAGES, ROOT, imported_names, modules

BUILD_SCRIPTS = ("build_base.py", "build_shim.py")
TOP_LEVEL_FOLDERS = {"sdk", "compiler", "docs", "filters", "runtime-shim", "tests", "tools"}

# From the ground up. A name is a module or a package; the longest that fits a module is its room.
FLOORS: tuple[dict[str, tuple[str, ...]], ...] = (
    # --- the SDK: it is frozen into every module, so it needs the standard library only ---------------------------
    {
        "ground": (
            "pwasm._typing",
            "pwasm._abi",
            "pwasm._protobuf",
            "pwasm._protocols",
            "pwasm._reflect",
            "pwasm._serde",
            "pwasm._validate",
            "pwasm.errors",
        )
    },
    {"stream": ("pwasm._stream",)},  # what is known of contexts and of the running callback
    {"async": ("pwasm._async",)},
    {"hostcalls": ("pwasm._hostcalls",)},
    {
        "functions": (  # public: what a callback calls, and the classes whose callbacks they are
            "pwasm._objects",
            "pwasm.aio",
            "pwasm.foreign",
            "pwasm.hostcalls",
            "pwasm.log",
            "pwasm.properties",
            "pwasm.types",
        )
    },
    {"config": ("pwasm._config", "pwasm.config"), "names": ("pwasm._names",)},
    {"dispatch": ("pwasm._dispatch",)},
    {"entry": ("pwasm", "pwasm.entrypoint", "pwasm.go")},  # public: what a filter's module calls
    {"vm": ("pwasm._guest",)},  # inside Wasm only
    # --- the compiler: it reads the SDK as files and imports nothing of it ----------------------------------------
    {"shim": ("pwasm_shim",)},
    {
        "errors": ("pwasm_compiler", "pwasm_compiler.errors"),
        "cpython": ("pwasm_compiler.cpython314", "pwasm_compiler.cpython314_calls"),
    },
    {
        "tools": (  # files, texts and values, each on its own
            "pwasm_compiler.cache",
            "pwasm_compiler.connections",
            "pwasm_compiler.digests",
            "pwasm_compiler.files",
            "pwasm_compiler.gomod",
            "pwasm_compiler.held_headers",
            "pwasm_compiler.links",
            "pwasm_compiler.match_rules",
            "pwasm_compiler.pyproject",
            "pwasm_compiler.selection",
            "pwasm_compiler.trim_options",
            "pwasm_compiler.validation",
            "pwasm_compiler.values",
            "pwasm_compiler.yaml_text",
        )
    },
    {"project": ("pwasm_compiler.project",), "wasm": ("pwasm_compiler.wasm",)},
    {"component": ("pwasm_compiler.component",)},
    {"link": ("pwasm_compiler.link",)},
    {"guest": ("pwasm_compiler.guest",)},
    {"build": ("pwasm_compiler.build",)},
    {
        "questions": (  # asked of a filter, a module, a configuration
            "pwasm_compiler.config_check",
            "pwasm_compiler.inspect",
            "pwasm_compiler.plugin_config",
            "pwasm_compiler.scaffold",
            "pwasm_compiler.schema",
        )
    },
    {"envoy": ("pwasm_compiler.envoy",), "kube": ("pwasm_compiler.kube",), "oci": ("pwasm_compiler.oci",)},
    {"bench": ("pwasm_compiler.bench",), "doctor": ("pwasm_compiler.doctor",)},
    {
        "command line": (
            "pwasm_compiler.cli",
            "pwasm_compiler.commands",
            "pwasm_compiler.console",
            "pwasm_compiler.progress",
            "pwasm_compiler.usage",
        )
    },
    # --- the test kit: it runs filters, so it knows both ----------------------------------------------------------
    {"limits": ("pwasm.testing.deadline",)},
    {"emulator": ("pwasm.testing.emulator", "pwasm.testing.wasm", "pwasm.testing.wasm_rules")},
    {"worlds": ("pwasm.testing.worlds",)},
    {"suites": ("pwasm.testing.suites",)},
    {"test kit": ("pwasm.testing", "pwasm.testing.envoy", "pwasm.pytest_plugin", "pwasm.__main__")},
)
NEVER = {
    # Whatever the floors say. (room, what it does not import)
    "compiler": ("pwasm_compiler", ("pwasm",)),
    "test kit": ("pwasm.testing", ("pwasm_compiler.commands", "pwasm_compiler.cli", "click")),
}
# Other people's packages, and who imports them.
OTHERS: dict[str, tuple[str, ...]] = {
    "_pwasm_shim": ("pwasm._guest.vm", "pwasm_compiler.guest.inside.pwasm_compile"),  # the latter runs in the guest
    "click": (
        "pwasm_compiler.cli",
        "pwasm_compiler.commands",
        "pwasm_compiler.console",
        "pwasm_compiler.progress",
        "pwasm_compiler.usage",
    ),
    "filelock": ("pwasm_compiler.cache", "pwasm.testing.worlds.filters"),
    "jsonschema": ("pwasm_compiler.config_check", "pwasm_compiler.validation"),
    "packaging": ("pwasm_compiler.build.dependencies",),
    "pwasm_absent": ("pwasm_compiler.guest.inside.absent",),  # its own name in the guest
    "pwasm_facts": ("pwasm_compiler.guest.inside.pwasm_compile",),  # both run in the guest, as modules at the top
    "pwasm_tables": ("pwasm_compiler.guest.inside.pwasm_facts",),
    "pwasm_conditions": ("pwasm_compiler.guest.inside.pwasm_facts", "pwasm_compiler.guest.inside.pwasm_tree"),
    "pwasm_tree": ("pwasm_compiler.guest.inside.pwasm_facts",),
    "pip": ("pwasm_compiler.build.dependencies.inside_pip",),  # a script, which only pip's process runs
    "pytest": ("pwasm.pytest_plugin", "pwasm.testing.suites", "pwasm.testing.worlds", "pwasm_compiler.commands"),
    "time_machine": ("pwasm.testing.emulator.python_clocks",),
    "wasmtime": ("pwasm.testing.wasm", "pwasm_compiler.commands.optimize", "pwasm_compiler.guest"),
    "yaml": (
        "pwasm_compiler.envoy",
        "pwasm_compiler.yaml_text",
    ),
}
STANDARD_LIBRARY = sys.stdlib_module_names | {"annotationlib"}  # new in the 3.14 of a VM
ROOMS = {name: (floor, room) for floor, rooms in enumerate(FLOORS) for room, names in rooms.items() for name in names}


@functools.cache
def imports_of(name: str, path: Path) -> frozenset[str]:
    """Absolute names of everything that `path` imports, lazily or not; standard library left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    sources = {source for _, source, _ in imported_names(name, path, tree)}
    return frozenset(source for source in sources if source.partition(".")[0] not in STANDARD_LIBRARY)


def is_in(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def room_of(name: str) -> tuple[int, str]:
    """The floor and the room of a module. A package's name alone is a room of its own: what is in it has others."""
    whole = {"pwasm", "pwasm_compiler"}
    fits = [room for room in ROOMS if name == room or (room not in whole and name.startswith(room + "."))]
    assert fits, f"{name} is in no room: give it a place in FLOORS"
    return ROOMS[max(fits, key=len)]


def wrong_arrows(imports: dict[str, frozenset[str]]) -> list[str]:
    """What is imported against the rules."""
    wrong = []
    for name, imported in imports.items():
        floor, room = room_of(name)
        for item in imported:
            if item.partition(".")[0] not in PACKAGES:
                if not is_in(name, OTHERS.get(item.partition(".")[0], ())):
                    wrong.append(f"{name} imports {item}, which OTHERS does not give it")
                continue
            below, other = room_of(item)
            only_version = item in ("pwasm", "pwasm_compiler")
            if (below > floor or (below == floor and room != other)) and not only_version:
                wrong.append(f"{name} ({room}) imports {item} ({other}), which is not below it")
            if item == "pwasm" and floor < ROOMS["pwasm"][0]:
                wrong.append(f"{name} imports pwasm, which imports it")
            for package, never in NEVER.values():
                if is_in(name, (package,)) and is_in(item, never):
                    wrong.append(f"{name} imports {item}: never")
    return wrong


def circles(imports: dict[str, frozenset[str]]) -> list[list[str]]:
    """Files that import each other in a circle: the strongly connected parts, after Tarjan."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for item in sorted(imports[name] & imports.keys() - {name}):
            if item not in index:
                visit(item)
            if item in stack:
                low[name] = min(low[name], low[item])
        if low[name] == index[name]:
            part = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(part) > 1:
                found.append(sorted(part))

    for name in imports:
        if name not in index:
            visit(name)
    return found


@functools.cache
def all_imports() -> dict[str, frozenset[str]]:
    return {name: imports_of(name, path) for name, path in modules().items()}


def test_imports_go_down() -> None:
    assert wrong_arrows(all_imports()) == []


def test_no_circle_of_files() -> None:
    assert circles(all_imports()) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("pwasm._stream.guards", "pwasm.types"),  # a floor up
        ("pwasm.errors", "pwasm"),  # the package that imports it
        ("pwasm_compiler.oci.registry", "pwasm_compiler.kube.schemas"),  # another room on the same floor
        ("pwasm_compiler.envoy.process", "pwasm.testing.wasm"),  # the test kit
        ("pwasm_compiler.wasm.decode", "click"),  # somebody else's package
    ],
)
def test_one_arrow_against_the_floors_fails(importer: str, imported: str) -> None:
    imports = {**all_imports(), importer: all_imports()[importer] | {imported}}
    new = [wrong for wrong in wrong_arrows(imports) if wrong not in wrong_arrows(all_imports())]
    assert len(new) >= 1
    assert all(importer in wrong and imported in wrong for wrong in new)


def test_one_arrow_back_makes_a_circle() -> None:
    imports = dict(all_imports())
    importer, imported = "pwasm_compiler.files", "pwasm_compiler.project"
    assert importer in imports[imported]
    imports[importer] |= {imported}
    assert any({importer, imported} <= set(part) for part in circles(imports))


def test_every_room_exists() -> None:
    names = modules().keys()
    for room in (*ROOMS, *(room for rooms in OTHERS.values() for room in rooms)):
        assert any(is_in(name, (room,)) for name in names), f"there is no {room}"


def test_only_the_guest_imports_the_shim() -> None:
    importers = tuple(name for name, imported in all_imports().items() if "_pwasm_shim" in imported)
    assert importers == OTHERS["_pwasm_shim"]


def test_no_more_top_level_folders() -> None:
    visible = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert visible - {"dist", "__pycache__"} <= TOP_LEVEL_FOLDERS


def test_nothing_else_importable_lies_beside_the_packages() -> None:
    for package, folder in PACKAGES.items():
        strangers = [path.name for path in folder.parent.glob("*.py") if path.name not in BUILD_SCRIPTS]
        folders = [path.name for path in folder.parent.iterdir() if (path / "__init__.py").exists()]
        assert (strangers, folders) == ([], [package])


FILTERS = sorted(path for path in (ROOT / "filters").glob("*/*.py") if not path.name.startswith("test_"))


@pytest.mark.parametrize("path", FILTERS, ids=[f"{path.parent.name}/{path.name}" for path in FILTERS])
def test_filters_import_the_sdk_and_the_standard_library(path: Path) -> None:
    """And the modules beside them."""
    for imported in imports_of(path.stem, path):
        assert imported.partition(".")[0] == "pwasm" or path.with_name(f"{imported}.py").is_file(), imported


PRINTERS = {
    "pwasm_compiler.console",  # what is printed
    "pwasm_compiler.progress",  # the line that is overwritten
}


def test_only_the_console_prints() -> None:
    """What is printed may come from a module, a registry or a log: `console.say` makes it harmless to a terminal."""
    printing = {
        name
        for name, path in modules().items()
        if name.startswith("pwasm_compiler") and re.search(r"\bclick\.(echo|secho)\(", path.read_text(encoding="utf-8"))
    }
    assert printing == PRINTERS
