"""All mutable state in module globals, each with the reason. State belongs in contexts.

A filter's VM, a test process and a build each import these modules once, so whatever changes here is shared by
everything that runs in them: two emulators, two filters, two builds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.sources import imported_names, modules

STATE = {
    # --- in every VM ----------------------------------------------------------------------------------------------
    "pwasm._stream.current: current": "what the running callback acts on; the public functions take no context",
    "pwasm._async.tasks: scheduler": "between two steps of a coroutine",
    "pwasm._async.never_awaited: _collecting": "whether the garbage collector runs",
    "pwasm._async.never_awaited: is_of_the_filter": "which files are the filter's; set once, in a VM",
    "pwasm._stream.budget: renew": "a full step budget again; set once, where there is a budget",
    "pwasm._validate: known_names": "header names found valid, up to a limit; true for everybody",
    "pwasm._config.binding: _known": "class -> type of its configuration, which does not change",
    "pwasm._dispatch.declarations: _known": "class -> what it declares, which does not change",
    "pwasm._hostcalls.header_maps: shortcut_candidates": "the functions made at import, for the shim's shortcuts",
    "pwasm._guest.bundle: files": "data files, read at build",
    "pwasm._guest.bundle_files: _files": "the same",
    "pwasm._guest.bundle_files: _folders": "the folders they are in",
    "pwasm._guest.bundle_files: _inodes": "a number for each that was asked for; the same for good",
    "builtins: open": "finds data files; only in a module that has some",
    "io: open": "the same",
    "os: stat": "the same",
    "os: lstat": "the same",
    "os: listdir": "the same",
    "os: scandir": "the same",
    "io: open_code": "the same",
    "os: open": "the same",
    "os: access": "the same",
    "pwasm._guest.freeze: _kept": "modules that a build asked for by name",
    "pwasm._guest.freeze: _root": "the staged folder, at build",
    "pwasm._guest.randomness: reseeded": "generators that a new VM seeds; noted at build",
    "warnings: _warn_unawaited_coroutine": "Python's hook: for good in a VM, in the emulator while a callback runs",
    "time: sleep": "would block the worker; refused in a VM",
    "os: _exit": "would end the VM; an exception in a VM",
    "os: abort": "the same",
    # --- in the guest while a filter is imported -------------------------------------------------------------------
    "pwasm._guest.bundle: _root": "the staged folder",
    "pwasm._guest.bundle: _sources": "the filter's own files",
    "pwasm._guest.bundle: watch": "who wants to know of the filter's code",
    "pwasm._guest.randomness: _seed": "`random.Random.seed`, while ours is in its place",
    "pwasm._guest.randomness: observer": "who wants to know of new generators",
    "sys: stdout": "what the import prints goes to the build",
    "sys: stderr": "the same",
    "sys: stdin": "a smaller buffer",
    "sys: __stdin__": "the same",
    "sys: dont_write_bytecode": "there is no disk",
    # --- where classes are registered, at build and in tests -------------------------------------------------------
    "pwasm._names.spelling: _checked": "classes found good",
    "pwasm._names.functions: _seen": "modules in which a filter's helpers may be mentioned",
    "pwasm._names.functions: root": "the staged folder, for messages",
    "pwasm._names.functions: sources": "the filter's own files",
    # --- in test processes -----------------------------------------------------------------------------------------
    "pwasm.pytest_plugin: _filter_of()": "per test file",
    "pwasm.testing.deadline: _enters_wasm": "functions of `wasm`, once it is imported",
    "pwasm.testing.deadline: _interrupts": "the same",
    "pwasm.testing.deadline: _raised": "what a filter has caught and the test must see; empty between limits",
    "pwasm.testing.deadline: _watches": "the limits that run",
    "pwasm.testing.emulator.python_clocks: _here": "whose clock this thread shows",
    "pwasm.testing.emulator.python_clocks: _replaced": "Python's clocks, while a callback runs",
    "pwasm.testing.wasm: _engine()": "wasmtime's engine, one per process",
    "pwasm.testing.wasm: _modules": "compiled modules by content",
    "pwasm.testing.worlds.filters: _built": "modules found or built in this process",
    "pwasm.testing.worlds.filters: _kept_modules()": "the folder of built modules",
    "pwasm.testing.worlds.filters: _read()": "by path, size and time",
    "pwasm.testing.worlds.filters: _toolchain()": "digest of the SDK and the compiler",
    "pwasm.testing.worlds.neighbours: _added": "the folder on sys.path",
    "pwasm.testing.worlds.neighbours: _aside": "modules of filters that are not under test now",
    "pwasm.testing.worlds.neighbours: _here": "the filter under test",
    "pwasm.testing.worlds.servers: _held": "ports that nobody else may be given",
    # --- in the compiler -------------------------------------------------------------------------------------------
    "pip._internal.cli: cmdoptions": "replaced in pip's own process",
    "pip._internal.index.package_finder: LinkEvaluator": "the same",
    "pip._internal.models.target_python: TargetPython": "the same",
    "pip._vendor.packaging: markers": "the same",
    "pwasm_compiler.build.dependencies.pip: _without_network()": "whether programs can be run without network",
    "subprocess: Popen": "replaced in pip's own process",
    "pwasm_compiler.build.verify: callback_types()": "from the ABI table",
    "pwasm_compiler.build.verify: host_functions()": "the same",
    "pwasm_compiler.envoy.programs: _version()": "what a program said, by path and time",
    "pwasm_compiler.guest.code_cache: linker_version()": "digest of the linker's sources",
    "pwasm_compiler.kube.crd_facts: products()": "the facts of the products' CRDs, read once",
    "pwasm_compiler.kube.releases: _schema()": "schemas made of them",
    "pwasm_compiler.guest.machine: _imports()": "what a guest can import",
    "pwasm_compiler.progress: _running": "what is on the terminal's last line",
    "pwasm_compiler.wasm.module: _by_kind()": "imports of a module by kind",
}
_CHANGES = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}
_CACHES = ("functools.cache", "functools.lru_cache", "cache", "lru_cache")
_CONTAINERS = {"dict", "list", "set", "deque", "Counter", "defaultdict"}


def state_in(name: str, path: Path) -> Iterator[str]:
    """What the functions of a module change in module globals, its own or another's, as `module: name`; and caches."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    containers = {target for target, value in _assigned(tree) if _is_container(value)}
    own = {target for target, _ in _assigned(tree) if target}
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef) and _changes_itself(node)}
    for global_name, value in _assigned(tree):
        if isinstance(value, ast.Call) and _name(value.func) in classes:
            yield f"{name}: {global_name}"
    imported = {local: (source, item) for local, source, item in imported_names(name, path, tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from (f"{name}: {item}" for item in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
            yield from (f"{name}: {item}" for item in containers & {_name(_container_of(node.func.value))})
        elif isinstance(node, ast.FunctionDef) and any(
            ast.unparse(item).startswith(_CACHES) for item in node.decorator_list
        ):
            yield f"{name}: {node.name}()"
        for target in _targets(node):
            if isinstance(target, ast.Subscript):
                yield from (f"{name}: {item}" for item in containers & {_name(_container_of(target.value))})
            elif isinstance(target, ast.Attribute) and _name(target.value) in imported:
                source, item = imported[_name(target.value)]
                yield f"{source}: {item or target.attr}"
            elif isinstance(target, ast.Attribute) and _name(target.value) in own:
                yield f"{name}: {_name(target.value)}"


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        return [node.target]
    whole = node.targets if isinstance(node, (ast.Assign, ast.Delete)) else []
    return [part for target in whole for part in (target.elts if isinstance(target, ast.Tuple) else [target])]


def _container_of(node: ast.expr) -> ast.expr:
    """The outer container of a nested one: `made["get"].append(…)` changes `made`."""
    return node.value if isinstance(node, ast.Subscript) else node


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((_name(target), node.value) for target in node.targets)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield _name(node.target), node.value


def _is_container(value: ast.expr) -> bool:
    displays = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    return isinstance(value, displays) or (isinstance(value, ast.Call) and _name(value.func) in _CONTAINERS)


def _changes_itself(node: ast.ClassDef) -> bool:
    """Whether a method other than the constructor sets attributes of `self`."""
    methods = (item for item in node.body if isinstance(item, ast.FunctionDef) and item.name != "__init__")
    inner = (target for method in methods for step in ast.walk(method) for target in _targets(step))
    return any(isinstance(target, ast.Attribute) and _name(target.value) == "self" for target in inner)


def found() -> set[str]:
    return {item for name, path in modules().items() for item in state_in(name, path)}


def test_all_of_it_is_listed() -> None:
    assert found() - STATE.keys() == set()


def test_nothing_else_is_listed() -> None:
    assert STATE.keys() - found() == set()
