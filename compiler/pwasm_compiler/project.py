"""What is built: a folder with `filter.py` and optionally a `pyproject.toml`, a single Python file, or a Go module.

    [project]
    name = "add-header"
    dependencies = ["idna>=3.7"]       pure-Python packages to include in the module

    [tool.pwasm]                       every key is optional
    include = ["codecs_of_mine"]       modules imported only at run time, to import at build as well
    data = ["i18n", "*.dat"]           files and folders beside filter.py to include that its code does not name
    keep = ["eval"]                    parts of Python to keep: built-in modules, or the compiler
    memory = 256                       MiB the module may grow to, 32 … 1024
    output = "main.wasm"               relative to this file
    build-timeout = 120                seconds
    docstrings = true                  keep the docstrings of the filter and its dependencies
    v8-inlining = true                 leave the module to V8's inliner, for diagnosis
    lock = "pwasm.lock"                install exactly what this file lists; relative to this file
    sdist = ["docopt"]                 dependencies to build from their sdists

A path to `filter.py` means its folder; any other `.py` file is a filter by itself. A Go filter is a folder with a
`go.mod`; it has no settings.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pwasm_compiler.cpython314 import ABSENT, BUILT_IN, NEW_IN_STANDARD_LIBRARY, REMOVED_FROM_STANDARD_LIBRARY
from pwasm_compiler.errors import ProjectError, UsageError
from pwasm_compiler.files import check_readable, printable, shown
from pwasm_compiler.gomod import GO_MODULE, read_go_mod
from pwasm_compiler.links import refuse_link_out
from pwasm_compiler.pyproject import CONFIGURATION, CONFIGURATION_LIMIT, Table, did_you_mean, read_configuration
from pwasm_compiler.selection import files_of_go, files_of_python, is_test, module_name
from pwasm_compiler.trim_options import COMPILER, kept_name

ENTRY = "filter.py"
GO_SOURCE = "main.go"
# Language → the file that marks a folder as a filter in it.
ENTRIES = {"python": ENTRY, "go": GO_MODULE}
# Backend → the language it builds.
BACKENDS = {"python": "python", "go": "go", "tinygo": "go"}
SDK_DISTRIBUTION = "pwasm-sdk"

MEMORY_MIB = range(32, 1024 + 1)
BUILD_TIMEOUT_SECONDS = range(1, 3600 + 1)
_KEYS = ("include", "data", "keep", "memory", "output", "build-timeout", "docstrings", "v8-inlining", "lock", "sdist")
_MODULE_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_REQUIREMENT_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")

_RESERVED = {"pwasm", "pwasm_app", "pwasm_shim", "wit_world", "componentize_py_runtime", "componentize_py_types"}
# That of the Python that runs the filter, which may be newer than this one. What it does not have may be provided.
_STANDARD_LIBRARY = (
    (sys.stdlib_module_names | NEW_IN_STANDARD_LIBRARY) - REMOVED_FROM_STANDARD_LIBRARY.keys() - ABSENT.keys()
)


@dataclass(frozen=True)
class Project:
    """One filter, ready to be built; every path is absolute."""

    root: Path
    entry: Path
    name: str
    output: Path
    dependencies: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    """Names and patterns of data files and folders beside `filter.py` that its code does not name."""
    keep: tuple[str, ...] = ()
    """What trimming must keep: built-in modules, and `trim_options.COMPILER`."""
    memory_max_mib: int = 256
    build_timeout_seconds: int = 120
    docstrings: bool = False
    """Whether the filter and its dependencies keep theirs at run time."""
    lock: Path | None = None
    """The lock file, which may not exist yet."""
    write_lock: bool = False
    """Whether the lock file is written rather than read."""
    sdist: tuple[str, ...] = ()
    """Normalized names of dependencies that are built from their sdists."""
    hash_seed: int | None = None
    """For str and bytes in the module (0 to 2**32 - 1, like PYTHONHASHSEED); None derives it from the input files."""
    v8_inlining: bool = False
    """Whether V8 may inline calls, which doubles the load time; for diagnosis (`link.inlining`)."""
    backend: str | None = None
    """The requested one of `BACKENDS`; None leaves the choice to pwasm."""

    @property
    def language(self) -> str:
        """One of `ENTRIES`."""
        return "go" if self.entry.name == GO_MODULE else "python"

    @property
    def configuration(self) -> Path | None:
        """The filter's `pyproject.toml`, if it has one."""
        file = self.root / CONFIGURATION
        return file if self.entry.name == ENTRY and file.is_file() else None


