"""From a filter's folder to what a world runs: its classes, imported separately for each VM, or its built module."""

from __future__ import annotations

import atexit
import datetime
import functools
import hashlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pwasm._dispatch.exports import callbacks_used, headers_held
from pwasm._stream.current import current
from pwasm._stream.registration import Registration

from .neighbours import folders_of

if TYPE_CHECKING:
    from pwasm_compiler.envoy.module import Module
    from pwasm_compiler.project import Project

ENTRY = "filter.py"
GO_MODULE = "go.mod"
"""A folder with this file and no filter.py is built by the Go backend, and has no python tier."""
KEPT_MODULES = 60
"""Number of built modules in the cache, about 16 MB each; more than a run of all filters of a project needs."""


class SetupError(Exception):
    """The set-up that a test requests is impossible."""


def find_filter(named: str | Path, test: Path, top: Path) -> Path:
    """The folder, .py or .wasm file of the filter under test.

    Args:
        named: the path given in the marker, relative to the test's folder; "" for the nearest filter.py or go.mod.
        test: the test's file.
        top: the folder at which to stop the search upwards.

    Raises:
        SetupError: there is none.
    """
    if named:
        found = (test.parent / named).resolve()
        if not found.exists():
            raise SetupError(f"{test.name} names the filter {str(named)!r}, which does not exist: {found}")
        return found.parent if found.name == ENTRY else found
    for folder in (test.parent, *test.parent.parents):
        if is_filter(folder):
            return folder
        if folder == top:
            break
    raise SetupError(
        f"no {ENTRY} or {GO_MODULE} next to {test} or above it; select one with @pytest.mark.pwasm(filter=…)"
    )


def is_filter(folder: Path) -> bool:
    """Whether a folder is a filter, in Python or in Go."""
    return any((folder / name).is_file() for name in (ENTRY, GO_MODULE))


def is_python(path: Path) -> bool:
    """Whether a filter (a folder, .py or .wasm file) can be imported."""
    return path.suffix == ".py" or (path / ENTRY).is_file()


def import_filter(path: Path) -> Registration:
    """Import the filter at `path` (a folder, or a .py file) and return its registration.

    Each call imports the filter's own modules again, as each VM has its own; installed packages are shared.

    Raises:
        RegistrationError: the filter registers two contexts of a kind.
    """
    return import_for_vm(path)[0]


def import_for_vm(path: Path) -> tuple[Registration, OwnModules]:
    """The same, with the modules that were imported, for the plugin that is made of it."""
    folder, name = (path, Path(ENTRY).stem) if path.is_dir() else (path.parent, path.stem)
    before, current.registration = current.registration, Registration()
    own = OwnModules(folder)
    try:
        with own:
            importlib.import_module(name)
        return current.registration, own
    finally:
        current.registration = before


class OwnModules:
    """The filter's own modules of one VM: within a `with` block they are in `sys.modules`, first on the path.

    So what a callback imports is what the filter has imported, as it is in a VM, and `pickle` finds its classes.
    Modules that the test or another VM has imported from the same folder are hidden meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, ModuleType] = {}
        self._outside: list[tuple[dict[str, ModuleType], set[str]]] = []
        """Of each open block, for a callback may be called within another: what it has hidden, and what it has not."""

    def __enter__(self) -> None:
        first = not self._modules
        names = {*_modules_of(self._folder, sys.modules), *_namesakes(self._folder)} if first else self._modules.keys()
        hidden = {name: sys.modules.pop(name) for name in list(names) if name in sys.modules}
        self._outside.append((hidden, set(sys.modules)))
        sys.modules.update(self._modules)
        sys.path.insert(0, str(self._folder))
        if first:
            importlib.invalidate_caches()

    def __exit__(self, *_exception: object) -> None:
        with suppress(ValueError):  # the filter may have removed it
            sys.path.remove(str(self._folder))
        hidden, others = self._outside.pop()
        for name in _modules_of(self._folder, sys.modules.keys() - others):
            self._modules[name] = sys.modules.pop(name)
        sys.modules.update(hidden)

    def around(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """The callback, called in such a block."""

        def called(*args: Any) -> Any:
            with self:
                return callback(*args)

        return called


def _namesakes(folder: Path) -> list[str]:
    """Modules from elsewhere with the same names as the filter's own: every filter is called `filter`."""
    places = [*folder.glob("*.py"), *(path for path in folder.iterdir() if path.is_dir() and path.name.isidentifier())]
    own = {path.stem for path in places if not path.name.startswith(("test_", "conftest"))} - sys.stdlib_module_names
    return [name for name in sys.modules if name.partition(".")[0] in own]


def _modules_of(folder: Path, among: Iterable[str]) -> list[str]:
    """The modules of a filter, without test modules and packages installed below its folder."""
    found, beginning = [], str(folder)
    for name in list(among):
        module = sys.modules[name]
        file = getattr(module, "__file__", None) or next(iter(folders_of(module)), None)  # a namespace has only folders
        if not isinstance(file, str) or not file.startswith(beginning) or name.startswith(("test_", "tests")):
            continue
        inside = Path(file).relative_to(folder) if Path(file).is_relative_to(folder) else Path("site-packages")
        if "site-packages" not in inside.parts and not inside.name.startswith(("test_", "conftest")):
            found.append(name)
    return found


ACCESS_LOG = "access_log"


