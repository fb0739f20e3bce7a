"""Who may import whom, and which rooms there are. A new room or a new arrow is a decision: write it down here."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "pwasm": ROOT / "sdk" / "pwasm",
    "pwasm_compiler": ROOT / "compiler" / "pwasm_compiler",
    "pwasm_shim": ROOT / "runtime-shim" / "pwasm_shim",
}
BUILD_SCRIPTS = ("build_base.py", "build_shim.py")
TOP_LEVEL_FOLDERS = {"sdk", "compiler", "docs", "filters", "runtime-shim", "tests", "tools"}

ANY_SDK = {"pwasm"}
BINARY = {"pwasm_compiler.errors", "pwasm_compiler.wasm"}
CPYTHON = {"pwasm_compiler.cpython314"}  # constants: whoever knows the Python in a module knows it from there
COMPONENT = BINARY | {"pwasm_compiler.component"}
LINK = COMPONENT | CPYTHON | {"pwasm_compiler.link"}
HOST_SIDE = {"pwasm.testing"}
DELIVER = {"pwasm_compiler.errors", "pwasm_compiler.files", "pwasm_compiler.deliver"}

# Room → what it may import beside itself and the standard library. The longest matching name decides.
RULES: dict[str, set[str]] = {
    # The SDK is frozen into every module: standard library only, and neither the shim nor the test kit.
    "pwasm": ANY_SDK,
    "pwasm._typing": set(),
    "pwasm._abi": {"pwasm._typing"},
    "pwasm._protocols": {"pwasm._typing"},
    "pwasm._serde": set(),
    "pwasm.errors": {"pwasm._abi"},
    "pwasm.types": {
        "pwasm._abi",
        "pwasm._typing",
        "pwasm._hostcalls.objects",
    },  # the latter inside `request` and `response` only
    "pwasm._guest": ANY_SDK | {"_pwasm_shim"},
    "pwasm.testing": ANY_SDK,
    "pwasm.testing.emulator.python_clocks": ANY_SDK | {"time_machine"},
    "pwasm.testing.wasm": ANY_SDK | {"wasmtime"},
    # The worlds build the filter under test, and read their test's markers.
    "pwasm.testing.worlds.filters": ANY_SDK
    | {
        "filelock",
        "pwasm_compiler.backends",
        "pwasm_compiler.cache",
        "pwasm_compiler.files",
        "pwasm_compiler.inspect",
        "pwasm_compiler.project",
        "pwasm_compiler.serve",
        "pwasm_compiler.stage",
        "pwasm_shim",
    },
    "pwasm.testing.suites.suite": ANY_SDK | {"yaml"},
    "pwasm.testing.suites.collect": ANY_SDK | {"pytest"},
    "pwasm.testing.worlds.fixtures": ANY_SDK | {"pytest", "pwasm_compiler.errors"},
    "pwasm.pytest_plugin": ANY_SDK | HOST_SIDE | {"pytest"},
    "pwasm.__main__": {"pwasm_compiler.cli"},  # `python -m pwasm`
    # The compiler: binary formats know nothing of files, processes or the command line.
    "pwasm_compiler.errors": set(),
    "pwasm_compiler.wasm": {"pwasm_compiler.errors"},
    "pwasm_compiler.component": BINARY,
    "pwasm_compiler.cpython314": set(),
    "pwasm_compiler.link": COMPONENT | CPYTHON,
    "pwasm_compiler.cache": {"pwasm_compiler.errors", "filelock"},
    "pwasm_compiler.files": {"pwasm_compiler.errors"},
    # The build's own interpreter: wasmtime lives here and nowhere else in the compiler.
    "pwasm_compiler.guest": LINK
    | {
        "wasmtime",
        "pwasm_compiler.cache",
        "pwasm_compiler.code_cache",
        "pwasm_compiler.stage",
        "pwasm_shim",
    },
    "pwasm_compiler.guest.base": {"pwasm_compiler.errors", "pwasm_shim"},
    "pwasm_compiler.guest.inside": {"_pwasm_shim"},  # runs in the guest
    "pwasm_compiler.guest.files": set(),
    "pwasm_compiler.guest.wasi": {"pwasm_compiler.guest.files"},
    "pwasm_compiler.code_cache": LINK | {"pwasm_compiler.cache"},
    "pwasm_compiler.later": CPYTHON,
    "pwasm_compiler.evaluates": CPYTHON,
    "pwasm_compiler.keep": CPYTHON,
    "pwasm_compiler.gomod": {"pwasm_compiler.files"},
    "pwasm_compiler.project": CPYTHON
    | {
        "pwasm_compiler.errors",
        "pwasm_compiler.files",
        "pwasm_compiler.gomod",
        "pwasm_compiler.keep",
    },
    "pwasm_compiler.dependencies": CPYTHON
    | {
        "pwasm_compiler.errors",
        "pwasm_compiler.files",
        "pwasm_compiler.project",
        "pwasm_compiler.cache",
    },
    "pwasm_compiler.stage": {
        "pwasm_compiler.errors",
        "pwasm_compiler.project",
        "pwasm_compiler.cache",
        "pwasm_compiler.dependencies",
        "pwasm_compiler.evaluates",
        "pwasm_compiler.files",
        "pwasm_compiler.later",
    },
    "pwasm_compiler.verify": BINARY | {"pwasm_compiler.stage"},
    "pwasm_compiler.inspect": BINARY | {"pwasm_compiler.files", "pwasm_compiler.verify"},
    "pwasm_compiler.pipeline": LINK
    | {
        "pwasm_compiler.cache",
        "pwasm_compiler.code_cache",
        "pwasm_compiler.files",
        "pwasm_compiler.guest",
        "pwasm_compiler.keep",
        "pwasm_compiler.project",
        "pwasm_compiler.stage",
        "pwasm_compiler.verify",
    },
    # Other compilers behind the same `build`; what they share with the pipeline is how a module is written.
    "pwasm_compiler.backends": BINARY
    | {
        "pwasm_compiler.files",
        "pwasm_compiler.gomod",
        "pwasm_compiler.pipeline",
        "pwasm_compiler.project",
        "pwasm_compiler.verify",
    },
    "pwasm_compiler.scaffold": {"pwasm_compiler.errors", "pwasm_compiler.cache"},
    "pwasm_compiler.yaml_values": {"yaml"},
    "pwasm_compiler.config_file": {"pwasm_compiler.errors", "pwasm_compiler.yaml_values", "yaml"},
    "pwasm_compiler.plugin_config": {
        "pwasm_compiler.errors",
        "pwasm_compiler.files",
        "pwasm_compiler.yaml_values",
        "yaml",
    },
    "pwasm_compiler.schema": {
        "pwasm_compiler.cache",
        "pwasm_compiler.dependencies",
        "pwasm_compiler.errors",
        "pwasm_compiler.files",
        "pwasm_compiler.project",
    },
    "pwasm_compiler.serve": {
        "pwasm_compiler.errors",
        "pwasm_compiler.plugin_config",
        "pwasm_compiler.config_file",
        "pwasm_compiler.files",
        "pwasm_compiler.inspect",
        "pwasm_compiler.deliver",  # a configuration that is generated is the one that pwasm config writes
        "pwasm_compiler.project",
        "pwasm.testing",
    },
    "pwasm_compiler.ecds": {"pwasm_compiler.errors", "yaml"},
    # What measures knows modules and Envoys; the project's own benchmark takes its parts.
    "pwasm_compiler.bench": BINARY
    | {
        "pwasm_compiler.files",
        "pwasm_compiler.inspect",
        "pwasm_compiler.plugin_config",
        "pwasm_compiler.project",
        "pwasm_compiler.serve",
        "pwasm.testing",
    },
    "pwasm_compiler.reload": {
        "pwasm_compiler.ecds",
        "pwasm_compiler.errors",
        "pwasm_compiler.files",
        "pwasm_compiler.project",
        "pwasm_compiler.serve",
        "pwasm.testing",
    },
    # Delivery: resources and configurations are made and checked without click, and without a cluster.
    "pwasm_compiler.deliver": {"pwasm_compiler.errors", "pwasm_compiler.files"},
    "pwasm_compiler.deliver.validation": {"jsonschema"},
    "pwasm_compiler.deliver.yaml_text": {"pwasm_compiler.errors", "pwasm_compiler.yaml_values", "yaml"},
    "pwasm_compiler.deliver.manifests": DELIVER,
    "pwasm_compiler.deliver.plugin_config": DELIVER
    | {"pwasm_compiler.plugin_config", "pwasm_compiler.project", "pwasm_compiler.schema", "jsonschema"},
    "pwasm_compiler.deliver.envoy_config": {
        "pwasm_compiler.errors",
        "pwasm_compiler.files",
        "pwasm_compiler.inspect",
        "pwasm_compiler.serve",
        "pwasm.testing",
    },
    "pwasm_compiler.deliver.envoy_patch": DELIVER | {"pwasm_compiler.config_file", "yaml"},
    "pwasm_compiler.deliver.programs": {"pwasm.testing", "pwasm_compiler.errors"},
    "pwasm_compiler.deliver.status": DELIVER,
    "pwasm_compiler.deliver.deploy": DELIVER,
    "pwasm_compiler.deliver.doctor": DELIVER
    | CPYTHON
    | {"pwasm_compiler.guest.base", "pwasm_compiler.wasm.instructions"},
    # The command line: click lives here and nowhere else.
    "pwasm_compiler.progress": {"click", "pwasm_compiler.files"},
    "pwasm_compiler.console": {"click", "pwasm_compiler.files", "pwasm_compiler.progress"},
    "pwasm_compiler.commands": {
        "click",
        "pytest",
        "pwasm_compiler.backends",
        "pwasm_compiler.bench",
        "pwasm_compiler.cache",
        "pwasm_compiler.console",
        "pwasm_compiler.deliver",
        "pwasm_compiler.errors",
        "pwasm_compiler.files",
        "pwasm_compiler.inspect",
        "pwasm_compiler.pipeline",
        "pwasm_compiler.plugin_config",
        "pwasm_compiler.progress",
        "pwasm_compiler.project",
        "pwasm_compiler.reload",
        "pwasm_compiler.scaffold",
        "pwasm_compiler.schema",
        "pwasm_compiler.serve",
        "pwasm.testing",  # types only: what `run` shows
        "pwasm_compiler.usage",
    },
    "pwasm_compiler.usage": {"click", "pwasm_compiler.errors"},
    "pwasm_compiler.cli": {
        "click",
        "pwasm_compiler.console",
        "pwasm_compiler.errors",
        "pwasm_compiler.files",
        "pwasm_compiler.usage",
    },
    "pwasm_shim": set(),
}
STANDARD_LIBRARY = sys.stdlib_module_names | {"annotationlib"}  # new in the 3.14 of a VM
NEVER = {
    # Whatever the rules above say: these never cross.
    "pwasm": {"pwasm.testing", "pwasm_compiler", "_pwasm_shim", "wasmtime", "click", "yaml"},
}
EXEMPT_FROM_NEVER = ("pwasm.testing", "pwasm._guest", "pwasm.pytest_plugin", "pwasm.__main__")


def modules() -> list[tuple[str, Path]]:
    found = []
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found.append((".".join(parts).removesuffix(".__init__"), path))
    return found


def imports_of(name: str, path: Path) -> set[str]:
    """Absolute names of everything that `path` imports, lazily or not; standard library left out."""
    found = set()
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {source if node.module else f"{source}.{alias.name}" for alias in node.names}
            found |= {f"{source}.{alias.name}" for alias in node.names if is_module(f"{source}.{alias.name}")}
    return {item for item in found if item.partition(".")[0] not in STANDARD_LIBRARY}


def is_module(name: str) -> bool:
    package, _, rest = name.partition(".")
    folder = PACKAGES.get(package)
    if folder is None:
        return False
    path = folder.joinpath(*rest.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def is_in(name: str, rooms: set[str]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def room_of(name: str) -> str:
    candidates = [room for room in RULES if is_in(name, {room})]
    assert candidates, f"{name} is in no room: give it a row in RULES"
    return max(candidates, key=len)


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_imports_only_what_its_room_may(name: str, path: Path) -> None:
    if name == "pwasm_compiler":
        assert imports_of(name, path) == set()
        return
    room = room_of(name)
    allowed = RULES[room] | {room}
    for imported in imports_of(name, path):
        if imported in ("pwasm_compiler", "pwasm"):
            continue  # the bare package: its version
        assert is_in(imported, allowed), f"{name} imports {imported}; its room {room} may not"
        if not name.startswith(EXEMPT_FROM_NEVER):
            assert not is_in(imported, NEVER.get(name.partition(".")[0], set())), f"{name} imports {imported}"


def test_every_rule_has_a_room() -> None:
    names = {name for name, _ in modules()}
    for room in RULES:
        assert any(is_in(name, {room}) for name in names), f"RULES has a row for {room}, which does not exist"


def test_only_the_guest_imports_the_shim() -> None:
    importers = [name for name, path in modules() if "_pwasm_shim" in imports_of(name, path)]
    assert importers == ["pwasm._guest.vm", "pwasm_compiler.guest.inside.pwasm_compile"]  # the latter runs in the guest


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