def is_filter(folder: Path) -> bool:
    """Whether a folder is a filter, in Python or in Go."""
    return any((folder / name).is_file() for name in (ENTRY, GO_MODULE))


def load_project(path: Path, backend: str | None = None) -> Project:
    """The project at `path`; raises `UsageError` if it does not exist, `ProjectError` if it is not a filter.

    `backend`, one of `BACKENDS`, is the requested one; it decides in a folder with filters in two languages.
    """
    entry = _entry(path, backend)
    root = entry.parent
    if entry.name == GO_MODULE:
        name = read_go_mod(entry).name or printable(root.name) or "filter"
        return Project(root=root, entry=entry, name=name, output=root / "main.wasm", backend=backend)
    if entry.name != ENTRY:
        return Project(root=root, entry=entry, name=printable(entry.stem), output=root / "main.wasm", backend=backend)
    file = root / CONFIGURATION
    table = _read_configuration(root, file) if os.path.lexists(file) else Table({}, "", file)
    project, tool = table.table("project"), table.table("tool").table("pwasm")
    tool.refuse_others(_KEYS)
    return Project(
        root=root,
        entry=entry,
        name=project.string("name") or printable(root.name) or "filter",
        output=root / (tool.string("output") or "main.wasm"),
        dependencies=tuple(item for item in project.strings("dependencies") if not _is_sdk(item, file)),
        include=_module_names(tool),
        data=tool.strings("data"),
        keep=_keep(tool),
        memory_max_mib=tool.integer("memory", MEMORY_MIB, Project.memory_max_mib),
        build_timeout_seconds=tool.integer("build-timeout", BUILD_TIMEOUT_SECONDS, Project.build_timeout_seconds),
        docstrings=tool.boolean("docstrings", Project.docstrings),
        v8_inlining=tool.boolean("v8-inlining", Project.v8_inlining),
        lock=root / tool.string("lock") if tool.string("lock") else None,
        sdist=_sdist(tool),
        backend=backend,
    )


def requirement_name(requirement: str) -> str | None:
    """The normalized project name at the start of a requirement, or None if there is none."""
    match = _REQUIREMENT_NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else None


def source_files(project: Project) -> tuple[Path, ...]:
    """The entry, the modules next to it, the packages with all their data, and data files (see `selection`), sorted.

    A filter that is a single file other than `filter.py` consists of that file alone. For a Go filter it is every file
    below its folder that is not hidden. Modules that its go.mod replaces with other folders are not considered.

    Raises:
        ProjectError: one of them is a link that leads out of the folder, or shadows a module of Python or of pwasm.
    """
    if project.language == "go":
        return files_of_go(project.root)
    if project.entry.name != ENTRY:
        refuse_link_out(project.root, project.entry)
        _refuse_shadowing(project.entry)
        return (project.entry,)
    return files_of_python(project.root, project.data, _refuse_shadowing)


def is_stale(project: Project) -> bool:
    """Whether the module is missing, older than a source file or the pyproject.toml, or perhaps another backend's."""
    if project.language == "go" and project.backend is not None:
        return True  # there is no record of which compiler built it
    try:
        built = project.output.stat().st_mtime_ns
    except OSError:
        return True
    inputs = [*source_files(project), *filter(None, [project.configuration, project.lock])]
    return any(not file.exists() or file.stat().st_mtime_ns > built for file in inputs)


def refuse_to_overwrite(project: Project, output: Path) -> None:
    """Raise `UsageError` if writing the module to `output` would overwrite one of its inputs."""
    inputs = {file.resolve() for file in (*source_files(project), project.entry, project.root / CONFIGURATION)}
    inputs |= {project.lock.resolve()} if project.lock else set()
    if output.resolve() in inputs:
        raise UsageError(
            f"{shown(output)} is part of the filter", hint="choose another file with -o, such as main.wasm"
        )