def kind_of(registration: Registration) -> str:
    """Where Envoy uses a filter with this registration: "http", "tcp", "access_log" or "plugin"."""
    every = (registration, *(named for _, named in registration.named))
    if any(one.http for one in every):
        return "http"
    if any(one.tcp for one in every):
        return "tcp"
    return ACCESS_LOG if "proxy_on_log" in callbacks_used(registration) else "plugin"


def kind_of_module(module: Path) -> str:
    """The same for a built module, based on the callbacks it exports."""
    return _facts(module).kind


def _facts(module: Path) -> Module:
    state = module.stat()
    return _read(module, state.st_mtime_ns, state.st_size)


@functools.cache
def _read(module: Path, _modified: int, _size: int) -> Module:
    from pwasm_compiler.envoy.module import read_module

    return read_module(module)


def wants_held_headers(path: Path, tier: str) -> bool:
    """Whether a class of the filter at `path` wants to hold streams by their headers.

    Only the tier "python" imports it: a module may be built from sources that are too new for this Python.
    """
    if tier == "python":
        return bool(headers_held(import_filter(path)))
    return bool(_facts(built_module(path)).hold_headers)


def built_module(path: Path, progress: Callable[[str], None] = lambda _text: None) -> Path:
    """The module of the filter at `path`, built unless the cache has it; a .wasm file is returned as is.

    Args:
        path: a folder, a .py or a .wasm file.
        progress: called with a description of each step of a build, and with "" at its end.

    Raises:
        PwasmError: the filter cannot be built.
    """
    if path.suffix == ".wasm":
        return path
    module = _kept_modules() / f"{_digest_of(path)}.wasm"
    if module not in _built or not module.exists():  # another process may have pruned it in the meantime
        if not _is_whole(module):
            _build(path, module, progress)
        with suppress(OSError):  # it may belong to another user
            module.touch()
        _built.add(module)
    return module


_built: set[Path] = set()
"""Modules that this process has found or built."""


def compiled_module(module: Path) -> None:
    """Make wasmtime compile a module, so that the time does not count for a test.

    Raises:
        WasmLoadError: the file is not a module.
    """
    from ..wasm import _compiled

    _compiled(module)


def _build(path: Path, module: Path, progress: Callable[[str], None]) -> None:
    from filelock import FileLock

    from pwasm_compiler.build.backends import build
    from pwasm_compiler.files import write_atomically
    from pwasm_compiler.project import load_project

    # Other processes (of pytest-xdist) wait and find the module built by the first.
    with FileLock(module.with_suffix(".lock")):
        if not _is_whole(module):
            project = load_project(path)
            progress(f"building {project.name}")
            try:
                build(project, module, progress=lambda stage: progress(f"building {project.name}: {stage}"))
            finally:
                progress("")
            write_atomically(_seal(module), hashlib.sha256(module.read_bytes()).hexdigest().encode())
            _prune(module.parent)


@functools.cache
def _kept_modules() -> Path:
    """The folder of built modules in the cache; a temporary folder of this process if that is not writable."""
    from pwasm_compiler.cache import cache_dir

    folder = cache_dir() / "tested"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    scratch = tempfile.TemporaryDirectory(prefix="pwasm-")
    atexit.register(scratch.cleanup)
    return Path(scratch.name)


def _seal(module: Path) -> Path:
    """The file with the digest of a module, written after it."""
    return module.with_suffix(".sha256")


def _is_whole(module: Path) -> bool:
    """Whether a module exists, and is unchanged since it was built."""
    try:
        return hashlib.sha256(module.read_bytes()).hexdigest() == _seal(module).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False


def _prune(folder: Path) -> None:
    """Remove all but the most recently used modules."""
    modules = sorted(folder.glob("*.wasm"), key=lambda module: module.stat().st_mtime, reverse=True)
    for old in modules[KEPT_MODULES:]:
        for file in (old, old.with_name(f"{old.name}.names"), _seal(old), old.with_suffix(".lock")):
            file.unlink(missing_ok=True)


def _digest_of(path: Path) -> str:
    """The digest of everything that goes into a module.

    Raises:
        PwasmError: the filter cannot be loaded, or no compiler for it is installed.
    """
    from pwasm_compiler.build.backends.choose import choose
    from pwasm_compiler.project import load_project, source_files

    project: Project = load_project(path)
    digest = hashlib.sha256(_toolchain())
    if project.language == "go":  # another PATH has another Go
        digest.update(str(choose(project).toolchain).encode())
    others = [file for file in (project.configuration, project.lock) if file is not None and file.exists()]
    for file in (*source_files(project), *others):
        digest.update(f"{file.relative_to(project.root)} {file.stat().st_size}\n".encode() + file.read_bytes())
    if project.dependencies:  # pip may resolve them differently tomorrow
        digest.update(datetime.datetime.now(datetime.UTC).date().isoformat().encode())
    return digest.hexdigest()


@functools.cache
def _toolchain() -> bytes:
    """The digest of the SDK, the linker and the runtime."""
    import pwasm_compiler
    import pwasm_shim
    from pwasm_compiler.build.stage import sdk_files

    digest = hashlib.sha256(pwasm_shim.origin().read_bytes())
    compiler = sorted(Path(str(pwasm_compiler.__file__)).parent.rglob("*.py"))
    for file in (*sdk_files().values(), *compiler):
        digest.update(file.read_bytes())
    return digest.digest()