def _entry(path: Path, backend: str | None) -> Path:
    if path.is_dir():
        return _entry_of_folder(path.resolve(), backend)
    check_readable(path, hint="pass a folder with filter.py, or a .py file")
    if path.suffix == ".go" or path.name == GO_MODULE:
        return _entry_of_folder(path.parent.resolve(), backend or "go")
    if path.suffix != ".py":
        raise ProjectError(f"{shown(path)} is not a filter", hint="pass a folder with filter.py, or a .py file")
    if backend is not None and BACKENDS[backend] != "python":
        raise ProjectError(f"{path} is a Python file", why=f"The backend {backend} builds Go modules.")
    # The folder is resolved but the file is not: a filter.py that is a symlink stays in its own folder.
    return path.parent.resolve() / path.name


def _entry_of_folder(folder: Path, backend: str | None) -> Path:
    found = {language: folder / name for language, name in ENTRIES.items() if (folder / name).is_file()}
    if backend is not None:
        entry = found.get(BACKENDS[backend])
        if entry is None:
            wanted = ENTRIES[BACKENDS[backend]]
            hint = _folder_hint(folder) if wanted == GO_MODULE and (folder / GO_SOURCE).is_file() else ""
            raise ProjectError(f"{folder} has no {wanted}", why=f"The backend {backend} needs one.", hint=hint)
        return entry
    if len(found) > 1:
        raise ProjectError(
            f"{folder} has a {GO_MODULE} and a {ENTRY}",
            why="A folder is one filter, in Go or in Python.",
            hint="move one of them to another folder, or choose one with --backend",
        )
    for entry in found.values():
        return entry
    raise ProjectError(f"{folder} is not a filter", why=f"It has no {ENTRY}.", hint=_folder_hint(folder))


def _folder_hint(folder: Path) -> str:
    """A hint for a user who takes `folder` for a filter."""
    if (folder / GO_SOURCE).is_file():
        return f"a Go filter has a {GO_MODULE}: go mod init {folder.name}, then go mod tidy"
    candidates = sorted(file.name for file in folder.glob("*.py") if not is_test(file.name))
    if candidates:
        return f"to build a single file: pwasm build {folder / candidates[0]}"
    return "create one with: pwasm new NAME"


def _read_configuration(root: Path, file: Path) -> Table:
    check_readable(file, CONFIGURATION_LIMIT)
    refuse_link_out(root, file)
    return read_configuration(file)


def _module_names(tool: Table) -> tuple[str, ...]:
    names = tool.strings("include")
    for name in names:
        if not _MODULE_NAME.fullmatch(name):
            raise tool.wrong("include", "module names, such as 'package.module'", name)
    return names


def _keep(tool: Table) -> tuple[str, ...]:
    found = []
    for name in tool.strings("keep"):
        known = kept_name(name)
        if known is None:
            hint = did_you_mean(name, (COMPILER, *BUILT_IN), "names")
            raise ProjectError(f"unknown name '{name}' for 'keep' in [{tool.name}] of {tool.file}", hint=hint)
        found.append(known)
    return tuple(found)


def _sdist(tool: Table) -> tuple[str, ...]:
    """Names only: each is passed to pip, where `:all:` or a comma would mean more than one."""
    found = []
    for text in tool.strings("sdist"):
        if not _REQUIREMENT_NAME.fullmatch(text):
            raise tool.wrong("sdist", "names of distributions, such as 'docopt'", text)
        found.append(re.sub(r"[-_.]+", "-", text).lower())
    return tuple(found)


def _is_sdk(requirement: str, file: Path) -> bool:
    """Whether a requirement is the SDK itself, which is always part of the module."""
    name = requirement_name(requirement)
    if name is None:
        raise ProjectError(f"invalid requirement '{requirement}' in [project] dependencies of {file}")
    return name == SDK_DISTRIBUTION


def _refuse_shadowing(path: Path) -> None:
    name = module_name(path)
    if name in _RESERVED:
        raise ProjectError(f"{path} would shadow pwasm's own module '{name}'", hint="rename it")
    if name in _STANDARD_LIBRARY:
        raise ProjectError(f"{path} would shadow the standard library's module '{name}'", hint="rename it")
